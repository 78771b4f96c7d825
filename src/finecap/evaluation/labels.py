"""How tables, plots and verdicts name and order variants and metrics for a human reader.

Files and code use the metrics' own names; only what a person reads goes through here.
"""

from collections.abc import Iterable

VARIANTS = (
    "mle",
    "cider",
    "clip_s",
    "cider_clip_s",
    "clip_s_grammar",
    "clip_s_grammar_attribute",
    "clip_s_grammar_spoilt",
    "self_retrieval",
)
"""In the order in which every table shows them; others (controls) follow, sorted."""

LABELS = {
    "judge_t2i_r1": "judge R@1",
    "judge_t2i_r5": "judge R@5",
    "judge_t2i_r10": "judge R@10",
    "t2i_r1": "R@1",
    "t2i_r5": "R@5",
    "t2i_r10": "R@10",
    "judge_clip_s": "judge CLIP-S",
    "clip_s": "CLIP-S",
    "ref_clip_s": "RefCLIP-S",
    "cider": "CIDEr",
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "meteor": "METEOR",
    "spice": "SPICE",
    "grammatical_rate": "grammar rate",
    "grammar_head_rate": "grammar head rate",
    "repetition_rate": "repetition",
    "bad_ending_rate": "bad endings",
    "mean_length": "words",
    "vocabulary": "vocabulary",
}

LOWER_IS_BETTER = frozenset({"repetition_rate", "bad_ending_rate"})
WITHOUT_BEST = frozenset({"mean_length", "vocabulary"})
"""Neither more nor less of these is better."""


def label(metric: str) -> str:
    """The metric's name for a reader, e.g. `judge R@1`."""
    return LABELS.get(metric, metric.replace("_", " "))


def ordered(variants: Iterable[str]) -> list[str]:
    """Variants in table order: the known ones first, then the others, sorted."""
    given = set(variants)
    return [v for v in VARIANTS if v in given] + sorted(given - set(VARIANTS))
