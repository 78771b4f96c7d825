"""METEOR by its authors' program: pycocoevalcap's numbers, of images, corpora and resamples."""

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from finecap.metrics import meteor
from finecap.metrics.java import UnavailableError
from finecap.metrics.meteor import MeteorStatistics, statistics

GOLDEN = Path(__file__).parents[2] / "golden" / "meteor.json"
ROWS = json.loads(GOLDEN.read_text(encoding="utf-8"))["images"]
REFERENCES = [row["references"] for row in ROWS]
CANDIDATES = [row["candidate"] for row in ROWS]
TIMEOUT_S = 300


@pytest.fixture(scope="module")
def counted(java: str) -> MeteorStatistics:
    assert java
    return statistics(REFERENCES, CANDIDATES, TIMEOUT_S)


@pytest.fixture(scope="module")
def program(java: str) -> Iterator[object]:
    """pycocoevalcap's own."""
    assert java
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pycocoevalcap.meteor.meteor import Meteor

        theirs = Meteor()
        yield theirs
        theirs.meteor_p.kill()
        theirs.meteor_p.communicate()


def test_the_formula_gives_the_recorded_scores_of_recorded_counts() -> None:
    recorded = json.loads(GOLDEN.read_text(encoding="utf-8"))
    counts = np.array([row["counts"] for row in ROWS], dtype=np.float64)
    found = MeteorStatistics(meteor.without_whole_chunks(counts))
    assert found.per_image() == pytest.approx([row["score"] for row in ROWS], abs=1e-12)
    assert float(found.scores()) == pytest.approx(recorded["score"], abs=1e-12)


def test_the_program_counts_what_is_recorded(counted: MeteorStatistics) -> None:
    recorded = np.array([row["counts"] for row in ROWS], dtype=np.float64)
    assert counted.counts.tolist() == meteor.without_whole_chunks(recorded).tolist()


@pytest.mark.slow
def test_scores_are_pycocoevalcaps(counted: MeteorStatistics, program) -> None:
    own, said = dict(enumerate(REFERENCES)), {i: [text] for i, text in enumerate(CANDIDATES)}
    whole, each = program.compute_score(own, said)
    assert float(counted.scores()) == pytest.approx(whole, abs=1e-9)
    assert counted.per_image() == pytest.approx(each, abs=1e-9)


@pytest.mark.slow
def test_a_resample_scores_as_the_repeated_corpus_does(counted: MeteorStatistics, program) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(ROWS), (3, len(ROWS)))
    weights = np.array([np.bincount(row, minlength=len(ROWS)) for row in drawn], dtype=np.float64)
    found = counted.scores(weights)
    for row, value in zip(drawn, found, strict=True):
        own = {i: REFERENCES[image] for i, image in enumerate(row)}
        said = {i: [CANDIDATES[image]] for i, image in enumerate(row)}
        assert program.compute_score(own, said)[0] == pytest.approx(value, abs=1e-9)


def test_the_corpus_score_is_not_the_mean_of_the_images() -> None:
    counts = np.array([row["counts"] for row in ROWS], dtype=np.float64)
    found = MeteorStatistics(meteor.without_whole_chunks(counts))
    assert abs(float(found.scores()) - found.per_image().mean()) > 0.01


def test_no_counts_at_all_score_zero() -> None:
    found = MeteorStatistics(np.zeros((2, 23)))
    assert found.per_image().tolist() == [0, 0]
    assert float(found.scores()) == 0


def test_a_time_out_is_no_score_and_leaves_no_process(java: str) -> None:
    assert java
    with pytest.raises(UnavailableError, match=r"METEOR took longer than 0\.2 s and was ended"):
        statistics(REFERENCES, CANDIDATES, timeout_s=0.2)


def test_an_answer_that_is_no_counts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a program that repeats what it is asked."""
    echo = "import sys\nfor line in sys.stdin: print(line.strip(), flush=True)"
    monkeypatch.setattr(meteor, "_command", lambda _: (sys.executable, "-c", echo))
    with pytest.raises(UnavailableError, match=r"answered 'SCORE \|\|\| .* expected 23 counts"):
        statistics(REFERENCES, CANDIDATES, TIMEOUT_S)
