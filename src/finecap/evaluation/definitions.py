"""What every metric of an evaluation or a scorecard means: name, source, definition, direction.

The README's table is made of this, and a test holds it against what is computed. What is not here:
the formulas (`metrics/`), and which way is better (`labels`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from finecap.evaluation.labels import better, label
from finecap.metrics import finegrained

ENCODER = "By an encoder: `base_clip`, and with `judge_` before the name the judge"
REFERENCES = "By the references"
FACTS = "By `facts`"
FINECAPEVAL = "By FineCapEval's annotations"
FLUENCY = "By the captions alone"

_COCO = "coco-caption"
_HESSEL = "Hessel et al. 2021, `clipscore.py`"
_CHO = "Cho et al. 2022"
_KARPATHY = "Karpathy & Fei-Fei 2015"
_OURS = "ours"


@dataclass(frozen=True, slots=True)
class Definition:
    """One row of the table: metrics that one sentence defines."""

    group: str
    shown: tuple[str, ...]  # names in the table
    meaning: str
    source: str
    also: tuple[str, ...] = ()  # names that the group's title or the sentence implies

    @property
    def names(self) -> tuple[str, ...]:
        """Every metric it defines."""
        return self.shown + self.also


def _by_encoder(shown: tuple[str, ...], meaning: str, source: str) -> Definition:
    """A metric that base encoder and judge both give."""
    return Definition(ENCODER, shown, meaning, source, tuple(f"judge_{name}" for name in shown))


def _by_facts(aspect: str, claim: str) -> Definition:
    """Recall and precision of one aspect, with their subsets and chance."""
    shown = (f"{aspect}_recall", f"{aspect}_precision")
    own = [name for name in finegrained.NAMES if name.startswith(shown) and name not in shown]
    chance = [f"{name}_chance" for name in shown]
    meaning = f"{claim}: share of those there are that are claimed; of those claimed that are so"
    return Definition(FACTS, shown, meaning, _OURS, (*own, *chance))


def _by_annotations(category: str, silent: str) -> tuple[Definition, ...]:
    """The scores of one category of FineCapEval."""
    name = f"finecapeval_{category}"
    return (
        Definition(
            FINECAPEVAL,
            (f"{name}_published",),
            f"mean over images and {category} phrases of the share of stemmed words that are a "
            "part of the caption's text",
            f"{_CHO}, `eval_finecapeval.py`",
        ),
        Definition(
            FINECAPEVAL,
            (f"{name}_recall", f"{name}_precision"),
            f"whole words, stems on both sides{silent}: share of the words of {category} phrases "
            f"that are said; of the said words that are in {category} phrases of any image, the "
            "share that the image's people use",
            _OURS,
        ),
    )


DEFINITIONS = (
    _by_encoder(
        ("clip_s",),
        "2.5 max(cos(image, caption), 0), the prompt `A photo depicts` before the caption",
        _HESSEL,
    ),
    _by_encoder(
        ("ref_clip_s",),
        "harmonic mean of CLIP-S and the highest cosine of the caption and a reference, not scaled "
        "and not below 0",
        _HESSEL,
    ),
    _by_encoder(
        ("t2i_r1", "t2i_r5", "t2i_r10"),
        "how often a caption finds its own image among the first k of all images of the split; a "
        "tie counts as its chance in random order",
        _KARPATHY,
    ),
    _by_encoder(
        ("i2t_r1", "i2t_r5", "i2t_r10"),
        "how often an image finds its own caption among those of all images, ties likewise: equal "
        "captions share their places",
        _KARPATHY,
    ),
    _by_encoder(
        ("t2i_median_rank", "i2t_median_rank"),
        "median over images of the rank from 1: rows that score better, and half of those that tie",
        _KARPATHY,
    ),
    Definition(
        REFERENCES,
        ("bleu_1", "bleu_2", "bleu_3", "bleu_4"),
        "clipped n-gram precision of the corpus with brevity penalty, orders 1 to n",
        f"Papineni et al. 2002, {_COCO}",
    ),
    Definition(
        REFERENCES,
        ("rouge_l",),
        "F-measure of the longest common subsequence, beta 1.2",
        f"Lin 2004, {_COCO}",
    ),
    Definition(
        REFERENCES,
        ("cider",),
        "what coco-caption prints as CIDEr, which is CIDEr-D, 0 to 10: cosine of tf-idf n-grams, "
        "clipped, with length penalty; document frequencies from the scored references",
        f"Vedantam et al. 2015, {_COCO}",
    ),
    Definition(
        REFERENCES,
        ("cider_plain",),
        "the paper's CIDEr, 0 to 10: neither clipped nor penalised; words as they stand, where the "
        "paper stems them and its authors' code does not",
        "Vedantam et al. 2015, equations 1-3",
    ),
    Definition(
        REFERENCES,
        ("meteor",),
        "METEOR 1.5 of the corpus' counts, which is not the mean of its images' scores",
        f"Denkowski & Lavie 2014, {_COCO}",
    ),
    Definition(
        REFERENCES,
        ("spice",),
        "F-measure of scene-graph tuples",
        f"Anderson et al. 2016, {_COCO}",
    ),
    _by_facts("object", "kinds of objects"),
    _by_facts("background", "backgrounds"),
    _by_facts("colour", "colours, each bound to its object"),
    _by_facts("size", "sizes, each bound to its object"),
    _by_facts("relation", "relations between two named objects"),
    _by_facts("second_object_colour", "colours of the second, smaller object"),
    Definition(
        FACTS,
        ("grammatical_rate",),
        "share of captions that the drawn world's own grammar parses, a and an included",
        _OURS,
    ),
    *_by_annotations("background", ", articles, auxiliaries, pronouns and prepositions left out"),
    *_by_annotations("object", ", the same words left out"),
    *_by_annotations("relation", ", prepositions kept"),
    Definition(
        FINECAPEVAL,
        ("finecapeval_recall", "finecapeval_precision", "finecapeval_f1"),
        "the same of all categories together; precision is of all words of the caption, so that a "
        "word nobody uses is wrong; their harmonic mean",
        _OURS,
    ),
    Definition(
        FLUENCY,
        ("grammar_head_rate",),
        "share that the network `judge_grammar`, which no reward used, takes for sentences",
        f"{_CHO}, the network",
    ),
    Definition(
        FLUENCY,
        ("grammar_head_rate_references",),
        "the same of the references: as much as it grants people",
        _OURS,
    ),
    Definition(
        FLUENCY,
        ("repetition_rate",),
        "share with a bigram said twice, or the same word twice running",
        _OURS,
    ),
    Definition(FLUENCY, ("stutter_rate",), "share with the same word twice running", _OURS),
    Definition(
        FLUENCY,
        ("repeated_3gram_rate",),
        "share with three words in a row said twice",
        "Welleck et al. 2020, per caption",
    ),
    Definition(
        FLUENCY,
        ("bad_ending_rate",),
        "share that end in an article, preposition, conjunction or auxiliary, or say nothing",
        _OURS,
    ),
    Definition(FLUENCY, ("mean_length",), "words, punctuation not counted", _OURS),
    Definition(FLUENCY, ("vocabulary",), "distinct words over the split", _OURS),
    Definition(
        FLUENCY,
        ("distinct_1", "distinct_2"),
        "distinct words, and bigrams, over all of them; falls as captions become more, so compare "
        "splits of one size",
        "Li et al. 2016",
    ),
)


def names(group: str) -> tuple[str, ...]:
    """Every metric of a group."""
    return tuple(name for row in DEFINITIONS if row.group == group for name in row.names)


def markdown() -> str:
    """The table of every metric, a heading per group."""
    groups = dict.fromkeys(row.group for row in DEFINITIONS)
    return "\n\n".join("\n".join(_lines(group)) for group in groups)


def _lines(group: str) -> Iterator[str]:
    yield f"**{group}**\n"
    yield "| metric | in tables | better | definition | source |"
    yield "|---|---|---|---|---|"
    for row in DEFINITIONS:
        if row.group == group:
            named = ", ".join(f"`{name}`" for name in row.shown)
            said = ", ".join(label(name) for name in row.shown)
            yield f"| {named} | {said} | {better(row.shown[0])} | {row.meaning} | {row.source} |"
