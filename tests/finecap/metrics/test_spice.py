"""SPICE: why it has no value where its parser is missing, and what is read of its answer."""

from pathlib import Path

import numpy as np
import pytest

from finecap.metrics.java import UnavailableError, find_program
from finecap.metrics.spice import read_scores, spice


def parser() -> Path:
    return find_program("spice", "spice-1.0.jar").parent / "lib" / "stanford-corenlp-3.6.0.jar"


@pytest.mark.usefixtures("java")
def test_without_the_parser_the_reason_says_what_is_missing_and_nothing_is_fetched() -> None:
    if parser().is_file():
        pytest.skip("Stanford CoreNLP is there")
    with pytest.raises(UnavailableError, match=r"needs Stanford CoreNLP 3\.6\.0: .* is missing"):
        spice([["a dog"]], ["a dog"], timeout_s=60)
    assert not parser().is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("java")
def test_with_the_parser_captions_are_scored_by_what_they_say() -> None:
    if not parser().is_file():
        pytest.skip("NOT TESTED: SPICE needs Stanford CoreNLP 3.6.0, which pycocoevalcap downloads")
    found = spice([["a red dog runs"], ["a cat"]], ["a red dog runs", "a boat"], timeout_s=600)
    assert found.tolist() == [1, 0]


def test_scores_come_in_the_images_order() -> None:
    rows = [
        {"image_id": 1, "scores": {"All": {"pr": 1.0, "re": 0.5, "f": 0.66}}},
        {"image_id": 0, "scores": {"All": {"pr": 0.0, "re": 0.0, "f": 0.0}}},
        {"image_id": 2, "scores": {"All": {"pr": None, "re": None, "f": None}}},
    ]
    assert read_scores(rows, 3).tolist()[:2] == [0.0, 0.66]
    assert np.isnan(read_scores(rows, 3)[2])


def test_missing_images_and_answers_without_a_number_are_refused() -> None:
    with pytest.raises(UnavailableError, match="gave none of 1 images a number"):
        read_scores([{"image_id": 0, "scores": {"All": {"f": None}}}], 1)
    with pytest.raises(UnavailableError, match="SPICE scored 0 images; expected 1"):
        read_scores([], 1)
