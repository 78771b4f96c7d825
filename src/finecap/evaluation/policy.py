"""The promotion policy as a file of its own: which metric must rise, and what must not break.

Kept apart from `config` because it is no stage's setting: it outlives profiles, is reviewed by
those who answer for the live model, and lies beside the registry's documentation. It is read
strictly, since a slip here (a misspelt metric, a bound of NaN, a direction the wrong way round)
would be a guard that never binds: each is refused by file and key.
"""

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator
from pydantic_core import ErrorDetails

from finecap.evaluation.labels import LABELS, better

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""TOML knows `nan` and `inf`: a comparison with the first is never true."""


class PolicyError(ValueError):
    """A policy file that is missing, unreadable, or has a field or value no policy knows."""


class Guard(BaseModel):
    """A metric that a challenger may not break, however much the primary metric gains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(min_length=1, description="name of a metric of the evaluation")
    better: Literal["higher", "lower"] = Field(description="'higher' or 'lower'")
    bound: Number | None = Field(None, description="floor where higher is better, else ceiling")
    tolerance: Annotated[Number, Field(ge=0)] | None = Field(
        None, description="allowed worsening vs the champion"
    )
    required: StrictBool = Field(True, description="false: judged only where it could be computed")
    where: Literal["always", "facts", "no_facts"] = Field(
        "always", description="data on which it binds: with or without ground-truth `facts`"
    )

    @model_validator(mode="after")
    def _guards_something(self) -> Self:
        """A guard must be able to break, in the direction in which the metric gets worse."""
        if self.bound is None and self.tolerance is None:
            raise ValueError(f"guard of {self.metric}: expected bound, tolerance or both")
        direction = better(self.metric)
        if self.metric in LABELS and direction not in {"neither", self.better}:
            raise ValueError(f"guard of {self.metric}: expected better = '{direction}'")
        return self

    def binds(self, facts: bool) -> bool:
        """Whether the guard applies to data that has, or has no, `facts`."""
        return self.where == "always" or (self.where == "facts") == facts

    def worsening(self, before: float, after: float) -> float:
        """By how much `after` is worse than `before`; negative where it is better."""
        return before - after if self.better == "higher" else after - before


class Policy(BaseModel):
    """When a challenger becomes champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    primary: str = Field("judge_t2i_r1", min_length=1, description="must rise; higher is better")
    min_gain: Number = Field(0.0, ge=0, description="the rise must exceed it")
    significance: Number = Field(0.05, gt=0, lt=1, description="paired, one-sided p below it")
    min_n: int = Field(
        50, ge=1, strict=True, description="images of the val split behind the primary metric"
    )
    first_model: Literal["best", "strict"] = Field(
        "best",
        description="no champion yet and no variant passes: `best` lets the fallback stand in, so "
        "that there is an index to search; `strict` promotes nothing",
    )
    fallback: str = "mle"
    controls: tuple[str, ...] = Field((), description="variants that never challenge")
    guards: tuple[Guard, ...] = ()

    @model_validator(mode="after")
    def _rises_for_the_better(self) -> Self:
        """The primary metric must be one of which more is better."""
        if better(self.primary) != "higher":
            raise ValueError(f"primary: expected a metric of which more is better ({self.primary})")
        return self

    def metrics(self) -> dict[str, str]:
        """Every metric the policy reads, by the key that names it."""
        guards = {f"guards.{i}.metric": guard.metric for i, guard in enumerate(self.guards)}
        return {"primary": self.primary, **guards}


def load_policy(path: Path) -> Policy:
    """The policy in a TOML file.

    Raises:
        PolicyError: no such file, not TOML, or a field or value no policy knows; names each.
    """
    if not path.is_file():
        raise PolicyError(f"promotion policy {path} does not exist; expected a TOML file")
    try:
        return Policy.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(_explained(fault) for fault in error.errors())
        raise PolicyError(f"{path}: {faults}") from error


def check_metrics(policy: Policy, known: Collection[str], path: Path) -> None:
    """Refuse a policy that reads a metric which no evaluation has: such a guard never binds.

    Args:
        policy: as read from `path`.
        known: names of all metrics that an evaluation lists, had or not.
        path: for the message.

    Raises:
        PolicyError: names the key, and every metric there is.
    """
    unknown = [f"{key} = {name!r}" for key, name in policy.metrics().items() if name not in known]
    if unknown:
        raise PolicyError(
            f"{path}: {', '.join(unknown)}: no evaluation has it, expected one of "
            f"{', '.join(sorted(known))}"
        )


def _explained(fault: ErrorDetails) -> str:
    """One fault: key, what was expected, what came."""
    path = [str(part) for part in fault["loc"]]
    key, model = ".".join(path), Guard if path[:1] == ["guards"] else Policy
    if fault["type"] == "extra_forbidden":
        return f"{key}: unknown key, expected one of {', '.join(model.model_fields)}"
    if fault["type"] == "missing":
        return f"{key}: missing, expected {model.model_fields[path[-1]].description}"
    said = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return f"{key}: {said}" if key else said
    return f"{key}: {said} (came: {fault['input']!r})"
