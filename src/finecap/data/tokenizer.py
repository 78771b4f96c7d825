"""Words as tokens: the vocabulary of captioners and of text towers trained here.

A word is a lower-case run of letters and digits with apostrophes inside ("dog's"); a hyphen splits
("tri-colored" is two words) and other punctuation is dropped, as PTB-tokenised metrics drop it.
What stays out: the tokenizers of pretrained models (they come with their models) and PTB itself
(`metrics` tokenises for scoring).

Why words: the captions of one data set have a few thousand, a sequence is then as short as can be,
and self-critical training spends its time in proportion to that length.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_KIND = "finecap words 1"


class VocabularyError(ValueError):
    """A vocabulary file that is broken or of another kind."""


def words_of(text: str) -> list[str]:
    """The words of `text`.

    >>> words_of("A tri-colored dog's ball .")
    ['a', 'tri', 'colored', "dog's", 'ball']
    """
    if not text.isascii():
        # A composed accent is part of its letter; a separate one would split the word.
        text = unicodedata.normalize("NFC", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    return _WORD.findall(text.lower())


class WordTokenizer:
    """A fixed vocabulary: ids 0-3 are `SPECIALS`, words follow, the most frequent first."""

    pad, bos, eos, unk = PAD, BOS, EOS, UNK

    def __init__(self, words: Sequence[str]) -> None:
        """Number `words` from 4 on.

        Raises:
            ValueError: no words, or one twice.
        """
        if not words:
            raise ValueError("a vocabulary needs at least one word")
        self.words = (*SPECIALS, *words)
        self._ids = {word: number for number, word in enumerate(self.words)}
        if len(self._ids) != len(self.words):
            twice = Counter(self.words).most_common(1)[0][0]
            raise ValueError(f"a vocabulary has each word once, {twice!r} came more often")

    @classmethod
    def build(cls, captions: Iterable[str], min_count: int = 1) -> "WordTokenizer":
        """The vocabulary of `captions`: words seen `min_count` times or more.

        Order is by count, then by spelling, so it does not depend on the captions' order.

        Raises:
            ValueError: no word is that frequent.
        """
        counts = Counter(word for caption in captions for word in words_of(caption))
        kept = [word for word, count in counts.items() if count >= min_count]
        if not kept:
            raise ValueError(
                f"none of {len(counts)} words occurs {min_count} times or more; "
                "give more captions or lower min_word_count"
            )
        return cls(sorted(kept, key=lambda word: (-counts[word], word)))

    def __len__(self) -> int:
        """V, specials included."""
        return len(self.words)

    def encode(self, text: str, length: int) -> list[int]:
        """Ids from BOS through EOS, at most `length`; a longer text loses its end, never EOS.

        Raises:
            ValueError: `length` leaves no room for BOS and EOS.
        """
        if length < 2:  # noqa: PLR2004 - BOS and EOS
            raise ValueError(f"length is {length}, expected 2 or more (BOS and EOS)")
        ids = [self._ids.get(word, UNK) for word in words_of(text)]
        return [BOS, *ids[: length - 2], EOS]

    def encode_batch(self, texts: Sequence[str], length: int) -> npt.NDArray[np.int64]:
        """Ids of all texts (N, length), padded with PAD."""
        batch = np.full((len(texts), length), PAD, dtype=np.int64)  # (N, T)
        for row, text in zip(batch, texts, strict=True):
            ids = self.encode(text, length)
            row[: len(ids)] = ids
        return batch

    def decode(self, ids: Iterable[int]) -> str:
        """The words up to the first EOS, specials dropped, joined by blanks.

        Raises:
            ValueError: an id that the vocabulary does not have.
        """
        words: list[str] = []
        for number in ids:
            if number == EOS:
                break
            if not 0 <= number < len(self.words):
                raise ValueError(f"id {number} is not in this vocabulary of {len(self)} words")
            if number > UNK:
                words.append(self.words[number])
        return " ".join(words)

    def save(self, path: Path) -> None:
        """Write the vocabulary as JSON, atomically."""
        partial = path.with_name(path.name + ".partial")
        content = {"kind": _KIND, "words": self.words[len(SPECIALS) :]}
        partial.write_text(json.dumps(content, ensure_ascii=False, indent=0), encoding="utf-8")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "WordTokenizer":
        """The vocabulary that `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            VocabularyError: the file is broken or of another kind; names it.
        """
        if not path.is_file():
            raise FileNotFoundError(f"vocabulary {path} does not exist")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            kind, words = content["kind"], [str(word) for word in content["words"]]
        except (ValueError, KeyError, TypeError) as error:
            raise VocabularyError(f"{path} is no vocabulary: {error!r}; save it again") from error
        if kind != _KIND:
            raise VocabularyError(f"{path} is {kind!r}, expected {_KIND!r}")
        return cls(words)
