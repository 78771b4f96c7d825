"""BLEU, ROUGE-L and CIDEr of a test set, against pycocoevalcap: asked is 5 times its speed.

5,000 images of COCO with 5 references each, raw captions in, scores out. A caption is half of one
reference and half of another: it shares as many n-grams as a captioner's do (CIDEr-D 2). Measured
from raw captions, tokenisation included, which in pycocoevalcap is a Java program (its processor
time counts, on all of its threads); and from tokens. Ours gives plain CIDEr as well.

COCO's captions are read from pycocoevalcap's own SPICE; without Java the first comparison is not
made.
"""

import resource
import shutil
import time
import warnings
from collections.abc import Callable

from finecap.metrics import ngram, ptb
from tests.benchmarks.measure import cpu_seconds_of
from tests.finecap.metrics.ptb_golden import coco_captions, java_tokens

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # invalid escapes in the reference package
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

IMAGES, REFERENCES = 5_000, 5


def run() -> dict[str, object]:
    """CPU seconds of both, how many times as fast ours is, and how far scores differ."""
    references, candidates = corpus()
    tokens = ngram.tokenised(references, candidates)
    found, wanted = ngram.score(references, candidates), theirs(tokens)
    seconds = cpu_seconds_of(
        {
            "raw": lambda: ours(references, candidates),
            "tokens": lambda: ngram.measure(tokens),
            "pycocoevalcap_tokens": lambda: theirs(tokens),
        },
        repeats=3,
    )
    figures: dict[str, object] = {
        "largest_difference": max(abs(found[name] - value) for name, value in wanted.items()),
        "cider": found["cider"],
        "cider_plain": found["cider_plain"],
        **{f"{name}_s": value for name, value in seconds.items()},
        "tokens_times_as_fast": seconds["pycocoevalcap_tokens"] / seconds["tokens"],
    }
    if shutil.which("java"):
        java = min(java_seconds(lambda: tokenise_in_java(references, candidates)) for _ in range(3))
        whole = java + seconds["pycocoevalcap_tokens"]
        figures |= {"pycocoevalcap_raw_s": whole, "raw_times_as_fast": whole / seconds["raw"]}
    return figures


def corpus() -> tuple[dict[int, list[str]], dict[int, str]]:
    """References and a candidate by image."""
    by_image: dict[int, list[str]] = {}
    for image, text in coco_captions("val"):
        by_image.setdefault(image, []).append(text)
    references = {image: own[:REFERENCES] for image, own in list(by_image.items())[:IMAGES]}

    def halves(first: list[str], second: list[str]) -> str:
        return " ".join([*first[: len(first) // 2], *second[len(second) // 2 :]])

    return references, {i: halves(own[0].split(), own[1].split()) for i, own in references.items()}


def ours(references: dict[int, list[str]], candidates: dict[int, str]) -> dict[str, float]:
    """From raw captions, none of whose words were seen before."""
    ptb.forget_words()
    return ngram.score(references, candidates)


def theirs(tokens: ngram.Tokenised) -> dict[str, float]:
    """pycocoevalcap's scores of tokens."""
    own = dict(enumerate(tokens.references))
    said = {image: [text] for image, text in enumerate(tokens.candidates)}
    bleu, _ = Bleu(4).compute_score(own, said, verbose=0)
    return {
        **{f"bleu_{order}": value for order, value in enumerate(bleu, start=1)},
        "rouge_l": Rouge().compute_score(own, said)[0],
        "cider": float(Cider().compute_score(own, said)[0]),
    }


def tokenise_in_java(references: dict[int, list[str]], candidates: dict[int, str]) -> None:
    """As pycocoevalcap does, both sides, each a process."""
    java_tokens([text for own in references.values() for text in own])
    java_tokens(list(candidates.values()))


def java_seconds(work: Callable[[], object]) -> float:
    """Processor time of a call and of the processes that it starts."""
    started = time.process_time(), _children()
    work()
    return time.process_time() - started[0] + _children() - started[1]


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
