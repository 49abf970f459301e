"""`rsgnet convert` and `info`."""

from dataclasses import replace

import pytest
import torch
from tests.test_released import CONFIGS, published
from torch import nn
from typer.testing import CliRunner

from rsgnet import cli
from rsgnet.checkpoint import load_pose_model, read_config, save_model
from rsgnet.errors import RSGNetError
from rsgnet.presets import nano
from rsgnet.reproduce.tables import TABLE2


def test_convert_writes_a_model_directory(rsgnet, tmp_path):
    model, weights = published(CONFIGS["rsgnet17"])
    torch.save(weights, tmp_path / "tiny.pth")
    code, printed, _ = rsgnet("convert", tmp_path / "tiny.pth", "--out", tmp_path / "model")
    assert code == 0 and "coco17, crops of 64x64, heatmaps at stride 2, relation dense" in printed
    assert read_config(tmp_path / "model").name == "tiny"
    torch.testing.assert_close(load_pose_model(tmp_path / "model").state_dict(), model.state_dict())


def test_convert_with_a_size(rsgnet, tmp_path):
    torch.save(published(CONFIGS["simplebaseline"])[1], tmp_path / "tiny.pth")
    assert rsgnet("convert", tmp_path / "tiny.pth", "--out", tmp_path / "model", "--size", "288x384")[0] == 0
    assert read_config(tmp_path / "model").crop.size_wh == (288, 384)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "none.pth: no such file"), (["--size", "wide"], "--size wide")],
)
def test_convert_reports_unusable_input_in_one_line(rsgnet, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, errors = rsgnet("convert", "none.pth", "--out", "model", *arguments)
    assert code == 2 and len(errors) == 1 and message in errors[0]
    assert list(tmp_path.iterdir()) == []


def run_info(*arguments):
    """Returns the cells of the table by the names of the networks."""
    result = CliRunner().invoke(cli.app, ["info", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    cells = [
        [cell.strip() for cell in line.strip("│").split("│")] for line in result.output.splitlines() if "│" in line
    ]
    return {row[0]: row[1:] for row in cells}


def test_info_lists_the_rows_of_table_2(monkeypatch):
    (block,) = TABLE2.blocks
    rows = [row for row in block.rows if row.preset in (None, "hrnet-w32-256x192-coco")]
    monkeypatch.setattr("rsgnet.reproduce.tables.TABLE2", replace(TABLE2, blocks=(replace(block, rows=rows),)))
    table = run_info()
    assert table["(CPN, ResNet-50)"] == ["", "27.0", "", "", "", "6.20"]
    assert table["hrnet-w32-256x192-coco"] == ["28.54", "28.5", "7.65", "7.65", "7.12", "7.10"]
    assert len(table) == len(rows)


@pytest.mark.slow
def test_info_on_table_2():
    table = run_info()
    assert table["(CPN, ResNet-50)"] == ["", "27.0", "", "", "", "6.20"]
    assert table["hrnet-w32-256x192-coco"] == ["28.54", "28.5", "7.65", "7.65", "7.12", "7.10"]
    assert table["dense-w32-256x192-coco"] == ["29.27", "29.2", "9.45", "8.81", "8.35", "8.31"]
    assert table["dense-w48-384x288-coco"] == ["64.66", "64.5", "44.94", "40.28", "38.23", "38.00"]
    assert len(table) == len(TABLE2.blocks[0].rows)


def test_info_on_a_preset_and_a_directory(tmp_path):
    assert list(run_info("detector-nano")) == ["detector-nano"]
    save_model(nn.Linear(1, 1), nano(), tmp_path)
    assert list(run_info(tmp_path).values()) == list(run_info("nano").values())


@pytest.mark.parametrize(
    ("name", "message"), [("w32", "no preset is named 'w32'"), ("faster-rcnn-r101", "depend on the image")]
)
def test_info_on_unknown_networks(name, message):
    with pytest.raises(RSGNetError, match=message):
        run_info(name)


@pytest.mark.parametrize(("arguments", "shown"), [(["nano"], ["nano"]), ([], ["nano", "small", "detector-nano"])])
def test_info_without_pytorch_says_what_the_files_say(rsgnet, monkeypatch, arguments, shown):
    monkeypatch.setattr("rsgnet.cli.models.find_spec", lambda _: None)
    code, printed, errors = rsgnet("info", *arguments)
    assert code == 0 and sorted(line.partition(":")[0] for line in printed.splitlines()) == sorted(shown)
    assert "M parameters" in printed and "rsgnet[train]" in errors[0]


def test_sizes_are_width_by_height(rsgnet, tmp_path):
    code, _, errors = rsgnet("convert", tmp_path / "a.pth", "--out", tmp_path / "m", "--size", "384x288")
    assert code == 2 and errors == ["error: --size 384x288: crops of people are upright: WIDTHxHEIGHT, such as 192x256"]
