"""Who is champion decides what is captioned and searched: through registry, assets and index."""

from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_project.home import Home
from dagster_project.registry import CHAMPION
from finecap.search.engines import open_index
from finecap.search.index import SearchRequest
from tests.dagster_project.champions import Champions
from tests.finecap.conftest import tiny

__all__ = ["tiny"]


@pytest.fixture
def champions(home: Home, instance: dg.DagsterInstance, tiny: SimpleNamespace) -> Champions:
    return Champions(home, instance, tiny)


def test_alias_moved_in_the_ui_is_captioned_and_indexed_until_a_better_one_is_trained(
    champions: Champions,
):
    mle, clip_s = champions.train("mle", 0.1), champions.train("clip_s", 0.6, seed=1)
    everything = {"champion": "made", "captions": "made", "caption_index": "made"}
    assert champions.run() == everything
    assert champions.registry.champion == champions.searched == clip_s
    champions.registry.point(CHAMPION, mle)
    assert champions.run() == everything
    assert champions.registry.champion == champions.searched == mle
    assert set(champions.run().values()) == {"reused"}
    assert champions.registry.champion == champions.searched == mle
    better = champions.train("clip_s", 0.5, seed=2)  # than mle, not than what was champion before
    assert champions.run() == everything
    assert champions.registry.champion == champions.searched == better
    assert [(m.before, m.after) for m in champions.registry.history()] == [
        ("", clip_s), (clip_s, mle), (mle, better),
    ]  # fmt: skip
    assert "judge R@1 0.10 -> 0.50 (p < 0.001); guards ok" in champions.verdict
    index = open_index(champions.home.index)
    (first,) = index.search(SearchRequest(limit=1))
    current, *others = index.captions(first.image)
    assert (current.caption, current.variant) == (first.caption, "clip_s")
    assert {said.source for said in others} == {"human", "model"}
    assert {said.variant for said in others if said.source == "model"} == {"mle", "clip_s"}


def test_pipelines_move_names_its_run_and_who_ran_it(champions: Champions):
    champions.train("mle", 0.1)
    champions.train("clip_s", 0.6)
    champions.decide()
    (move,) = champions.registry.history()
    (run,) = champions.instance.get_runs()
    assert move.means == f"pipeline run {run.run_id[:8]}"
    assert "@" in move.by
    assert move.why == champions.verdict == "promoted v2: first model, judge R@1 0.60; guards ok"


def test_champion_that_the_pipeline_never_registered_is_refused_by_name(champions: Champions):
    champions.train("mle", 0.1)
    champions.train("clip_s", 0.6)
    foreign = champions.registry.client.create_model_version("finecap-captioner", "file:///none")
    champions.registry.point(CHAMPION, str(foreign.version))
    with pytest.raises(dg.Failure, match=r"champion v3 .* has no tag variant, profile"):
        champions.decide()


def test_candidate_of_another_profile_never_becomes_champion(champions: Champions):
    champions.train("mle", 0.1)
    first = champions.train("clip_s", 0.2)
    champions.decide()
    other = champions.train("clip_s", 0.9)
    client = champions.registry.client
    client.set_model_version_tag("finecap-captioner", other, "profile", "smoke")
    champions.decide()
    assert champions.registry.champion == first
    assert champions.verdict.startswith("kept v2: ")


def test_policy_that_reads_an_unknown_metric_stops_the_asset(
    champions: Champions, monkeypatch: pytest.MonkeyPatch, tmp_path
):
    champions.train("mle", 0.1)
    champions.train("clip_s", 0.6)
    policy = tmp_path / "registry.toml"
    policy.write_text('primary = "judge_r1"\n')
    monkeypatch.setattr("dagster_project.champion.POLICY", policy)
    with pytest.raises(ValueError, match=r"registry\.toml: primary = 'judge_r1': no evaluation"):
        champions.decide()
