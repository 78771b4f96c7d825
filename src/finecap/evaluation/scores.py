"""What a promotion reads of one captioner, and whether that is enough to decide on.

The val split alone: test scores are in the same files and never leave them through here. A score
that is missing, not finite, or at odds with its own images is a fault with a sentence, never a 0.
What follows from sound scores is `promotion`'s.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finecap.evaluation.labels import label
from finecap.evaluation.policy import Guard, Policy
from finecap.evaluation.results import (
    Measured,
    Metric,
    is_measured,
    is_undefined,
    read_evaluation,
    reason_absent,
)

DECIDED_ON = "val"
"""The only split that a decision reads."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a decision reads of one captioner: its val metrics, and the same image by image."""

    name: str  # as the verdict names it: a version ("v7") or a variant ("clip_s")
    metrics: Mapping[str, Metric]
    yardstick: str  # digest of images, references and judge; scores compare only where it is equal
    facts: bool
    variant: str = ""  # which reward made it; the policy's fallback and controls are variants
    images: tuple[str, ...] = ()
    per_image: Mapping[str, NDArray[np.float64]] = field(
        default_factory=dict[str, NDArray[np.float64]]
    )  # metric -> (B,)
    profile: str = ""  # whose captioner it is; those of two profiles never compete

    def value(self, metric: str) -> float:
        """The metric's value; NaN where it has none."""
        found = self.metrics.get(metric)
        return found["value"] if found is not None and is_measured(found) else math.nan


def load_scores(folder: Path, name: str, variant: str = "", profile: str = "") -> Scores:
    """The val scores in an evaluation's folder; test scores never reach a decision.

    Args:
        folder: of the evaluation.
        name: what the verdict calls the captioner, e.g. `v7`.
        variant: which reward made it; by default `name`.
        profile: whose captioner it is.

    Raises:
        EvaluationError: no evaluation, or a partial one.
    """
    evaluation = read_evaluation(folder)
    rows = evaluation.per_image[evaluation.per_image["split"] == DECIDED_ON].sort_values("image")
    return Scores(
        name,
        evaluation.metrics[DECIDED_ON],
        evaluation.yardstick[DECIDED_ON],
        evaluation.facts,
        variant or name,
        tuple(rows["image"]),
        {m: rows[m].to_numpy(np.float64) for m in rows.columns if m not in {"image", "split"}},
        profile,
    )


def incomplete(scores: Scores, policy: Policy) -> str:
    """What the evaluation lacks for a decision; empty when nothing."""
    primary = scores.metrics.get(policy.primary)
    fault = _fault(policy.primary, primary)
    if fault:
        return fault
    if primary is not None and is_measured(primary):
        fault = _support_fault(scores, policy, primary)
    if fault:
        return fault
    for guard in policy.guards:
        metric = scores.metrics.get(guard.metric)
        fault = _fault(guard.metric, metric)
        if fault and guard.binds(scores.facts) and not _may_lack(guard, metric):
            return fault
    return ""


def _fault(name: str, metric: Metric | None) -> str:
    """Why a metric cannot be decided on; empty when it can."""
    if metric is None:
        return f"partial evaluation, {label(name)} is missing"
    if not is_measured(metric):
        return f"partial evaluation, {label(name)}: {reason_absent(metric)}"
    is_finite = math.isfinite(metric["value"])
    return "" if is_finite else f"failed evaluation, {label(name)} is not finite"


def _support_fault(scores: Scores, policy: Policy, primary: Measured) -> str:
    """Whether too few images stand behind the primary metric, or others than it says."""
    name = label(policy.primary)
    if primary["n"] < policy.min_n:
        return f"{name} rests on {primary['n']} images, expected {policy.min_n}"
    values = scores.per_image.get(policy.primary)
    if values is None:
        return ""
    if not len(values) == len(scores.images) == primary["n"]:
        return f"partial evaluation, {name} of {len(values)} images, expected {primary['n']}"
    if not np.isfinite(values).all():
        return f"failed evaluation, {name} is not finite for every image"
    mean = float(values.mean())
    if not math.isclose(mean, primary["value"], rel_tol=1e-6, abs_tol=1e-6):
        is_said = f"{name} is {primary['value']:.4f}, its images' mean {mean:.4f}"
        return f"failed evaluation, {is_said}: the files are not of one evaluation"
    return ""


def _may_lack(guard: Guard, metric: Metric | None) -> bool:
    """Whether the guard can be passed over: optional and not had, or without meaning here."""
    if metric is None:
        return not guard.required
    return is_undefined(metric) or (not guard.required and not is_measured(metric))
