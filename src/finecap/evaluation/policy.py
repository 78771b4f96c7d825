"""The promotion policy as a file of its own: which metric must rise, and what must not break.

Kept apart from `config` because it is no stage's setting: it outlives profiles, is reviewed by
those who answer for the live model, and lies beside the registry's documentation.
"""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class PolicyError(ValueError):
    """A policy file that is missing, unreadable, or has a field or value no policy knows."""


class Guard(BaseModel):
    """A metric that a challenger may not break, however much the primary metric gains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    better: Literal["higher", "lower"]
    bound: float | None = Field(None, description="floor where higher is better, else ceiling")
    tolerance: float | None = Field(None, ge=0, description="allowed worsening vs the champion")
    required: bool = Field(True, description="false: judged only where it could be computed")
    where: Literal["always", "facts", "no_facts"] = Field(
        "always", description="data on which it binds: with or without ground-truth `facts`"
    )

    def binds(self, facts: bool) -> bool:
        """Whether the guard applies to data that has, or has no, `facts`."""
        return self.where == "always" or (self.where == "facts") == facts

    def worsening(self, before: float, after: float) -> float:
        """By how much `after` is worse than `before`; negative where it is better."""
        return before - after if self.better == "higher" else after - before


class Policy(BaseModel):
    """When a challenger becomes champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    primary: str = Field("judge_t2i_r1", description="must rise; higher is better")
    min_gain: float = Field(0.0, ge=0, description="the rise must exceed it")
    significance: float = Field(0.05, gt=0, lt=1, description="paired, one-sided p below it")
    min_n: int = Field(50, ge=1, description="images of the val split behind the primary metric")
    first_model: Literal["best", "strict"] = Field(
        "best",
        description="no champion yet and no variant passes: `best` lets the fallback stand in, so "
        "that there is an index to search; `strict` promotes nothing",
    )
    fallback: str = "mle"
    controls: tuple[str, ...] = Field((), description="variants that never challenge")
    guards: tuple[Guard, ...] = ()


def load_policy(path: Path) -> Policy:
    """The policy in a TOML file.

    Raises:
        PolicyError: no such file, not TOML, or a field or value no policy knows; names each.
    """
    if not path.is_file():
        raise PolicyError(f"promotion policy {path} does not exist; expected a TOML file")
    try:
        return Policy.model_validate(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PolicyError(f"{path}: {where}: {first['msg']} (came: {first['input']!r})") from error
