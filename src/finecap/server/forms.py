"""What REST answers, as types: the OpenAPI document is made of them."""

from dataclasses import asdict
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, Field

from finecap.search.index import Hit, StoredCaption
from finecap.server.answers import Answer, Story
from finecap.server.service import Captioned


class Problem(BaseModel):
    """Why a request was not answered."""

    error: str = Field(description="what was wrong, and what to do")


class FoundImage(BaseModel):
    """One hit, with everything that explains its place."""

    image: str = Field(description="key in the index")
    caption: str
    score: float = Field(description="orders this answer; compares with no other")
    bm25_rank: int | None = Field(description="place by the caption's words; null: not reached")
    bm25_score: float | None
    words_by: str | None = Field(description="how words were scored: bm25, or what the engine has")
    vector_rank: int | None = Field(description="place by the picture; null: not reached")
    vector_score: float | None = Field(description="cosine")
    matched_words: list[str]
    attributes: dict[str, list[str]]
    thumbnail: str = Field(description="address of its picture")

    @classmethod
    def of(cls, hit: Hit, build_id: str) -> "FoundImage":
        """A hit as REST shows it: nothing of this machine's folders."""
        return cls(
            image=hit.image,
            caption=hit.caption,
            score=hit.score,
            bm25_rank=hit.bm25_rank,
            bm25_score=hit.bm25_score,
            words_by=hit.words_by,
            vector_rank=hit.vector_rank,
            vector_score=hit.vector_score,
            matched_words=list(hit.matched_words),
            attributes={name: list(values) for name, values in hit.attributes.items()},
            thumbnail=thumbnail(build_id, hit.image),
        )


class SearchAnswer(BaseModel):
    """One page of an answer; all of it, and all further pages, of one build."""

    build: str
    total: int | None = Field(description="images that pass the conditions; null: not known")
    hits: list[FoundImage]
    next_cursor: str | None = Field(description="asks for the next page; null on the last")

    @classmethod
    def of(cls, answer: Answer) -> "SearchAnswer":
        """An answer as REST shows it."""
        build_id = answer.manifest.build_id
        return cls(
            build=build_id,
            total=answer.total,
            hits=[FoundImage.of(hit, build_id) for hit in answer.hits],
            next_cursor=answer.cursor or None,
        )


class DerivedSaid(BaseModel):
    """A sentence made from a caption for training."""

    text: str
    is_grammatical: bool
    change: str = Field(description="what was done, e.g. `swap colour`")


class CaptionSaid(BaseModel):
    """One thing said of an image."""

    caption: str
    source: Literal["model", "human"]
    model_version: str
    variant: str
    is_current: bool = Field(description="whether it is the caption that is searched")
    derived: list[DerivedSaid] = Field(description="sentences made of it for training")
    trained: list[str] = Field(description="model/version of each model trained on it")

    @classmethod
    def of(cls, stored: StoredCaption) -> "CaptionSaid":
        """A stored caption as REST shows it."""
        return cls(
            caption=stored.caption,
            source=stored.source,
            model_version=stored.model_version,
            variant=stored.variant,
            is_current=stored.is_current,
            derived=[DerivedSaid(**asdict(derived)) for derived in stored.derived],
            trained=list(stored.trained),
        )


class ImageAnswer(BaseModel):
    """All that is stored of an image."""

    build: str
    image: str
    caption: str
    captions: list[CaptionSaid]
    attributes: dict[str, list[str]]
    split: str
    model_version: str
    thumbnail: str

    @classmethod
    def of(cls, story: Story) -> "ImageAnswer":
        """An image as REST shows it."""
        row, build_id = story.row, story.manifest.build_id
        return cls(
            build=build_id,
            image=row.image,
            caption=row.caption,
            captions=[CaptionSaid.of(stored) for stored in story.captions],
            attributes={name: list(values) for name, values in row.attributes.items()},
            split=row.split,
            model_version=row.model_version,
            thumbnail=thumbnail(build_id, row.image),
        )


class FacetsAnswer(BaseModel):
    """How many images have each value."""

    build: str
    facets: dict[str, dict[str, int]]


class CaptionAnswer(BaseModel):
    """What the captioner says of an image that was sent."""

    caption: str
    build: str
    model: str
    model_version: str
    like: str = Field(description="searches with this image, as `like` of /api/search")

    @classmethod
    def of(cls, captioned: Captioned) -> "CaptionAnswer":
        """A captioned image as REST shows it."""
        manifest = captioned.manifest
        return cls(
            caption=captioned.sent.caption,
            build=manifest.build_id,
            model=manifest.captioner.name,
            model_version=manifest.captioner.version,
            like=captioned.sent.key,
        )


class Health(BaseModel):
    """Whether the server can answer."""

    status: Literal["ok", "not ready"]
    build: str | None = None
    reason: str | None = None


def thumbnail(build_id: str, image: str) -> str:
    """Address of an image's picture."""
    return f"/thumbnails/{build_id}/{quote(image, safe='/')}"
