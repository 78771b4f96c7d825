"""Which version is champion: the pipeline's word, a person's, and a kill in between."""

import numpy as np
import pytest

from dagster_project.history import Actor, Kind
from dagster_project.home import Home
from dagster_project.promotion import Candidate, NoChampionError, promote
from dagster_project.registry import CHALLENGER, CHAMPION, LastDecision, Registry
from dagster_project.tracking import Tracker
from finecap.evaluation.policy import Policy
from finecap.evaluation.promotion import Scores

POLICY = Policy(min_n=1)
N = 60
PIPELINE = Actor("ci@host", "pipeline run 1a2b3c4d", is_person=False)
PERSON = Actor("alice@host", "finecap promote", is_person=True)


def scores(name: str, rate: float, variant: str = "clip_s", yardstick: str = "today") -> Scores:
    hits = (np.arange(N) < rate * N).astype(float)
    metric = {"value": rate, "ci_low": rate, "ci_high": rate, "n": N}
    images = tuple(f"{i}" for i in range(N))
    return Scores(
        name, {"judge_t2i_r1": metric}, yardstick, False, variant, images, {"judge_t2i_r1": hits}
    )


@pytest.fixture
def registry(home: Home) -> Registry:
    registry = Registry(Tracker(home.mlflow, "finecap-test", ""))
    registry.client.create_registered_model(registry.name)
    return registry


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
        functions = self.scores_of, self.evaluate_again
        return promote(self.registry, candidates, POLICY, *functions, PIPELINE)

    @property
    def champion(self) -> str:
        return self.registry.champion


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


def test_word_of_a_person_counts_even_for_the_version_the_pipeline_chose(pipeline: Pipeline):
    old, new = pipeline.register(0.3), pipeline.register(0.9)
    pipeline.run(mle=old)
    pipeline.registry.move(Kind.PROMOTION, old, new, PERSON, "reads better")
    pipeline.registry.move(Kind.ROLLBACK, new, old, PERSON, "no")
    outcome = pipeline.run(mle=old, clip_s=new)
    assert (outcome.version, outcome.moved_by_hand) == (old, True)
    assert "nothing was trained since" in outcome.decision.reason


def test_word_given_while_the_pipeline_decides_is_respected(pipeline: Pipeline):
    first, other, better = (pipeline.register(rate) for rate in (0.3, 0.2, 0.9))
    pipeline.run(mle=first)
    scores_of = pipeline.scores_of

    def slow(version) -> Scores:
        pipeline.registry.move(Kind.PROMOTION, first, other, PERSON, "meanwhile")
        return scores_of(version)

    pipeline.scores_of = slow
    outcome = pipeline.run(clip_s=better)
    assert (outcome.version, pipeline.champion, outcome.moved_by_hand) == (other, other, True)
    assert "made champion by hand while the pipeline was deciding" in outcome.decision.reason


@pytest.mark.parametrize(
    ("rate", "other", "winner"),
    [(0.9, 0.6, "mine"), (0.6, 0.9, "theirs"), (0.3, 0.6, "theirs")],
)
def test_where_another_pipeline_promotes_meanwhile_its_champion_is_compared_with(
    pipeline: Pipeline, rate: float, other: float, winner: str
):
    """As of a home that shares the registry; the last would have kept the champion before."""
    first, theirs, mine = (pipeline.register(each) for each in (0.5, other, rate))
    pipeline.run(clip_s=first)
    scores_of, asked = pipeline.scores_of, list[str]()

    def slow(version) -> Scores:
        asked.append(str(version.version))
        if asked == [first]:
            pipeline.registry.move(Kind.PROMOTION, first, theirs, PIPELINE, "meanwhile")
        return scores_of(version)

    pipeline.scores_of = slow
    outcome = pipeline.run(clip_s=mine)
    assert asked == [first, theirs]
    assert outcome.version == pipeline.champion == {"mine": mine, "theirs": theirs}[winner]
    assert not outcome.moved_by_hand
    moves = [(move.before, move.after) for move in pipeline.registry.history()]
    assert moves == [("", first), (first, theirs), (theirs, mine)][: 3 if winner == "mine" else 2]


def test_pipelines_promotions_are_in_the_history_with_their_reasons(pipeline: Pipeline):
    pipeline.run(clip_s=pipeline.register(0.3))
    pipeline.run(clip_s=pipeline.register(0.2))
    pipeline.run(clip_s=pipeline.register(0.9))
    moves = pipeline.registry.history()
    assert [(m.before, m.after, m.by, m.means) for m in moves] == [
        ("", "1", PIPELINE.name, PIPELINE.means),
        ("1", "3", PIPELINE.name, PIPELINE.means),
    ]
    assert moves[0].why == "promoted v1: first model, judge R@1 0.30; guards ok"
    assert moves[1].why == "promoted v3: judge R@1 0.30 -> 0.90 (p < 0.001); guards ok"


def test_champion_whose_scores_lack_what_the_policy_asks_is_scored_again(pipeline: Pipeline):
    pipeline.run(clip_s=pipeline.register(0.3))
    better = pipeline.register(0.9)
    pipeline.scores_of = lambda _: scores("v1", float("nan"))
    assert pipeline.run(clip_s=better).version == better
    assert pipeline.again == ["1"]


def test_champion_scored_on_other_data_is_scored_again_first(pipeline: Pipeline):
    pipeline.run(clip_s=pipeline.register(0.5))
    pipeline.yardstick = "new data"
    assert pipeline.run(clip_s=pipeline.register(0.9)).version == "2"
    assert pipeline.again == ["1"]


def test_no_model_that_may_be_champion_stops_with_reasons(pipeline: Pipeline):
    strict = Policy(min_n=10_000, first_model="strict")
    version = pipeline.register(0.9)
    candidate = {"clip_s": Candidate(version, scores("v1", 0.9))}
    functions = pipeline.scores_of, pipeline.evaluate_again
    with pytest.raises(NoChampionError, match="rests on 60 images"):
        promote(pipeline.registry, candidate, strict, *functions, PIPELINE)
    assert pipeline.registry.alias(CHAMPION) is None
