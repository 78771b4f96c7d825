"""Which registered captioner is champion, and moving the alias when the policy says so.

The verdict is the library's pure `decide`; here are the registry's facts it needs. A person's word,
be it an alias moved in the MLflow UI or `finecap promote`, is respected until a version registered
after the last decision is better; that holds for a word given while the pipeline was still
deciding, too. Where another home's pipeline moved it meanwhile, it is decided again, against the
champion that is there now. A champion whose scores answer another question (other data, other
judge), or lack what today's policy asks for, is evaluated again on today's before it is compared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster_project.history import Actor, Kind
from dagster_project.registry import (
    CHALLENGER,
    CHAMPION,
    LastDecision,
    MovedMeanwhileError,
    Registry,
)
from finecap.evaluation.policy import Policy
from finecap.evaluation.promotion import Choice, Decision, Scores, best_challenger, decide

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


class NoChampionError(RuntimeError):
    """No version may be champion, so there is nothing to caption with."""


@dataclass(frozen=True)
class Candidate:
    """A version that could be champion, with its scores on val."""

    version: str
    scores: Scores


@dataclass(frozen=True)
class Outcome:
    """What was decided, in a form people read."""

    version: str  # that is champion now
    decision: Decision
    choice: Choice
    moved_by_hand: bool


def promote(
    registry: Registry,
    candidates: Mapping[str, Candidate],
    policy: Policy,
    scores_of: Callable[["ModelVersion"], Scores | None],
    evaluate_again: Callable[["ModelVersion"], Scores],
    actor: Actor,
) -> Outcome:
    """Decide among today's candidates (by variant) and the champion, and move the aliases.

    Args:
        registry: of the captioners.
        candidates: today's versions.
        policy: what must rise and what must not break.
        scores_of: a version's scores as they were taken, None where they are lost.
        evaluate_again: a version's scores on today's data, by today's judge.
        actor: on whose behalf, for the history.

    Raises:
        NoChampionError: there is no champion and no candidate may become it; says why of each.
    """
    registry.settle()
    champion = registry.alias(CHAMPION)
    last = registry.last_decision()
    start = "" if champion is None else str(champion.version)
    is_moved = champion is not None and (last is None or last.version != start)
    eligible = _eligible(candidates, last if is_moved else None)
    choice, decision = _verdict(champion, eligible, policy, scores_of, evaluate_again)
    challenger = eligible[choice.name] if choice.name else None
    if challenger is not None:
        registry.point(CHALLENGER, challenger.version)
    try:
        if decision.promote and challenger is not None:
            registry.move(Kind.PROMOTION, start, challenger.version, actor, decision.reason)
            return Outcome(challenger.version, decision, choice, False)
        if champion is None:
            reasons = "; ".join(f"{v}: {why}" for v, why in choice.reasons.items())
            raise NoChampionError(f"no captioner may be champion: {decision.reason} ({reasons})")
        if not is_moved:
            registry.keep(start)
    except MovedMeanwhileError:
        last, now = registry.last_decision(), registry.champion
        if not now or last is None or last.version != now:
            return _respected(now, choice)
        return promote(registry, candidates, policy, scores_of, evaluate_again, actor)
    return Outcome(start, decision, choice, is_moved)


def _verdict(
    champion: "ModelVersion | None",
    eligible: Mapping[str, Candidate],
    policy: Policy,
    scores_of: Callable[["ModelVersion"], Scores | None],
    evaluate_again: Callable[["ModelVersion"], Scores],
) -> tuple[Choice, Decision]:
    """The challenger and the decision on it, after a second evaluation where one is needed."""
    scores = {variant: candidate.scores for variant, candidate in eligible.items()}
    if champion is None or not eligible:  # nothing to compare
        choice = best_challenger(scores, policy)
        return choice, _decided(champion, None, eligible, choice, policy)
    before = scores_of(champion)
    if before is not None and not _is_outdated(before, eligible):
        choice = best_challenger(scores, policy, before)
        decision = _decided(champion, before, eligible, choice, policy)
        if not decision.reevaluate:
            return choice, decision
    before = evaluate_again(champion)
    choice = best_challenger(scores, policy, before)
    return choice, _decided(champion, before, eligible, choice, policy)


def _respected(version: str, choice: Choice) -> Outcome:
    """What is to be said when a person moved the alias while the pipeline was deciding."""
    if not version:
        raise NoChampionError("the alias was deleted while a champion was chosen; run again")
    why = f"kept v{version}: it was made champion by hand while the pipeline was deciding"
    return Outcome(version, Decision(False, why), choice, True)


def _eligible(
    candidates: Mapping[str, Candidate], last: LastDecision | None
) -> dict[str, Candidate]:
    """Candidates that may challenge: after a move by hand, those registered since."""
    seen = 0 if last is None else last.seen
    return {v: c for v, c in candidates.items() if int(c.version) > seen}


def _is_outdated(champion: Scores, eligible: Mapping[str, Candidate]) -> bool:
    """Whether today's candidates were scored on other data or by another judge."""
    return any(c.scores.yardstick != champion.yardstick for c in eligible.values())


def _decided(
    champion: "ModelVersion | None",
    before: Scores | None,
    eligible: Mapping[str, Candidate],
    choice: Choice,
    policy: Policy,
) -> Decision:
    """The verdict on the chosen challenger, or why there is none."""
    if choice.name is None:
        kept = f"kept v{champion.version}" if champion else "none promoted"
        why = "no variant passes all guards" if eligible else "nothing was trained since it was set"
        return Decision(False, f"{kept}: {why}")
    challenger = eligible[choice.name]
    if champion is not None and challenger.version == str(champion.version):
        return Decision(False, f"kept v{champion.version}: it is the best of today's variants too")
    return decide(before, challenger.scores, policy)
