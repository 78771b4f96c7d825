"""Which registered captioner is champion, and moving the alias when the policy says so.

The verdict is the library's pure `decide`; here are the registry's facts it needs, and the alias.
The pipeline's last decision is a tag on the registered model. Alias and tag differ when a person
moved the alias: that is respected until a version registered after the pipeline's last decision
is better. A champion whose scores answer another question (other data, other judge) is evaluated
again on today's before it is compared.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from finecap.evaluation.policy import Policy
from finecap.evaluation.promotion import Choice, Decision, Scores, best_challenger, decide

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from mlflow import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
_RECORD = "finecap.last_decision"


class NoChampionError(RuntimeError):
    """No version may be champion, so there is nothing to caption with."""


@dataclass(frozen=True)
class LastDecision:
    """The pipeline's own last word."""

    version: str  # that it made, or left, champion
    seen: int  # highest version that existed then
    moving_to: str = ""  # written before the alias moves, cleared after: a kill between is no hand

    def is_own(self, alias: str) -> bool:
        """Whether the pipeline itself set the alias so."""
        return alias in {self.version, self.moving_to}


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


class Registry:
    """Aliases and the decision tag of one registered model."""

    def __init__(self, client: "MlflowClient", name: str) -> None:
        """The model `name` in the client's store."""
        self.client = client
        self.name = name

    def alias(self, alias: str) -> "ModelVersion | None":
        """The version an alias names, if it names one."""
        named = self.client.get_registered_model(self.name).aliases.get(alias)
        return None if named is None else self.client.get_model_version(self.name, str(named))

    def point(self, alias: str, version: str) -> None:
        """Move an alias."""
        self.client.set_registered_model_alias(self.name, alias, version)

    def last_decision(self) -> LastDecision | None:
        """The pipeline's last decision, if it ever took one."""
        tag = self.client.get_registered_model(self.name).tags.get(_RECORD)
        return None if tag is None else LastDecision(**json.loads(tag))

    def note(self, decision: LastDecision) -> None:
        """Keep the pipeline's decision."""
        self.client.set_registered_model_tag(self.name, _RECORD, json.dumps(asdict(decision)))

    def newest(self) -> int:
        """The highest version number."""
        found = self.client.search_model_versions(f"name = '{self.name}'")
        return max((int(v.version) for v in found), default=0)


def promote(
    registry: Registry,
    candidates: Mapping[str, Candidate],
    policy: Policy,
    scores_of: Callable[["ModelVersion"], Scores | None],
    evaluate_again: Callable[["ModelVersion"], Scores],
) -> Outcome:
    """Decide among today's candidates (by variant) and the champion, and move the aliases.

    Args:
        registry: of the captioners.
        candidates: today's versions.
        policy: what must rise and what must not break.
        scores_of: a version's scores as they were taken, None where they are lost.
        evaluate_again: a version's scores on today's data, by today's judge.

    Raises:
        NoChampionError: there is no champion and no candidate may become it; says why of each.
    """
    champion = registry.alias(CHAMPION)
    last = registry.last_decision()
    is_moved = champion is not None and (last is None or not last.is_own(str(champion.version)))
    eligible = _eligible(candidates, last if is_moved else None)
    before = None if champion is None else (scores_of(champion) or evaluate_again(champion))
    choice = best_challenger({v: c.scores for v, c in eligible.items()}, policy, before)
    if champion is not None and before is not None and _is_outdated(before, eligible):
        before = evaluate_again(champion)
        choice = best_challenger({v: c.scores for v, c in eligible.items()}, policy, before)
    decision = _decided(champion, before, eligible, choice, policy)
    challenger = eligible[choice.name] if choice.name else None
    if challenger is not None:
        registry.point(CHALLENGER, challenger.version)
    newest = registry.newest()
    if decision.promote and challenger is not None:
        left = "" if champion is None else str(champion.version)
        registry.note(LastDecision(left, newest, moving_to=challenger.version))
        registry.point(CHAMPION, challenger.version)
        registry.note(LastDecision(challenger.version, newest))
        return Outcome(challenger.version, decision, choice, False)
    if champion is None:
        reasons = "; ".join(f"{v}: {why}" for v, why in choice.reasons.items())
        raise NoChampionError(f"no captioner may be champion: {decision.reason} ({reasons})")
    if not is_moved:
        registry.note(LastDecision(str(champion.version), newest))
    return Outcome(str(champion.version), decision, choice, is_moved)


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
