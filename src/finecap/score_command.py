"""`finecap score`: captions in a file, scored against references and FineCapEval's annotations.

Reads files, calls `evaluation.scorecard`, prints. Captions of any captioner will do; no model is
loaded and no image is looked at. stdout carries the scores, stderr what was left out.
"""

# typer.Option and typer.Argument have parts without types.
# pyright: reportUnknownMemberType=false

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from finecap.evaluation.results import Measured
    from finecap.evaluation.scorecard import Scorecard


def score(
    captions: Annotated[
        Path, typer.Argument(help="JSON as COCO's results, or an object of captions by image.")
    ],
    *,
    references: Annotated[
        Path | None, typer.Option(help="COCO annotations, or the captions.jsonl of a data folder.")
    ] = None,
    finecapeval: Annotated[Path | None, typer.Option(help="FineCapEval.csv.")] = None,
    per_image: Annotated[Path | None, typer.Option(help="CSV to write, a row per image.")] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Of the intervals' bootstrap.")] = 1000,
    java: Annotated[
        bool, typer.Option("--java/--no-java", help="METEOR and SPICE, where their programs are.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Score captions in a file: fluency, likeness to references, FineCapEval."""
    from finecap.config import EvaluationConfig
    from finecap.data.caption_files import read_captions, read_references
    from finecap.data.finecapeval import read_finecapeval
    from finecap.evaluation.scorecard import score_captions

    said = read_captions(captions)
    known = read_references(references) if references else None
    annotations = read_finecapeval(finecapeval) if finecapeval else None
    config = EvaluationConfig(resamples=resamples, java_metrics=java)
    card = score_captions(said, known, annotations, config)
    compared = references or (finecapeval and f"{finecapeval}, column caption")
    _note(said, known, card)
    if per_image:
        _write(card, per_image)
    if as_json:
        about = {"captions": str(captions), "references": str(compared) if compared else None}
        about["finecapeval"] = str(finecapeval) if finecapeval else None
        typer.echo(json.dumps({**about, "images": len(card.images), "metrics": card.metrics}))
        return
    beside = f" against {compared}" if compared else ""
    typer.echo(f"{captions}{beside}, {len(card.images)} images, {config.confidence:.0%} intervals")
    for line in _lines(card):
        typer.echo(line)


def _note(said: dict[str, str], known: dict[str, list[str]] | None, card: "Scorecard") -> None:
    """What was given and not scored."""
    extra = len(said) - len(card.images)
    if extra:
        sys.stderr.write(f"finecap: {extra} captions of images without annotations left out\n")
    if known and len(known) > len(card.images):
        left = len(known) - len(card.images)
        sys.stderr.write(f"finecap: {left} images with references have no caption, left out\n")


def _write(card: "Scorecard", path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"image": card.images, **card.per_image}).to_csv(path, index=False)


def _lines(card: "Scorecard") -> list[str]:
    """Scores by group, then what is missing and why."""
    from finecap.evaluation import definitions
    from finecap.evaluation.labels import label
    from finecap.evaluation.results import is_measured, reason_absent

    lines: list[str] = []
    absent: list[str] = []
    for group in (definitions.REFERENCES, definitions.FINECAPEVAL, definitions.FLUENCY):
        own = {
            name: card.metrics[name] for name in definitions.names(group) if name in card.metrics
        }
        measured = {label(name): metric for name, metric in own.items() if is_measured(metric)}
        if measured:
            lines += ["", group, *(_line(name, metric) for name, metric in measured.items())]
            absent += [
                f"{label(name)}: {reason_absent(metric)}"
                for name, metric in own.items()
                if not is_measured(metric)
            ]
        else:
            absent.append(f"{group}: {reason_absent(next(iter(own.values())))}")
    return [*lines, "", *absent] if absent else lines


def _line(name: str, metric: "Measured") -> str:
    numbers = metric["value"], metric["ci_low"], metric["ci_high"]
    value, low, high = (f"{number:.4g}" for number in numbers)
    return f"  {name:<34} {value:>7}  [{low}, {high}]  n {metric['n']}"
