"""Which captioner deserves to be champion: a pure decision from scores on the val split.

A policy (`mlflow/registry.toml`) names one primary metric that must rise, and guard metrics that
must not break: an absolute bound and an allowed drop against the champion. Nothing here moves an
alias or reads a registry; the verdict is a value with a sentence for people. Whether an evaluation
is fit to be decided on is `scores`', whether a rise may be chance `paired`'s.

Why the guards come before the primary metric: a reward that judges detail is the one that wears
down grammar, so a captioner may be found better than ever by captions nobody wants to read.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finecap.evaluation.labels import label, ordered
from finecap.evaluation.paired import paired_p_value
from finecap.evaluation.policy import Guard, Policy, load_policy
from finecap.evaluation.results import is_measured, reason_absent
from finecap.evaluation.scores import Scores, incomplete, load_scores

__all__ = [
    "Choice",
    "Decision",
    "Policy",
    "Scores",
    "best_challenger",
    "bounds_broken",
    "decide",
    "load_policy",
    "load_scores",
]


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


def decide(champion: Scores | None, challenger: Scores, policy: Policy) -> Decision:
    """Whether `challenger` replaces `champion`, by `policy`.

    Without a champion the first model is promoted when every absolute bound holds, or when it is
    the policy's fallback and `first_model` is `best`.

    Args:
        champion: None where no model is champion yet.
        challenger: on trial.
        policy: what must rise and what must not break.
    """
    kept = f"kept {champion.name}" if champion else f"not promoted {challenger.name}"
    fault = _unfit(champion, challenger, policy)
    if fault:
        return Decision(False, f"{kept}: {challenger.name}: {fault}")
    breaches = bounds_broken(challenger, policy)
    if champion is None:
        return _first(challenger, breaches, policy)
    fault = _not_comparable(champion, challenger, policy)
    if fault:
        return Decision(False, f"{kept}: {fault}", True)
    breaches += _drops(champion, challenger, policy)
    if breaches:
        return Decision(False, f"{kept}: {'; '.join(breaches)}")
    return _by_primary(champion, challenger, policy)


def best_challenger(
    scores: Mapping[str, Scores], policy: Policy, champion: Scores | None = None
) -> Choice:
    """The variant with the highest primary metric among those that pass all guards.

    Allowed drops count too where a comparable `champion` is given. Where nothing passes and there
    is no champion, `policy.first_model` says whether the fallback variant stands in. Of equals the
    first in table order is chosen, whatever the order of `scores`.
    """
    reasons = {v: _verdict(champion, scores[v], policy) for v in ordered(scores)}
    passing = [v for v, reason in reasons.items() if reason == _PASSES]
    if passing:
        return Choice(max(passing, key=lambda v: scores[v].value(policy.primary)), reasons)
    fallback = scores.get(policy.fallback)
    may_stand_in = champion is None and policy.first_model == "best"
    if may_stand_in and fallback is not None and not _unfit(None, fallback, policy):
        reasons[policy.fallback] += "; stands in, because no variant passes and none is champion"
        return Choice(policy.fallback, reasons)
    return Choice(None, reasons)


_PASSES = "passes all guards"
_HAIR = 1e-9
_SHOWN = 5e-4  # two digits hide no more of a change


def bounds_broken(challenger: Scores, policy: Policy) -> list[str]:
    """A sentence for each guard whose absolute bound is broken."""
    guards = [guard for guard in policy.guards if guard.binds(challenger.facts)]
    found = [_bound_breach(guard, challenger.value(guard.metric)) for guard in guards]
    return [breach for breach in found if breach]


def _unfit(champion: Scores | None, challenger: Scores, policy: Policy) -> str:
    """Why the challenger may not be decided on at all; empty when it may."""
    if challenger.variant in policy.controls:
        return "is a control and never challenges"
    if champion is not None and champion.profile != challenger.profile:
        profiles = f"{challenger.profile!r}, {champion.name} of {champion.profile!r}"
        return f"is of profile {profiles}: they never compete"
    return incomplete(challenger, policy)


def _not_comparable(champion: Scores, challenger: Scores, policy: Policy) -> str:
    """Why the champion's scores cannot be set against the challenger's; empty when they can."""
    asked = [(scores.yardstick, scores.facts) for scores in (champion, challenger)]
    if asked[0] != asked[1]:
        return "it was scored on other data or by another judge; evaluate it again on today's val"
    fault = incomplete(champion, policy)
    return f"its own scores are of no use ({fault}); evaluate it again" if fault else ""


def _verdict(champion: Scores | None, challenger: Scores, policy: Policy) -> str:
    """Why the challenger may not challenge, or `_PASSES`."""
    fault = _unfit(champion, challenger, policy)
    if fault:
        return fault
    breaches = bounds_broken(challenger, policy)
    if champion is not None and not _not_comparable(champion, challenger, policy):
        breaches += _drops(champion, challenger, policy)
    return "; ".join(breaches) or _PASSES


def _drops(champion: Scores, challenger: Scores, policy: Policy) -> list[str]:
    """A sentence for each guard by which the challenger falls too far behind the champion."""
    guards = [guard for guard in policy.guards if guard.binds(challenger.facts)]
    found = [_drop_breach(guard, champion, challenger) for guard in guards]
    return [breach for breach in found if breach]


def _bound_breach(guard: Guard, value: float) -> str:
    """The sentence for a broken absolute bound; NaN (an absent optional metric) breaks none."""
    if guard.bound is None or not guard.worsening(guard.bound, value) > 0:
        return ""
    side = "below the floor" if guard.better == "higher" else "above the ceiling"
    return f"{label(guard.metric)} {value:.3f} is {side} {guard.bound:g}"


def _drop_breach(guard: Guard, champion: Scores, challenger: Scores) -> str:
    """The sentence for a change for the worse beyond the tolerance, or for a score lost."""
    before, after = champion.value(guard.metric), challenger.value(guard.metric)
    if guard.required and math.isfinite(before) and not math.isfinite(after):
        why = reason_absent(challenger.metrics[guard.metric])
        return f"{label(guard.metric)} {before:.2f} -> none ({why})"
    # A hair of slack: 0.97 - 0.95 is 0.020000000000000018 in binary.
    if guard.tolerance is None or not guard.worsening(before, after) > guard.tolerance + _HAIR:
        return ""
    change = _change(guard.metric, before, after)
    return f"{change} breaches tolerance {guard.tolerance:g}"


def _change(metric: str, before: float, after: float) -> str:
    """The change in words, with as many digits as show it: 0.41 -> 0.52, 0.410 -> 0.412."""
    is_shown = abs((round(after, 2) - round(before, 2)) - (after - before)) < _SHOWN
    digits = 2 if is_shown else 3
    return f"{label(metric)} {before:.{digits}f} -> {after:.{digits}f}"


def _first(challenger: Scores, breaches: Sequence[str], policy: Policy) -> Decision:
    """The decision where no model is champion yet."""
    score = f"{label(policy.primary)} {challenger.value(policy.primary):.2f}"
    if not breaches:
        return Decision(True, f"promoted {challenger.name}: first model, {score}; guards ok")
    if policy.first_model == "best" and challenger.variant == policy.fallback:
        why = f"first model, {score}; stands in although {'; '.join(breaches)}"
        return Decision(True, f"promoted {challenger.name}: {why}")
    return Decision(False, f"not promoted {challenger.name}: {'; '.join(breaches)}")


def _by_primary(champion: Scores, challenger: Scores, policy: Policy) -> Decision:
    """The decision once all guards hold: the primary metric must rise, and not by chance."""
    before, after = champion.value(policy.primary), challenger.value(policy.primary)
    change = _change(policy.primary, before, after)
    if after - before <= policy.min_gain + _HAIR:
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
