"""`rsgnet reproduce --smoke` goes the whole way; without data it says what is missing and where to get it."""

import json
import subprocess
import sys


def reproduce(*arguments):
    command = [sys.executable, "-m", "rsgnet", "reproduce", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_table_4_end_to_end(tmp_path):
    done = reproduce("table4", "--smoke", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Not trained yet" not in done.stderr
    table = json.loads((tmp_path / "table4.json").read_bytes())
    assert [block["data"] for block in table["blocks"]] == ["crowdpose:test", "coco:val2017"]
    for block in table["blocks"]:
        assert [row["method"] for row in block["rows"]] == ["HRNet", "HRNet + TRP", "RSGNet", "RSGNet, released"]
        assert all(0 <= row["ours"]["AP"] <= 100 for row in block["rows"])
        assert all(row["paper"]["AP"] > 70 for row in block["rows"])
    assert "| HRNet + TRP | HRNet-W32 | 256x192 | 73.1 / " in done.stdout
    assert done.stdout.strip() == (tmp_path / "table4.md").read_text().strip()


def test_missing_data_are_named_with_where_to_get_them(tmp_path):
    (tmp_path / "runs" / "hrnet-w32-256x192-crowdpose").mkdir(parents=True)
    done = reproduce("table4", "--data", tmp_path, "--runs", tmp_path / "runs", "--out", tmp_path, "--train")
    assert done.returncode == 2
    assert "crowdpose_trainval.json" in done.stderr and "download" in done.stderr


def test_without_networks_the_papers_figures_stand_alone(tmp_path):
    done = reproduce("table4", "--data", tmp_path, "--runs", tmp_path, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| RSGNet | HRNet-W32 | 256x192 | 73.6 / - |" in done.stdout
    assert "Not trained yet: dense-w32-256x192-coco" in done.stderr


def test_neither_data_nor_smoke_is_an_error(tmp_path):
    done = reproduce("table4", "--out", tmp_path)
    assert done.returncode == 2
    assert "--data DIR" in done.stderr
