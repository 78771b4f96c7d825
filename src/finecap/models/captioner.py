"""What every captioner offers, whatever its architecture: the seam decoding and training use.

A captioner turns images into a *memory* once, with gradient where gradient is on; drawing captions
(`begin`, `step`) and scoring them (`teacher_forced`) both read that memory, so that neither encodes
an image again. A saved captioner is a folder: `config.json` (its `family` says which class),
`model.safetensors`, its tokenizer. Loading never falls back to random weights.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from finecap.models.folder import ModelFolderError, read_config


class Tokenizer(Protocol):
    """Captions as token ids; `pad` may be the same id as `eos`, masks run through the first EOS."""

    pad: int
    bos: int
    eos: int

    def __len__(self) -> int:
        """V, specials included."""
        ...

    def encode_batch(self, texts: Sequence[str], length: int) -> npt.NDArray[np.int64]:
        """Ids from BOS through EOS of each text, (N, length), padded."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first EOS."""
        ...


class DecodingState(Protocol):
    """What a cached decode carries from token to token.

    Attributes:
        is_static: whether its shapes stay as they are; `keep` is then refused.
    """

    is_static: ClassVar[bool]

    def reorder(self, parents: Tensor) -> None:
        """Row r of each image goes on from what its row `parents[b, r]` was; (B, rows)."""

    def keep(self, images: Tensor) -> None:
        """Go on with these images alone, given by their places (b,) among those so far."""


class Captioner(nn.Module, ABC):
    """An image-conditioned language model.

    Tokens that may never be chosen (PAD, BOS, UNK) have logit -inf in `step` and in
    `teacher_forced` alike, so that sampling and scoring see one distribution.

    Attributes:
        tokenizer: of its captions.
        max_tokens: T of the longest caption it can say, words and EOS.
        image_size: pixels of the images it reads; None: it reads the encoder's cached grid.
        bicaptioning: whether maximum likelihood also has it say captions from their end.
    """

    tokenizer: Tokenizer
    max_tokens: int
    image_size: int | None = None
    bicaptioning: bool = False

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        return next(self.parameters()).device

    @property
    def has_random_weights(self) -> bool:
        """Whether pretrained weights that it began with were a stand-in that nobody trained."""
        return False

    @property
    def about_weights(self) -> dict[str, float]:
        """What a stage reports beside its metrics: that weights are random, or nothing."""
        return {"random_weights": 1.0} if self.has_random_weights else {}

    def pixel_values(self, pixels: np.ndarray) -> Tensor:
        """uint8 (B, H, W, 3) -> what `memory` takes, of a captioner that reads images."""
        raise TypeError(
            f"{type(self).__name__} reads grid features, not {tuple(pixels.shape)} pixels; "
            "take them from the encoder it was trained with"
        )

    def learning_parts(self, image_lr_scale: float) -> list[tuple[nn.Module, float]]:
        """Its modules, each with the scale of its learning rate; `image_lr_scale`: of a tower."""
        del image_lr_scale
        return [(self, 1.0)]

    def learnt_statistics(self) -> list[Tensor]:
        """What learns without gradient: BatchNorm's, of an image tower trained from scratch."""
        return []

    @abstractmethod
    def memory(self, inputs: Tensor) -> Any:
        """What the words attend to, of grids (B, P, C) or pixel values (B, 3, H, W)."""

    @abstractmethod
    def begin(self, memory: Any, rows: int) -> DecodingState:
        """State of a cached decode of `rows` captions for each of B images; no gradient."""

    @abstractmethod
    def step(self, previous: Tensor, state: Any) -> Tensor:
        """Logits (B, rows, V) of the token after `previous` (B, rows); advances `state`."""

    @abstractmethod
    def teacher_forced(self, memory: Any, input_ids: Tensor) -> Tensor:
        """Logits (B, K, T, V) of the token after each of `input_ids` (B, K, T)."""

    def teacher_forced_backward(self, memory: Any, input_ids: Tensor) -> Tensor:
        """Logits (B, K, T, V) after each of the reversed captions' `input_ids` (B, K, T)."""
        del memory
        raise TypeError(
            f"{type(self).__name__} says captions forwards only, came {tuple(input_ids.shape)} "
            "reversed ids; build it with `bicaptioning`"
        )

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model into `folder`."""


def never_chosen(tokenizer: Tokenizer) -> Tensor:
    """What is added to logits (V,): -inf for PAD, BOS and UNK, 0 for all else."""
    specials = {tokenizer.pad, tokenizer.bos, getattr(tokenizer, "unk", tokenizer.pad)}
    forbidden = torch.zeros(len(tokenizer))
    forbidden[list(specials - {tokenizer.eos})] = -torch.inf
    return forbidden


def load_captioner(folder: Path) -> Captioner:
    """The captioner saved in `folder`, in eval mode.

    Raises:
        ModelFolderError: the folder is missing, incomplete, or of an unknown family.
    """
    from finecap.models.bicaptioning import BicaptioningTransformer
    from finecap.models.lstm import LstmCaptioner
    from finecap.models.pixels import PixelCaptioner
    from finecap.models.transformer import TransformerCaptioner

    families: dict[str, Callable[[Path], Captioner]] = {
        "transformer": TransformerCaptioner.load,
        "bicaptioning_transformer": BicaptioningTransformer.load,
        "lstm": LstmCaptioner.load,
        "pixels": PixelCaptioner.load,
        "huggingface": _load_huggingface,
    }
    family = read_config(folder, expected={"family"})["family"]
    if family not in families:
        raise ModelFolderError(
            f"{folder}: unknown captioner family {family!r}, expected one of {', '.join(families)}"
        )
    return families[family](folder)


def _load_huggingface(folder: Path) -> Captioner:
    """A captioner of transformers, which takes seconds to import and which no other needs."""
    from finecap.models.huggingface import HuggingFaceCaptioner

    return HuggingFaceCaptioner.load(folder)
