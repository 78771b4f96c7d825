"""What a step of fine-tuning on negatives sees: positives, corruptions and attribute pairs, drawn.

Images, grammar pairs and attribute pairs are each drawn on their own. Columns of the contrastive
loss are the exception: each is a corruption of the very caption that its image came with, as only
there the image says which of the two is right. Which captions are positives: `positives`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from finecap.config import ClipRewardConfig, JudgeGrammarConfig
from finecap.data.records import Record


@dataclass(frozen=True)
class TuningBatch:
    """One step's material: image rows with a caption each, and the negatives of all kinds."""

    rows: np.ndarray  # (B,)
    captions: list[str]  # (B,)
    columns: list[str]  # (E,) a corruption of each caption, or none
    correct: list[str]  # (G,) captions of the grammar table, or none
    corrupted: list[str]  # (G,) their corruptions
    attribute_rows: np.ndarray  # (A,) image of each attribute pair
    kept: list[str]  # (A,) captions that name the attribute, or none
    robbed: list[str]  # (A,) the same without it, or with another value


class TuningMaterial:
    """All that batches are drawn from.

    Args:
        positives: the captions each train image may come with; images without any are left out.
        corruptions: of every caption in `positives`, to stand as columns; empty: no columns.
        grammar: caption, negative; None: no grammar pairs.
        pairs: row, caption, negative of an attribute; None: no attribute pairs.
        size: B, at most; G and A.
    """

    def __init__(
        self,
        positives: Sequence[Sequence[str]],
        corruptions: Mapping[str, Sequence[str]],
        grammar: pd.DataFrame | None,
        pairs: pd.DataFrame | None,
        size: int,
    ) -> None:
        self.positives, self.corruptions = positives, corruptions
        self.pairs, self.size = pairs, size
        self.rows = np.array([row for row, own in enumerate(positives) if own], dtype=np.int64)
        self.correct = [] if grammar is None else list(grammar["caption"])
        self.corrupted = [] if grammar is None else list(grammar["negative"])

    def draw(self, generator: np.random.Generator) -> TuningBatch:
        """A batch; the same state of `generator` gives the same."""
        size = min(self.size, len(self.rows))
        rows = self.rows[generator.choice(len(self.rows), size, replace=False)]  # (B,)
        captions = [_one_of(self.positives[int(row)], generator) for row in rows]
        columns = [_one_of(self.corruptions[c], generator) for c in captions if self.corruptions]
        chosen = generator.integers(0, len(self.correct), self.size) if self.correct else ()
        pairs = self.pairs
        if pairs is not None:
            pairs = pairs.iloc[generator.integers(0, len(pairs), self.size)]
        return TuningBatch(
            rows,
            captions,
            columns,
            [self.correct[i] for i in chosen],
            [self.corrupted[i] for i in chosen],
            np.empty(0, dtype=np.int64) if pairs is None else pairs["row"].to_numpy(copy=True),
            [] if pairs is None else list(pairs["caption"]),
            [] if pairs is None else list(pairs["negative"]),
        )


def _one_of(texts: Sequence[str], generator: np.random.Generator) -> str:
    """One of `texts`, all as likely."""
    return texts[int(generator.integers(len(texts)))]


def split(
    table: pd.DataFrame, config: ClipRewardConfig | JudgeGrammarConfig
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from and rows held out, by caption, so that no caption is on both sides.

    Raises:
        ValueError: one side is empty.
    """
    captions = np.array(sorted(set(table["caption"])))
    generator = np.random.default_rng(config.seed)
    held = set(captions[generator.random(len(captions)) < config.val_share])
    is_held = table["caption"].isin(held)
    if is_held.all() or not is_held.any():
        raise ValueError(
            f"{is_held.sum()} of {len(table)} negatives held out at `val_share` "
            f"{config.val_share}, expected some on both sides; give more captions or change it"
        )
    return table[~is_held].reset_index(drop=True), table[is_held].reset_index(drop=True)


def attribute_pairs(attributes: pd.DataFrame, train: Sequence[Record]) -> pd.DataFrame:
    """Attribute pairs of the train images, with the image's row number."""
    rows = {record.image: row for row, record in enumerate(train)}
    table = attributes[attributes["image"].isin(rows)]
    return table.assign(row=table["image"].map(rows)).reset_index(drop=True)


def corruption_pairs(grammar: pd.DataFrame, positives: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Corruptions of what the images come with: row, caption, negative.

    Args:
        grammar: caption, negative, kind.
        positives: captions of each train image.

    Raises:
        ValueError: no caption of an image is in the table.
    """
    said = pd.DataFrame(
        [(row, caption) for row, own in enumerate(positives) for caption in own],
        columns=["row", "caption"],
    )
    pairs = said.merge(grammar[["caption", "negative"]], on="caption")
    if pairs.empty:
        raise ValueError(
            f"none of the {len(said)} captions that {len(positives)} train images come with is "
            f"among the {grammar['caption'].nunique()} of the grammar table, expected some: "
            "columns of the contrastive loss are corruptions of an image's own caption; corrupt "
            "more captions (`grammar_negatives.max_captions`) or set `grammar_loss: classification`"
        )
    return pairs
