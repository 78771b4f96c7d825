"""What every captioner offers, whatever its architecture: the seam decoding and training use.

A saved captioner is a folder: `config.json` (its `family` says which class), `model.safetensors`,
`vocabulary.json`. Loading never falls back to random weights.
"""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from finecap.data.tokenizer import WordTokenizer
from finecap.models.folder import ModelFolderError, read_config


@runtime_checkable
class Captioner(Protocol):
    """An image-conditioned language model over words.

    Tokens that may never be chosen (PAD, BOS, UNK) have logit -inf in `step` and in
    `teacher_forced` alike, so that sampling and scoring see one distribution.
    """

    tokenizer: WordTokenizer
    training: bool

    def begin(self, grid: Tensor, rows: int) -> Any:
        """State of a cached decode of `rows` captions for each image of `grid` (B, P, C)."""

    def step(self, previous: Tensor, state: Any) -> Tensor:
        """Logits (B, rows, V) of the token after `previous` (B, rows); advances `state`."""
        ...

    def teacher_forced(self, grid: Tensor, input_ids: Tensor) -> Tensor:
        """Logits (B, K, T, V) of the token after each of `input_ids` (B, K, T)."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model into `folder`."""

    def eval(self) -> Any:
        """Switch dropout off."""

    def train(self, mode: bool = True) -> Any:
        """Switch dropout on or off."""

    def parameters(self) -> Any:
        """The trainable tensors."""

    def state_dict(self) -> dict[str, Tensor]:
        """All tensors by name."""
        ...

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> Any:
        """Take over tensors by name."""


def load_captioner(folder: Path) -> Captioner:
    """The captioner saved in `folder`, in eval mode.

    Raises:
        ModelFolderError: the folder is missing, incomplete, or of an unknown family.
    """
    from finecap.models.transformer import TransformerCaptioner

    config = read_config(folder, expected={"family"})
    if config["family"] != "transformer":
        raise ModelFolderError(
            f"{folder}: unknown captioner family {config['family']!r}, expected 'transformer'"
        )
    return TransformerCaptioner.load(folder)
