"""The values are the paper's, and every row that we implement has a preset."""

import re

import pytest

from rsgnet.errors import RSGNetError
from rsgnet.presets import PRESETS
from rsgnet.reproduce.measure import measure_sizes
from rsgnet.reproduce.tables import TABLES, table_named

BLOCKS = [(table.name, block) for table in TABLES.values() for block in table.blocks]


@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_rows_have_all_columns_and_existing_presets(name, block):
    for row in block.rows:
        assert len(row.paper) == len(block.columns)
        assert row.preset is None or row.preset in PRESETS
        if row.preset:
            assert row.size in row.preset
            assert row.preset.endswith(block.data.partition(":")[0])


@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_values_are_the_papers(shared, name, block):
    """All values of a row are in one line of the paper, in order."""
    lines = shared("paper/rsgnet.md").read_text().splitlines()
    for row in block.rows:
        values = [value for value in row.paper if value is not None]
        pattern = r"\D+".join(rf"(?<![\d.]){_pattern(value)}(?![\d.])(?:\s*\(\+[\d.]+\))?" for value in values)
        assert any(re.search(pattern, line) for line in lines), (row.method, row.size, values)


def _pattern(value):
    return rf"{re.escape(f'{value:g}')}0*" if value % 1 else rf"{value:.0f}\.0+"


# A relation of candidates is smaller than that of all pixels, which the paper counts.
SMALLER = ("RSGNet, this project's", "RSGNet, as printed")
SIZED = [row for row in table_named("table2").blocks[0].rows if row.preset and row.method not in SMALLER]


@pytest.mark.parametrize("row", SIZED, ids=lambda row: row.preset)
def test_presets_have_the_printed_sizes(row):
    """The paper's values are truncated or rounded, and counted on a slightly smaller network."""
    ours = measure_sizes(row.preset)
    assert ours["parameters"] == pytest.approx(row.paper[0], abs=0.16)
    assert ours["multiply_adds"] == pytest.approx(row.paper[1], rel=0.007)


@pytest.mark.parametrize("preset", ["rsgnet-w32-256x192-coco", "paper-w32-256x192-coco"])
def test_the_forms_with_candidates_are_smaller_than_printed(preset):
    ours = measure_sizes(preset)
    assert 28.5 < ours["parameters"] < 29.0 and 7.1 < ours["multiply_adds"] < 7.9


def test_unknown_tables_raise():
    with pytest.raises(RSGNetError, match=r"'table5'; there are table1, table2, table3, table4"):
        table_named("table5")


def test_rows_of_a_block_have_names_of_their_own():
    for _, block in BLOCKS:
        names = [row.name for row in block.rows]
        assert len(set(names)) == len(names)
