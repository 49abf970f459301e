import re
from xml.etree import ElementTree

import pytest

from rsgnet.evaluation.plots import PLOT_STYLE, Line, Whisker, legend, line_plot, stacked_bars, whiskers


def drawn(plot, tag):
    svg = ElementTree.fromstring(re.search("<svg.*</svg>", plot, re.S)[0])
    return list(svg.iter(tag))


def places(line):
    return [tuple(map(float, place.split(","))) for place in line.get("points").split()]


def test_a_line_runs_where_its_points_are():
    plot = line_plot([Line("a", [0, 0.5, 1], [0, 1, 0.5])], "right", "up")
    (line,) = drawn(plot, "polyline")
    (x0, y0), (x1, y1), (x2, y2) = places(line)
    assert x0 < x1 < x2 and x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y1 < y2 < y0 and y2 - y1 == pytest.approx(y0 - y2, abs=0.2)
    assert {"right", "up", "0", "0.25", "0.5", "0.75", "1"} == {text.text for text in drawn(plot, "text")}
    assert "legend" not in plot and not drawn(plot, "circle")


def test_lines_are_told_apart():
    plot = line_plot([Line("one", [0, 1], [0, 1]), Line("two", [0], [1])], "x", "y", diagonal=True, dots=True)
    assert [line.get("class") for line in drawn(plot, "polyline")] == ["line c0", "line c1"]
    assert len(drawn(plot, "circle")) == 3 and "one" in plot and "two" in plot and 'class="faint"' in plot


def test_bars_are_as_long_as_their_shares():
    rows = {"all": {"good": 0.75, "bad": 0.25}, "hard": {"good": 0.02, "bad": 0.98}}
    plot = stacked_bars(rows, ("good", "bad"), "kinds")
    boxes = [(float(box.get("x")), float(box.get("width"))) for box in drawn(plot, "rect")]
    assert boxes[0][1] == pytest.approx(3 * boxes[1][1], rel=0.01)
    assert boxes[0][0] + boxes[0][1] == pytest.approx(boxes[1][0], abs=0.2)
    assert sum(width for _, width in boxes[:2]) == pytest.approx(sum(width for _, width in boxes[2:]), abs=0.2)
    assert [text.text for text in drawn(plot, "text")] == ["all", "75%", "25%", "hard", "98%"]


@pytest.mark.parametrize(("zero", "value", "low", "high"), [(False, 0.5, 0.25, 0.75), (True, 0.0, -0.1, 0.1)])
def test_whiskers(zero, value, low, high):
    plot = whiskers([Whisker("AP", value, low, high)], "figures", zero=zero)
    (line,), (dot,) = drawn(plot, "polyline"), drawn(plot, "circle")
    (left, y), (right, _) = places(line)
    assert float(dot.get("cx")) == pytest.approx((left + right) / 2, abs=0.1) and float(dot.get("cy")) == y


@pytest.mark.parametrize("plot", [whiskers([], "none"), whiskers([], "none", zero=True), stacked_bars({}, (), "none")])
def test_nothing_to_plot(plot):
    assert drawn(plot, "polyline") == []


def test_names_are_escaped():
    evil = "<script>&\"'"
    plots = [
        line_plot([Line(evil, [0], [0]), Line("b", [0], [0])], evil, evil),
        stacked_bars({evil: {"k": 1.0}}, ("k",), evil),
        whiskers([Whisker(evil, 0, 0, 0)], evil),
        legend([evil]),
    ]
    assert all("<script>" not in plot and "&lt;script&gt;" in plot for plot in plots)


def test_the_style_knows_five_colours():
    assert [f".c{index} {{" in PLOT_STYLE for index in range(6)] == [True] * 5 + [False]
