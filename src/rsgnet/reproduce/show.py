"""A table with the paper's figures beside ours, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rsgnet.reproduce.tables import Block, Row, Table

Figures = Mapping[str, Mapping[str, float]]  # by preset and column

_HEADINGS = {"parameters": "params (M)", "multiply_adds": "GMACs"}
_SIZES = ("parameters", "multiply_adds")


def markdown(table: Table, figures: Sequence[Figures], boxes: Sequence[str]) -> str:
    """The table for people.

    Args:
        table: The paper's figures.
        figures: Ours, for each block.
        boxes: What each block's people were found by.
    """
    lines = [f"# {table.title} ({table.name})", "", "Each cell: the paper's figure / ours; - where there is none.", ""]
    for block, ours, found_by in zip(table.blocks, figures, boxes, strict=True):
        headings = ["method", "backbone", "input", *(_HEADINGS.get(column, column) for column in block.columns)]
        lines += [f"{block.data}, our boxes: {found_by}", "", table_line(headings), table_line(["---"] * len(headings))]
        lines += [table_line(cells(block, row, ours)) for row in block.rows]
        lines.append("")
    return "\n".join(lines)


def cells(block: Block, row: Row, ours: Figures) -> list[str]:
    """A row's texts: method, backbone, input, then the paper's figure and ours for each column."""
    found = ours.get(row.preset or "", {})
    figures = [
        f"{_text(column, printed)} / {_text(column, _as_printed(column, found.get(column)))}" if row.preset
        else _text(column, printed)
        for column, printed in zip(block.columns, row.paper, strict=True)
    ]  # fmt: skip
    return [row.method, row.backbone, row.size or "-", *figures]


def as_json(table: Table, figures: Sequence[Figures], boxes: Sequence[str]) -> dict[str, Any]:
    """The table for programs: the paper's figures as printed, ours in the same units."""
    return {
        "table": table.name,
        "title": table.title,
        "blocks": [
            {
                "data": block.data,
                "boxes": found_by,
                "rows": [
                    {
                        **{key: value for key, value in asdict(row).items() if key != "paper"},
                        "paper": dict(zip(block.columns, row.paper, strict=True)),
                        "ours": {
                            column: _as_printed(column, ours.get(row.preset or "", {}).get(column))
                            for column in block.columns
                        },
                    }
                    for row in block.rows
                ],
            }
            for block, ours, found_by in zip(table.blocks, figures, boxes, strict=True)
        ],
    }


def _as_printed(column: str, value: float | None) -> float | None:
    """Precision in percent, as the paper prints it; -1 says that there was nobody to measure it on."""
    if value is None or value == -1:
        return None
    return value if column in _SIZES else 100 * value


def _text(column: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if column == "multiply_adds" else f"{value:.1f}"


def table_line(texts: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(texts)} |"
