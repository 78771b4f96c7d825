"""Which captioner deserves to be champion: a pure decision from scores on the val split.

A policy (`mlflow/registry.toml`) names one primary metric that must rise, and guard metrics that
must not break: an absolute bound and an allowed drop against the champion. Nothing here moves an
alias or reads a registry; the verdict is a value with a sentence for people.

Why the guards come before the primary metric: a reward that judges detail is the one that wears
down grammar, so a captioner may be found better than ever by captions nobody wants to read. Why a
paired test: two captioners see the same images, and most images are as hard for one as for the
other, so the difference per image is far less noisy than the two rates.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finecap.evaluation.labels import label, ordered
from finecap.evaluation.policy import Guard, Policy, load_policy
from finecap.evaluation.results import (
    Metric,
    is_measured,
    is_undefined,
    read_evaluation,
    reason_absent,
)

__all__ = ["Choice", "Decision", "Policy", "Scores", "best_challenger", "decide", "load_policy"]

PERMUTATIONS = 10_000
"""Of the paired test; the smallest p it can find is 1 / 10,001."""


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


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the challenger becomes champion, and the sentence that says why."""

    promote: bool
    reason: str
    reevaluate: bool = False  # the champion's scores are of other data: score it on today's first


@dataclass(frozen=True, slots=True)
class Choice:
    """The variant that may challenge, or none, and what was found of each variant."""

    name: str | None
    reasons: Mapping[str, str]


def load_scores(folder: Path, name: str, variant: str = "") -> Scores:
    """The val scores in an evaluation's folder; test scores never reach a decision.

    `name` is what the verdict calls the captioner, e.g. `v7`.

    Raises:
        EvaluationError: no evaluation, or a partial one.
    """
    evaluation = read_evaluation(folder)
    rows = evaluation.per_image[evaluation.per_image["split"] == "val"].sort_values("image")
    return Scores(
        name,
        evaluation.metrics["val"],
        evaluation.yardstick["val"],
        evaluation.facts,
        variant or name,
        tuple(rows["image"]),
        {m: rows[m].to_numpy(np.float64) for m in rows.columns if m not in {"image", "split"}},
    )


def decide(champion: Scores | None, challenger: Scores, policy: Policy) -> Decision:
    """Whether `challenger` replaces `champion`, by `policy`.

    Without a champion the first model is promoted when every absolute bound holds, or when it is
    the policy's fallback and `first_model` is `best`.
    """
    kept = f"kept {champion.name}" if champion else f"not promoted {challenger.name}"
    fault = _incomplete(challenger, policy)
    if fault:
        return Decision(False, f"{kept}: {challenger.name}: {fault}")
    breaches = _breaches(None, challenger, policy)
    if champion is None:
        return _first(challenger, breaches, policy)
    if champion.yardstick != challenger.yardstick or _incomplete(champion, policy):
        return Decision(False, f"{kept}: {_not_comparable(champion, challenger, policy)}", True)
    breaches += _breaches(champion, challenger, policy)
    if breaches:
        return Decision(False, f"{kept}: {'; '.join(breaches)}")
    return _by_primary(champion, challenger, policy)


def best_challenger(
    scores: Mapping[str, Scores], policy: Policy, champion: Scores | None = None
) -> Choice:
    """The variant with the highest primary metric among those that pass all guards.

    Allowed drops count too where a comparable `champion` is given. Where nothing passes and there
    is no champion, `policy.first_model` says whether the fallback variant stands in.
    """
    comparable = {v: champion for v, s in scores.items() if _same_yardstick(champion, s)}
    reasons = {v: _verdict(scores[v], v, comparable.get(v), policy) for v in ordered(scores)}
    passing = [v for v, reason in reasons.items() if reason == _PASSES]
    if passing:
        return Choice(max(passing, key=lambda v: _value(scores[v], policy.primary)), reasons)
    fallback = scores.get(policy.fallback)
    may_stand_in = champion is None and policy.first_model == "best"
    if may_stand_in and fallback is not None and not _incomplete(fallback, policy):
        reasons[policy.fallback] += "; stands in, because no variant passes and none is champion"
        return Choice(policy.fallback, reasons)
    return Choice(None, reasons)


def paired_p_value(champion: NDArray[np.float64], challenger: NDArray[np.float64]) -> float:
    """One-sided p that the challenger's mean gain is chance, by sign flips of the differences.

    Under the null hypothesis each image's difference is as likely to have either sign (Fisher's
    randomisation test for pairs). Both arrays are (B,), in the same image order.
    """
    if champion.shape != challenger.shape:
        raise ValueError(f"expected pairs, came {champion.shape} and {challenger.shape}")
    differences = challenger - champion
    differences = differences[differences != 0]  # a tie says nothing of the sign
    if not len(differences):
        return 1.0
    gain = differences.sum()
    generator = np.random.default_rng(0)
    as_great = 0
    for count in _blocks(PERMUTATIONS, len(differences)):
        signs = generator.integers(0, 2, (count, len(differences)), dtype=np.int8) * 2 - 1
        as_great += int((signs @ differences >= gain - 1e-9).sum())
    return (1 + as_great) / (1 + PERMUTATIONS)


_PASSES = "passes all guards"


def _blocks(total: int, width: int) -> Sequence[int]:
    """Rows per block, so that a block of signs stays below some 2 million cells."""
    size = max(1, 2_000_000 // width)
    return [min(size, total - start) for start in range(0, total, size)]


def _same_yardstick(champion: Scores | None, challenger: Scores) -> bool:
    return champion is not None and champion.yardstick == challenger.yardstick


def _verdict(scores: Scores, variant: str, champion: Scores | None, policy: Policy) -> str:
    """Why the variant may not challenge, or `_PASSES`."""
    if variant in policy.controls:
        return "is a control and never challenges"
    fault = _incomplete(scores, policy)
    if fault:
        return fault
    breaches = _breaches(None, scores, policy)
    if champion is not None and not _incomplete(champion, policy):
        breaches += _breaches(champion, scores, policy)
    return "; ".join(breaches) or _PASSES


def _incomplete(scores: Scores, policy: Policy) -> str:
    """What the evaluation lacks for a decision; empty when nothing."""
    primary = scores.metrics.get(policy.primary)
    fault = _fault(policy.primary, primary)
    if fault:
        return fault
    if primary is not None and is_measured(primary) and primary["n"] < policy.min_n:
        return f"{label(policy.primary)} rests on {primary['n']} images, expected {policy.min_n}"
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


def _may_lack(guard: Guard, metric: Metric | None) -> bool:
    """Whether the guard can be passed over: optional and not had, or without meaning here."""
    if metric is None:
        return not guard.required
    return is_undefined(metric) or (not guard.required and not is_measured(metric))


def _value(scores: Scores, name: str) -> float:
    """The metric's value; NaN where it has none."""
    metric = scores.metrics.get(name)
    return metric["value"] if metric is not None and is_measured(metric) else math.nan


def _breaches(champion: Scores | None, challenger: Scores, policy: Policy) -> list[str]:
    """Guards broken: absolute bounds, or with a champion the allowed drops against it."""
    guards = [guard for guard in policy.guards if guard.binds(challenger.facts)]
    if champion is None:
        found = [_bound_breach(guard, _value(challenger, guard.metric)) for guard in guards]
    else:
        found = [
            _drop_breach(guard, _value(champion, guard.metric), _value(challenger, guard.metric))
            for guard in guards
        ]
    return [breach for breach in found if breach]


def _bound_breach(guard: Guard, value: float) -> str:
    """The sentence for a broken absolute bound; NaN (an absent optional metric) breaks none."""
    if guard.bound is None or not guard.worsening(guard.bound, value) > 0:
        return ""
    side = "below the floor" if guard.better == "higher" else "above the ceiling"
    return f"{label(guard.metric)} {value:.3f} is {side} {guard.bound:g}"


def _drop_breach(guard: Guard, before: float, after: float) -> str:
    """The sentence for a change for the worse beyond the tolerance."""
    # A hair of slack: 0.97 - 0.95 is 0.020000000000000018 in binary.
    if guard.tolerance is None or not guard.worsening(before, after) > guard.tolerance + 1e-9:
        return ""
    change = f"{before:.2f} -> {after:.2f}"
    return f"{label(guard.metric)} {change} breaches tolerance {guard.tolerance:g}"


def _first(challenger: Scores, breaches: Sequence[str], policy: Policy) -> Decision:
    """The decision where no model is champion yet."""
    score = f"{label(policy.primary)} {_value(challenger, policy.primary):.2f}"
    if not breaches:
        return Decision(True, f"promoted {challenger.name}: first model, {score}; guards ok")
    if policy.first_model == "best" and challenger.variant == policy.fallback:
        why = f"first model, {score}; stands in although {'; '.join(breaches)}"
        return Decision(True, f"promoted {challenger.name}: {why}")
    return Decision(False, f"not promoted {challenger.name}: {'; '.join(breaches)}")


def _not_comparable(champion: Scores, challenger: Scores, policy: Policy) -> str:
    """Why the champion's scores cannot be set against the challenger's."""
    if champion.yardstick != challenger.yardstick:
        return "it was scored on other data or by another judge; evaluate it again on today's val"
    return f"its own scores are of no use ({_incomplete(champion, policy)}); evaluate it again"


def _by_primary(champion: Scores, challenger: Scores, policy: Policy) -> Decision:
    """The decision once all guards hold: the primary metric must rise, and not by chance."""
    before, after = _value(champion, policy.primary), _value(challenger, policy.primary)
    change = f"{label(policy.primary)} {before:.2f} -> {after:.2f}"
    if after - before <= policy.min_gain:
        beyond = f" by more than {policy.min_gain:g}" if policy.min_gain else ""
        return Decision(False, f"kept {champion.name}: {change} does not rise{beyond}")
    is_significant, evidence = _evidence(champion, challenger, policy)
    if not is_significant:
        return Decision(False, f"kept {champion.name}: {change} may be chance ({evidence})")
    return Decision(True, f"promoted {challenger.name}: {change} ({evidence}); guards ok")


def _evidence(champion: Scores, challenger: Scores, policy: Policy) -> tuple[bool, str]:
    """Whether the rise is significant, and the words for it."""
    pairs = [scores.per_image.get(policy.primary) for scores in (champion, challenger)]
    if pairs[0] is not None and pairs[1] is not None and champion.images == challenger.images:
        p = paired_p_value(pairs[0], pairs[1])
        shown = next((f"p < {step:g}" for step in (0.001, 0.01) if p < step), f"p = {p:.2f}")
        return p < policy.significance, shown
    old, new = champion.metrics[policy.primary], challenger.metrics[policy.primary]
    apart = is_measured(old) and is_measured(new) and new["ci_low"] > old["ci_high"]
    return apart, "no pairs of images; intervals " + ("apart" if apart else "overlap")
