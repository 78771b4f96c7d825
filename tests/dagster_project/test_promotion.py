"""Which version is champion: the pipeline's word, a person's, and a kill in between."""

import numpy as np
import pytest

from dagster_project.home import Home
from dagster_project.promotion import (
    CHALLENGER,
    CHAMPION,
    Candidate,
    LastDecision,
    NoChampionError,
    Registry,
    promote,
)
from dagster_project.tracking import Tracker
from finecap.evaluation.policy import Policy
from finecap.evaluation.promotion import Scores

POLICY = Policy(min_n=1)
N = 60


def scores(name: str, rate: float, variant: str = "clip_s", yardstick: str = "today") -> Scores:
    hits = (np.arange(N) < rate * N).astype(float)
    metric = {"value": rate, "ci_low": rate, "ci_high": rate, "n": N}
    images = tuple(f"{i}" for i in range(N))
    return Scores(
        name, {"judge_t2i_r1": metric}, yardstick, False, variant, images, {"judge_t2i_r1": hits}
    )


@pytest.fixture
def registry(home: Home) -> Registry:
    client = Tracker(home.mlflow, "finecap-test", "").client
    client.create_registered_model("finecap-captioner")
    return Registry(client, "finecap-captioner")


class Pipeline:
    """Runs of the pipeline against one registry; rates of all versions are remembered."""

    def __init__(self, registry: Registry) -> None:
        self.registry, self.rates, self.again = registry, {}, []
        self.yardstick = "today"

    def register(self, rate: float) -> str:
        version = self.registry.client.create_model_version(self.registry.name, "file:///none")
        self.rates[str(version.version)] = (rate, self.yardstick)
        return str(version.version)

    def scores_of(self, version) -> Scores:
        rate, yardstick = self.rates[str(version.version)]
        return scores(f"v{version.version}", rate, yardstick=yardstick)

    def evaluate_again(self, version) -> Scores:
        self.again.append(str(version.version))
        return scores(
            f"v{version.version}", self.rates[str(version.version)][0], yardstick=self.yardstick
        )

    def run(self, **versions: str):
        candidates = {
            variant: Candidate(v, scores(f"v{v}", self.rates[v][0], variant, self.yardstick))
            for variant, v in versions.items()
        }
        return promote(self.registry, candidates, POLICY, self.scores_of, self.evaluate_again)

    @property
    def champion(self) -> str:
        return str(self.registry.alias(CHAMPION).version)


@pytest.fixture
def pipeline(registry: Registry) -> Pipeline:
    return Pipeline(registry)


def test_first_model_is_promoted_and_the_best_is_challenger(pipeline: Pipeline):
    mle, clip = pipeline.register(0.1), pipeline.register(0.6)
    outcome = pipeline.run(mle=mle, clip_s=clip)
    assert outcome.version == pipeline.champion == clip
    assert str(pipeline.registry.alias(CHALLENGER).version) == clip
    assert pipeline.registry.last_decision() == LastDecision(clip, 2)


def test_better_version_takes_over_and_worse_does_not(pipeline: Pipeline):
    pipeline.run(clip_s=pipeline.register(0.5))
    worse = pipeline.run(clip_s=pipeline.register(0.2))
    assert (worse.version, worse.decision.promote) == ("1", False)
    assert pipeline.run(clip_s=pipeline.register(0.9)).version == "3"


def test_same_versions_again_change_nothing(pipeline: Pipeline):
    version = pipeline.register(0.5)
    pipeline.run(clip_s=version)
    outcome = pipeline.run(clip_s=version)
    assert outcome.version == version
    assert not outcome.decision.promote
    assert not outcome.moved_by_hand


def test_alias_moved_by_hand_is_respected(pipeline: Pipeline):
    old, new = pipeline.register(0.3), pipeline.register(0.9)
    pipeline.run(mle=old, clip_s=new)
    pipeline.registry.point(CHAMPION, old)
    for _ in range(2):  # and is not forgotten by the run that respects it
        outcome = pipeline.run(mle=old, clip_s=new)
        assert (outcome.version, outcome.moved_by_hand) == (old, True)


def test_version_trained_after_the_move_may_replace_it(pipeline: Pipeline):
    old, new = pipeline.register(0.3), pipeline.register(0.9)
    pipeline.run(mle=old, clip_s=new)
    pipeline.registry.point(CHAMPION, old)
    later = pipeline.register(0.8)
    assert pipeline.run(mle=old, clip_s=later).version == later


def test_kill_between_note_and_alias_is_no_move_by_hand(pipeline: Pipeline):
    pipeline.run(clip_s=pipeline.register(0.3))
    better = pipeline.register(0.9)
    pipeline.registry.note(LastDecision("1", 2, moving_to=better))  # killed before the alias moved
    assert pipeline.run(clip_s=better).version == better
    pipeline.registry.note(LastDecision("1", 2, moving_to=better))  # killed after it moved
    assert not pipeline.run(clip_s=better).moved_by_hand


def test_champion_scored_on_other_data_is_scored_again_first(pipeline: Pipeline):
    pipeline.run(clip_s=pipeline.register(0.5))
    pipeline.yardstick = "new data"
    assert pipeline.run(clip_s=pipeline.register(0.9)).version == "2"
    assert pipeline.again == ["1"]


def test_no_model_that_may_be_champion_stops_with_reasons(pipeline: Pipeline):
    strict = Policy(min_n=10_000, first_model="strict")
    version = pipeline.register(0.9)
    candidate = {"clip_s": Candidate(version, scores("v1", 0.9))}
    with pytest.raises(NoChampionError, match="rests on 60 images"):
        promote(pipeline.registry, candidate, strict, pipeline.scores_of, pipeline.evaluate_again)
    assert pipeline.registry.alias(CHAMPION) is None
