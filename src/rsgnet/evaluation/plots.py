"""Small plots as inline SVG, coloured by the page's own style sheet: nothing to install, nothing to load.

Colours are the classes c0, c1, ... of PLOT_STYLE (after Okabe and Ito, told apart by colour-blind people too); text and
axes take the page's colour, so that plots read on light and on dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

PLOT_STYLE = """
svg { width: 100%; max-width: 34rem; height: auto; font: 11px system-ui, sans-serif; fill: currentColor; }
svg .axis { stroke: currentColor; stroke-opacity: .25; } svg .line { fill: none; stroke-width: 2; }
svg .faint { stroke-dasharray: 3 3; stroke: currentColor; stroke-opacity: .6; } svg .on { fill: #fff; }
svg .on.c1, svg .on.c2 { fill: #111; }
.c0 { --c: #0072b2; } .c1 { --c: #56b4e9; } .c2 { --c: #e69f00; } .c3 { --c: #d55e00; } .c4 { --c: #8a8a8a; }
svg .line { stroke: var(--c); } svg .area { fill: var(--c); } .key { color: var(--c); }
"""

_WIDTH, _ROW, _LABELS, _MARGIN = 360, 24, 108, 14
_SIDE, _LEFT, _FOOT = 240, 40, 36


@dataclass(frozen=True)
class Line:
    """A line of a plot: its name, and x and y in 0..1."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Whisker:
    """A row of a plot: its name, a value, and from where to where it may lie."""

    name: str
    value: float
    low: float
    high: float


def line_plot(lines: Sequence[Line], x_label: str, y_label: str, *, diagonal: bool = False, dots: bool = False) -> str:
    """Lines over the unit square.

    Args:
        lines: At most five, told apart by colour; where there are several a legend names them.
        x_label: What runs to the right.
        y_label: What runs up; it stands above the plot.
        diagonal: Whether to draw where y equals x.
        dots: Whether to mark the points.
    """
    width, height = _WIDTH - _LEFT - _MARGIN, _SIDE - _FOOT - 2 * _MARGIN
    right, foot = _LEFT + width, 2 * _MARGIN + height

    def at(x: float, y: float) -> str:
        return f"{_LEFT + x * width:.1f},{foot - y * height:.1f}"

    parts = [_text(4, _MARGIN - 2, y_label)]
    for step in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = _LEFT + step * width, foot - step * height
        parts.append(_rule(_LEFT, y, right, y) + _text(_LEFT - 6, y + 4, f"{step:g}", "end"))
        parts.append(_text(x, foot + 14, f"{step:g}", "middle"))
    parts.append(_text(_LEFT + width / 2, foot + 30, x_label, "middle"))
    if diagonal:
        parts.append(_rule(_LEFT, foot, right, foot - height, "faint"))
    for index, line in enumerate(lines):
        places = [at(x, y) for x, y in zip(line.x, line.y, strict=True)]
        parts.append(f'<polyline class="line c{index}" points="{" ".join(places)}"/>')
        for place in places if dots else ():
            across, _, down = place.partition(",")
            parts.append(f'<circle class="area c{index}" cx="{across}" cy="{down}" r="3.5"/>')
    return (legend(line.name for line in lines) if len(lines) > 1 else "") + _svg(
        _SIDE, parts, f"{y_label} against {x_label}"
    )


def stacked_bars(rows: dict[str, dict[str, float]], kinds: Sequence[str], title: str) -> str:
    """One bar a row, each split by shares that sum to 1; shares of 8 % and more are written on it."""
    width = _WIDTH - _LABELS - _MARGIN
    parts = []
    for index, (name, shares) in enumerate(rows.items()):
        top, left = index * (_ROW + 6) + 4, float(_LABELS)
        parts.append(_text(_LABELS - 8, top + _ROW * 0.66, name, "end"))
        for colour, kind in enumerate(kinds):
            length = shares[kind] * width
            tip = f"<title>{escape(f'{name}: {kind} {shares[kind]:.1%}')}</title>"
            box = f'x="{left:.1f}" y="{top}" width="{length:.1f}" height="{_ROW}"'
            parts.append(f'<rect class="area c{colour}" {box}>{tip}</rect>')
            if shares[kind] >= 0.08:
                parts.append(
                    _text(left + length / 2, top + _ROW * 0.66, f"{shares[kind]:.0%}", "middle", f"on c{colour}")
                )
            left += length
    return legend(kinds) + _svg(len(rows) * (_ROW + 6) + 8, parts, title)


def whiskers(rows: Sequence[Whisker], title: str, *, zero: bool = False) -> str:
    """One dot a row with its interval, on a scale from 0 to 1, or about a line at 0 as wide as the intervals ask."""
    reach = max((abs(end) for row in rows for end in (row.low, row.high, row.value)), default=0.0) or 1.0
    first, last = (-reach, reach) if zero else (0.0, 1.0)
    width, foot = _WIDTH - _LABELS - 2 * _MARGIN, len(rows) * _ROW + 4

    def at(value: float) -> float:
        return _LABELS + (value - first) / (last - first) * width

    parts = []
    for step in (first, (first + last) / 2, last):
        parts.append(_rule(at(step), 0, at(step), foot, "faint" if zero and step == 0 else "axis"))
        parts.append(_text(at(step), foot + 14, f"{step:+.3f}" if zero and step else f"{step:g}", "middle"))
    for index, row in enumerate(rows):
        y = index * _ROW + _ROW / 2 + 2
        tip = f"<title>{escape(f'{row.name}: {row.value:.3f} ({row.low:.3f} to {row.high:.3f})')}</title>"
        parts.append(_text(_LABELS - 8, y + 4, row.name, "end"))
        parts.append(f'<polyline class="line c0" points="{at(row.low):.1f},{y} {at(row.high):.1f},{y}"/>')
        parts.append(f'<circle class="area c0" cx="{at(row.value):.1f}" cy="{y}" r="4">{tip}</circle>')
    return _svg(foot + 20, parts, title)


def legend(names: Iterable[str]) -> str:
    """What the colours stand for."""
    keys = (f'<span><b class="key c{index}">■</b> {escape(name)}</span>' for index, name in enumerate(names))
    return f'<p class="legend">{" ".join(keys)}</p>'


def _svg(height: float, parts: Iterable[str], title: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def _text(x: float, y: float, text: str, anchor: str = "start", style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">{escape(text)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float, style: str = "axis") -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
