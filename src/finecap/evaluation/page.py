"""The leaderboard as one web page that opens offline: no script, no font, no image from elsewhere.

Images are embedded, so the file can be mailed or attached to a run. It follows the reader's light
or dark setting, and on a narrow screen tables scroll beneath the variants' names.
"""

import base64
import html
import io
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from string import Template

from finecap.data.transforms import load_image
from finecap.evaluation.contact_sheet import Sample, differing
from finecap.evaluation.labels import label
from finecap.evaluation.tables import Block, Cell

MAX_SIDE = 320  # pixels of an embedded sample image

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #57606a; --paper: #fff; --line: #d0d7de;
        --mark: #ffe08a; --link: #0969da; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --faint: #9aa4af; --paper: #0d1117; --line: #30363d; --mark: #6b5200;
          --link: #58a6ff; }
}
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
h1, p { overflow-wrap: anywhere; } h2 { margin-top: 2.2rem; } a { color: var(--link); }
.wide { overflow-x: auto; } :focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; }
th, td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
thead th { vertical-align: bottom; }
tr > :first-child { position: sticky; left: 0; background: var(--paper); text-align: left; }
tbody th { font: 14px ui-monospace, monospace; }
small { color: var(--faint); display: block; white-space: nowrap; } .best { font-weight: 700; }
img { max-width: 100%; } .plot { background: #fff; }
mark { background: var(--mark); color: inherit; }
.samples { display: grid; gap: 1.5rem; }
.samples { grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
figure { margin: 0; } figure img { height: 11rem; }
dl { margin: .4rem 0 0; } dt { color: var(--faint); font-size: 12px; } dd { margin: 0 0 .35rem; }
@media (max-width: 40rem) {
  body { margin-top: 1rem; } th, td { padding: .3rem .45rem; } tbody th { font-size: 12px; }
  tr > :first-child { max-width: 8rem; } .plot { max-width: none; width: 40rem; }
}
</style></head><body>
<main>
<h1>$title</h1>
<p>$about</p>
$summary
<h2>Detail against fluency</h2>
<div class="wide" role="region" aria-label="Plot" tabindex="0">
<img class="plot" alt="$described" src="$plot">
</div>
<h2>Captions</h2>
<p>Test images at even distances over the split. Marked words differ from those of
<code>$compared_with</code>.</p>
<div class="samples">
$samples
</div>
$tables
$absences
</main>
</body></html>
""")


def render(
    title: str,
    about: str,
    *,
    summary: Block,
    tables: Sequence[Block],
    absent: Sequence[str],
    plot: bytes,
    samples: Sequence[Sample],
) -> str:
    """The whole page.

    Args:
        title: of the page, plain text like everything else here.
        about: one sentence on profile, data and n.
        summary: the table that comes first.
        tables: all scores of the test split.
        absent: metrics no variant has, with reasons.
        plot: a PNG file's bytes.
        samples: images with captions.
    """
    listed = "".join(f"<li>{html.escape(line)}</li>" for line in absent)
    return PAGE.substitute(
        title=html.escape(title),
        about=html.escape(about),
        summary=_table(summary),
        tables="\n".join(_table(block) for block in tables),
        described=html.escape(_described(summary)),
        absences=f"<h2>Without a value</h2><ul>{listed}</ul>" if absent else "",
        plot=data_uri(plot, "png"),
        compared_with=html.escape(next((v for s in samples for v in s.captions), "")),
        samples="\n".join(_figure(sample) for sample in samples),
    )


def data_uri(content: bytes, kind: str) -> str:
    """The image as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _table(block: Block) -> str:
    """A table that a keyboard can scroll, and whose variants stay in sight."""
    title = html.escape(block.title)
    names = "".join(f'<th scope="col">{html.escape(label(m))}</th>' for m in block.columns)
    rows = "".join(
        f'<tr><th scope="row">{_breakable(variant)}</th>{"".join(_cell(c) for c in cells)}</tr>'
        for variant, cells in block.rows
    )
    head = f'<thead><tr><th scope="col">variant</th>{names}</tr></thead>'
    table = f"<table>{head}<tbody>{rows}</tbody></table>"
    return (
        f"<h2>{title}</h2>\n"
        f'<div class="wide" role="region" aria-label="{title}" tabindex="0">{table}</div>'
    )


def _breakable(name: str) -> str:
    """A name that may go on in the next line after each underscore."""
    return html.escape(name).replace("_", "_<wbr>")


def _cell(cell: Cell) -> str:
    best = ' class="best"' if cell.is_best else ""
    return f"<td{best}>{cell.value}<small>{cell.interval}</small></td>"


def _described(summary: Block) -> str:
    """The plot in words, for those who do not see it."""
    detail = [f"{variant} {cells[0].value}" for variant, cells in summary.rows if cells]
    return f"Each variant by judge R@1 and fluency; judge R@1: {', '.join(detail)}"


def _figure(sample: Sample) -> str:
    spoken = [f"<dt>reference</dt><dd>{html.escape(sample.reference)}</dd>"]
    compared_with = next(iter(sample.captions.values()), "")
    for variant, caption in sample.captions.items():
        words = _marked(differing(caption, compared_with)) or "<mark>(empty)</mark>"
        spoken.append(f"<dt>{html.escape(variant)}</dt><dd>{words}</dd>")
    image = f'<img alt="{html.escape(sample.reference)}" src="{_embedded(sample)}">'
    return f"<figure>{image}<dl>{''.join(spoken)}</dl></figure>"


def _marked(words: Sequence[tuple[str, bool]]) -> str:
    """Words as markup, neighbours that differ under one mark."""
    runs: list[str] = []
    for is_marked, group in groupby(words, key=itemgetter(1)):
        text = html.escape(" ".join(word for word, _ in group))
        runs.append(f"<mark>{text}</mark>" if is_marked else text)
    return " ".join(runs)


def _embedded(sample: Sample) -> str:
    """The sample's image, no larger than a page needs."""
    encoded = io.BytesIO()
    shrunk = load_image(sample.image)
    if max(shrunk.size) <= MAX_SIDE:
        shrunk.save(encoded, "PNG")
        return data_uri(encoded.getvalue(), "png")
    shrunk.thumbnail((MAX_SIDE, MAX_SIDE))
    shrunk.save(encoded, "JPEG", quality=85)
    return data_uri(encoded.getvalue(), "jpeg")
