"""The paper's tables beside our metrics, as Markdown and as JSON; what was measured, in which boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rsgnet.files import compute_sha256
from rsgnet.reproduce.given_results import GivenResults
from rsgnet.reproduce.tables import PAPER_BOXES, Block, Row, Table

Measured = Mapping[str, Mapping[str, float]]  # our metrics by the row's name and column

_SIZES = ("parameters", "multiply_adds")
_HEADINGS = {"parameters": "params (M)", "multiply_adds": "GMACs"}


def table_markdown(
    table: Table, measured: Sequence[Measured], boxes: Sequence[str], given: Sequence[GivenResults] = ()
) -> str:
    """Returns the table as Markdown text, the paper's values beside ours.

    Args:
        table: The paper's table, with the rows that results of other systems added.
        measured: Our metrics for each block.
        boxes: How the boxes of each block were found.
        given: The results of other systems.
    """
    lines = [f"# {table.title} ({table.name})", "", "Each cell: the paper's figure / ours; - where there is none.", ""]
    for block, ours, found_by in zip(table.blocks, measured, boxes, strict=True):
        headings = ["method", "backbone", "input", *(_HEADINGS.get(column, column) for column in block.columns)]
        rows = [format_row(block, row, ours) for row in block.rows]
        note = f"{block.data}, our boxes: {found_by}; the paper's: {PAPER_BOXES[block.data]}"
        lines += [note, "", *markdown_table(headings, rows), ""]
        files = [
            [each.row.name, str(each.path), each.boxes, compute_sha256(each.path)[:12]]
            for each in given
            if each.data == block.data
        ]
        if files:
            lines += ["Results of other runs, measured here as they are:", ""]
            lines += [*markdown_table(["row", "file", "boxes", "SHA-256"], files), ""]
    return "\n".join(lines)


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (headings, ["---"] * len(headings), *rows)]


def format_row(block: Block, row: Row, ours: Measured) -> list[str]:
    """Returns a row's cells: method, backbone, input, then the paper's value and ours for each column."""
    values = ours.get(row.name, {})
    cells = []
    for column, printed in zip(block.columns, row.paper, strict=True):
        cell = _format(column, printed)
        if row.preset or row.name in ours:
            cell += f" / {_format(column, _to_printed_unit(column, values.get(column)))}"
        cells.append(cell)
    return [row.method, row.backbone or "-", row.size or "-", *cells]


def table_json(
    table: Table, measured: Sequence[Measured], boxes: Sequence[str], given: Sequence[GivenResults] = ()
) -> dict[str, Any]:
    """Returns the table as JSON content, the paper's values as printed and ours in the same units."""
    return {
        "table": table.name,
        "title": table.title,
        "blocks": [
            {
                "data": block.data,
                "boxes": found_by,
                "paper_boxes": PAPER_BOXES[block.data],
                "rows": [_row_json(block, row, ours) for row in block.rows],
                "results": [
                    {
                        "row": each.row.name,
                        "file": str(each.path),
                        "boxes": each.boxes,
                        "sha256": compute_sha256(each.path),
                    }
                    for each in given
                    if each.data == block.data
                ],
            }
            for block, ours, found_by in zip(table.blocks, measured, boxes, strict=True)
        ],
    }


def _row_json(block: Block, row: Row, ours: Measured) -> dict[str, Any]:
    values = ours.get(row.name, {})
    return {
        **{key: value for key, value in asdict(row).items() if key != "paper"},
        "paper": dict(zip(block.columns, row.paper, strict=True)),
        "ours": {column: _to_printed_unit(column, values.get(column)) for column in block.columns},
    }


def _to_printed_unit(column: str, value: float | None) -> float | None:
    """Converts metrics to percent, as the paper prints them; -1 means that there was nobody to measure on."""
    if value is None or value == -1:
        return None
    return value if column in _SIZES else 100 * value


def _format(column: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if column == "multiply_adds" else f"{value:.1f}"
