"""HTML reports of one file, and small plots for them as inline SVG, without a plotting library.

Colours are the CSS classes c0, c1, ... (after Okabe and Ito, distinguishable with colour blindness). Text
and axes use the page's text colour, so that plots are readable on light and dark backgrounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; overflow-wrap: anywhere; margin: 0 auto; padding: 1rem;
  background: Canvas; color: CanvasText; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 0 0 .25rem; }
main { columns: 24rem; column-gap: 2.5rem; }
section { break-inside: avoid; overflow-x: auto; padding-bottom: 1.5rem; }
p { margin: .25rem 0 .5rem; } .note { opacity: .75; font-size: .9rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; width: 100%; }
th, td { text-align: right; padding: .15rem .3rem; border-bottom: 1px solid rgb(128 128 128 / .3); }
th:first-child, td:first-child { text-align: left; padding-left: 0; } td { white-space: nowrap; }
table, .legend { overflow-wrap: normal; } .texts td:last-child { white-space: normal; overflow-wrap: anywhere; }
@media (max-width: 30rem) { table { font-size: .8rem; } td { white-space: normal; } }
.warning { border-left: 4px solid #d55e00; padding-left: .6rem; font-size: .9rem; }
.legend { font-size: .85rem; } .legend span { margin-right: .75rem; white-space: nowrap; }
svg { width: 100%; max-width: 34rem; height: auto; font: 11px system-ui, sans-serif; fill: currentColor; }
svg .axis { stroke: currentColor; stroke-opacity: .25; } svg .line { fill: none; stroke-width: 2; }
svg .faint { stroke-dasharray: 3 3; stroke: currentColor; stroke-opacity: .6; } svg .on { fill: #fff; }
svg .on.c1, svg .on.c2 { fill: #111; }
.c0 { --c: #0072b2; } .c1 { --c: #56b4e9; } .c2 { --c: #e69f00; } .c3 { --c: #d55e00; } .c4 { --c: #8a8a8a; }
svg .line { stroke: var(--c); } svg .area { fill: var(--c); } .key { color: var(--c); }
"""

# Pixels of the SVG's coordinate system.
_WIDTH, _ROW_HEIGHT, _LABEL_WIDTH, _MARGIN = 360, 24, 108, 14
_LINE_PLOT_HEIGHT, _LEFT, _BOTTOM = 240, 40, 36


@dataclass(frozen=True)
class Line:
    """One line of a plot: its name, and x and y in 0..1."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class IntervalRow:
    """One row of an interval plot: its name, value and interval."""

    name: str
    value: float
    low: float
    high: float


def render_page(title: str, heading: str, note: str, sections: Iterable[str]) -> str:
    """Returns an HTML page that loads nothing else.

    Args:
        title: The title of the browser's window.
        heading: The heading of the page.
        note: A line of text below it.
        sections: HTML of the sections.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f'<body><h1>{escape(heading)}</h1><p class="note">{escape(note)}</p>'
        f"<main>{''.join(sections)}</main></body></html>"
    )


def render_section(title: str, note: str, *parts: str) -> str:
    """Returns a section of a page with a heading, a line of text and the HTML of its parts."""
    return f'<section><h2>{escape(title)}</h2><p class="note">{escape(note)}</p>{"".join(parts)}</section>'


def render_table(header: Iterable[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns a table, its content escaped."""
    top = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def render_lines(
    lines: Sequence[Line], x_label: str, y_label: str, *, diagonal: bool = False, dots: bool = False
) -> str:
    """Returns a plot of lines over the unit square.

    Args:
        lines: At most five, in different colours; several lines get a legend.
        x_label: The label of the x axis.
        y_label: The label of the y axis, written above the plot.
        diagonal: Whether to draw the line y = x.
        dots: Whether to mark the points.
    """
    width, height = _WIDTH - _LEFT - _MARGIN, _LINE_PLOT_HEIGHT - _BOTTOM - 2 * _MARGIN
    right, bottom = _LEFT + width, 2 * _MARGIN + height

    parts = [_text(4, _MARGIN - 2, y_label)]
    for step in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = _LEFT + step * width, bottom - step * height
        parts.append(_axis_line(_LEFT, y, right, y) + _text(_LEFT - 6, y + 4, f"{step:g}", "end"))
        parts.append(_text(x, bottom + 14, f"{step:g}", "middle"))
    parts.append(_text(_LEFT + width / 2, bottom + 30, x_label, "middle"))
    if diagonal:
        parts.append(_axis_line(_LEFT, bottom, right, bottom - height, "faint"))
    for index, line in enumerate(lines):
        points = [
            (f"{_LEFT + x * width:.1f}", f"{bottom - y * height:.1f}") for x, y in zip(line.x, line.y, strict=True)
        ]
        parts.append(f'<polyline class="line c{index}" points="{" ".join(map(",".join, points))}"/>')
        for x_text, y_text in points if dots else ():
            parts.append(f'<circle class="area c{index}" cx="{x_text}" cy="{y_text}" r="3.5"/>')
    return (render_legend(line.name for line in lines) if len(lines) > 1 else "") + _svg(
        _LINE_PLOT_HEIGHT, parts, f"{y_label} against {x_label}"
    )


def render_stacked_bars(rows: dict[str, dict[str, float]], kinds: Sequence[str], title: str) -> str:
    """Returns a plot of horizontal bars, one per row, split by shares that sum to 1; shares from 8 % are labelled."""
    width = _WIDTH - _LABEL_WIDTH - _MARGIN
    parts = []
    for index, (name, shares) in enumerate(rows.items()):
        top, left = index * (_ROW_HEIGHT + 6) + 4, float(_LABEL_WIDTH)
        parts.append(_text(_LABEL_WIDTH - 8, top + _ROW_HEIGHT * 0.66, name, "end"))
        for colour, kind in enumerate(kinds):
            length = shares[kind] * width
            tip = f"<title>{escape(f'{name}: {kind} {shares[kind]:.1%}')}</title>"
            box = f'x="{left:.1f}" y="{top}" width="{length:.1f}" height="{_ROW_HEIGHT}"'
            parts.append(f'<rect class="area c{colour}" {box}>{tip}</rect>')
            if shares[kind] >= 0.08:
                parts.append(
                    _text(left + length / 2, top + _ROW_HEIGHT * 0.66, f"{shares[kind]:.0%}", "middle", f"on c{colour}")
                )
            left += length
    return render_legend(kinds) + _svg(len(rows) * (_ROW_HEIGHT + 6) + 8, parts, title)


def render_intervals(rows: Sequence[IntervalRow], title: str, *, zero: bool = False) -> str:
    """Returns a plot of one dot with an interval per row.

    Args:
        rows: The rows.
        title: Text for screen readers.
        zero: Whether the axis is symmetric around 0 and as wide as the intervals, instead of from 0 to 1.
    """
    reach = max((abs(end) for row in rows for end in (row.low, row.high, row.value)), default=0.0) or 1.0
    first, last = (-reach, reach) if zero else (0.0, 1.0)
    width, bottom = _WIDTH - _LABEL_WIDTH - 2 * _MARGIN, len(rows) * _ROW_HEIGHT + 4

    def x_of(value: float) -> float:
        return _LABEL_WIDTH + (value - first) / (last - first) * width

    parts = []
    for step in (first, (first + last) / 2, last):
        parts.append(_axis_line(x_of(step), 0, x_of(step), bottom, "faint" if zero and step == 0 else "axis"))
        parts.append(_text(x_of(step), bottom + 14, f"{step:+.3f}" if zero and step else f"{step:g}", "middle"))
    for index, row in enumerate(rows):
        y = index * _ROW_HEIGHT + _ROW_HEIGHT / 2 + 2
        tip = f"<title>{escape(f'{row.name}: {row.value:.3f} ({row.low:.3f} to {row.high:.3f})')}</title>"
        parts.append(_text(_LABEL_WIDTH - 8, y + 4, row.name, "end"))
        parts.append(f'<polyline class="line c0" points="{x_of(row.low):.1f},{y} {x_of(row.high):.1f},{y}"/>')
        parts.append(f'<circle class="area c0" cx="{x_of(row.value):.1f}" cy="{y}" r="4">{tip}</circle>')
    return _svg(bottom + 20, parts, title)


def render_legend(names: Iterable[str]) -> str:
    """Returns a legend of the colours c0, c1, ..."""
    keys = (f'<span><b class="key c{index}">■</b> {escape(name)}</span>' for index, name in enumerate(names))
    return f'<p class="legend">{" ".join(keys)}</p>'


def _svg(height: float, parts: Iterable[str], title: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def _text(x: float, y: float, text: str, anchor: str = "start", style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">{escape(text)}</text>'


def _axis_line(x1: float, y1: float, x2: float, y2: float, style: str = "axis") -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
