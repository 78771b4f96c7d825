"""What an index keeps beside the captions that are searched, so that a caption can be followed.

From an image to what people said of it, to the sentences that were made of that for training, to
the model versions trained on it, and to where the image's hidden representation lies. Nothing of
it is searched, and none of it is part of a build's name.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from finecap.data.records import Record
from finecap.search.index import Derived, StoredCaption, Vector

ALT_TEXT = "alt_text"
"""Variant of a person's caption that is the image's alternative text."""


@dataclass(frozen=True)
class Associations:
    """By image: what is stored beside its caption; empty where it is not known."""

    references: Mapping[str, Sequence[StoredCaption]] = field(
        default_factory=dict[str, Sequence[StoredCaption]]
    )  # what people said
    caption_vectors: Mapping[str, Vector] = field(default_factory=dict[str, Vector])  # (D,) each
    hidden: Mapping[str, str] = field(default_factory=dict[str, str])  # file#row


def references_of(
    records: Sequence[Record],
    derived: Mapping[tuple[str, str], Sequence[Derived]] | None = None,
    trained: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, list[StoredCaption]]:
    """What people said of each image: captions, then the alternative text where there is one.

    Args:
        records: of the images.
        derived: by image and caption, as `derived_from` gives it.
        trained: by image, "model/version" of each model trained on it.
    """
    made, models = derived or {}, trained or {}

    def said(record: Record, caption: str, variant: str = "") -> StoredCaption:
        of_caption = (*made.get((record.image, caption), ()), *made.get(("", caption), ()))
        used = tuple(models.get(record.image, ()))
        return StoredCaption(
            caption, "human", variant=variant, derived=of_caption, trained=used
        )  # fmt: skip

    return {
        record.image: [said(record, caption) for caption in record.captions]
        + ([said(record, record.alt_text, ALT_TEXT)] if record.alt_text else [])
        for record in records
    }


def derived_from(
    grammar: pd.DataFrame | None, attributes: pd.DataFrame | None
) -> dict[tuple[str, str], list[Derived]]:
    """Sentences made of captions, by image and caption; of any image where the image is "".

    Args:
        grammar: columns caption, negative, kind, of `negatives.grammar`: no sentences any more.
        attributes: columns image, caption, negative, attribute, kind, of `negatives.attributes`:
            sentences still, that say less of their image or something wrong.
    """
    found = defaultdict[tuple[str, str], list[Derived]](list)
    if grammar is not None:
        rows = zip(grammar["caption"], grammar["negative"], grammar["kind"], strict=True)
        for caption, negative, kind in rows:
            found["", caption].append(Derived(negative, is_grammatical=False, change=kind))
    if attributes is not None:
        names = ("image", "caption", "negative", "attribute", "kind")
        for row in zip(*(attributes[name] for name in names), strict=True):
            image, caption, negative, attribute, kind = row
            change = f"{kind} {attribute}"
            found[image, caption].append(Derived(negative, is_grammatical=True, change=change))
    return dict(found)
