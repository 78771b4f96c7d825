"""The leaderboard as one web page that opens offline: no script, no font, no image from elsewhere.

Images are embedded, so the file can be mailed or attached to a run.
"""

import base64
import html
import io
from collections.abc import Sequence
from string import Template

from PIL import Image

from finecap.evaluation.contact_sheet import Sample, differing
from finecap.evaluation.labels import label
from finecap.evaluation.tables import Block, Cell

MAX_SIDE = 320  # pixels of an embedded sample image

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1f24; margin: 2rem auto; max-width: 72rem;
       padding: 0 1rem; }
h2 { margin-top: 2.2rem; } table { border-collapse: collapse; }
.wide { overflow-x: auto; }
th, td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid #d0d7de; }
th { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; font-family: ui-monospace, monospace; }
small { color: #57606a; display: block; white-space: nowrap; } .best { font-weight: 700; }
img { max-width: 100%; } mark { background: #ffe08a; }
.samples { display: grid; gap: 1.5rem; }
.samples { grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); }
figure { margin: 0; } figure img { height: 11rem; } dt { color: #57606a; font-size: 12px; }
dd { margin: 0 0 .35rem; }
</style></head><body>
<h1>$title</h1>
<p>$about</p>
$tables
$absences
<h2>Detail against fluency</h2>
<img alt="Each variant by judge R@1 and fluency" src="$plot">
<h2>Captions</h2>
<p>Test images at even distances over the split. Marked words differ from the first caption.</p>
<div class="samples">
$samples
</div>
</body></html>
""")


def render(
    title: str,
    about: str,
    *,
    tables: Sequence[Block],
    absent: Sequence[str],
    plot: bytes,
    samples: Sequence[Sample],
) -> str:
    """The whole page.

    Args:
        title: of the page, plain text like everything else here.
        about: one sentence on profile, data and n.
        tables: of the test split.
        absent: metrics no variant has, with reasons.
        plot: a PNG file's bytes.
        samples: images with captions.
    """
    listed = "".join(f"<li>{html.escape(line)}</li>" for line in absent)
    return PAGE.substitute(
        title=html.escape(title),
        about=html.escape(about),
        tables="\n".join(_table(block) for block in tables),
        absences=f"<h2>Without a value</h2><ul>{listed}</ul>" if absent else "",
        plot=data_uri(plot, "png"),
        samples="\n".join(_figure(sample) for sample in samples),
    )


def data_uri(content: bytes, kind: str) -> str:
    """The image as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _table(block: Block) -> str:
    names = "".join(f"<th>{html.escape(label(m))}</th>" for m in block.columns)
    rows = "".join(
        f"<tr><td>{html.escape(variant)}</td>{''.join(_cell(c) for c in cells)}</tr>"
        for variant, cells in block.rows
    )
    head = f"<thead><tr><th>variant</th>{names}</tr></thead>"
    table = f'<div class="wide"><table>{head}<tbody>{rows}</tbody></table></div>'
    return f"<h2>{html.escape(block.title)}</h2>\n{table}"


def _cell(cell: Cell) -> str:
    best = ' class="best"' if cell.is_best else ""
    return f"<td{best}>{cell.value}<small>{cell.interval}</small></td>"


def _figure(sample: Sample) -> str:
    spoken = [f"<dt>reference</dt><dd>{html.escape(sample.reference)}</dd>"]
    compared_with = next(iter(sample.captions.values()), "")
    for variant, caption in sample.captions.items():
        words = " ".join(
            f"<mark>{html.escape(word)}</mark>" if is_marked else html.escape(word)
            for word, is_marked in differing(caption, compared_with)
        )
        spoken.append(f"<dt>{html.escape(variant)}</dt><dd>{words or '<mark>(empty)</mark>'}</dd>")
    image = f'<img alt="{html.escape(sample.reference)}" src="{_embedded(sample)}">'
    return f"<figure>{image}<dl>{''.join(spoken)}</dl></figure>"


def _embedded(sample: Sample) -> str:
    """The sample's image, no larger than a page needs."""
    encoded = io.BytesIO()
    with Image.open(sample.image) as opened:
        shrunk = opened.convert("RGB")
    if max(shrunk.size) <= MAX_SIDE:
        shrunk.save(encoded, "PNG")
        return data_uri(encoded.getvalue(), "png")
    shrunk.thumbnail((MAX_SIDE, MAX_SIDE))
    shrunk.save(encoded, "JPEG", quality=85)
    return data_uri(encoded.getvalue(), "jpeg")
