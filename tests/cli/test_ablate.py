"""`rsgnet ablate --smoke` goes the whole way and goes on where it was; what is missing is named."""

import json
import subprocess
import sys


def ablate(*arguments):
    command = [sys.executable, "-m", "rsgnet", "ablate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def begun(line):
    return line.startswith("training ") or ": poses on " in line


def test_end_to_end(tmp_path):
    done = ablate("--smoke", "--variants", "plain,trp,dense", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert sum(map(begun, done.stderr.splitlines())) == 6 + 6 * 4
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
    again = ablate("--smoke", "--collect", "--variants", "plain,trp,dense", "--out", tmp_path)
    assert again.returncode == 0, again.stderr
    assert not any(map(begun, again.stderr.splitlines()))
    assert again.stdout == done.stdout


def test_what_is_missing_is_named(tmp_path):
    done = ablate("--out", tmp_path)
    assert done.returncode == 2
    assert "needs --data, and --validate or --crowds" in done.stderr
    done = ablate("--out", tmp_path, "--collect", "--validate", tmp_path / "none.json")
    assert done.returncode == 2
    assert "none.json does not exist" in done.stderr
