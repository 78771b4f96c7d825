"""Checks fail where they should, block what would be wrong, and warn of the rest."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from dagster_project import checks
from dagster_project.artifacts import Artifact, ArtifactStore
from dagster_project.home import Home
from dagster_project.resources import DATA_VERSION
from finecap.config import load_profile
from finecap.search.gallery import CAPTION_VECTORS, CAPTIONS, VECTORS
from tests.dagster_project.conftest import resources_of

FINE = [f"a {colour} {thing}" for colour in ("red", "blue") for thing in ("boat", "car", "kite")]


def gallery(folder: Path, captions: Sequence[str]) -> Artifact:
    """The captions of a gallery."""
    images = [f"{n}.png" for n in range(len(captions))]
    pd.DataFrame({"image": images, "caption": captions}).to_parquet(folder / CAPTIONS)
    for name in (VECTORS, CAPTION_VECTORS):
        np.save(folder / name, np.ones((len(captions), 2), np.float32))
    return Artifact("captions", folder, "1")


def validated(folder: Path, rows: Sequence[tuple[str, str, str]]) -> Artifact:
    """Images with split and md5."""
    table = pd.DataFrame(rows, columns=["image", "split", "md5"])
    table.to_parquet(folder / "splits.parquet")
    return Artifact("validated_dataset", folder, "1")


def test_same_bytes_in_two_splits_are_named(tmp_path: Path):
    rows = [("a.png", "train", "1"), ("b.png", "test", "1"), ("c.png", "train", "2")]
    found = checks.splits_share_no_image(validated(tmp_path, rows))
    assert isinstance(found, dg.AssetCheckResult)
    assert not found.passed
    assert found.metadata["first"].value == "a.png (train), b.png (test)"


def test_same_bytes_twice_in_one_split_pass(tmp_path: Path):
    rows = [("a.png", "train", "1"), ("b.png", "train", "1"), ("c.png", "test", "2")]
    assert checks.splits_share_no_image(validated(tmp_path, rows)).passed


@pytest.mark.parametrize(
    ("captions", "passes", "severity"),
    [
        (FINE, True, None),
        (["", *FINE * 3], False, "WARN"),
        ([*FINE, *["a boat"] * 9], False, "WARN"),
        ([f"{text} {text}" for text in FINE], False, "WARN"),
        (["", " ", "", *FINE[:2]], False, "ERROR"),
    ],
    ids=["fine", "one empty", "all alike", "repeating", "silent"],
)
def test_captions_that_say_nothing_block_and_others_warn(
    captions: Sequence[str], passes: bool, severity: str | None, tmp_path: Path
):
    found = checks.captions_are_not_degenerate(gallery(tmp_path, captions))
    assert found.passed == passes
    if severity:
        assert found.severity == dg.AssetCheckSeverity[severity]


def test_reward_that_the_judge_contradicts_warns(home: Home, instance: dg.DagsterInstance):
    store = ArtifactStore(home.artifacts)
    scored = {
        "mle": (0.5, 0.5),
        "clip_s": (0.9, 0.4),
        "cider": (0.6, 0.6),
        "cider_clip_s": (0.4, 0.4),
    }
    for name, (reward, judge) in scored.items():
        asset, scores = f"evaluation/{name}", {"val/clip_s": reward, "val/judge_clip_s": judge}
        with store.writing(asset, "1") as folder:
            store.publish(folder, Artifact(asset, folder, "1", metrics=scores))
        event = dg.AssetMaterialization(asset.split("/"), tags={DATA_VERSION: "1"})
        instance.report_runless_asset_event(event)
    check = checks.rewards_and_judge_agree(load_profile("smoke"))
    outcome = dg.materialize(
        [check],
        resources=resources_of(home),
        instance=instance,
        selection=dg.AssetSelection.all_asset_checks(),
    )
    found = {e.asset_key.path[-1]: e for e in outcome.get_asset_check_evaluations()}
    assert {name: found[name].passed for name in [*scored, "clip_s_grammar"] if name in found} == {
        "clip_s": False, "cider": True, "cider_clip_s": True, "clip_s_grammar": False,
    }  # fmt: skip
    assert found["clip_s"].severity == dg.AssetCheckSeverity.WARN


def test_golden_queries_are_few_distinct_and_have_words_to_search():
    captions = [*FINE, *FINE, "it is", "!", *(f"boat number {n}" for n in range(100))]
    asked = checks.golden_queries(captions)
    assert 10 <= len(asked) <= checks.GOLDEN
    assert set(asked.values()) <= set(captions) - {"it is", "!"}
    assert asked == checks.golden_queries(list(reversed(captions)))


def test_those_that_block_are_those_after_which_all_would_be_wrong():
    found = [checks.data_is_valid, checks.splits_share_no_image, checks.captions_are_not_degenerate]
    for check in found:
        (spec,) = check.check_specs
        assert spec.blocking
    for check in (checks.index_holds_the_gallery, checks.index_answers_golden_queries):
        (spec,) = check.check_specs
        assert not spec.blocking
