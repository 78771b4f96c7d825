"""Telling a decoder of transformers where in its own caption each word stands.

Captions of an image lie one after another in one sequence (`huggingface_decoders` says why), so
that a word's position is not its place in the sequence. GPT-2's and BERT's kind take
`position_ids`. BART's kind (BART, mBART, Marian, Pegasus, Blenderbot, MVP, PLBart, RoFormer, TrOCR)
count from the length of their cache, yet hand that count to a module that looks positions up and
that takes `position_ids` in its place: it is given ours as it is called, and what else the decoder
computes stays its own.

Why not a row of the batch for each caption, where the decoder's own count would be right: then the
image's keys and values are copied for each, and there would be two layouts to be right in.

Refused: TrOCR with sinusoidal positions (its large-printed and stage-1 models), whose table takes
no positions, and is left without values by transformers itself when it reads the model.
"""

import inspect
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from finecap.models.folder import ModelFolderError

_TABLES = ("position_embeddings", "wpe", "embed_positions")
_REFUSED = {
    "big_bird": "transformers cannot continue its words from a cache beside an image",
    "megatron-bert": "transformers cannot continue its words from a cache beside an image",
    "prophetnet": "it has a stream of words for each n-gram that it predicts",
}
"""By `model_type`: decoders whose positions could be told, and that would fail or err later."""


class Positions:
    """Where one decoder's words stand.

    Attributes:
        room: positions it has, the most tokens a caption may have.
    """

    def __init__(self, decoder: Any) -> None:
        """Find what the decoder looks positions up in.

        Raises:
            ModelFolderError: it cannot be told positions, or cannot be served for another reason.
        """
        _refuse_unsuited(decoder)
        self._table = _table(decoder)
        self._is_argument = _takes_positions(decoder)
        # RoBERTa's kind counts positions from the one after its padding's; BART's adds an offset.
        padding = self._table.padding_idx
        self._first = 0 if padding is None else padding + 1
        unused = self._first + getattr(self._table, "offset", 0)
        self.room: int = self._table.num_embeddings - unused

    @contextmanager
    def told(self, positions: Tensor) -> Generator[dict[str, Tensor]]:
        """Arguments of a call of the decoder made inside, whose words (L,) stand at `positions`."""
        if self._is_argument:
            yield {"position_ids": (positions + self._first)[None]}
            return

        def tell(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            return given, {**named, "position_ids": positions}

        hook = self._table.register_forward_pre_hook(tell, with_kwargs=True)
        try:
            yield {}
        finally:
            hook.remove()


def _refuse_unsuited(decoder: Any) -> None:
    """Refuse what fails, or says something else, in the middle of a training."""
    config = decoder.config
    if config.model_type in _REFUSED:
        raise _refusal(decoder, _REFUSED[config.model_type])
    if any(getattr(module, "layerdrop", 0) for module in decoder.modules()):
        raise _refusal(
            decoder,
            "in training it leaves out layers at random, and with them the keys of the image; set "
            "`decoder_layerdrop` of `decoder` to 0 in its config.json",
        )


def _table(decoder: Any) -> Any:
    """The one module that positions are looked up in."""
    tables = [module for name, module in decoder.named_modules() if name.endswith(_TABLES)]
    found = [table for table in tables if isinstance(table, nn.Embedding)]
    if len(found) == 1 and (_takes_positions(decoder) or _takes_positions(found[0])):
        return found[0]
    kinds = ", ".join(type(table).__name__ for table in tables) or "no table of positions"
    raise _refusal(
        decoder,
        f"it cannot be told the positions of words ({kinds}), which K captions of an image in one "
        "sequence need",
    )


def _takes_positions(module: nn.Module) -> bool:
    """Whether a call of it may name `position_ids`."""
    return "position_ids" in inspect.signature(module.forward).parameters


def _refusal(decoder: Any, why: str) -> ModelFolderError:
    """Says which decoder, why, and which would do."""
    return ModelFolderError(
        f"the decoder {type(decoder).__name__} is not supported: {why}; expected one of the kind "
        "of GPT-2, BERT, RoBERTa, BART or TrOCR"
    )
