"""Questions in words, answered by the live build with the encoder that its manifest names.

The one place where text becomes a vector. What is served is what the manifest says, loaded from
the home folder and never from a registry; an encoder whose content, size or output does not match
is refused, because its vectors would be compared with another model's.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from finecap.search.attributes import canonical_value
from finecap.search.checks import check_encoder
from finecap.search.engines import open_index
from finecap.search.files import export_digest
from finecap.search.index import (
    Hit,
    IndexRefused,
    Manifest,
    Mode,
    ModelReference,
    NoSuchBuild,
    SearchRequest,
    Vector,
)
from finecap.search.query import parse

if TYPE_CHECKING:  # a search by words alone runs without torch
    from torch import Tensor

INDEX = "index"
"""The index's folder in the home folder."""


class TextEncoder(Protocol):
    """What search needs of a contrastive encoder."""

    @property
    def dim(self) -> int:
        """D."""
        ...

    def encode_texts(self, texts: Sequence[str], *, prompt: bool = True) -> "Tensor":
        """Unit-length text features, (N, D)."""
        ...


def load_live_manifest(home: Path) -> Manifest:
    """What the live build of this home folder says of itself.

    Raises:
        NoSuchBuild: nothing is live there.
    """
    index = open_index(home / INDEX)
    live = index.live()
    if live is None:
        raise NoSuchBuild(
            f"no index is live in {home}: run the pipeline to its caption_index first, or point "
            "FINECAP_HOME at the folder of a run"
        )
    return index.manifest(live)


def verified_export(home: Path, reference: ModelReference) -> Path:
    """The folder of the export, its content being what the build was made with.

    Raises:
        IndexRefused: it is another model's.
        FileNotFoundError: it is missing.
    """
    folder = home / reference.path
    digest = export_digest(folder)
    if digest != reference.digest:
        raise IndexRefused(
            f"{folder} is not the {reference.name} version {reference.version} that the index was "
            f"built with (content {digest}, expected {reference.digest}): export that version "
            "again, or build the index anew"
        )
    return folder


class Searcher:
    """Searches one build: the one that was live when it was opened."""

    def __init__(self, home: Path, manifest: Manifest) -> None:
        """Use `Searcher.open`."""
        self.manifest = manifest
        self._home = home
        self._index = open_index(home / INDEX)
        self._encoder: TextEncoder | None = None

    @classmethod
    def open(cls, home: Path) -> "Searcher":
        """A searcher on the live build; its encoder is loaded when a picture search needs it.

        Raises:
            NoSuchBuild: nothing is live.
        """
        return cls(home, load_live_manifest(home))

    def search(
        self,
        text: str,
        limit: int = 10,
        mode: Mode = "hybrid",
        picture_weight: float | None = None,
    ) -> list[Hit]:
        """The best hits for a query in the language of `query.parse`, best first.

        Args:
            text: words and conditions; conditions alone list what they leave, in image order.
            limit: hits wanted.
            mode: rank by the caption's words, by the picture, or by both.
            picture_weight: hybrid by weighted scores, 0 (words) to 1 (picture), not by rank.

        Raises:
            QueryError: the query cannot be answered.
            IndexRefused: the encoder is not the build's.
        """
        if mode not in {"hybrid", "words", "picture"}:
            raise IndexRefused(f"unknown mode {mode!r}, expected hybrid, words or picture")
        query = parse(text, canonical_value())
        request = SearchRequest(
            text=query.text if mode != "picture" else "",
            vector=self._embed(query.text) if query.text and mode != "words" else None,
            filter=query.filter,
            limit=limit,
            picture_weight=picture_weight,
        )
        return self._index.search(request, self.manifest.build_id)

    def _embed(self, text: str) -> Vector:
        """The text's vector, (D,)."""
        if self._encoder is None:
            self._encoder = self._load_encoder()
        return self._encoder.encode_texts([text])[0].detach().float().cpu().numpy()

    def _load_encoder(self) -> TextEncoder:
        """The encoder that the manifest names.

        Raises:
            IndexRefused: what lies there is not what the build was made with.
        """
        from finecap.models.clip import load_encoder

        folder = verified_export(self._home, self.manifest.encoder)
        encoder = load_encoder(folder)
        check_encoder(self.manifest, encoder.dim, str(folder))
        return encoder
