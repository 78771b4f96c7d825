"""The page on which people read a validation: one self-contained HTML file, usable offline.

Great Expectations' own Data Docs load fonts and scripts from the network, so this page is ours:
the verdict, every expectation, counts, the rows set aside with their pictures, and samples of what
stayed. What stays out: computing any of it (`expectations`).
"""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence, Set
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from PIL import Image

from finecap.data.image_files import ShardError
from finecap.data.records import SPLITS
from finecap.data.transforms import ImageError, load_image
from finecap.data.verdicts import Verdict

if TYPE_CHECKING:
    from finecap.data.expectations import Quarantined, Validation

_PICTURES = 24  # failing rows shown with their picture; quarantine.csv has all
_SAMPLES = 6  # good rows of each split
_SIDE = 120  # pixels of a picture on the page

_PASS, _FAIL = '<span class="good">pass</span>', '<span class="bad">FAIL</span>'
_WARN = '<span class="bad">warns</span>'

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6b7c; --page: #f6f7f9;
  --card: #fff; --line: #dfe4ea; --good: #14724a; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa7b8; --page: #12161c;
  --card: #1b212a; --line: #303a47; --good: #5fce9b; --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  margin: 0 auto; max-width: 1080px; padding: 24px 16px 64px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 32px 0 8px; }
p { margin: 4px 0; } .soft { color: var(--soft); } .good { color: var(--good); }
.bad { color: var(--bad); } .num { text-align: right; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 6px 12px; border-bottom: 1px solid var(--line);
  vertical-align: top; } tr:last-child td { border-bottom: 0; } th { color: var(--soft);
  font-weight: 500; } code { font-size: 13px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); gap: 12px; }
figure { margin: 0; padding: 10px; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; overflow-wrap: anywhere; font-size: 13px; }
figure img, .none { width: 100%; height: 120px; object-fit: contain; border-radius: 4px; }
.none { display: grid; place-items: center; color: var(--soft); background: var(--page); }
"""


def write_page(
    folder: Path,
    table: pd.DataFrame,
    validation: "Validation",
    quarantined: Sequence["Quarantined"],
    failure: str | None,
) -> None:
    """Write the page to `validation.report`, atomically.

    Args:
        folder: the data folder, for pictures.
        table: of `records_table`.
        validation: the verdict.
        quarantined: rows set aside, by line.
        failure: why the run stops, or None.
    """
    aside = {row.line for row in quarantined}
    sections = [
        _headline(folder, validation, failure),
        _expectations(validation.expectations),
        _counts("Good records by split", validation.by_split),
        _counts("Train by part", validation.by_part) if validation.by_part else "",
        _quarantine(folder, quarantined),
        _samples(folder, table[~table["line"].isin(aside)]),
    ]
    page = html_page("Data validation", "".join(sections))
    partial = validation.report.with_name(validation.report.name + ".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(validation.report)


def _headline(folder: Path, validation: "Validation", failure: str | None) -> str:
    verdict = '<span class="bad">failed</span>' if failure else '<span class="good">passed</span>'
    why = f'<p class="bad">{escape(failure)}</p>' if failure else ""
    return (
        f"<h1>Data validation {verdict}</h1>{why}"
        f'<p class="soft">{escape(folder.name)}: {validation.n_records:,} good records, '
        f"{validation.n_quarantined:,} set aside</p>"
    )


def _expectations(verdicts: Iterable[Verdict]) -> str:
    rows = [
        (
            _PASS if v.success else _WARN if v.is_warning else _FAIL,
            escape(v.title),
            f"<code>{escape(v.name)}</code>",
            f"{v.evaluated:,}",
            f"{v.unexpected:,}",
            "<br>".join(escape(example) for example in v.examples[:3]),
        )
        for v in verdicts
    ]
    return "<h2>Expectations</h2>" + html_table(
        ("", "expectation", "name", "rows", "unexpected", "examples"), rows, numeric={3, 4}
    )


def _counts(title: str, counts: Mapping[str, int]) -> str:
    rows = [(escape(name), f"{count:,}") for name, count in counts.items()]
    return f"<h2>{title}</h2>" + html_table(("", "records"), rows, numeric={1})


def _quarantine(folder: Path, quarantined: Sequence["Quarantined"]) -> str:
    if not quarantined:
        return ""
    figures = [
        _figure(folder, row.image, f"line {row.line}: {row.reason}")
        for row in quarantined[:_PICTURES]
    ]
    shown = f"{len(figures)} of {len(quarantined):,}; quarantine.csv has all"
    return f'<h2>Set aside</h2><p class="soft">{shown}</p>{_cards(figures)}'


def _samples(folder: Path, good: pd.DataFrame) -> str:
    """A few good rows of each split, evenly spaced over it."""
    parts: list[str] = []
    for split in SPLITS:
        rows = good[good["split"] == split]
        if rows.empty:
            continue
        picked = rows.iloc[:: max(1, len(rows) // _SAMPLES)].head(_SAMPLES)
        texts = picked["text"].astype("str").str.slice(0, 160)
        figures = [
            _figure(folder, str(image), text)
            for image, text in zip(picked["image"], texts, strict=True)
        ]
        parts.append(f"<h2>Samples of {split}</h2>{_cards(figures)}")
    return "".join(parts)


def _cards(figures: Sequence[str]) -> str:
    return f'<div class="cards">{"".join(figures)}</div>'


def _figure(folder: Path, image: str, text: str) -> str:
    name = escape(image) or "no image named"
    return (
        f"<figure>{_picture(folder, image)}"
        f"<figcaption><code>{name}</code><br>{escape(text)}</figcaption></figure>"
    )


def _picture(folder: Path, image: str) -> str:
    """The picture as a data URI, or why there is none; a path out of the folder is not followed."""
    small = small_picture(folder, image)
    if isinstance(small, str):
        return f'<div class="none">{small}</div>'
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(small).decode()}">'


def small_picture(folder: Path, image: str) -> bytes | str:
    """The image in small, as PNG; why there is none, where it cannot be had."""
    path = folder / image
    if not image or not path.resolve().is_relative_to(folder.resolve()):
        return "no picture"
    try:
        picture = load_image(path)
    except FileNotFoundError:
        return "missing"
    except (ShardError, ImageError):
        return "does not decode"
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def html_page(title: str, body: str) -> str:
    """A whole page with our style, which loads nothing."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Set[int]) -> str:
    """A table of HTML cells; columns of `numeric` are set right."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=num' if at in numeric else ''}>{cell}</{tag}>"
            for at, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{line(head, "th")}</tr>{body}</table></div>'
