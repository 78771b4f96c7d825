"""The index seam: what every caption index engine does, and the values that cross it.

Engines implement `CaptionIndex` and nothing else is asked of them; query parsing, fusion, attribute
extraction, checks of a build and the choice of encoder are ours and the same on all engines. No
engine's name, SQL or file layout belongs here.

Life of a build: `create` opens it, `upsert` and `delete` fill it, `finish` indexes, checks and
seals it. Until `finish` returns it is invisible; from then on it never changes. `promote` makes a
finished build the one that is searched, by compare-and-swap.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from finecap.search.query import Filter

Vector = NDArray[np.float32]

Mode = Literal["hybrid", "words", "picture"]

WordsBy = Literal["bm25"]
"""How an engine ranks words. One that cannot compute BM25 has to say by what else it does."""


class IndexRefused(ValueError):  # noqa: N818 - a refusal is the claim, not a failure of the engine
    """The index will not take a row, vector, build or query; says what it expected."""


class PromoteConflict(IndexRefused):
    """Another build went live in the meantime: compare-and-swap found what it did not expect."""


class IndexUnreachable(IndexRefused):
    """What holds the index cannot be reached, went away or is full; nothing was changed."""


class NoSuchBuild(LookupError):  # noqa: N818
    """No finished build of that name, or none is live yet."""


class ModelReference(BaseModel):
    """A registered model version, and the local export of it that serving loads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="registered model, e.g. finecap-captioner")
    version: str
    path: str = Field(description="folder of the export, relative to the home folder")
    run_id: str = Field(
        default="", description="MLflow run that made it; empty outside tracked runs"
    )
    digest: str = Field(
        default="", description="of the export's content; set when the build is made"
    )


class Manifest(BaseModel):
    """What a build was made of and how well it answers: its identity and its fitness."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    build_id: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$")
    captioner: ModelReference
    encoder: ModelReference
    data_md5: str
    dims: int = Field(ge=1, description="D")
    rows: int = Field(ge=1, description="N")
    created_at: str = Field(description="ISO 8601, given by whoever builds")
    parameters: dict[str, str | int | float | bool | list[str]] = Field(
        default={}, description="of the engine's own indices"
    )
    recall_at_10: float | None = Field(default=None, ge=0, le=1, description="measured by `finish`")

    @property
    def captioner_path(self) -> str:
        """The captioner's export, relative to the home folder."""
        return self.captioner.path

    @property
    def encoder_path(self) -> str:
        """The encoder's export, relative to the home folder."""
        return self.encoder.path


@dataclass(frozen=True, slots=True)
class Derived:
    """A sentence made from a caption for training: still right, or corrupted on purpose."""

    text: str
    is_grammatical: bool
    change: str = ""  # what was done, e.g. "swap" or "colour"


@dataclass(frozen=True, slots=True)
class StoredCaption:
    """One thing said of an image: by a version of a model, or by a person."""

    caption: str
    source: Literal["model", "human"]
    model_version: str = ""  # empty for people
    variant: str = ""  # what the version was trained for, e.g. "clip_s_grammar"
    is_current: bool = False  # the caption that is searched
    derived: tuple[Derived, ...] = ()
    trained: tuple[str, ...] = ()  # "model/version" of each that was trained on it
    vector: Vector | None = field(default=None, compare=False)  # (D,), unit length: as text


@dataclass(frozen=True, slots=True)
class Row:
    """One image of the gallery with its caption; `image` is the key."""

    image: str
    path: str
    caption: str
    vector: Vector  # (D,), unit length: scores are cosines
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    split: str = ""
    model_version: str = ""
    variant: str = ""
    others: Sequence[StoredCaption] = ()  # earlier versions' captions and people's; not searched
    caption_vector: Vector | None = None  # (D,), unit length: the caption as text
    hidden: str = ""  # where the image's hidden representation lies: file#row of a feature shard


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer, with everything that explains its place.

    `score` orders the answers and compares only within one of them. The parts are None where that
    ranking did not reach the image; `bm25_*` is the ranking by words, `words_by` says how it ranks.
    """

    image: str
    path: str
    caption: str
    score: float
    bm25_rank: int | None = None
    bm25_score: float | None = None
    words_by: WordsBy | None = None
    vector_rank: int | None = None
    vector_score: float | None = None
    matched_words: tuple[str, ...] = ()
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What an engine is asked: words for BM25, a vector for the picture, a filter, or any of them.

    With words and vector the two rankings are fused; with a filter alone the rows it leaves come
    in image order. `picture_weight` None fuses by reciprocal rank, a number by weighted scores.
    Whoever asks page by page names one `depth` for all of them: with another, places change.
    """

    text: str = ""
    vector: Vector | None = None  # (D,), unit length
    filter: Filter | None = None
    limit: int = 10
    picture_weight: float | None = None
    depth: int | None = None  # places of each ranking that are fused; None: ten a hit, 100 or more


Search = Callable[[SearchRequest], list[Hit]]
"""A build's search, as `finish` hands it to the check."""


class CaptionIndex(Protocol):
    """A store of immutable builds of captions and vectors, one of them live."""

    def building(self) -> AbstractContextManager[None]:
        """The right to build, which one process has at a time; others wait for it."""
        ...

    def is_building(self) -> bool:
        """Whether a process has that right now; a killed one has lost it."""
        ...

    def create(self, manifest: Manifest) -> None:
        """Open an empty build; one of that name left by a crash is wiped.

        Raises:
            IndexRefused: a finished build has that name.
        """
        ...

    def upsert(self, build_id: str, rows: Iterable[Row]) -> None:
        """Add rows to an open build, replacing those of the same image; all of them or none.

        Raises:
            IndexRefused: a vector is not (D,), finite and of unit length, or an image comes twice.
        """
        ...

    def delete(self, build_id: str, images: Iterable[str]) -> None:
        """Remove rows from an open build; images it does not hold are passed over."""
        ...

    def finish(self, build_id: str, check: Callable[[Search], float]) -> Manifest:
        """Index the rows, let `check` measure recall@10 on the result, then seal the build.

        What `check` raises leaves the build invisible.

        Raises:
            IndexRefused: the number of rows is not the manifest's.
        """
        ...

    def search(self, request: SearchRequest, build_id: str | None = None) -> list[Hit]:
        """The best hits, best first, ties by image; of the live build unless one is named.

        Raises:
            NoSuchBuild: nothing is live, or no finished build has that name.
            IndexRefused: the query vector does not fit the build.
        """
        ...

    def facets(
        self, filter_: Filter | None = None, text: str = "", build_id: str | None = None
    ) -> Mapping[str, Mapping[str, int]]:
        """How many rows have each value of each field, most frequent first.

        Args:
            filter_: only rows that pass are counted.
            text: only rows whose caption has one of these words, as `search` reads words.
            build_id: of the live build unless one is named.

        Raises:
            NoSuchBuild: nothing is live, or no finished build has that name.
        """
        ...

    def rows(self, images: Sequence[str], build_id: str | None = None) -> list[Row]:
        """The rows of these images, as asked; images that the build does not hold are left out.

        Raises:
            NoSuchBuild: nothing is live, or no finished build has that name.
        """
        ...

    def captions(self, image: str, build_id: str | None = None) -> list[StoredCaption]:
        """All that is stored of an image, the caption searched first; [] for one not held.

        Raises:
            NoSuchBuild: nothing is live, or no finished build has that name.
        """
        ...

    def promote(self, build_id: str, *, expect: str | None) -> None:
        """Make a finished build live if `expect` (None: nothing) is live at this moment.

        Raises:
            PromoteConflict: something else is live.
            NoSuchBuild: no finished build has that name.
        """
        ...

    def builds(self) -> list[Manifest]:
        """Finished builds, oldest first."""
        ...

    def manifest(self, build_id: str) -> Manifest:
        """What a finished build says of itself.

        Raises:
            NoSuchBuild: there is none of that name.
        """
        ...

    def live(self) -> str | None:
        """Name of the live build."""
        ...

    def previous(self) -> str | None:
        """Name of the build that was live before the live one: where a rollback goes."""
        ...

    def drop(self, build_id: str) -> None:
        """Delete a build, finished or open.

        Raises:
            IndexRefused: it is live.
            NoSuchBuild: there is none of that name.
        """
        ...


def stored_captions(row: Row) -> list[StoredCaption]:
    """All captions of a row: the one that is searched, then the others as they were given."""
    current = StoredCaption(
        row.caption,
        "model",
        row.model_version,
        row.variant,
        is_current=True,
        vector=row.caption_vector,
    )
    return [current, *row.others]
