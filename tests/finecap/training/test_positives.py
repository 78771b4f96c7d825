"""Positives are the captions that a grammar network lets pass."""

import pytest
import torch

from finecap.config import ClipConfig
from finecap.data.tokenizer import WordTokenizer
from finecap.log import silent
from finecap.models.clip import ClipEncoder
from finecap.training.positives import select_grammatical, with_corruptions

CAPTIONS = [["a cat", "cat a"], ["boat on sea"], ["a cat on a boat", "a cat"]]


@pytest.fixture(scope="module")
def encoder() -> ClipEncoder:
    """Random weights: some captions score above others, which is all a threshold needs."""
    torch.manual_seed(0)
    words = WordTokenizer.build(["a photo depicts a cat on a boat sea"], 1)
    encoder = ClipEncoder(ClipConfig(text_width=16, text_heads=2, image_width=8), words)
    encoder.add_head(8, "recurrent")
    return encoder.eval()


def g(encoder: ClipEncoder, caption: str) -> float:
    return float(encoder.grammar_scores([caption])[0])


def test_captions_below_the_threshold_are_dropped_and_counted(encoder: ClipEncoder) -> None:
    threshold = g(encoder, "a cat") - 1e-5
    kept, counts = select_grammatical(encoder, CAPTIONS, threshold, silent)
    assert kept == [[c for c in own if g(encoder, c) >= threshold] for own in CAPTIONS]
    assert counts == {
        "positives_kept": sum(map(len, kept)),
        "positives_dropped": 5 - sum(map(len, kept)),
        "images_dropped": kept.count([]),
    }
    assert counts["positives_dropped"] > 0


def test_the_counts_are_logged(encoder: ClipEncoder) -> None:
    logged: list[tuple[str, int | None, dict[str, float]]] = []

    def log(message: str, step: int | None = None, **metrics: float) -> None:
        logged.append((message, step, metrics))

    _, counts = select_grammatical(encoder, CAPTIONS, 0.0, log)
    assert logged == [("positives with g >= 0.0", None, counts)]
    assert counts == {"positives_kept": 5, "positives_dropped": 0, "images_dropped": 0}


def test_a_threshold_that_leaves_nothing_is_refused_with_the_highest_g(
    encoder: ClipEncoder,
) -> None:
    highest = max(g(encoder, caption) for own in CAPTIONS for caption in own)
    with pytest.raises(
        ValueError,
        match=rf"`positive_threshold` 1.0 leaves captions of 0 of 3 .*g: {highest:.3f}\).*lower it",
    ):
        select_grammatical(encoder, CAPTIONS, 1.0, silent)


def test_captions_without_a_corruption_are_left_out() -> None:
    assert with_corruptions(CAPTIONS, {"a cat": ["cat a"]}) == [["a cat"], [], ["a cat"]]
