"""Questions answered: which vector and words are asked of which build, and the page of the answer.

All of it blocks and runs off the event loop. Nothing here knows HTTP or HTML.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from finecap.config import ServeConfig
from finecap.search.index import (
    CaptionIndex,
    Hit,
    Manifest,
    Row,
    SearchRequest,
    StoredCaption,
    Vector,
)
from finecap.server.asked import Asked
from finecap.server.builds import Builds, gone
from finecap.server.cursors import Cursor
from finecap.server.kept import UPLOAD, Kept
from finecap.server.memory import Remembered
from finecap.server.models import Models
from finecap.server.refusals import Refused

_MOST = 10_000
"""Images that pages go through: what a single ranking costs grows with the place."""
Facets = Mapping[str, Mapping[str, int]]
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Example:
    """The image that a question is asked with, as the ranking sees it."""

    key: str
    caption: str
    vector: Vector  # (D,)


@dataclass(frozen=True, slots=True)
class Answer:
    """One page of hits, all of one build."""

    manifest: Manifest
    text: str  # the words that captions were ranked by
    hits: tuple[Hit, ...]
    offset: int
    cursor: str  # of the next page; "" on the last
    total: int | None  # images that the answer goes through, where the index can tell
    facets: Facets
    example: Example | None


@dataclass(frozen=True, slots=True)
class Story:
    """One image with all that is stored of it, and its place in an answer."""

    manifest: Manifest
    row: Row
    captions: tuple[StoredCaption, ...]
    text: str
    place: int | None  # from 1; None: not among the places that are looked through
    hit: Hit | None


class Answers:
    """Answers of one index, for many askers at once."""

    def __init__(self, builds: Builds, models: Models, kept: Kept, config: ServeConfig) -> None:
        self.builds = builds
        self.models = models
        self.kept = kept
        self._reach = config.reach
        self._answers = Remembered[tuple[str, Asked, int], Answer](config.remembered)
        self._facets = Remembered[tuple[str, str, str], Facets](config.remembered)
        self._rows = Remembered[tuple[str, str], Row](config.remembered)

    def answer(self, asked: Asked, cursor: str = "") -> Answer:
        """The page of the answer where the cursor stands, or its first.

        Raises:
            QueryError: the query or the cursor cannot be read.
            NoSuchBuild: nothing is live.
            Refused: the cursor's build is gone (410), or so is the image asked with (404, 410).
            IndexRefused: the encoder is not the build's.
        """
        asked.query  # noqa: B018 - refused before anything is looked up
        at = Cursor.read(cursor, asked) if cursor else None
        manifest = self.builds.named(at.build_id) if at else self.builds.live()
        offset = at.offset if at else 0
        if offset >= _MOST:
            raise Refused(400, f"pages end after {_MOST} images", "Ask more narrowly")
        key = (manifest.build_id, asked, offset)
        found = self._answers.get(key)
        if found is None:
            found = self._answers.put(key, self._computed(manifest, asked, offset))
        return found

    def facets(self, asked: Asked) -> tuple[Manifest, Facets]:
        """How many images of the live build have each value, of those that pass the conditions.

        Asked by words alone, only captions that say one of them count; otherwise every image is
        ranked, so that every one that passes counts.
        """
        manifest = self.builds.live()
        return manifest, self._counted(manifest, asked)

    def story(self, image: str, asked: Asked) -> Story:
        """All that the live build holds of an image, and why it has its place.

        Raises:
            Refused: 404, no such image.
        """
        manifest = self.builds.live()
        row = self.row(manifest, image)
        captions = tuple(
            self._ask(manifest, lambda: self._index.captions(image, manifest.build_id))
        )
        if not (asked.q or asked.like):
            return Story(manifest, row, captions, "", None, None)
        example = self._example(manifest, asked)
        request = self._request(manifest, asked, example, 2 * self._reach)
        hits = self._ask(manifest, lambda: self._index.search(request, manifest.build_id))
        places = ((at, hit) for at, hit in enumerate(hits, start=1) if hit.image == image)
        place, hit = next(places, (None, None))
        text = request.text or asked.query.text
        return Story(manifest, row, captions, text, place, hit)

    def row(self, manifest: Manifest, image: str) -> Row:
        """The image's row in a build.

        Raises:
            Refused: 404, no such image.
        """
        key = (manifest.build_id, image)
        found = self._rows.get(key)
        if found is None:
            rows = self._ask(manifest, lambda: self._index.rows([image], manifest.build_id))
            if not rows:
                raise Refused(404, f"no image {image[:200]!r} in the index", "Search for it")
            found = self._rows.put(key, rows[0])
        return found

    @property
    def _index(self) -> CaptionIndex:
        return self.builds.index

    def _ask(self, manifest: Manifest, ask: Callable[[], Found]) -> Found:
        """What the index says; a build that was dropped while it was asked is gone."""
        try:
            return ask()
        except (OSError, RuntimeError, LookupError, ValueError):
            if not self.builds.is_held(manifest.build_id):
                raise gone(manifest.build_id) from None
            raise

    def _computed(self, manifest: Manifest, asked: Asked, offset: int) -> Answer:
        example = self._example(manifest, asked)
        stop = min(offset + asked.limit, _MOST)
        # One more tells whether there is a next page; the example itself is no answer.
        request = self._request(manifest, asked, example, stop + 2)
        found = self._ask(manifest, lambda: self._index.search(request, manifest.build_id))
        hits = [hit for hit in found if example is None or hit.image != example.key]
        is_more = len(hits) > stop and stop < _MOST
        facets = self._counted(manifest, asked)
        return Answer(
            manifest,
            text=request.text,
            hits=tuple(hits[offset:stop]),
            offset=offset,
            cursor=str(Cursor(manifest.build_id, stop, asked.digest)) if is_more else "",
            total=_total(facets),
            facets=facets,
            example=example,
        )

    def _request(
        self, manifest: Manifest, asked: Asked, example: Example | None, limit: int
    ) -> SearchRequest:
        """What the index is asked, one depth for all pages."""
        query = asked.query
        text, vector = "", None
        if asked.mode != "picture":
            text = query.text or (example.caption if example else "")
        if asked.mode != "words":
            if example:
                vector = example.vector
            elif query.text:
                vector = self.models.text_vector(manifest, query.text)
        return SearchRequest(
            text, vector, query.filter, limit, asked.picture_weight, depth=self._reach
        )

    def _counted(self, manifest: Manifest, asked: Asked) -> Facets:
        query = asked.query
        said = query.text if asked.mode == "words" else ""
        return self._facets.or_compute(
            (manifest.build_id, repr(query.filter), said),
            lambda: self._ask(
                manifest, lambda: self._index.facets(query.filter, said, manifest.build_id)
            ),
        )

    def _example(self, manifest: Manifest, asked: Asked) -> Example | None:
        """The image asked with, sent or of the gallery."""
        if not asked.like:
            return None
        if asked.like.startswith(UPLOAD):
            sent = self.kept.get(asked.like)
            if sent.encoder_digest != manifest.encoder.digest:
                raise Refused(410, "the models changed since the image was sent", "Send it again")
            return Example(asked.like, sent.caption, sent.vector)
        row = self.row(manifest, asked.like)
        return Example(row.image, row.caption, row.vector)


def _total(facets: Facets) -> int | None:
    """Images counted: each has one split and one model version, where those are known."""
    return max(sum(facets.get(name, {}).values()) for name in ("split", "model_version")) or None
