import re
from xml.etree import ElementTree

import pytest

from rsgnet.evaluation.plots import (
    STYLE,
    IntervalRow,
    Line,
    render_intervals,
    render_legend,
    render_lines,
    render_stacked_bars,
)


def elements(plot, tag):
    svg = ElementTree.fromstring(re.search("<svg.*</svg>", plot, re.S)[0])
    return list(svg.iter(tag))


def points(line):
    return [tuple(map(float, point.split(","))) for point in line.get("points").split()]


def test_line_positions():
    plot = render_lines([Line("a", [0, 0.5, 1], [0, 1, 0.5])], "right", "up")
    (line,) = elements(plot, "polyline")
    (x0, y0), (x1, y1), (x2, y2) = points(line)
    assert x0 < x1 < x2 and x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y1 < y2 < y0 and y2 - y1 == pytest.approx(y0 - y2, abs=0.2)
    assert {"right", "up", "0", "0.25", "0.5", "0.75", "1"} == {text.text for text in elements(plot, "text")}
    assert "legend" not in plot and not elements(plot, "circle")


def test_lines_have_different_colours():
    plot = render_lines([Line("one", [0, 1], [0, 1]), Line("two", [0], [1])], "x", "y", diagonal=True, dots=True)
    assert [line.get("class") for line in elements(plot, "polyline")] == ["line c0", "line c1"]
    assert len(elements(plot, "circle")) == 3 and "one" in plot and "two" in plot and 'class="faint"' in plot


def test_bar_lengths():
    rows = {"all": {"good": 0.75, "bad": 0.25}, "hard": {"good": 0.02, "bad": 0.98}}
    plot = render_stacked_bars(rows, ("good", "bad"), "kinds")
    boxes = [(float(box.get("x")), float(box.get("width"))) for box in elements(plot, "rect")]
    assert boxes[0][1] == pytest.approx(3 * boxes[1][1], rel=0.01)
    assert boxes[0][0] + boxes[0][1] == pytest.approx(boxes[1][0], abs=0.2)
    assert sum(width for _, width in boxes[:2]) == pytest.approx(sum(width for _, width in boxes[2:]), abs=0.2)
    assert [text.text for text in elements(plot, "text")] == ["all", "75%", "25%", "hard", "98%"]


@pytest.mark.parametrize(("zero", "value", "low", "high"), [(False, 0.5, 0.25, 0.75), (True, 0.0, -0.1, 0.1)])
def test_interval_positions(zero, value, low, high):
    plot = render_intervals([IntervalRow("AP", value, low, high)], "figures", zero=zero)
    (line,), (dot,) = elements(plot, "polyline"), elements(plot, "circle")
    (left, y), (right, _) = points(line)
    assert float(dot.get("cx")) == pytest.approx((left + right) / 2, abs=0.1) and float(dot.get("cy")) == y


@pytest.mark.parametrize(
    "plot", [render_intervals([], "none"), render_intervals([], "none", zero=True), render_stacked_bars({}, (), "none")]
)
def test_empty_plots(plot):
    assert elements(plot, "polyline") == []


def test_names_are_escaped():
    evil = "<script>&\"'"
    plots = [
        render_lines([Line(evil, [0], [0]), Line("b", [0], [0])], evil, evil),
        render_stacked_bars({evil: {"k": 1.0}}, ("k",), evil),
        render_intervals([IntervalRow(evil, 0, 0, 0)], evil),
        render_legend([evil]),
    ]
    assert all("<script>" not in plot and "&lt;script&gt;" in plot for plot in plots)


def test_style_has_five_colours():
    assert [f".c{index} {{" in STYLE for index in range(6)] == [True] * 5 + [False]
