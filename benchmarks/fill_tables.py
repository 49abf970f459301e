"""Fills the tables and lines of measurements in the README and the documentation.

    python benchmarks/fill_tables.py [PERFORMANCE.json]

`make bench` writes docs/performance.json. docs/accuracy.json is edited by hand, from the output of the commands on
docs/accuracy.md. A page names a table by two lines, `<!-- begin NAME: filled by benchmarks/fill_tables.py -->` and
`<!-- end NAME -->`; everything between them is replaced.
"""

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rsgnet.defaults import DEFAULT_WEIGHTS

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/accuracy.md", "docs/performance.md", "docs/performance_tables.md")
KINDS = {"amx": "AMX", "avx512": "AVX-512", "avx2": "AVX2", "other": "Other processors", "gpu": "GPUs"}
TITLES = {
    "candidate_cost": "Cost of relating candidates",
    "dense_relation_cost": "The released form",
    "backend_speed": "Back ends, and the machine's peak",
    "backend_agreement": "Agreement of the back ends",
    "published_speed": "Published networks",
    "pipeline_speed": "From image files to result files",
    "rtmlib_loop": "Against rtmlib's loop",
    "evaluation_speed": "Evaluation",
    "training_samples": "Training crops",
    "training_step": "A training step",
    "loader_share": "Waiting for training crops",
    "compile_speed_cpu_float32": "torch.compile and channels last",
    "footprint": "The light install",
    "clip_memory": "An hour of video",
    "growth": "People, threads and batch",
}
_CROPS_PER_SECOND = re.compile(r"(.+), batch (\d+): crops per second, (.+)")
_BLOCK = re.compile(r"(<!-- begin (\w+): .*? -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def format_number(value: float) -> str:
    """Returns a number with three significant digits."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.1e}"


def format_table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Returns a Markdown table."""
    headings = list(headings)
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def engine_table(performance: dict[str, Any]) -> str:
    """Returns the table of the back ends' speeds, a row for each network and kind of processor."""
    rows, engines = {}, ["eager PyTorch"]
    for kind, title in KINDS.items():
        for measurement in performance.get(kind, {}).get("backend_speed", {"measurements": []})["measurements"]:
            match = _CROPS_PER_SECOND.fullmatch(measurement["name"])
            if match:
                network, batch, engine = match.groups()
                rows.setdefault((network, title, batch), {})[engine] = measurement["value"]["median"]
                engines += [engine] if engine not in engines else []
    cells = (
        [f"`{network}`", title, batch, *(_relative_speed(speeds, engine) for engine in engines)]
        for (network, title, batch), speeds in sorted(rows.items(), key=lambda row: row[0][0])
    )
    return format_table(("network", "processor", "batch", *engines), cells)


def _relative_speed(speeds: dict[str, float], engine: str) -> str:
    if engine not in speeds:
        return ""
    return f"{format_number(speeds[engine])} ({speeds[engine] / speeds['eager PyTorch']:.2f})"


def speed_sections(performance: dict[str, Any]) -> str:
    """Returns a section for each kind of processor, with one table for each benchmark."""
    return "\n".join(
        f"## {title}\n\n{_kind_section(performance[kind])}" for kind, title in KINDS.items() if kind in performance
    )


def _kind_section(benchmarks: dict[str, Any]) -> str:
    order = [*TITLES, *(name for name in benchmarks if name not in TITLES)]
    return "\n".join(_speed_section(name, benchmarks[name]) for name in order if name in benchmarks)


def _speed_section(name: str, benchmark: dict[str, Any]) -> str:
    machine = benchmark["machine"]
    libraries = ", ".join(f"{library} {version}" for library, version in machine["libraries"].items())
    conditions = (
        f"`benchmarks/{name.partition('_cpu')[0]}.py`, {machine['date']}, {machine['processor']} "
        f"({', '.join(machine['instructions'])}), {machine['threads']} threads, {benchmark['rounds']} rounds, "
        f"Python {machine['python']}, {libraries}"
    )
    table = format_table(("", "median", "range", "target"), map(_speed_row, benchmark["measurements"]))
    return f"### {TITLES.get(name, name)}\n\n{conditions}\n\n{table}"


def _speed_row(measurement: dict[str, Any]) -> list[str]:
    value, met = measurement["value"], measurement["met"]
    spread = "" if value["low"] == value["high"] else f"{format_number(value['low'])} to {format_number(value['high'])}"
    verdict = "" if met is None else f"{measurement['target']}: {'met' if met else '**missed**'}"
    return [measurement["name"], format_number(value["median"]), spread, verdict]


def pose_table(accuracy: dict[str, Any]) -> str:
    """Returns the table of pose accuracy by weights, images, boxes and flip test."""
    measures = ("AP50", "AP75", "easy", "medium", "hard", "medium_and_hard")
    return format_table(
        ("weights", "images", "boxes", "flip test", "AP (95 % interval)", *measures[:-1], "medium and hard"),
        (
            [
                f"`{row['weights']}`",
                row["images"],
                row["boxes"],
                "yes" if row["flip_test"] else "no",
                f"{row['AP']:.3f} ({row['low']:.3f} to {row['high']:.3f})",
                *_three_digits(row, measures),
            ]
            for row in accuracy["poses"]
        ),
    )


def box_table(accuracy: dict[str, Any]) -> str:
    """Returns the table of detectors' boxes."""
    measures = ("AP", "AP50", "AP75", "recall", "recall_of_overlapping_people")
    headings = ("detector", "box AP", "AP50", "AP75", "recall", "recall of overlapping people")
    return format_table(headings, ([row["detector"], *_three_digits(row, measures)] for row in accuracy["boxes"]))


def model_table(accuracy: dict[str, Any]) -> str:
    """Returns the README's table of the weights that ship: size, work and accuracy on coco_val with flip test."""
    poses = {
        (row["weights"], row["boxes"]): f"{row['AP']:.3f}"
        for row in accuracy["poses"]
        if row["flip_test"] and row["images"] == "coco_val"
    }
    boxes = {row["detector"]: f"{row['AP50']:.3f}" for row in accuracy["boxes"]}
    return format_table(
        (
            "weights",
            "input, high x wide",
            "parameters",
            "multiply-adds",
            "AP, ground-truth boxes",
            "AP, own boxes",
            "box AP50",
        ),
        (
            [
                f"[`{weights}`](src/rsgnet/weights/{weights}/README.md)",
                model["input"],
                f"{model['parameters_millions']:.2f} M",
                f"{model['multiply_adds_billions']:.2f} G",
                poses.get((weights, "ground truth"), ""),
                poses.get((weights, "detector-nano"), ""),
                boxes.get(weights, ""),
            ]
            for model in accuracy["models"]
            for weights in [model["weights"]]
        ),
    )


def default_line(accuracy: dict[str, Any]) -> str:
    """Returns what to expect of the default weights, in one line for the README's first screen."""
    (row,) = (
        row
        for row in accuracy["poses"]
        if (row["weights"], row["images"], row["boxes"], row["flip_test"])
        == (DEFAULT_WEIGHTS, "coco_val", "ground truth", True)
    )
    expected = f"AP {row['AP']:.3f} in ground-truth boxes of COCO images"
    return f"Default weights, `{DEFAULT_WEIGHTS}`: {expected}; see [Models](#models).\n"


def _three_digits(row: dict[str, Any], measures: Iterable[str]) -> list[str]:
    return [f"{row[measure]:.3f}" for measure in measures]


def fill(page: str, tables: dict[str, str]) -> str:
    """Returns a page with its marked tables replaced.

    Raises:
        KeyError: The page names a table that does not exist.
    """
    return _BLOCK.sub(lambda block: f"{block[1]}\n{tables[block[2]]}\n{block[3]}", page)


def read_tables(performance: Path = ROOT / "docs/performance.json") -> dict[str, str]:
    """Returns every table by the name that pages give it."""
    accuracy = json.loads((ROOT / "docs/accuracy.json").read_text())
    speeds = json.loads(performance.read_text())
    return {
        "default": default_line(accuracy),
        "models": model_table(accuracy),
        "poses": pose_table(accuracy),
        "boxes": box_table(accuracy),
        "engines": engine_table(speeds),
        "speeds": speed_sections(speeds),
    }


def main() -> None:
    """Fills the tables of all pages."""
    tables = read_tables(*map(Path, sys.argv[1:]))
    for page in (ROOT / name for name in PAGES):
        page.write_text(fill(page.read_text(), tables))


if __name__ == "__main__":
    main()
