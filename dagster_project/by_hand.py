"""A person's word on who is champion: promote a version, or go back to the champion before.

The same as moving the alias in the MLflow UI, with what that cannot do: it says why, it can be
undone, and what nobody would want (a version that is not whole, not evaluated, that breaks a bound
of the policy, a control, one of another profile) is refused first. All but the first may be forced,
and the history then says that it was. What the gallery is captioned with changes with the next run.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster_project.artifacts import ArtifactStore
from dagster_project.compared import CAPTIONER
from dagster_project.history import MAX_REASON, Actor, Kind, Move, champion_before, me, named
from dagster_project.home import POLICY, Home
from dagster_project.registry import CHALLENGER, CHAMPION, registry_of
from dagster_project.tracking import Tracker
from finecap.cli import UsageError
from finecap.evaluation.policy import Policy, load_policy
from finecap.evaluation.promotion import bounds_broken, decide
from finecap.evaluation.scores import Scores, incomplete

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

NO_REASON = "no reason given"


class NotMovedError(RuntimeError):
    """The alias was left where it is, and why."""


@dataclass(frozen=True)
class Moved:
    """What a command did."""

    move: Move
    variant: str
    policy_says: str = ""  # its own verdict, for a person to weigh

    @property
    def text(self) -> str:
        """In words, without what comes next."""
        move = self.move
        lines = [
            f"{named(move.before)} -> {named(move.after)} ({self.variant}) is champion",
            f"by {move.by} at {move.at}: {move.why}",
        ]
        return "\n".join([*lines, *([f"policy: {self.policy_says}"] if self.policy_says else [])])


class Desk:
    """One home's registry, as a person at a shell uses it."""

    def __init__(self, home: Home, policy: Policy | None = None) -> None:
        """The registry of `home`; `policy` is by default the project's.

        Raises:
            NotMovedError: no model was ever registered there.
        """
        registry = registry_of(home)
        if registry is None:
            place = Tracker(home.mlflow, "", "").place
            raise NotMovedError(
                f"no captioner is registered in {place}: run the pipeline first "
                "(`make run`), or say by FINECAP_HOME or FINECAP_PROFILE whose registry is meant"
            )
        self.home, self.registry, self.tracker = home, registry, registry.tracker
        self.policy = policy or load_policy(POLICY)
        self.store = ArtifactStore(home.artifacts)

    def promote(self, wanted: str, reason: str = "", *, force: bool = False) -> Moved | None:
        """Make a version champion; None where it is that already.

        Args:
            wanted: its number, with or without a v, or `challenger`.
            reason: for the history.
            force: over objections.

        Raises:
            UsageError: there is no such version, or the reason is too long.
            NotMovedError: it is not whole, or there are objections.
        """
        _check_length(reason)
        self.registry.settle()
        version = self._version(wanted)
        start, number = self.registry.champion, str(version.version)
        if number == start:
            return None
        self._check_whole(version)
        objections = self._objections(version)
        if objections and not force:
            because = "; ".join(objections)
            raise NotMovedError(f"v{number} was not promoted: {because}. --force does all the same")
        forced = f" (forced, although {'; '.join(objections)})" if objections else ""
        says = self._verdict(version)
        actor = Actor(me(), "finecap promote", is_person=True)
        why = f"{reason or NO_REASON}{forced}"
        move = self.registry.move(Kind.PROMOTION, start, number, actor, why)
        return Moved(move, _variant(version), says)

    def rollback(self, reason: str = "") -> Moved:
        """Make the champion before today's champion again.

        Raises:
            UsageError: the reason is too long.
            NotMovedError: there was none, or it is gone.
        """
        _check_length(reason)
        self.registry.settle()
        versions, start = self.registry.versions(), self.registry.champion
        history = self.registry.history()
        target, gone = champion_before(history, start, versions)
        if not target:
            since = f"its history begins with {named(history[0].after)}" if history else "none ever"
            deleted = f", and {', '.join(map(named, gone))} was deleted" if gone else ""
            raise NotMovedError(f"there is no champion before {named(start)}: {since}{deleted}")
        self._check_whole(versions[target])
        passed = f" ({', '.join(map(named, gone))} was deleted)" if gone else ""
        actor = Actor(me(), "finecap rollback", is_person=True)
        why = f"{reason or NO_REASON}{passed}"
        move = self.registry.move(Kind.ROLLBACK, start, target, actor, why)
        return Moved(move, _variant(versions[target]))

    def described(self, searched: str) -> dict[str, str]:
        """Who is champion, since when, by whom and why; "" where that is not known.

        Args:
            searched: version that captioned the live index, "" where none is live.
        """
        champion, history = self.registry.alias(CHAMPION), self.registry.history()
        number = "" if champion is None else str(champion.version)
        last = history[-1] if history and history[-1].after == number else None
        unknown = "the alias was moved in MLflow, or no move was written down yet"
        return {
            "champion": number,
            "variant": "" if champion is None else _variant(champion),
            "before": last.before if last else "",
            "since": last.at if last else "",
            "by": f"{last.by}, {last.means}" if last else "",
            "why": last.why if last else unknown,
            "searched": searched,
        }

    def _version(self, wanted: str) -> "ModelVersion":
        """The version that a person names."""
        versions = self.registry.versions()
        number = wanted.removeprefix("v")
        if wanted == CHALLENGER:
            found = self.registry.alias(CHALLENGER)
            number = "" if found is None else str(found.version)
        if number in versions:
            return versions[number]
        known = ", ".join(f"v{n} {_variant(v)}" for n, v in versions.items())
        raise UsageError(f"no version {wanted!r} of {CAPTIONER}, expected one of: {known}")

    def _check_whole(self, version: "ModelVersion") -> None:
        """Refuse a version that has no files: nothing could caption with it."""
        if version.status != "READY":
            why = f"MLflow says {version.status} of it, expected READY"
        elif self.tracker.exported_files(version):
            return
        else:
            why = "its files are gone"
        raise NotMovedError(f"v{version.version} cannot be champion: {why}; train it again")

    def _objections(self, version: "ModelVersion") -> list[str]:
        """Why nobody should want the version as champion."""
        profile, own = version.tags.get("profile", ""), self.home.owner
        found = [] if profile == own else [f"it is of profile {profile!r}, expected {own!r}"]
        if _variant(version) in self.policy.controls:
            found.append(f"{_variant(version)} is a control, in the table for comparison alone")
        scores = self._scores(version)
        if scores is None:
            return [*found, "it was never evaluated, or its evaluation is gone"]
        fault = incomplete(scores, self.policy)
        return [*found, *([fault] if fault else bounds_broken(scores, self.policy))]

    def _verdict(self, version: "ModelVersion") -> str:
        """What the policy would have done; empty where it has nothing to compare."""
        scores, champion = self._scores(version), self.registry.alias(CHAMPION)
        before = None if champion is None else self._scores(champion)
        if scores is None or (champion is not None and before is None):
            return ""
        return decide(before, scores, self.policy).reason

    def _scores(self, version: "ModelVersion") -> Scores | None:
        """The version's val scores, where its evaluation is still there."""
        from dagster_project.champion import evaluation_of, scores_in

        found = evaluation_of(self.store, version)
        return None if found is None else scores_in(found, version)


def _check_length(reason: str) -> None:
    if len(reason) > MAX_REASON:
        raise UsageError(f"--reason has {len(reason)} characters, expected at most {MAX_REASON}")


def _variant(version: "ModelVersion") -> str:
    return version.tags.get("variant", "?")
