"""SPICE 1.0 as coco-caption computes it, by the authors' Java program and a parser's models.

pycocoevalcap ships the program and not the parser, Stanford CoreNLP 3.6.0 with its models, which it
would download (400 MB) without asking. Here they are asked for and never fetched: where they are
missing the metric is not computed. What stays out: tokenising (`ptb.py`), running programs
(`java.py`).
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finecap.metrics.java import UnavailableError, find_java, find_program, run_to_end

_PARSER = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")


def spice(
    references: Sequence[Sequence[str]], candidates: Sequence[str], timeout_s: float
) -> NDArray[np.float64]:
    """F-measure of scene-graph tuples, per image; the corpus' score is their mean.

    Source: Anderson et al. 2016; pycocoevalcap 1.2, `spice.py`, and the jar it runs.

    Args:
        references: N images, each with its references, tokens joined by spaces.
        candidates: N captions, tokens joined by spaces.
        timeout_s: seconds for all of it.

    Returns:
        (N,) in [0, 1]; NaN where the program gives no number.

    Raises:
        UnavailableError: there is no Java, no pycocoevalcap, no parser, or the program failed.
    """
    java, jar = find_java(), find_program("spice", "spice-1.0.jar")
    for file in _PARSER:
        if not (jar.parent / "lib" / file).is_file():
            raise UnavailableError(
                f"needs Stanford CoreNLP 3.6.0: {jar.parent / 'lib' / file} is missing; "
                "`python -m pycocoevalcap.spice.get_stanford_models` downloads it"
            )
    pairs = zip(candidates, references, strict=True)
    asked = [
        {"image_id": i, "test": own, "refs": list(refs)} for i, (own, refs) in enumerate(pairs)
    ]
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "captions.json", Path(folder) / "scores.json"
        question.write_text(json.dumps(asked))
        command = (java, "-Xmx8G", "-jar", str(jar), question.name, "-out", answer.name)
        run_to_end("SPICE", (*command, "-subset", "-silent"), Path(folder), timeout_s)
        return read_scores(json.loads(answer.read_text()), len(candidates))


def read_scores(rows: Sequence[Mapping[str, Any]], images: int) -> NDArray[np.float64]:
    """F-measures over all tuples, in the order of the images' numbers, (N,).

    Raises:
        UnavailableError: images are missing, or none has a number.
    """
    by_image = {int(row["image_id"]): row["scores"]["All"]["f"] for row in rows}
    if sorted(by_image) != list(range(images)):
        raise UnavailableError(f"SPICE scored {len(by_image)} images; expected {images}")
    values = [by_image[image] for image in range(images)]
    if all(value is None for value in values):
        raise UnavailableError(f"SPICE gave none of {images} images a number")
    return np.array([np.nan if f is None else float(f) for f in values], dtype=np.float64)
