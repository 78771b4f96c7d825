"""Detail against fluency in one picture: each variant a labelled point, no label on another.

Uses matplotlib's file canvas directly, never pyplot: no global state, no display. Labels are placed
by a greedy search over positions around their point, because arms of one experiment often land on
the same spot, which is the very thing a reader must see.
"""

# matplotlib's own annotations leave keyword arguments untyped.
# pyright: reportUnknownMemberType=false

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from finecap.evaluation.labels import label, ordered
from finecap.evaluation.results import Measured, Metric, is_measured

DETAIL = "judge_t2i_r1"
LEADER_FROM = 16.0  # pixels between a point and its label, from which a line joins them
SPACING = 3.0  # pixels kept free around a label
COLOURS = ("#1b1f24", "#0969da", "#cf222e", "#8250df", "#1a7f37", "#bc4c00", "#6a737d")


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    x: float  # left
    y: float  # bottom
    width: float
    height: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share a point, `SPACING` included."""
        return (
            self.x < other.x + other.width + SPACING
            and other.x < self.x + self.width + SPACING
            and self.y < other.y + other.height + SPACING
            and other.y < self.y + self.height + SPACING
        )

    def within(self, other: "Box") -> bool:
        """Whether it lies inside `other` whole."""
        return (
            other.x <= self.x
            and other.y <= self.y
            and self.x + self.width <= other.x + other.width
            and self.y + self.height <= other.y + other.height
        )


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    area: Box,
    obstacles: Sequence[Box] = (),
) -> list[Box]:
    """A box for each point's label that covers no label, point or obstacle, near its own point.

    Tries rings of growing radius around each point, 24 directions a ring, rightwards first.

    Args:
        points: pixel coordinates.
        sizes: width and height of each label, pixels.
        area: the labels must stay within.
        obstacles: what no label may cover, e.g. error bars.

    Raises:
        ValueError: a label has no free place in the area.
    """
    taken = [*(Box(x - 5, y - 5, 10, 10) for x, y in points), *obstacles]
    placed: list[Box] = []
    for point, size in zip(points, sizes, strict=True):
        box = _first_free(point, size, area, taken)
        placed.append(box)
        taken.append(box)
    return placed


def _first_free(
    point: tuple[float, float], size: tuple[float, float], area: Box, taken: Sequence[Box]
) -> Box:
    """The nearest box of `size` around `point` that is free."""
    (x, y), (width, height) = point, size
    for ring in range(60):
        for direction in range(24):
            angle = 2 * math.pi * direction / 24
            radius = 10 + 6 * ring
            centre_x = x + math.cos(angle) * (radius + width / 2)
            centre_y = y + math.sin(angle) * (radius + height / 2)
            box = Box(centre_x - width / 2, centre_y - height / 2, width, height)
            if box.within(area) and not any(box.overlaps(other) for other in taken):
                return box
    raise ValueError(f"no free place for a label of {width:.0f} x {height:.0f} pixels")


def fluency_axis(table: Mapping[str, Mapping[str, Metric]]) -> str:
    """The fluency metric that all variants have: grammar where known, else repetition."""
    for name in ("grammatical_rate", "grammar_head_rate"):
        if all(name in metrics and is_measured(metrics[name]) for metrics in table.values()):
            return name
    return "repetition_rate"


def draw(table: Mapping[str, Mapping[str, Metric]], title: str) -> bytes:
    """The plot as a PNG file's bytes; a variant that lacks either metric is named below it."""
    fluency = fluency_axis(table)
    shown = {v: pair for v in ordered(table) if (pair := _pair(table[v], fluency))}
    figure = Figure(figsize=(8.5, 6), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _decorate(axes, fluency, title, sorted(set(table) - set(shown)))
    for colour, (x, y) in zip(_colours(len(shown)), shown.values(), strict=True):
        _point(axes, x, y, colour)
    axes.margins(0.18)
    _label(axes, canvas, shown)
    encoded = io.BytesIO()
    canvas.print_png(encoded)
    return encoded.getvalue()


def _pair(metrics: Mapping[str, Metric], fluency: str) -> tuple[Measured, Measured] | None:
    x, y = metrics.get(fluency), metrics.get(DETAIL)
    if x is None or y is None or not is_measured(x) or not is_measured(y):
        return None
    return x, y


def _colours(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def _decorate(axes: Axes, fluency: str, title: str, left_out: Sequence[str]) -> None:
    """Axis names that say which way is better."""
    axes.set_title(title)
    if fluency == "repetition_rate":
        axes.xaxis.set_inverted(True)  # so that better is to the right on either axis
    missing = f"\nnot shown, a metric is missing: {', '.join(left_out)}" if left_out else ""
    axes.set_xlabel(f"fluency: {label(fluency)} (better to the right){missing}")
    axes.set_ylabel(f"detail: {label(DETAIL)} (better upwards)")
    axes.grid(color="#d0d7de", linewidth=0.6)
    axes.set_axisbelow(True)


def _point(axes: Axes, x: Measured, y: Measured, colour: str) -> None:
    """A point with its intervals."""
    axes.errorbar(
        x["value"],
        y["value"],
        xerr=[[max(0.0, x["value"] - x["ci_low"])], [max(0.0, x["ci_high"] - x["value"])]],
        yerr=[[max(0.0, y["value"] - y["ci_low"])], [max(0.0, y["ci_high"] - y["value"])]],
        fmt="o",
        color=colour,
        elinewidth=1,
        capsize=2,
    )


def _label(
    axes: Axes, canvas: FigureCanvasAgg, shown: Mapping[str, tuple[Measured, Measured]]
) -> list[Text]:
    """Names beside the points, with a thin line where a name had to move away."""
    canvas.draw()
    canvas.figure.set_layout_engine("none")  # pixels are known now and stay
    renderer = canvas.get_renderer()
    drawn = [axes.text(0, 0, name, fontsize=10, color=c) for name, c in _named(shown)]
    extents = [text.get_window_extent(renderer) for text in drawn]
    points = [_pixel(axes, x["value"], y["value"]) for x, y in shown.values()]
    frame = axes.get_window_extent(renderer)
    area = Box(frame.x0, frame.y0, frame.width, frame.height)
    bars = [bar for x, y in shown.values() for bar in _bars(axes, x, y)]
    boxes = place_labels(points, [(e.width, e.height) for e in extents], area, bars)
    to_axes = axes.transAxes.inverted()
    for text, box, point in zip(drawn, boxes, points, strict=True):
        text.set_transform(axes.transAxes)
        text.set_position(tuple(to_axes.transform((box.x, box.y))))
        text.set_verticalalignment("bottom")
        _leader(axes, point, box)
    return drawn


def _pixel(axes: Axes, x: float, y: float) -> tuple[float, float]:
    pixel = axes.transData.transform((x, y))
    return float(pixel[0]), float(pixel[1])


def _bars(axes: Axes, x: Measured, y: Measured) -> tuple[Box, Box]:
    """The two error bars of a point."""
    left, bottom = _pixel(axes, x["ci_low"], y["ci_low"])
    right, top = _pixel(axes, x["ci_high"], y["ci_high"])
    centre = _pixel(axes, x["value"], y["value"])
    left, right = min(left, right), max(left, right)  # the axis may be inverted
    return Box(left, centre[1], right - left, 1), Box(centre[0], bottom, 1, top - bottom)


def _named(shown: Mapping[str, tuple[Measured, Measured]]) -> list[tuple[str, str]]:
    return list(zip(shown, _colours(len(shown)), strict=True))


def _leader(axes: Axes, point: tuple[float, float], box: Box) -> None:
    """A line from the point to the nearest place of its label, unless they are close."""
    near_x = min(max(point[0], box.x), box.x + box.width)
    near_y = min(max(point[1], box.y), box.y + box.height)
    if math.dist(point, (near_x, near_y)) > LEADER_FROM:
        ends = axes.transAxes.inverted().transform([point, (near_x, near_y)])
        axes.plot(*ends.T, transform=axes.transAxes, color="#8c959f", linewidth=0.7)
