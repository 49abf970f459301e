"""`rsgnet info`: a row for each network, the paper's figures beside it."""

import pytest
from torch import nn
from typer.testing import CliRunner

from rsgnet import cli
from rsgnet.checkpoint import save_model
from rsgnet.errors import RSGNetError
from rsgnet.presets import nano
from rsgnet.reproduce.tables import TABLE2


def rows(*arguments):
    shown = CliRunner().invoke(cli.app, ["info", *map(str, arguments)], catch_exceptions=False)
    assert shown.exit_code == 0
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in shown.output.splitlines() if "│" in line]
    return {row[0]: row[1:] for row in cells}


def test_table_2():
    table = rows()
    assert table["(CPN, ResNet-50)"] == ["", "27.0", "", "", "", "6.20"]
    assert table["hrnet-w32-256x192-coco"] == ["28.54", "28.5", "7.65", "7.65", "7.12", "7.10"]
    assert table["dense-w32-256x192-coco"] == ["29.27", "29.2", "9.45", "8.81", "8.35", "8.31"]
    assert table["dense-w48-384x288-coco"] == ["64.66", "64.5", "44.94", "40.28", "38.23", "38.00"]
    assert len(table) == len(TABLE2.blocks[0].rows)


def test_a_preset_and_a_directory(tmp_path):
    assert list(rows("detector-nano")) == ["detector-nano"]
    save_model(nn.Linear(1, 1), nano(), tmp_path)
    assert list(rows(tmp_path).values()) == list(rows("nano").values())


@pytest.mark.parametrize(
    ("name", "message"), [("w32", "no preset is named 'w32'"), ("faster-rcnn-r101", "depends on the image")]
)
def test_what_cannot_be_counted_is_named(name, message):
    with pytest.raises(RSGNetError, match=message):
        rows(name)
