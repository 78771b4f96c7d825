"""The registered captioner's aliases, and the history of who moved `champion`, when and why.

What a person reads in the MLflow UI is what the pipeline reads: the alias says who is champion,
tags `champion.0001`, `champion.0002`, ... of the registered model are the history (its last `KEPT`
moves), tags `champion_since`, `_by`, `_why`, `_from` and `_until` of a version are its last reign.
The pipeline's last decision is a tag too: alias and tag differ when a person moved the alias.

A move is several writes, and a process may be killed between any two of them. So the whole move is
kept under `champion.moving` before the alias moves, until all is written: `settle`, which everyone
who reads or moves calls first, then finishes it, or forgets it when the alias never moved. It also
notes a move that was made elsewhere. One process writes at a time, by a lock on a file beside the
store, and one home, by a lock in an MLflow that is shared (`server_lock`); the MLflow UI asks for
none, which is why a move says from where it expects to start.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from dagster_project.compared import CAPTIONER
from dagster_project.history import Actor, Kind, Move, from_text, named, now, one_line, to_text
from dagster_project.home import Home
from dagster_project.server_lock import ServerLock
from dagster_project.tracking_store import has_begun

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

    from dagster_project.tracking import Tracker

CHAMPION, CHALLENGER = "champion", "challenger"
KEPT = 50
"""Moves in the history; older ones are forgotten."""
_DECISION = "finecap.last_decision"
_MOVING = f"{CHAMPION}.moving"


class MovedMeanwhileError(RuntimeError):
    """The alias is not where whoever wants to move it last saw it."""


@dataclass(frozen=True)
class LastDecision:
    """The pipeline's own last word, or a person's with this project's commands."""

    version: str  # that the pipeline made, or left, champion; "" after a person's word
    seen: int  # highest version that existed then


class Registry:
    """Aliases, last decision and history of one registered model."""

    def __init__(self, tracker: "Tracker", name: str = CAPTIONER) -> None:
        """The model `name` in the tracker's store."""
        self.tracker, self.client = tracker, tracker.client
        self.name = name
        self._lock_file = tracker.folder / ".champion.lock"
        self._homes = ServerLock(self.client, f"{name}.lock") if tracker.is_shared else None

    def alias(self, alias: str) -> "ModelVersion | None":
        """The version an alias names, if it names one."""
        version = self._model().aliases.get(alias)
        return None if version is None else self.client.get_model_version(self.name, str(version))

    @property
    def champion(self) -> str:
        """The version that the alias `champion` names, "" without any."""
        return str(self._model().aliases.get(CHAMPION, ""))

    def point(self, alias: str, version: str) -> None:
        """Move an alias, and nothing else: what the MLflow UI does."""
        set_alias = partial(self.client.set_registered_model_alias, self.name, alias, version)
        self.tracker.side_by_side(set_alias)

    def versions(self) -> "dict[str, ModelVersion]":
        """All versions by number, oldest first."""
        found = self.client.search_model_versions(f"name = '{self.name}'")
        return {str(v.version): v for v in sorted(found, key=lambda v: int(v.version))}

    def newest(self) -> int:
        """The highest version number."""
        return max((int(version) for version in self.versions()), default=0)

    def last_decision(self) -> LastDecision | None:
        """The last decision, if there ever was one."""
        tag = self._model().tags.get(_DECISION)
        if tag is None:
            return None
        says = json.loads(tag)
        return LastDecision(says["version"], says["seen"])

    def history(self) -> list[Move]:
        """The moves that are kept, oldest first."""
        return _moves(self._model())

    def settle(self) -> None:
        """Finish a move that a kill broke off, and note one that was made elsewhere."""
        if self._is_settled():  # as nearly always: sensors ask every minute
            return
        with self._one_at_a_time():
            self._finish()
            self._notice()

    def keep(self, version: str) -> None:
        """Note that the pipeline left `version` champion.

        Raises:
            MovedMeanwhileError: it is not.
        """
        with self._one_at_a_time():
            self._check(version)
            self._note(LastDecision(version, self.newest()))

    def move(self, kind: Kind, start: str, after: str, actor: Actor, why: str) -> Move:
        """Make `after` champion in place of `start`, and write it into the history.

        Args:
            kind: promotion or rollback.
            start: champion until now, "" without any.
            after: version to become champion.
            actor: who does it.
            why: in words.

        Raises:
            MovedMeanwhileError: `start` is not champion.
            LockLostError: MLflow was so slow that another home may be moving it.
        """
        with self._one_at_a_time():
            self._finish()
            self._notice()
            self._check(start)
            move = self._next(kind, start, after, actor.name, actor.means, why)
            decision = LastDecision("" if actor.is_person else after, self.newest())
            intent = {**asdict(decision), "number": move.number, "move": to_text(move)}
            self._tag(_MOVING, json.dumps(intent))
            if self._homes is not None:
                self._homes.check()
            self.point(CHAMPION, after)
            self._complete(move, decision)
            return move

    def _check(self, start: str) -> None:
        """Return if `start` is champion."""
        champion = self.champion
        if champion != start:
            raise MovedMeanwhileError(
                f"champion is {named(champion)}, expected {named(start)}: it was moved "
                "meanwhile; look again, and repeat what you want"
            )

    def _is_settled(self) -> bool:
        """Whether no move is unfinished, and none is missing in the history."""
        model = self._model()
        history = _moves(model)
        last = history[-1].after if history else ""
        return _MOVING not in model.tags and last == str(model.aliases.get(CHAMPION, ""))

    def _model(self) -> "RegisteredModel":
        return self.client.get_registered_model(self.name)

    def _tag(self, key: str, text: str) -> None:
        self.client.set_registered_model_tag(self.name, key, text)

    def _note(self, decision: LastDecision) -> None:
        self._tag(_DECISION, json.dumps(asdict(decision)))

    def _finish(self) -> None:
        """Complete, or forget, the move that a killed process left under `_MOVING`."""
        text = self._model().tags.get(_MOVING)
        if text is None:
            return
        intent = json.loads(text)
        move = from_text(intent["number"], intent["move"])
        if self.champion == move.after:
            self._complete(move, LastDecision(intent["version"], intent["seen"]))
        else:  # killed before the alias moved, so nothing happened
            self.client.delete_registered_model_tag(self.name, _MOVING)

    def _complete(self, move: Move, decision: LastDecision) -> None:
        """What follows the alias; the same again does no harm."""
        self._record(move)
        self._note(decision)
        self.client.delete_registered_model_tag(self.name, _MOVING)

    def _notice(self) -> None:
        """Write down a move that the history does not have."""
        history, champion = self.history(), self.champion
        before = history[-1].after if history else ""
        if champion == before:
            return
        means, why = "not by finecap (the MLflow UI, or its API)", "alias moved by hand"
        decision = self.last_decision()
        if not history and decision is not None and decision.version == champion:
            means, why = "pipeline", "champion since before this history began"
        move = self._next(Kind.NOTICED, before, champion, "unknown", means, f"{why}; seen only now")
        self._record(move)

    def _next(self, kind: Kind, before: str, after: str, by: str, means: str, why: str) -> Move:
        history = self.history()
        number = history[-1].number + 1 if history else 1
        return Move(number, kind, before, after, now(), by, means, one_line(why))

    def _record(self, move: Move) -> None:
        """The move as tags of model and versions; forgets what is too old."""
        self._tag(f"{CHAMPION}.{move.number:04d}", to_text(move))
        for old in self.history()[:-KEPT]:
            key = f"{CHAMPION}.{old.number:04d}"
            self.client.delete_registered_model_tag(self.name, key)
        versions = self.versions()
        if move.after in versions:
            reign = {"since": move.at, "by": f"{move.by}, {move.means}", "why": move.why}
            for key, text in {**reign, "from": named(move.before)}.items():
                self._tag_version(move.after, f"{CHAMPION}_{key}", text)
            if f"{CHAMPION}_until" in versions[move.after].tags:
                self.client.delete_model_version_tag(self.name, move.after, f"{CHAMPION}_until")
        if move.before in versions:
            self._tag_version(move.before, f"{CHAMPION}_until", move.at)

    def _tag_version(self, version: str, key: str, text: str) -> None:
        self.client.set_model_version_tag(self.name, version, key, text)

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Hold the locks on moves; whoever wants them waits."""
        self._lock_file.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_file.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with nullcontext() if self._homes is None else self._homes.held():
                yield


def _moves(model: "RegisteredModel") -> list[Move]:
    """The moves that a model's tags hold, oldest first."""
    prefix = f"{CHAMPION}."
    named_so = {k.removeprefix(prefix): t for k, t in model.tags.items() if k.startswith(prefix)}
    numbered = {int(n): text for n, text in named_so.items() if n.isdigit()}
    return [from_text(number, numbered[number]) for number in sorted(numbered)]


def registry_of(home: Home) -> Registry | None:
    """A home's captioners; None where none was ever registered. Nothing is created for it."""
    if not has_begun(home.mlflow):
        return None
    from dagster_project.tracking import Tracker

    tracker = Tracker(home.mlflow, "", "")
    is_there = tracker.client.search_registered_models(f"name = '{CAPTIONER}'")
    return Registry(tracker) if is_there else None
