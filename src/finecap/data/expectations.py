"""The verdict on a data folder, and what follows: few bad rows are set aside, many stop the run.

Reads the records and every image, puts the suite to them (`suite`), writes the good rows, the
quarantine, the split table and a page for people (`validation_page`). What stays out: mending data.

Why quarantine: at 8,000 photos one truncated file must not cost a night; above
`max_quarantined_share` something is wrong with the data set itself and going on would hide it.
"""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from finecap.config import ValidationConfig
from finecap.data import drift
from finecap.data.records import SPLITS, Record, records_in, scan_records, write_records
from finecap.data.records_table import records_table
from finecap.data.suite import checks
from finecap.data.validation_page import small_picture, write_page
from finecap.data.verdicts import Verdict, run_suite
from finecap.log import Log

FAILING = "failing"
"""Folder of a verdict with the first failing images in small, `LINE.png` each."""
_PICTURES = 8
_FIRST = 3  # reasons that a failure's message repeats


class ValidationFailed(ValueError):  # noqa: N818 - the word for what happened, as in orchestration
    """The data set is not fit for training; the message says how many rows and why."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A line that was set aside."""

    image: str
    line: int
    reason: str


@dataclass(frozen=True)
class Validation:
    """The verdict, and where its files lie."""

    success: bool
    n_records: int  # good ones
    n_quarantined: int
    by_split: dict[str, int]
    by_part: dict[str, int]  # of the train split
    expectations: list[Verdict]
    records: Path
    quarantine: Path
    splits: Path
    results: Path
    report: Path
    features: Path  # how its features are spread, for `accepted` of the next


def validate(
    folder: Path,
    config: ValidationConfig,
    destination: Path,
    log: Log,
    accepted: Path | None = None,
) -> Validation:
    """The verdict on `folder`; its good rows are in `destination/records.jsonl`.

    Also written, before any failure is raised: `quarantine.csv` (image, line, reason),
    `splits.parquet` (image, split, part, md5), `features.json`, `results.json`, `report.html`.

    Args:
        folder: holds records and the images they name.
        config: the bounds.
        destination: folder to write into.
        log: receives progress.
        accepted: `features.json` of the data accepted last; what has moved since is warned of.

    Raises:
        FileNotFoundError: there are no records.
        ValidationFailed: too many rows fail, a split is empty, or the table is malformed; names
            the count, the first reasons and the quarantine.
    """
    read = records_in(folder)
    rows, problems = scan_records(read)
    if not rows and not problems:
        raise ValidationFailed(f"{read} has no records")
    log(f"checking {len(rows)} records{' and their images' if config.pixels else ''}")
    table = records_table(folder, rows, problems, config)
    verdicts = run_suite(table, checks(config))
    if accepted is not None:
        verdicts += _drifts(drift.moved(table, accepted), len(table), config.max_psi)
    quarantined = _quarantined(table, verdicts)
    failure = _failure(table, verdicts, quarantined, config.max_quarantined_share)
    validation = _validation(table, verdicts, quarantined, destination, success=failure is None)
    _write(validation, table, [record for _, record in rows], quarantined)
    for verdict in verdicts:
        if verdict.is_warning and not verdict.success:
            log(f"warning: expected {verdict.title}, found {'; '.join(verdict.examples)}")
    write_page(folder, table, validation, quarantined, failure)
    _write_pictures(folder, destination / FAILING, quarantined)
    log(
        f"{validation.n_records} good records, {validation.n_quarantined} quarantined",
        records=float(validation.n_records),
        quarantined=float(validation.n_quarantined),
    )
    if failure:
        raise ValidationFailed(
            f"{read}: {failure}. Rows with reasons: {validation.quarantine}; "
            f"with their pictures: {validation.report}"
        )
    return validation


def _drifts(moved: Mapping[str, float], rows: int, most: float) -> list[Verdict]:
    """A warning for each feature that moved too far."""
    return [
        Verdict(
            name=f"drift_{feature}",
            title=f"{feature} is spread as in the data accepted last (PSI {most:g} at most)",
            success=index <= most,
            evaluated=rows,
            unexpected=int(index > most),
            examples=[f"PSI {index:.2f}"] if index > most else [],
            by_line={},
            is_warning=True,
        )
        for feature, index in moved.items()
    ]


def _quarantined(table: pd.DataFrame, verdicts: Sequence[Verdict]) -> list[Quarantined]:
    """The lines that fail, in order, with all reasons; a line that is no record has that one."""
    reasons: dict[int, list[str]] = {}
    for verdict in verdicts:
        for line, reason in verdict.by_line.items():
            reasons.setdefault(line, []).append(reason)
    broken = table.dropna(subset=["parse_error"])
    for line, error in zip(broken["line"], broken["parse_error"], strict=True):
        reasons[int(line)] = [str(error)]
    images = table.set_index("line")["named"]
    return [
        Quarantined(str(images[line]), line, "; ".join(reasons[line])) for line in sorted(reasons)
    ]


def _failure(
    table: pd.DataFrame,
    verdicts: Sequence[Verdict],
    quarantined: Sequence[Quarantined],
    max_share: float,
) -> str | None:
    """Why the run must stop, or None."""
    share = len(quarantined) / len(table)
    if share > max_share:
        first = "; ".join(f"line {row.line}: {row.reason}" for row in quarantined[:_FIRST])
        more = f"; and {len(quarantined) - _FIRST} more" if len(quarantined) > _FIRST else ""
        return (
            f"{len(quarantined)} of {len(table)} rows fail ({share:.1%}, at most {max_share:.1%} "
            f"may; fix or remove them): {first}{more}"
        )
    for verdict in verdicts:
        if not verdict.success and not verdict.by_line and not verdict.is_warning:
            return f'expected "{verdict.title}", found {"; ".join(verdict.examples)}'
    left = set(_good(table, quarantined)["split"])
    if empty := [split for split in SPLITS if split not in left]:
        return f"no good row of split {', '.join(empty)} is left, expected at least one"
    return None


def _good(table: pd.DataFrame, quarantined: Sequence[Quarantined]) -> pd.DataFrame:
    return table[~table["line"].isin([q.line for q in quarantined])]


def _validation(
    table: pd.DataFrame,
    verdicts: list[Verdict],
    quarantined: Sequence[Quarantined],
    destination: Path,
    *,
    success: bool,
) -> Validation:
    good = _good(table, quarantined)
    counts = Counter(str(split) for split in good["split"])
    parts = Counter(str(part) for part in good.loc[good["split"] == "train", "part"] if part)
    return Validation(
        success=success,
        n_records=len(good),
        n_quarantined=len(quarantined),
        by_split={split: counts[split] for split in SPLITS},
        by_part=dict(sorted(parts.items())),
        expectations=verdicts,
        records=destination / "records.jsonl",
        quarantine=destination / "quarantine.csv",
        splits=destination / "splits.parquet",
        results=destination / "results.json",
        report=destination / "report.html",
        features=destination / "features.json",
    )


def _write(
    validation: Validation,
    table: pd.DataFrame,
    records: Sequence[Record],
    quarantined: Sequence[Quarantined],
) -> None:
    """All files but the page."""
    validation.records.parent.mkdir(parents=True, exist_ok=True)
    good = _good(table, quarantined)
    kept = set(good["image"])
    write_records(validation.records, (record for record in records if record.image in kept))
    with validation.quarantine.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "line", "reason"])
        rows.writerows([q.image, q.line, q.reason] for q in quarantined)
    splits = good[["image", "split", "part", "md5"]].astype("str")
    splits["md5"] = splits["md5"].where(good["md5"].notna(), None)  # null where no image was read
    splits.to_parquet(validation.splits, index=False)
    drift.write(validation.features, drift.distributions(good))
    content = {
        "success": validation.success,
        "n_records": validation.n_records,
        "n_quarantined": validation.n_quarantined,
        "by_split": validation.by_split,
        "by_part": validation.by_part,
        "expectations": [_row(verdict) for verdict in validation.expectations],
    }
    validation.results.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _write_pictures(folder: Path, into: Path, quarantined: Sequence[Quarantined]) -> None:
    """The first failing images in small, by line, for a page that cannot open the data folder."""
    shutil.rmtree(into, ignore_errors=True)
    for row in quarantined[:_PICTURES]:
        small = small_picture(folder, row.image)
        if isinstance(small, bytes):
            into.mkdir(exist_ok=True)
            (into / f"{row.line}.png").write_bytes(small)


def _row(verdict: Verdict) -> dict[str, object]:
    """A verdict as results.json and the UI's table show it."""
    return {
        "name": verdict.name,
        "title": verdict.title,
        "success": verdict.success,
        "severity": "warning" if verdict.is_warning else "error",
        "evaluated": verdict.evaluated,
        "unexpected": verdict.unexpected,
        "examples": verdict.examples,
    }
