"""The Java tokeniser of pycocoevalcap: what it prints, kept in `tests/golden`, compared with ours.

    python -m tests.finecap.metrics.ptb_golden write             # tests/golden/ptb_adversary.jsonl
    python -m tests.finecap.metrics.ptb_golden compare 40000     # sentences made to break it
    python -m tests.finecap.metrics.ptb_golden compare captions.jsonl   # of an imported data set
    python -m tests.finecap.metrics.ptb_golden compare coco      # 616,767 captions

All need Java. Captions of a data set are compared and never kept. COCO's come with pycocoevalcap,
whose SPICE counts words in them.
"""

import argparse
import json
import sys
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

from finecap.metrics.java import find_program
from finecap.metrics.ptb import tokenise_lines
from tests.finecap.metrics.ptb_adversary import sentences

GOLDEN = Path(__file__).parents[2] / "golden" / "ptb_adversary.jsonl"
COUNT, SEED = 2_000, 0
# They end a line in the reference's output, which then gives images the captions of others.
LINE_BREAKS = frozenset("\r\x0b\x0c\u2028\u2029")


def java_tokens(captions: Sequence[str]) -> list[str]:
    """Each caption's tokens, joined by spaces, as pycocoevalcap's PTBTokenizer gives them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference leaves a pipe open
        from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

        printed = PTBTokenizer().tokenize({0: [{"caption": text} for text in captions]})[0]
    if len(printed) != len(captions):
        raise ValueError(f"{len(captions)} captions came back as {len(printed)} lines")
    return printed


def differing(captions: Sequence[str]) -> list[tuple[str, str, str]]:
    """Captions whose tokens differ, with those of the reference and ours."""
    whole = [caption for caption in captions if not LINE_BREAKS.intersection(caption)]
    ours = [" ".join(tokens) for tokens in tokenise_lines(whole)]
    rows = zip(whole, java_tokens(whole), ours, strict=True)
    return [(caption, theirs, own) for caption, theirs, own in rows if theirs != own]


def write() -> None:
    """Keeps the first sentences, each with what Java made of it when it stood alone."""
    own = sentences(COUNT, SEED)
    alone = [line for caption in own for line in (caption, "x")]  # nothing to read ahead
    printed = java_tokens(alone)[::2]
    rows = (json.dumps(row) + "\n" for row in zip(own, printed, strict=True))
    GOLDEN.write_text("".join(rows))


def coco_captions(part: str) -> list[tuple[int, str]]:
    """Image and caption of COCO's 2014 annotations, `part` being "train" or "val"."""
    with zipfile.ZipFile(find_program("spice", "spice-1.0.jar")) as jar:
        content = json.loads(jar.read(f"coco/annotations/captions_{part}2014.json"))
    return [(row["image_id"], row["caption"].replace("\n", " ")) for row in content["annotations"]]


def compare(source: str) -> list[tuple[str, str, str]]:
    """Sentences by their number, COCO's captions, or those of a `captions.jsonl`."""
    if source.isdigit():
        return differing(sentences(int(source), SEED + 1))
    if source == "coco":
        return differing([text for part in ("val", "train") for _, text in coco_captions(part)])
    lines = Path(source).read_text(encoding="utf-8").splitlines()
    captions = [caption for line in lines for caption in json.loads(line)["captions"]]
    return differing([caption.replace("\n", " ") for caption in captions])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("write", "compare"))
    parser.add_argument("source", nargs="?", default="40000")
    arguments = parser.parse_args()
    if arguments.action == "write":
        write()
        return
    found = compare(arguments.source)
    for row in found[:20]:
        sys.stdout.write("\n    ".join(map(ascii, row)) + "\n")
    sys.stdout.write(f"{len(found)} differ\n")


if __name__ == "__main__":
    main()
