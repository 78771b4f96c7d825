"""What every engine does in the same words: the part of the seam that needs a build and no more.

An engine opens a build for reading; each question of `CaptionIndex` is then asked of that build.
How a build is opened, and all that changes an index, stays in the engines.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from finecap.search.index import (
    Hit,
    Manifest,
    Row,
    SearchRequest,
    StoredCaption,
    stored_captions,
)
from finecap.search.query import Filter


class Build(Protocol):
    """One finished build, open for reading."""

    def search(self, request: SearchRequest) -> list[Hit]:
        """See `CaptionIndex.search`."""
        ...

    def facets(self, filter_: Filter | None, text: str) -> Mapping[str, Mapping[str, int]]:
        """See `CaptionIndex.facets`."""
        ...

    def rows(self, images: Sequence[str]) -> list[Row]:
        """See `CaptionIndex.rows`."""
        ...


class BuildReader(ABC):
    """The questions of `CaptionIndex`, for an engine that can open a build."""

    @abstractmethod
    def _reading(self, build_id: str | None) -> AbstractContextManager[Build]:
        """The live build, or the one named, for one question.

        Raises:
            NoSuchBuild: nothing is live, or no finished build has that name.
        """

    def search(self, request: SearchRequest, build_id: str | None = None) -> list[Hit]:
        """The best hits of the live build, or of the one named."""
        with self._reading(build_id) as build:
            return build.search(request)

    def facets(
        self, filter_: Filter | None = None, text: str = "", build_id: str | None = None
    ) -> Mapping[str, Mapping[str, int]]:
        """How many rows have each value of each field, most frequent first."""
        with self._reading(build_id) as build:
            return build.facets(filter_, text)

    def rows(self, images: Sequence[str], build_id: str | None = None) -> list[Row]:
        """The rows of these images, as asked; images not held are left out."""
        with self._reading(build_id) as build:
            return build.rows(images)

    def captions(self, image: str, build_id: str | None = None) -> list[StoredCaption]:
        """All that is stored of an image, the caption searched first."""
        return [stored for row in self.rows([image], build_id) for stored in stored_captions(row)]


def oldest_first(manifests: Iterable[Manifest]) -> list[Manifest]:
    """By the time that each build states, then by name."""
    return sorted(manifests, key=lambda manifest: (manifest.created_at, manifest.build_id))
