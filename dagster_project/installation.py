"""What the doctor looks at first: interpreter, packages, programs, device, variables, profile.

Nothing here asks a store or a server.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from packaging.requirements import Requirement

from dagster_project.findings import Finding, Findings
from finecap.config import Profile

PYTHONS = ((3, 11), (3, 13))
"""From, and below."""
VARIABLES = frozenset(
    {
        "FINECAP_HOME",
        "FINECAP_PROFILE",
        "FINECAP_INDEX_URL",
        "FINECAP_DAGSTER_PORT",
        "FINECAP_DAGSTER_STORAGE",
        "FINECAP_DAGSTER_UI",
        "FINECAP_POSTGRES_PORT",
        "FINECAP_CODE_HOST",
        "FINECAP_EXECUTOR",
        "FINECAP_GPU_NODES",
        "FINECAP_CODE_PORT",
        "FINECAP_LOG",
        "FINECAP_MLFLOW_PORT",
        "FINECAP_MLFLOW_UI",
        "FINECAP_SERVE_PORT",
        "FINECAP_TOKEN",
        "FINECAP_TOKEN_FILE",
        "FINECAP_TORCH_INDEX",
        "FINECAP_TRACKING_OUTAGE",
        "FINECAP_WEBHOOK_URL",
        "FINECAP_OWNER",
        "FINECAP_IMAGE_FOLDER",
        "FINECAP_PROGRESS_FILE",
    }
)
NAMING_FILES = frozenset({"timm_checkpoint", "lexicon_folder"})
"""Settings that name a file or folder, and nothing else."""
_SETUP = "`make setup`, or `pip install 'finecap[pipeline]'`"


def python() -> Findings:
    """The interpreter."""
    least, below = PYTHONS
    here = sys.version_info[:2]
    said = f"{sys.version.split()[0]} in {sys.prefix}"
    if least <= here < below:
        yield Finding("python", "ok", said)
    else:
        wanted = f"Python {least[0]}.{least[1]} or newer, below {below[0]}.{below[1]}"
        yield Finding("python", "fail", said, f"install {wanted}, and make the environment anew")


def packages() -> Findings:
    """What the project asks for, at the versions it asks for."""
    wrong = 0
    for text in metadata.requires("finecap") or []:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": "pipeline"}):
            continue
        wrong += 1
        try:
            here = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            yield Finding("packages", "fail", f"{wanted.name} is not installed", _SETUP)
            continue
        if wanted.specifier.contains(here, prereleases=True):
            wrong -= 1
        else:
            said = f"{wanted.name} is {here}, expected {wanted.specifier}"
            yield Finding("packages", "fail", said, _SETUP)
    if not wrong:
        yield Finding("packages", "ok", "all at the versions that were tested")


def programs() -> Findings:
    """Programs beside Python."""
    if shutil.which("git") is None:
        yield Finding(
            "git", "fail", "is not on PATH", "install git: runs note the commit they are of"
        )
    else:
        yield Finding("git", "ok", str(shutil.which("git")))
    if shutil.which("java") is None:
        yield Finding(
            "java", "warn", "is not on PATH: METEOR and SPICE have no value", "install a JRE"
        )


def device() -> Findings:
    """What models compute on."""
    import torch

    cores = len(os.sched_getaffinity(0))
    if torch.cuda.is_available():
        yield Finding("device", "ok", f"{torch.cuda.get_device_name()}, {cores} cores")
    elif shutil.which("nvidia-smi"):
        said = f"there is an NVIDIA driver, but torch {torch.__version__} does not use it"
        yield Finding("device", "warn", said, "install torch's CUDA build")
    else:
        yield Finding("device", "ok", f"CPU, {cores} cores")


def environment(environ: Mapping[str, str]) -> Findings:
    """Variables that nobody reads: a slip in a name is silent otherwise."""
    unknown = sorted(v for v in environ if v.startswith("FINECAP_") and v not in VARIABLES)
    for name in unknown:
        fix = f"expected one of {', '.join(sorted(VARIABLES))}"
        yield Finding("environment", "warn", f"{name} is set, and read by nothing", fix)
    if not unknown:
        yield Finding("environment", "ok", "every FINECAP_ variable that is set is known")


def files_of(profile: Profile) -> Findings:
    """Files that the profile names and does not make."""
    missing = [
        (name, path) for name, path in _files(profile.model_dump(mode="json")) if not path.exists()
    ]
    for name, path in missing:
        yield Finding(
            "profile", "fail", f"{name} names {path}, which is not there", "mend the path"
        )
    if not missing:
        yield Finding("profile", "ok", f"{profile.name}: every file it names is there")


def _files(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Every file or folder that a setting names, by the setting's name."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _files(cast("Mapping[str, Any]", value), f"{prefix}{name}.")
        elif name in NAMING_FILES and value:
            yield f"{prefix}{name}", Path(str(value))
