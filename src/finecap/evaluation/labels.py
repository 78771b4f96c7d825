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
    "judge_t2i_median_rank": "judge median rank",
    "judge_i2t_r1": "judge i2t R@1",
    "judge_i2t_r5": "judge i2t R@5",
    "judge_i2t_r10": "judge i2t R@10",
    "judge_i2t_median_rank": "judge i2t median rank",
    "t2i_r1": "R@1",
    "t2i_r5": "R@5",
    "t2i_r10": "R@10",
    "t2i_median_rank": "median rank",
    "i2t_r1": "i2t R@1",
    "i2t_r5": "i2t R@5",
    "i2t_r10": "i2t R@10",
    "i2t_median_rank": "i2t median rank",
    "judge_clip_s": "judge CLIP-S",
    "clip_s": "CLIP-S",
    "judge_ref_clip_s": "judge RefCLIP-S",
    "ref_clip_s": "RefCLIP-S",
    "cider": "CIDEr",
    "cider_plain": "CIDEr of 2015",
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "meteor": "METEOR",
    "spice": "SPICE",
    "grammatical_rate": "grammar rate",
    "grammar_head_rate": "grammar head rate",
    "grammar_head_rate_references": "grammar head rate of references",
    "repetition_rate": "repetition",
    "stutter_rate": "stutter",
    "repeated_3gram_rate": "repeated 3-gram",
    "bad_ending_rate": "bad endings",
    "mean_length": "words",
    "vocabulary": "vocabulary",
    "distinct_1": "distinct-1",
    "distinct_2": "distinct-2",
    "finecapeval_f1": "finecapeval F1",
    "finecapeval_background_published": "background as published",
    "finecapeval_object_published": "object as published",
    "finecapeval_relation_published": "relation as published",
}

LOWER_IS_BETTER = frozenset(
    [
        "repetition_rate",
        "stutter_rate",
        "repeated_3gram_rate",
        "bad_ending_rate",
        *(f"{who}{way}_median_rank" for who in ("", "judge_") for way in ("t2i", "i2t")),
    ]
)
WITHOUT_BEST = frozenset(
    ["mean_length", "vocabulary", "distinct_1", "distinct_2", "grammar_head_rate_references"]
)
"""Neither more nor less of these is better."""


def label(metric: str) -> str:
    """The metric's name for a reader, e.g. `judge R@1`."""
    return LABELS.get(metric, metric.replace("_", " "))


def better(metric: str) -> str:
    """In which direction the metric is better: `higher`, `lower` or `neither`."""
    if metric in WITHOUT_BEST:
        return "neither"
    return "lower" if metric in LOWER_IS_BETTER else "higher"


def ordered(variants: Iterable[str]) -> list[str]:
    """Variants in table order: the known ones first, then the others, sorted."""
    given = set(variants)
    return [v for v in VARIANTS if v in given] + sorted(given - set(VARIANTS))
