"""The plot: labels never cover one another, whatever the points."""

import io
from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from finecap.evaluation import plot
from finecap.evaluation.plot import Box
from finecap.evaluation.results import Metric, not_defined

AREA = Box(0, 0, 600, 400)


def measured(value: float) -> Metric:
    return {"value": value, "ci_low": value - 0.01, "ci_high": value + 0.01, "n": 100}


@pytest.mark.parametrize("seed", range(5))
def test_labels_cover_neither_labels_nor_points_even_of_equal_points(seed: int):
    generator = np.random.default_rng(seed)
    points = [(300.0, 200.0)] * 3 + [tuple(p) for p in generator.uniform(20, 380, (5, 2))]
    boxes = plot.place_labels(points, [(110, 14)] * 8, AREA)
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert all(box.within(AREA) for box in boxes)
    assert not any(b.x < x < b.x + b.width and b.y < y < b.y + b.height
                   for b in boxes for x, y in points)  # fmt: skip


def test_label_larger_than_the_area_is_refused():
    with pytest.raises(ValueError, match="no free place for a label of 700 x 14"):
        plot.place_labels([(1.0, 1.0)], [(700, 14)], AREA)


def test_drawn_names_of_coinciding_variants_do_not_overlap():
    same = (measured(1.0), measured(0.02))
    shown = {"mle": same, "cider": same, "mle_alt_text": same, "clip_s": (measured(0.5), same[1])}
    figure = Figure(figsize=(8, 6), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for x, y in shown.values():
        axes.plot(x["value"], y["value"], "o")
    names = plot._label(axes, canvas, shown)
    canvas.draw()
    extents = [name.get_window_extent(canvas.get_renderer()) for name in names]
    assert not any(a.overlaps(b) for a, b in combinations(extents, 2))
    assert [name.get_text() for name in names] == list(shown)


def test_fluency_axis_falls_back_to_what_all_variants_have():
    photos = {"grammatical_rate": not_defined("photos"), "repetition_rate": measured(0.1)}
    assert plot.fluency_axis({"mle": photos}) == "repetition_rate"
    drawn = {"grammatical_rate": measured(0.9), "repetition_rate": measured(0.1)}
    assert plot.fluency_axis({"mle": drawn, "cider": drawn}) == "grammatical_rate"
    assert plot.fluency_axis({"mle": drawn, "cider": photos}) == "repetition_rate"


def test_plot_of_variants_without_the_metrics_is_still_an_image():
    png = plot.draw({"mle": {"judge_t2i_r1": not_defined("no judge")}}, "title")
    assert Image.open(io.BytesIO(png)).format == "PNG"
