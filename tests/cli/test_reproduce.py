"""`rsgnet reproduce --smoke` and `rsgnet ablate --smoke` run to the end; missing data and options are named."""

import json
import subprocess
import sys


def run(*arguments):
    command = [sys.executable, "-m", "rsgnet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_table_4_end_to_end(tmp_path):
    done = run("reproduce", "table4", "--smoke", "--out", tmp_path)
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


def test_missing_data_are_named_with_their_source(tmp_path):
    (tmp_path / "runs" / "hrnet-w32-256x192-crowdpose").mkdir(parents=True)
    done = run("reproduce", "table4", "--data", tmp_path, "--runs", tmp_path / "runs", "--out", tmp_path, "--train")
    assert done.returncode == 2
    assert "crowdpose_trainval.json" in done.stderr and "download" in done.stderr


def test_without_networks_only_the_papers_figures_are_printed(tmp_path):
    done = run("reproduce", "table4", "--data", tmp_path, "--runs", tmp_path, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| RSGNet | HRNet-W32 | 256x192 | 73.6 / - |" in done.stdout
    assert "Not trained yet: dense-w32-256x192-coco" in done.stderr


def test_neither_data_nor_smoke_is_an_error(tmp_path):
    done = run("reproduce", "table4", "--out", tmp_path)
    assert done.returncode == 2
    assert "--data DIR" in done.stderr


def is_start_of_run(line):
    return line.startswith("training ") or ": poses on " in line


def test_ablate_end_to_end(tmp_path):
    done = run("ablate", "--smoke", "--variants", "plain,trp,dense", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert sum(map(is_start_of_run, done.stderr.splitlines())) == 6 + 6 * 4
    assert "trp: 1.0" in done.stderr and "M multiply-adds, 0 of" in done.stderr
    text = (tmp_path / "ablation.md").read_text()
    assert done.stdout.strip() == text.strip()
    assert "## validation: 2 images" in text and "## simulated crowds: 6 images" in text
    table = json.loads((tmp_path / "ablation.json").read_bytes())
    assert [variant["seeds"] for variant in table["variants"]] == [[0, 1]] * 3
    crowds = table["benchmarks"][1]
    assert crowds["less_plain"].keys() == {"trp", "dense"}
    assert {"AP", "AP_easy", "AP_medium", "AP_hard"} <= crowds["less_plain"]["dense"].keys()
    assert len(crowds["means"]["plain"]["AP"]["seeds"]) == 2
    again = run("ablate", "--smoke", "--collect", "--variants", "plain,trp,dense", "--out", tmp_path)
    assert again.returncode == 0, again.stderr
    assert not any(map(is_start_of_run, again.stderr.splitlines()))
    assert again.stdout == done.stdout


def test_ablate_names_missing_options_and_files(tmp_path):
    done = run("ablate", "--out", tmp_path)
    assert done.returncode == 2
    assert "needs --data, and --validate or --crowds" in done.stderr
    done = run("ablate", "--out", tmp_path, "--collect", "--validate", tmp_path / "none.json")
    assert done.returncode == 2
    assert "none.json does not exist" in done.stderr
