"""The leaderboard: all variants side by side, for machines, for terminals and for eyes.

Reads finished evaluations and writes `leaderboard.json`, `.md`, `.png`, `.html` and
`contact_sheet.png`. What is not here: scoring, and deciding who becomes champion. The table shows
the test split; `leaderboard.json` also carries val, which is what decisions read.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from finecap.data.records import Record, records_in, scan_records
from finecap.evaluation import contact_sheet, page, plot, tables
from finecap.evaluation.contact_sheet import Sample
from finecap.evaluation.labels import ordered
from finecap.evaluation.results import (
    Evaluation,
    EvaluationError,
    Metric,
    read_evaluation,
    write_bytes,
    write_text,
)

SAMPLES = 12


def write_leaderboard(
    evaluations: Mapping[str, Path],
    folder: Path,
    destination: Path,
    *,
    profile: str,
    data_md5: str,
) -> None:
    """Write the leaderboard of `evaluations` into `destination`, each file whole or not at all.

    Args:
        evaluations: folder of each variant's evaluation.
        folder: the data folder; sample images and their references come from it.
        destination: existing folder.
        profile: named in the files.
        data_md5: of the data version, named in the files.

    Raises:
        EvaluationError: no variant, an evaluation that is missing or partial, or evaluations that
            were scored on different data or by different judges.
    """
    read = _read(evaluations)
    test = {v: evaluation.metrics["test"] for v, evaluation in read.items()}
    val = {v: evaluation.metrics["val"] for v, evaluation in read.items()}
    board = {"profile": profile, "data_md5": data_md5, "variants": test, "val": val}
    samples = draw_samples(read, folder, SAMPLES)
    figure = plot.draw(test, f"Detail against fluency, {profile}, test split")
    about = _about(profile, data_md5, read)
    absent = tables.absences(test)
    title = f"Leaderboard: {profile}"
    html = page.render(
        title,
        about,
        summary=tables.summary(test),
        tables=tables.blocks(test),
        absent=absent,
        plot=figure,
        samples=samples,
    )
    write_bytes(destination / "leaderboard.png", figure)
    write_bytes(destination / "contact_sheet.png", contact_sheet.draw(samples))
    write_text(destination / "leaderboard.html", html)
    write_text(destination / "leaderboard.md", _markdown(title, about, test, absent))
    # Last, because it is what other programs wait for.
    write_text(destination / "leaderboard.json", json.dumps(board, indent=1) + "\n")


def draw_samples(evaluations: Mapping[str, Evaluation], folder: Path, count: int) -> list[Sample]:
    """Test images at even distances over the split, with one reference and every variant's caption.

    Args:
        evaluations: by variant, in the order in which captions stand under an image.
        folder: the data folder.
        count: of images, fewer where the split is smaller.
    """
    captions = {v: _captions(evaluation) for v, evaluation in evaluations.items()}
    # Tolerant: lines that validation has quarantined are still in the file.
    readable, _ = scan_records(records_in(folder))
    records = {r.image: r for _, r in readable if r.split == "test"}
    common = set(records).intersection(*(set(series.index) for series in captions.values()))
    if not common:
        raise EvaluationError(f"{folder}: holds no test image that was captioned")
    return [
        sample(folder, records[image], {v: str(c[image]) for v, c in captions.items()})
        for image in contact_sheet.spread(list(common), count)
    ]


def sample(folder: Path, record: Record, captions: Mapping[str, str]) -> Sample:
    """The record's image, its first reference, and captions by variant."""
    return Sample(folder / record.image, record.captions[0], captions)


def _read(evaluations: Mapping[str, Path]) -> dict[str, Evaluation]:
    """All evaluations in table order, scored alike."""
    if not evaluations:
        raise EvaluationError("a leaderboard needs at least one evaluation, came none")
    read = {variant: read_evaluation(evaluations[variant]) for variant in ordered(evaluations)}
    first, *others = read
    for variant in others:
        if read[variant].yardstick != read[first].yardstick:
            raise EvaluationError(
                f"{variant} and {first} were scored on different data or by different judges; "
                "evaluate both again before they stand in one table"
            )
    return read


def _captions(evaluation: Evaluation) -> "pd.Series[str]":
    """Test captions by image."""
    rows = evaluation.captions[evaluation.captions["split"] == "test"]
    return rows.set_index("image")["caption"]


def _about(profile: str, data_md5: str, read: Mapping[str, Evaluation]) -> str:
    n = len(_captions(next(iter(read.values()))))
    return (
        f"Profile {profile}, data {data_md5}, test split, {n} images, greedy captions. In brackets "
        "the bootstrap interval over images; best in bold."
    )


def _markdown(
    title: str, about: str, test: Mapping[str, Mapping[str, Metric]], absent: list[str]
) -> str:
    missing = "".join(f"* {line}\n" for line in absent)
    without = f"\n### Without a value\n\n{missing}" if absent else ""
    return f"# {title}\n\n{about}\n\n{tables.markdown(test)}{without}"
