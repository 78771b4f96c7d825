"""Scores of captions in a file: which images are scored, against what, and what is missing."""

import json
from pathlib import Path

import numpy as np
import pytest

from finecap.config import EvaluationConfig
from finecap.data.finecapeval import Annotation, FineCapEvalError, read_finecapeval
from finecap.evaluation import definitions
from finecap.evaluation.results import EvaluationError, is_measured
from finecap.evaluation.scorecard import score_captions
from finecap.metrics import ngram
from finecap.metrics.finecapeval import score

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
CONFIG = EvaluationConfig(resamples=100, java_metrics=False)
CAPTIONS = json.loads((GOLDEN / "finecapeval.json").read_text())["captions"]
ANNOTATIONS = read_finecapeval(GOLDEN / "finecapeval.csv")


def annotated(**phrases: str | None) -> list[Annotation]:
    return [
        Annotation("a dog", {"background": "sea", "object": "dog", "relation": "on", **phrases})
    ]


def values(card) -> dict[str, float | None]:
    return {name: metric["value"] for name, metric in card.metrics.items()}


def test_captions_alone_have_fluency_and_say_what_the_rest_needs():
    card = score_captions(CAPTIONS, None, None, CONFIG)
    assert card.images == tuple(CAPTIONS)
    for name in definitions.names(definitions.REFERENCES):
        assert card.metrics[name]["reason"] == "not computed: no references were given"  # type: ignore[typeddict-item]
    for name in definitions.names(definitions.FINECAPEVAL):
        reason = "not computed: no FineCapEval annotations were given"
        assert card.metrics[name] == {"value": None, "reason": reason}
    assert is_measured(card.metrics["repetition_rate"])


def test_references_decide_nothing_about_which_images_are_scored():
    references = {"7": ["a dog", "the dog"], "8": ["a cat"], "9": ["a boat"]}
    captions = {"8": "a cat on a mat", "7": "a dog"}
    card = score_captions(captions, references, None, CONFIG)
    own = {image: references[image] for image in captions}
    for name, value in ngram.score(own, captions).items():
        assert values(card)[name] == pytest.approx(value)
    assert card.images == ("8", "7")


def test_annotations_are_scored_both_ways_with_intervals_over_all_their_images():
    card = score_captions({**CAPTIONS, "another": "a cat"}, None, ANNOTATIONS, CONFIG)
    counts = score(ANNOTATIONS, CAPTIONS)
    for name in counts.numerators:
        assert values(card)[f"finecapeval_{name}"] == pytest.approx(counts.value(name))
    expected = json.loads((GOLDEN / "finecapeval.json").read_text())["scores"]
    for category, value in expected.items():
        metric = card.metrics[f"finecapeval_{category}_published"]
        assert metric["value"] == pytest.approx(value)
        assert is_measured(metric)
        assert metric["n"] == 5  # of 6: one image has no complete row
    recall, precision = counts.value("recall"), counts.value("precision")
    assert recall
    assert precision
    f1 = card.metrics["finecapeval_f1"]
    assert f1["value"] == pytest.approx(2 * recall * precision / (recall + precision))
    assert is_measured(f1)
    assert f1["ci_low"] < f1["value"] < f1["ci_high"]
    assert card.images == tuple(ANNOTATIONS)


def test_people_s_captions_are_the_references_of_annotations_unless_others_are_given():
    complete = {
        image: [row.caption for row in rows if row.is_complete and row.caption]
        for image, rows in ANNOTATIONS.items()
    }
    own = complete | {"cc3m_0005": ["nothing to see"]}  # no complete row: what there is
    card = score_captions(CAPTIONS, None, ANNOTATIONS, CONFIG)
    assert values(card)["cider"] == pytest.approx(ngram.score(own, CAPTIONS)["cider"])
    others = {f"{image}.jpg": [caption] for image, caption in CAPTIONS.items()}
    card = score_captions(CAPTIONS, others, ANNOTATIONS, CONFIG)
    assert values(card)["bleu_4"] == pytest.approx(1)


def test_file_names_and_ids_are_one_image():
    named = {f"{image}.jpg": caption for image, caption in CAPTIONS.items()}
    assert values(score_captions(named, None, ANNOTATIONS, CONFIG)) == values(
        score_captions(CAPTIONS, None, ANNOTATIONS, CONFIG)
    )


def test_what_the_annotations_lack_is_said():
    nothing = {"1": annotated(background=None), "2": annotated(background=None)}
    card = score_captions({"1": "a dog", "2": "a dog"}, None, nothing, CONFIG)
    reason = "not computed: no row of the annotations has all its cells"
    assert card.metrics["finecapeval_object_published"] == {"value": None, "reason": reason}
    assert card.metrics["finecapeval_background_recall"] == {
        "value": None,
        "reason": "not defined on this data: no image has background phrases",
    }
    assert values(card)["finecapeval_object_recall"] == 1


def test_captions_without_a_word_have_no_precision_and_no_f1():
    card = score_captions({"1": "", "2": "the"}, None, dict.fromkeys("12", annotated()), CONFIG)
    assert values(card)["finecapeval_recall"] == 0
    for name in ("precision", "f1"):
        assert card.metrics[f"finecapeval_{name}"] == {
            "value": None,
            "reason": "not defined on this data: no caption has a word",
        }


def test_wrong_words_alone_have_an_f1_of_zero():
    card = score_captions({"1": "cat", "2": "cat"}, None, dict.fromkeys("12", annotated()), CONFIG)
    assert values(card)["finecapeval_f1"] == 0


def test_per_image_values_are_in_the_order_of_images():
    card = score_captions(CAPTIONS, None, ANNOTATIONS, CONFIG)
    lengths = [len(CAPTIONS[image].split()) for image in card.images]
    assert card.per_image["mean_length"].tolist() == lengths
    assert np.isnan(card.per_image["finecapeval_object_published"]).sum() == 1


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(EvaluationError, match="1 of 2 scored images have no reference, first 8"):
        score_captions({"7": "a dog", "8": "a cat"}, {"7": ["a dog"]}, None, CONFIG)
    with pytest.raises(FineCapEvalError, match="1 of 2 annotated images have no caption, first 2"):
        score_captions({"1": "a dog"}, None, dict.fromkeys("12", annotated()), CONFIG)
    with pytest.raises(FineCapEvalError, match="two images are called 1"):
        score_captions({"1.a": "x", "1.b": "y"}, None, {"1": annotated()}, CONFIG)
