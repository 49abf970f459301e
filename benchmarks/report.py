"""Writes the figures of `make bench` into pages: all between a page's two marks, and single ones where they are quoted.

`python benchmarks/report.py docs/performance.json docs/performance.md README.md`

A quotation is a number and, for its source, a comment behind it: `1.02 <!-- candidate_cost: what the figure says -->`.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures: made by benchmarks/report.py -->", "<!-- end of figures -->"
TITLES = {
    "candidate_cost": "What relating candidates costs",
    "dense_relation": "The released form",
    "backends": "Back ends, and the machine's peak",
    "agreement": "Whether the back ends agree",
    "whole_line": "From file to file",
    "evaluation_speed": "Evaluation",
    "training_samples": "Training crops",
    "training_step": "A training step",
    "compiled_cpu_float32": "torch.compile and channels last",
    "footprint": "The light install",
    "clip_memory": "An hour of video",
    "growth": "How cost grows",
}


def number(value: float) -> str:
    """Three digits that count, none of them as a power of ten."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.1e}"


def row(figure: dict[str, Any]) -> str:
    value = figure["value"]
    spread = "" if value["low"] == value["high"] else f"{number(value['low'])} to {number(value['high'])}"
    verdict = "" if figure["met"] is None else f"{figure['wanted']}: {'met' if figure['met'] else '**missed**'}"
    return f"| {figure['what']} | {number(value['median'])} | {spread} | {verdict} |"


def section(name: str, told: dict[str, Any]) -> str:
    machine = told["machine"]
    libraries = ", ".join(f"{library} {version}" for library, version in machine["libraries"].items())
    under = (
        f"`benchmarks/{name.partition('_cpu')[0]}.py`, {machine['date']}, {machine['processor']} "
        f"({', '.join(machine['instructions'])}), {machine['threads']} threads, {told['rounds']} rounds, "
        f"Python {machine['python']}, {libraries}"
    )
    rows = "\n".join(row(figure) for figure in told["figures"])
    return f"### {TITLES.get(name, name)}\n\n{under}\n\n| | median | range | wanted |\n|---|---|---|---|\n{rows}\n"


def page_with(figures: dict[str, Any], page: str) -> str:
    """The page with these figures in place of those that it has."""

    def quoted(match: re.Match[str]) -> str:
        (value,) = (each["value"] for each in figures[match[2]]["figures"] if each["what"] == match[3])
        return f"{number(value['median'])} {match[1]}"

    page = re.sub(r"[\d.,]+ (<!-- (\w+): (.+?) -->)", quoted, page)
    if BEGIN not in page:
        return page
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    order = [*TITLES, *(name for name in figures if name not in TITLES)]
    sections = "\n".join(section(name, figures[name]) for name in order if name in figures)
    return f"{before}{BEGIN}\n\n{sections}\n{END}{after}"


def main() -> None:
    figures = json.loads(Path(sys.argv[1]).read_text())
    for page in map(Path, sys.argv[2:]):
        page.write_text(page_with(figures, page.read_text()))


if __name__ == "__main__":
    main()
