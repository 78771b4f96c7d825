"""The report of an import: every row that did not come in as it stands, for machines and people.

`import-report.csv` has all rows, `import-report.html` the counts by reason and the first of them,
in one file that opens offline. What stays out: deciding whether they are too many (`target`).
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from finecap.data.importers.entry import BAD, LEFT_OUT, NOTE, Fault
from finecap.data.validation_page import html_page, html_table

CSV, HTML = "import-report.csv", "import-report.html"
_SHOWN = 500  # rows on the page
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\b[\w./-]*\d[\w./-]*")
_TITLES = {
    BAD: "bad: did not come in",
    LEFT_OUT: "left out, as the source has it",
    NOTE: "came in, worth a look",
}


def write_report(folder: Path, title: str, said: Sequence[str], faults: Sequence[Fault]) -> None:
    """Write both files into `folder`.

    Args:
        folder: exists.
        title: what was imported.
        said: sentences on how it went.
        faults: rows, in the source's order.
    """
    with (folder / CSV).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "line", "reason", "file", "kind"])
        rows.writerows([f.image, f.line or "", f.reason, f.file, f.kind] for f in faults)
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in said)
    body = f"<h1>{escape(title)}</h1>{sentences}{_counts(faults)}{_rows(faults)}"
    (folder / HTML).write_text(html_page("Import report", body), encoding="utf-8")


def by_reason(faults: Sequence[Fault]) -> list[tuple[str, str, int]]:
    """Kind, reason and count of alike faults, most of them first; names and numbers left out."""
    alike = Counter((fault.kind, _QUOTED.sub("…", fault.reason)) for fault in faults)
    return [(kind, reason, count) for (kind, reason), count in alike.most_common()]


def _counts(faults: Sequence[Fault]) -> str:
    if not faults:
        return "<h2>Every row came in</h2>"
    rows = [
        (escape(_TITLES[kind]), escape(reason), f"{count:,}")
        for kind, reason, count in by_reason(faults)
    ]
    return "<h2>Reasons</h2>" + html_table(("", "reason", "rows"), rows, numeric={2})


def _rows(faults: Sequence[Fault]) -> str:
    if not faults:
        return ""
    shown = sorted(faults, key=lambda fault: list(_TITLES).index(fault.kind))[:_SHOWN]
    rows = [
        (
            escape(fault.kind),
            f"<code>{escape(fault.image)}</code>",
            escape(fault.file),
            str(fault.line or ""),
            escape(fault.reason),
        )
        for fault in shown
    ]
    head = f'<h2>Rows</h2><p class="soft">{len(shown)} of {len(faults):,}; {CSV} has all</p>'
    return head + html_table(("", "image", "file", "line", "reason"), rows, numeric={3})
