"""What else was said of an image: by people, and by models whose captions were searched before.

Told beside the answers and never searched, so none of it is part of a build's name: a build made
anew after a rollback has to be the one that is there. Every build hands on what the builds before
it knew, so that dropping an old one loses nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from finecap.search.index import CaptionIndex, Row, StoredCaption, stored_captions


def with_history(
    rows: Sequence[Row], index: CaptionIndex, references: Mapping[str, Sequence[str]]
) -> list[Row]:
    """The rows with all other captions of their images: people's, then models', oldest first.

    Args:
        rows: of a build in the making.
        index: whose finished builds are remembered.
        references: what people said, by image.
    """
    said: dict[str, dict[tuple[str, ...], StoredCaption]] = {row.image: {} for row in rows}
    for build in index.builds():
        for old in index.rows(list(said), build.build_id):
            current, *others = stored_captions(old)
            for stored in (*others, current):
                if stored.source == "model":
                    said[old.image].setdefault(_key(stored), replace(stored, is_current=False))
    for row in rows:
        said[row.image].pop(_key(stored_captions(row)[0]), None)
    return [
        replace(row, others=(*_people(references.get(row.image, ())), *said[row.image].values()))
        for row in rows
    ]


def _people(captions: Sequence[str]) -> list[StoredCaption]:
    return [StoredCaption(caption, "human") for caption in captions]


def _key(stored: StoredCaption) -> tuple[str, ...]:
    """What makes a model's caption another one."""
    return stored.caption, stored.model_version, stored.variant
