"""What turns texts into the ids a text tower reads: one seam for every kind of tower.

Towers trained here read words (`data.tokenizer`), CLIP's read the byte pairs that come with
open_clip, SigLIP's and Hugging Face's own read a Hugging Face tokenizer. Each is saved with its
model: `vocabulary.json` says which kind it is, and a Hugging Face tokenizer lies in a folder beside
it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import finecap.models.torchvision_shim  # noqa: F401 isort: skip  # pyright: ignore[reportUnusedImport]
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

from finecap.data.tokenizer import WordTokenizer
from finecap.models.architectures import Architecture
from finecap.models.folder import ModelFolderError, reason

_BYTE_PAIRS, _HUGGING_FACE = "finecap byte pairs 1", "finecap Hugging Face 1"
_FOLDER = "tokenizer"


class TextTokenizer(Protocol):
    """Texts to ids, and back on disk."""

    eos: int
    """The id that ends a text; what follows its first one is padding."""

    def __len__(self) -> int:
        """V: every id is below it."""
        ...

    def encode_batch(self, texts: Sequence[str], length: int) -> npt.NDArray[np.int64]:
        """Ids of all texts (N, length), padded; a longer text loses its end, never the EOS."""
        ...

    def save(self, path: Path) -> None:
        """Write it into the model folder that the file `path` is of."""
        ...


class BytePairTokenizer:
    """CLIP's byte pairs (Radford et al. 2021), as bundled with open_clip."""

    def __init__(self, options: dict[str, Any]) -> None:
        """Take the options that open_clip's text config names `tokenizer_kwargs`."""
        self._options = options
        self._byte_pairs = SimpleTokenizer(**options)
        self.eos = self._byte_pairs.eot_token_id

    def __len__(self) -> int:
        """V."""
        return self._byte_pairs.vocab_size

    def encode_batch(self, texts: Sequence[str], length: int) -> npt.NDArray[np.int64]:
        """Ids (N, length), padded with 0 (which is also the id of an exclamation mark)."""
        return self._byte_pairs(list(texts), context_length=length).numpy()

    def save(self, path: Path) -> None:
        """Write the options; the table of pairs comes with open_clip."""
        _write(path, {"kind": _BYTE_PAIRS, "options": self._options})


class HubTokenizer:
    """A Hugging Face tokenizer, read as open_clip reads it.

    Args:
        source: local folder of its files; otherwise its name on the hub.
        vocabulary_size: V of the text tower; tokenizers may know ids that it lacks.
        mode: open_clip's `tokenizer_mode`.
        options: open_clip's `tokenizer_kwargs`.

    Raises:
        ModelFolderError: it cannot be loaded from there.
    """

    def __init__(
        self, source: str, vocabulary_size: int, mode: str | None, options: dict[str, Any]
    ) -> None:
        self._source, self._vocabulary_size = source, vocabulary_size
        self._mode, self._options = mode, options
        try:
            self._tokenizer = HFTokenizer(source, tokenizer_mode=mode, **options)
        except (OSError, ValueError) as error:
            remedy = (
                "expected a folder that `save_pretrained` wrote, or a copy of one from the hub"
                if Path(source).is_dir()
                else f"take its files from https://huggingface.co/{source} where there is network, "
                "and set `tokenizer` to the folder they are put in"
            )
            raise ModelFolderError(
                f"tokenizer {source} cannot be loaded ({reason(error)}); {remedy}"
            ) from error
        refuse_wordless(self._tokenizer.tokenizer, source)
        self.eos = self._end()

    def _end(self) -> int:
        """The id that ends a text."""
        own = self._tokenizer.tokenizer
        ends = (own.eos_token_id, own.sep_token_id, own.pad_token_id)
        known = [number for number in ends if number is not None]
        if not known:
            raise ModelFolderError(
                f"tokenizer {self._source} has no end-of-text, separator or padding token, "
                "expected one of them"
            )
        return 0 if self._options.get("strip_sep_token") else known[0]  # open_clip overwrites it

    def __len__(self) -> int:
        """V of the text tower."""
        return self._vocabulary_size

    def encode_batch(self, texts: Sequence[str], length: int) -> npt.NDArray[np.int64]:
        """Ids (N, length).

        Raises:
            ValueError: an id that the text tower does not know: the tokenizer is another's.
        """
        ids: npt.NDArray[np.int64] = self._tokenizer(list(texts), context_length=length).numpy()
        if ids.size and ids.max() >= self._vocabulary_size:
            raise ValueError(
                f"tokenizer {self._source} gives id {ids.max()}, but the text tower knows "
                f"{self._vocabulary_size}; set `tokenizer` to the one of this architecture"
            )
        return ids

    def save(self, path: Path) -> None:
        """Write the tokenizer's own files, then what to read them with."""
        self._tokenizer.save_pretrained(str(path.parent / _FOLDER))
        reading = {"mode": self._mode, "options": self._options}
        size = {"vocabulary_size": self._vocabulary_size}
        _write(path, {"kind": _HUGGING_FACE, **size, **reading})


def tokenizer_of(architecture: Architecture, folder: str | None) -> TextTokenizer:
    """The tokenizer that an architecture's text tower was trained with.

    Args:
        architecture: names it, where it is not CLIP's.
        folder: local copy of a Hugging Face tokenizer; None: from the hub, or its cache.

    Raises:
        ModelFolderError: it cannot be loaded, or a folder is given to a tower that needs none.
    """
    text = architecture.text
    options = dict(text.get("tokenizer_kwargs") or {})
    name = text.get("hf_tokenizer_name")
    if name and folder and not Path(folder).is_dir():
        raise ModelFolderError(f"`tokenizer` is {folder!r}, which is no folder; put {name} there")
    if name:
        mode = text.get("tokenizer_mode")
        return HubTokenizer(folder or name, architecture.vocabulary_size, mode, options)
    if folder:
        raise ModelFolderError(
            f"{architecture.name} reads the byte pairs that come with open_clip; leave out "
            f"`tokenizer` (came: {folder})"
        )
    return BytePairTokenizer(options)


def load_text_tokenizer(path: Path) -> TextTokenizer:
    """The tokenizer that `save` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        VocabularyError: the file is broken or of another kind; names it.
    """
    content = _read(path)
    if content.get("kind") == _BYTE_PAIRS:
        return BytePairTokenizer(content["options"])
    if content.get("kind") == _HUGGING_FACE:
        source, size = str(path.parent / _FOLDER), content["vocabulary_size"]
        return HubTokenizer(source, size, content["mode"], content["options"])
    return WordTokenizer.load(path)


def refuse_wordless(tokenizer: Any, source: str) -> None:
    """Refuse what transformers makes of a folder that has a model's config and no tokenizer files.

    Raises:
        ModelFolderError: to the Hugging Face tokenizer all words are alike.
    """
    if len({tuple(tokenizer(word).input_ids) for word in ("a", "the", "on", "red")}) == 1:
        raise ModelFolderError(
            f"tokenizer {source} knows no words; put the tokenizer's own files there "
            "(tokenizer.json, or vocab.txt, or a .model)"
        )


def end_of_text(tokens: Tensor, eos: int) -> Tensor:
    """Position of the first `eos` of each row, (N, T) -> (N,); a row without one ends at T - 1."""
    before = (tokens == eos).cumsum(-1) == 0  # (N, T)
    return before.sum(-1).clamp(max=tokens.shape[-1] - 1)


def cut(ids: npt.NDArray[np.int64], eos: int) -> Tensor:
    """Ids (N, T) up to the end of the longest text, (N, <= T)."""
    tokens = torch.from_numpy(ids)
    return tokens[:, : int(end_of_text(tokens, eos).max()) + 1] if len(tokens) else tokens[:, :1]


def _read(path: Path) -> dict[str, Any]:
    """The file's content; empty where it is none of ours to judge."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON, atomically."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=2), encoding="utf-8")
    partial.replace(path)
