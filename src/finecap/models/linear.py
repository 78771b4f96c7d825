"""Linear maps where no gradient is asked: by oneDNN, and with packed weights where that pays.

PyTorch multiplies fp32 matrices on a CPU by MKL, which on AMD's does not reach what the core can.
Measured on one EPYC core, 64 rows, in GFLOP/s (MKL; oneDNN; oneDNN with packed weights): 512 -> 512
80, 79, 102; 512 -> 2048 69, 78, 95; 512 -> 9488 59, 82, 100; and with 3,136 rows 512 -> 1024 74,
101, 103. Packing costs about as much as one product of 64 rows. Training stays with PyTorch: there
oneDNN gains a tenth in the forward pass and loses more in the weights' gradient.

The operators are those that PyTorch's own compiler emits on a CPU. Results differ from PyTorch's in
the last bits of fp32 alone. Elsewhere (GPU, other precision, autocast) the map is PyTorch's.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# By overload: to find the one that fits, PyTorch would try a tensor's elements one by one.
_linear = torch.ops.mkldnn._linear_pointwise.default
_linear_plus = torch.ops.mkldnn._linear_pointwise.binary
_pack = torch.ops.mkldnn._reorder_linear_weight.default

_ROWS_WORTH_PACKING = 8
"""From so many rows on, packing is paid back within a caption's steps."""
_WORTH_ONEDNN = 1 << 17
"""From weights of so many numbers on: smaller ones MKL multiplies as fast, and every new number of
rows costs oneDNN half a millisecond to write code for it."""
_Packed = dict[tuple[int, int], tuple[Tensor, Tensor]]
_kept: ContextVar[_Packed | None] = ContextVar("packed weights that are kept", default=None)


@contextmanager
def packed_once() -> Generator[None]:
    """Inside, weights are packed by the first decode alone; nobody may change weights meanwhile.

    For captioning many batches: of 64 captions of 20 words, packing is 4 % of the time. They are
    freed at the end. Not for training, whose weights change with every step.
    """
    before = _kept.get()
    token = _kept.set({} if before is None else before)
    try:
        yield
    finally:
        _kept.reset(token)


class Linear(nn.Linear):
    """`nn.Linear`, by oneDNN where no gradient is asked."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name is PyTorch's
        """(..., in) -> (..., out)."""
        if torch.is_grad_enabled() or not _is_served(self.weight, input):
            return super().forward(input)
        return _linear(input, self.weight, self.bias, "none", [], "")


class PackedLinear:
    """A linear map for a loop without gradient, during which its weights stay as they are.

    What follows the product (a GELU, the sum with a residual) is done while it is in cache.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, rows: int) -> None:
        """Pack weights for inputs of about `rows` rows.

        Args:
            weight: (out, in).
            bias: (out,); -inf makes an output impossible.
            rows: of the inputs; any number works, few are not worth packing for.
        """
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self.is_packed = rows >= _ROWS_WORTH_PACKING and _is_served(weight, weight)
        if self.is_packed:
            self.weight = _packed(weight, rows)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, in) -> (N, out)."""
        if not self.is_packed:
            return F.linear(x, self.weight, self.bias)
        return _linear(x, self.weight, self.bias, "none", [], "")

    def gelu(self, x: Tensor) -> Tensor:
        """GELU of the map's result: (N, in) -> (N, out)."""
        if not self.is_packed:
            return F.gelu(self(x))
        return _linear(x, self.weight, self.bias, "gelu", [], "none")

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """The map's result plus `residual`: (N, in), (N, out) -> (N, out)."""
        if not self.is_packed:
            return self(x) + residual
        return _linear_plus(x, residual, self.weight, self.bias, "add")


def _packed(weight: Tensor, rows: int) -> Tensor:
    """Weights laid out for inputs of about `rows` rows: those kept, where they are."""
    kept = _kept.get()
    if kept is None:
        return _pack(weight.detach(), rows)
    if (id(weight), rows) not in kept:  # the weight, too, is kept, so that no other has its id
        kept[id(weight), rows] = weight, _pack(weight.detach(), rows)
    return kept[id(weight), rows][1]


def _is_served(weight: Tensor, x: Tensor) -> bool:
    """Whether oneDNN's fp32 product is the one to take."""
    on_cpu = weight.device.type == "cpu" and torch.backends.mkldnn.is_available()
    is_fp32 = weight.dtype == x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return on_cpu and is_fp32 and weight.numel() >= _WORTH_ONEDNN
