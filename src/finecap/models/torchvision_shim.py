"""Makes torchvision importable beside a CPU build of torch; import it before open_clip or timm.

The registry's torchvision is compiled for CUDA. Beside a CPU torch its operator library does not
load, and `import torchvision` dies with `operator torchvision::nms does not exist`, though nothing
here calls that operator. Defining the two missing schemas is enough. Where the library loads, this
module does nothing.
"""

import ctypes
import importlib.util
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _operators_load() -> bool:
    """Whether torchvision's compiled operators can be loaded beside this torch."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True  # nothing to repair: the import itself will say that it is missing
    libraries = list(Path(spec.origin).parent.glob("_C*.so"))
    try:
        for library in libraries:
            ctypes.CDLL(str(library))
    except OSError:
        return False
    return bool(libraries)


if not _operators_load():
    # Kept at module level: the schemas vanish when the Library object is collected.
    _library = torch.library.Library("torchvision", "DEF")
    for _schema in _SCHEMAS:
        _library.define(_schema)
