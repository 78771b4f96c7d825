"""What people see of each kind of artifact in the Dagster UI: markdown by title.

Reads finished folders and nothing else. How a table or picture is written is `metadata`'s.
"""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dagster_project import metadata
from finecap.data.records import Record, read_records, records_in

if TYPE_CHECKING:
    import pandas as pd

RECORDS = "records.jsonl"
"""Of a `validated_dataset`."""
SAMPLES = 6
FAILING = 8  # rows
Item = TypeVar("Item")


def records_of(folder: Path) -> list[Record]:
    """The validated records of a `validated_dataset`."""
    return read_records(folder / RECORDS)


def data_set(folder: Path) -> dict[str, str]:
    """Counts by split and part, and some images with a caption."""
    records = read_records(records_in(folder))
    counts = Counter((r.split, r.part) for r in records)
    rows = [{"split": s, "part": p, "images": n} for (s, p), n in sorted(counts.items())]
    samples = [(r.image, _texts(r)) for r in spread(records)]
    return {"images": metadata.table(rows), "samples": metadata.captioned(folder, samples)}


def validation(folder: Path) -> dict[str, str]:
    """The expectations, the first quarantined rows with their pictures, and where the rest is."""
    rows = json.loads((folder / "results.json").read_text())
    expectations = rows["expectations"] if isinstance(rows, Mapping) else rows
    with (folder / "quarantine.csv").open(newline="") as file:
        quarantine = list(csv.DictReader(file))
    return {
        "expectations": metadata.table(
            [
                {k: e[k] for k in ("name", "success", "severity", "evaluated", "unexpected")}
                for e in expectations
            ]
        ),
        "quarantine": f"{len(quarantine)} rows; all of them: `{folder / 'quarantine.csv'}`, with "
        f"pictures: `{folder / 'report.html'}`\n\n"
        + metadata.table([_failing(folder, row) for row in quarantine[:FAILING]]),
    }


def _failing(folder: Path, row: Mapping[str, str]) -> dict[str, str]:
    """A quarantined row with its picture, where there is one."""
    picture = folder / "failing" / f"{row['line']}.png"
    shown = metadata.picture(picture.read_bytes(), row["image"]) if picture.is_file() else "-"
    return {"picture": shown, **row}


def negatives(folder: Path) -> dict[str, str]:
    """Counts by kind, and one pair of each."""
    import pandas as pd

    rows = pd.read_parquet(folder / "negatives.parquet")
    by = [name for name in ("attribute", "kind") if name in rows.columns]
    first = rows.groupby(by, sort=True).first().reset_index()
    counts = rows.groupby(by, sort=True).size().to_numpy()
    columns = [*by, "caption", "negative"]
    table = [
        {**{c: row[c] for c in columns}, "rows": int(n)}
        for row, n in zip(first.to_dict("records"), counts, strict=True)
    ]
    return {"kinds": metadata.table(table)}


def captioner(
    folder: Path, features: Path, images: Path, records: Sequence[Record], max_tokens: int
) -> dict[str, str]:
    """Greedy captions of some val images beside a reference."""
    from finecap.models.captioner import load_captioner
    from finecap.models.decoding import caption_inputs
    from finecap.models.features import open_features

    chosen = spread([r for r in records if r.split == "val"])
    seen = open_features(features)
    model = load_captioner(folder)
    inputs = seen.inputs_of(model, seen.positions([r.image for r in chosen]))
    captions = caption_inputs(model, inputs, max_tokens)
    rows = [
        (r.image, {"generated": c, "reference": r.captions[0]})
        for r, c in zip(chosen, captions, strict=True)
    ]
    return {"samples": metadata.captioned(images, rows)}


def evaluation(folder: Path, images: Path) -> dict[str, str]:
    """All metrics of both splits with intervals, and some captions."""
    import pandas as pd

    splits = json.loads((folder / "evaluation.json").read_text())
    rows = [
        {"metric": name, **{s: _interval(splits[s].get(name)) for s in ("val", "test")}}
        for name in splits["test"]
    ]
    table = pd.read_parquet(folder / "captions.parquet")
    return {"scores": metadata.table(rows), "samples": _captions(table, images)}


def leaderboard(folder: Path) -> dict[str, str]:
    """The summary, short enough to be shown at once, all tables, the plot, the contact sheet."""
    from finecap.evaluation.tables import brief, summary

    test = json.loads((folder / "leaderboard.json").read_text())["variants"]
    plot = (folder / "leaderboard.png").read_bytes()
    return {
        "summary": brief(summary(test)),
        "leaderboard": (folder / "leaderboard.md").read_text(),
        "plot": metadata.picture(plot, "each variant by judge R@1 and fluency"),
        "contact sheet": metadata.shrunk(folder / "contact_sheet.png", "captions of each variant"),
    }


def gallery(folder: Path, images: Path) -> dict[str, str]:
    """Some captions of the gallery."""
    import pandas as pd

    return {"samples": _captions(pd.read_parquet(folder / "captions.parquet"), images)}


def spread(items: Sequence[Item], count: int = SAMPLES) -> list[Item]:
    """`count` items at even distances."""
    return list(items[:: max(1, len(items) // count)])[:count]


def _captions(table: "pd.DataFrame", images: Path) -> str:
    """Some rows of a table of captions, with their images."""
    rows = spread(table.to_dict("records"))
    return metadata.captioned(
        images, [(str(r["image"]), {"caption": str(r["caption"])}) for r in rows]
    )


def _texts(record: Record) -> dict[str, str]:
    return {"caption": record.captions[0], "alt_text": record.alt_text or ""}


def _interval(metric: Mapping[str, float | str | None] | None) -> str:
    """A metric as `0.42 (0.40-0.44)`, or why there is none."""
    if metric is None:
        return ""
    if metric["value"] is None:
        return str(metric["reason"])
    return f"{metric['value']:.3f} ({metric['ci_low']:.3f}-{metric['ci_high']:.3f})"
