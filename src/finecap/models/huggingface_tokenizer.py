"""A pretrained model's own tokenizer, as captioners use one.

Which id starts and which ends a caption is the model's convention, not the tokenizer's: BERT's kind
ends with [SEP], BLIP starts with [DEC], GPT-2 has one id for start, end and padding. Masks run
through the first EOS, so that they may be the same.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class PretrainedTokenizer:
    """Captions as ids of a transformers tokenizer.

    Attributes:
        tokenizer: of transformers.
        unk: what it gives for what it cannot spell; None: it spells everything.
        unspoken: ids that no caption has: specials but the EOS, and those beyond its vocabulary.
    """

    def __init__(self, tokenizer: Any, bos: int, eos: int, vocabulary_size: int) -> None:
        """Wrap `tokenizer` of a model with logits for `vocabulary_size` ids.

        Raises:
            ValueError: it has ids that the model has not.
        """
        if max(len(tokenizer), bos + 1, eos + 1) > vocabulary_size:
            raise ValueError(
                f"the tokenizer has {len(tokenizer)} ids, starts with {bos} and ends with {eos}; "
                f"the model knows {vocabulary_size}: they are not of one another"
            )
        self.tokenizer, self.bos, self.eos = tokenizer, bos, eos
        self.vocabulary_size = vocabulary_size
        self.pad: int = eos if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        unknown = tokenizer.unk_token_id
        self.unk: int | None = None if unknown == eos else unknown
        beyond = range(len(tokenizer), vocabulary_size)
        self.unspoken = {bos, self.pad, *tokenizer.all_special_ids, *beyond} - {eos}

    def __len__(self) -> int:
        """V, as the model has logits."""
        return self.vocabulary_size

    def encode_batch(self, texts: Sequence[str], length: int) -> npt.NDArray[np.int64]:
        """Ids from BOS through EOS of each text (N, length), padded; a long text loses its end.

        Raises:
            ValueError: `length` leaves no room for BOS and EOS.
        """
        if length < 2:  # noqa: PLR2004 - BOS and EOS
            raise ValueError(f"length is {length}, expected 2 or more (BOS and EOS)")
        batch = np.full((len(texts), length), self.pad, dtype=np.int64)  # (N, T)
        if not texts:
            return batch
        spelt = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        # A text that spells a special out ("[SEP]") would end in its middle.
        specials = {*self.unspoken, self.eos} - {self.unk}
        for row, ids in zip(batch, spelt, strict=True):
            words = [i for i in ids if i not in specials]
            own = [self.bos, *words[: length - 2], self.eos]
            row[: len(own)] = own
        return batch

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first EOS, specials dropped, on one line."""
        spoken: list[int] = []
        for number in ids:
            if number == self.eos:
                break
            if number not in self.unspoken:
                spoken.append(number)
        return " ".join(self.tokenizer.decode(spoken).split())
