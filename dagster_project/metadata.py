"""Markdown for the Dagster UI: tables, curves and images as inline pictures.

Rendered once, when a stage has run, and kept with its artifact: a reused artifact shows the same.
Pictures are small, because Dagster keeps metadata in its event log. Here nothing is computed that
is not given.
"""

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

_SIDE = 96  # pixels of a sample image
_SHEET = 1200  # pixels of a contact sheet's width: its text is still read
_COLUMNS = 4  # of plots
_SMOOTHED = 400  # points of a curve; more are thinned out


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A markdown table; columns are the keys of the first row."""
    if not rows:
        return "(nothing)"
    columns = list(rows[0])
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(_cell(row.get(c, '')) for c in columns)} |" for row in rows]
    return "\n".join(lines)


def numbers(values: Mapping[str, float]) -> str:
    """A two-column table of metrics."""
    return table([{"metric": name, "value": value} for name, value in values.items()])


def curves(history: Iterable[Mapping[str, float]]) -> str:
    """One small plot per metric, over steps; empty when nothing has two points."""
    series = _series(history)
    if not series:
        return ""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = math.ceil(len(series) / _COLUMNS)
    figure = Figure(figsize=(3.0 * _COLUMNS, 2.2 * rows))
    figure.subplots_adjust(left=0.06, right=0.99, wspace=0.25, hspace=0.45)
    FigureCanvasAgg(figure)
    for place, (name, (steps, values)) in enumerate(series.items(), start=1):
        axes = figure.add_subplot(rows, _COLUMNS, place)
        axes.plot(steps, values, linewidth=1)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=72)
    return picture(buffer.getvalue(), "curves")


def captioned(folder: Path, captions: Sequence[tuple[str, Mapping[str, str]]]) -> str:
    """Images beside their captions, e.g. `[("images/1.png", {"generated": "a boat", ...})]`."""
    return table([{"image": thumbnail(folder / image), **texts} for image, texts in captions])


def thumbnail(path: Path) -> str:
    """The image in small, inline; a note where it cannot be opened.

    Samples are shown before validation says which images are broken, and why.
    """
    from finecap.data.transforms import ImageError, load_image

    try:
        small = load_image(path)
    except (OSError, ImageError):
        return f"({path.name} does not open)"
    small.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=80)
    return picture(buffer.getvalue(), path.name, "jpeg")


def shrunk(path: Path, title: str) -> str:
    """A large picture that people read, no wider than they need."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(path) as opened:
        sheet = opened.convert("RGB")
    sheet.thumbnail((_SHEET, sheet.height))
    sheet.save(buffer, format="JPEG", quality=70)
    return picture(buffer.getvalue(), title, "jpeg")


def picture(content: bytes, title: str, kind: str = "png") -> str:
    """An image file's bytes as inline markdown."""
    return f"![{title}](data:image/{kind};base64,{base64.b64encode(content).decode()})"


def _cell(value: object) -> str:
    """A table cell; bars and line ends would break the row."""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _series(history: Iterable[Mapping[str, float]]) -> dict[str, tuple[list[float], list[float]]]:
    """Steps and finite values by metric, thinned; metrics of fewer than two points left out."""
    series: dict[str, tuple[list[float], list[float]]] = {}
    for row in history:
        for name, value in row.items():
            if name != "step" and math.isfinite(value):
                steps, values = series.setdefault(name, ([], []))
                steps.append(row["step"])
                values.append(value)
    thin = {name: max(1, len(s) // _SMOOTHED) for name, (s, _) in series.items()}
    return {
        name: (steps[:: thin[name]], values[:: thin[name]])
        for name, (steps, values) in series.items()
        if len(steps) > 1
    }
