"""pycocoevalcap's METEOR of some captions: `python -m tests.finecap.metrics.meteor_golden`.

Writes `tests/golden/meteor.json`; needs Java. The captions are made up here: synonyms, stems and
paraphrases, order, repeats, nothing said, one reference and many, a caption that is its reference.
"""

import json
from pathlib import Path

from pycocoevalcap.meteor.meteor import Meteor

GOLDEN = Path(__file__).parents[2] / "golden" / "meteor.json"
IMAGES = [
    (["a dog runs on grass", "the dog is running"], "a dog running on the grass"),
    (["a dog runs on grass", "the dog is running"], "the dog is running"),
    (["a man rides a bicycle down the street"], "a man is riding a bike on a street"),
    (["two children play in the snow", "kids playing in snow"], "a child plays in the snow"),
    (["a red boat to the left of a blue house"], "a blue house to the left of a red boat"),
    (["a large boat on the sea"], "a big ship on the ocean"),
    (["a cat sits on a mat"], ""),
    (["a cat sits on a mat"], "zebra quagga okapi"),
    (["a cat sits on a mat"], "cat cat cat cat cat"),
    (["a cat sits on a mat"], "the of a in on"),
    (["a cat", "a cat sits on a mat near the door of a house"], "a cat sits near the door"),
    (["the man 's dog is n't -lrb- very -rrb- big"], "the man 's dog is not big"),
    (["un café à la plage", "a café on the beach"], "a café at the beach"),
    (["at 1 1/2 st. ave"], "at 1 1/2 st. ave"),
    (["people waiting for a train at a station"], "some persons wait for the train in a station"),
]


def main() -> None:
    program = Meteor()
    own = {image: references for image, (references, _) in enumerate(IMAGES)}
    said = {image: [candidate] for image, (_, candidate) in enumerate(IMAGES)}
    score, scores = program.compute_score(own, said)
    rows = [
        {
            "references": references,
            "candidate": candidate,
            "counts": [float(n) for n in program._stat(candidate, references).split()],
            "score": scores[image],
        }
        for image, (references, candidate) in enumerate(IMAGES)
    ]
    lines = ",\n".join(json.dumps(row) for row in rows)
    head = '{\n"reference": "pycocoevalcap 1.2, meteor-1.5.jar, Java 17"'
    GOLDEN.write_text(f'{head},\n"score": {score!r},\n"images": [\n{lines}\n]\n}}\n')


if __name__ == "__main__":
    main()
