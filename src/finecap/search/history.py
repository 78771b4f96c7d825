"""What else was said of an image: by people, and by models whose captions were searched before.

Told beside the answers and never searched, so none of it is part of a build's name: a build made
anew after a rollback has to be the one that is there. Every build hands on what the builds before
it knew, so that dropping an old one loses nothing.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from finecap.log import Log
from finecap.search.index import CaptionIndex, IndexRefused, Row, StoredCaption, stored_captions


def readable_builds(index: CaptionIndex, log: Log) -> list[str]:
    """Names of the finished builds that this version can read, oldest first; others are told of."""
    readable: list[str] = []
    for build in index.builds():
        try:
            index.rows([], build.build_id)
        except IndexRefused as reason:
            log(f"what build {build.build_id} says is not handed on: {reason}")
        else:
            readable.append(build.build_id)
    return readable


def with_history(
    rows: Sequence[Row],
    index: CaptionIndex,
    builds: Sequence[str],
    references: Mapping[str, Sequence[StoredCaption]],
) -> list[Row]:
    """The rows with all other captions of their images: people's, then models', oldest first.

    A person's caption is told once, with all the models that any build knew were trained on it.

    Args:
        rows: of a build in the making.
        index: where the builds are.
        builds: those that are remembered, oldest first.
        references: what people said, by image.
    """
    said: dict[str, dict[tuple[str, ...], StoredCaption]] = {row.image: {} for row in rows}
    trained = defaultdict[tuple[str, ...], list[str]](list)  # by image and caption
    for build in builds:
        for old in index.rows(list(said), build):
            current, *others = stored_captions(old)
            for stored in (*others, current):
                if stored.source == "model":
                    said[old.image].setdefault(_key(stored), replace(stored, is_current=False))
                else:
                    trained[old.image, *_key(stored)] += stored.trained

    def person(image: str, stored: StoredCaption) -> StoredCaption:
        before = trained.get((image, *_key(stored)), ())
        return replace(stored, trained=tuple(dict.fromkeys([*before, *stored.trained])))

    def told(row: Row) -> Row:
        people = [person(row.image, stored) for stored in references.get(row.image, ())]
        models = said[row.image]
        if models:
            models.pop(_key(stored_captions(row)[0]), None)
        others = (*people, *models.values())
        return replace(row, others=others) if others else row

    return [told(row) for row in rows]


def _key(stored: StoredCaption) -> tuple[str, ...]:
    """What makes a caption of an image another one."""
    return stored.caption, stored.model_version, stored.variant
