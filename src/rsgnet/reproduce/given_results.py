"""Results files of any system for the paper's tables, each in its row or in one of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rsgnet.errors import RSGNetError
from rsgnet.inference.predictions import read_run_record
from rsgnet.reproduce.tables import Block, DataSetName, Row, Table

BOXES_UNKNOWN = "not stated"


@dataclass(frozen=True)
class GivenResults:
    """One system's results on one data set of a table.

    Attributes:
        data: The data set.
        row: The row of the table.
        path: The COCO results list.
        boxes: The boxes they were predicted in: as given, or as the run.json beside the file records.
    """

    data: DataSetName
    row: Row
    path: Path
    boxes: str

    @property
    def folder(self) -> str:
        """The name of a folder for what is computed from them."""
        return "results-" + re.sub(r"[^\w.-]+", "-", self.row.name)


def parse_results(texts: Sequence[str], table: Table) -> tuple[Table, list[GivenResults]]:
    """Finds the rows that results files belong to.

    A name is compared in letters and digits only, so that `mask-rcnn` is Mask R-CNN. It names a row by its method, its
    method and backbone, both with the input size, or by the preset. A name that is no row's adds a row.

    Args:
        texts: Each `NAME[@DATA_SET]=FILE[,boxes=TEXT]`; the data set is needed where the table has several.
        table: The paper's table.

    Returns:
        The table with the rows added, and the results in the order given.

    Raises:
        RSGNetError: A text has another form, the table has no such data set, the file does not exist, the name stands
            for several rows, or a row is given results twice.
    """
    given: list[GivenResults] = []
    for text in texts:
        name, equals, rest = text.partition("=")
        name, _, data_name = name.partition("@")
        file, _, boxes = rest.partition(",boxes=")
        if not equals or not _simplify(name):
            raise RSGNetError(f"--results {text}: expected NAME[@DATA_SET]=FILE[,boxes=TEXT], such as OPEC-Net=r.json")
        block = _find_block(text, data_name, table)
        path = Path(file)
        if not path.is_file():
            raise RSGNetError(f"--results {text}: {file} does not exist")
        row = _find_row(text, name, block)
        if any(each.data == block.data and each.row.name == row.name for each in given):
            raise RSGNetError(f"--results {text}: the row {row.name} of {block.data} has results already")
        record = read_run_record(path)
        boxes = boxes or (BOXES_UNKNOWN if record is None else record.boxes.name)
        given.append(GivenResults(block.data, row, path, boxes))
        if row not in block.rows:
            longer = replace(block, rows=(*block.rows, row))
            table = replace(table, blocks=tuple(longer if each is block else each for each in table.blocks))
    return table, given


def _find_block(text: str, data_name: str, table: Table) -> Block:
    found = [block for block in table.blocks if not data_name or block.data == data_name]
    if len(found) == 1:
        return found[0]
    choices = ", ".join(block.data for block in table.blocks)
    raise RSGNetError(f"--results {text}: {table.name} measures on {choices}; say which: NAME@DATA_SET=FILE")


def _find_row(text: str, name: str, block: Block) -> Row:
    found = [row for row in block.rows if _simplify(name) in _row_names(row)]
    if len(found) > 1:
        raise RSGNetError(
            f"--results {text}: {name!r} stands for several rows; name one of "
            + ", ".join(repr(row.name) for row in found)
        )
    return found[0] if found else Row(name.strip(), "", "", None, (None,) * len(block.columns))


def _row_names(row: Row) -> set[str]:
    """Returns all names of a row, simplified; the paper's "RSGNet" stands for each of its forms."""
    methods = {row.method, row.method.partition(",")[0]}
    names = {f"{method} {row.backbone} {row.size}" for method in methods}
    names |= methods | {f"{method} {row.backbone}" for method in methods} | {f"{row.method} {row.size}", row.name}
    if row.backbone.startswith(row.method):  # HRNet on HRNet-W32
        names |= {row.backbone, f"{row.backbone} {row.size}"}
    return {_simplify(name) for name in names}


def _simplify(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())
