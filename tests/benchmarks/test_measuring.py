"""What benchmarks share: figures are medians with their range, ratios are taken round by round, one file holds all."""

import importlib.util
import json
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "measuring.py"


@pytest.fixture(scope="module")
def measuring():
    spec = importlib.util.spec_from_file_location("measuring", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["measuring"] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def test_a_ratio_is_taken_within_each_round(measuring):
    times = measuring.SideBySide({"one": lambda: None, "other": lambda: None}, rounds=1, seconds=0)
    times.seconds = {"one": [2.0, 8.0, 30.0], "other": [1.0, 2.0, 10.0]}
    assert times.ratio("one", to="other") == measuring.Spread(3.0, 2.0, 4.0)
    assert times.spread("other") == measuring.Spread(2.0, 1.0, 10.0)


def test_everyone_has_a_turn_in_every_round(measuring):
    turns = []
    rivals = {name: lambda name=name: turns.append(name) for name in "ab"}
    times = measuring.SideBySide(rivals, rounds=3, seconds=0)
    assert "".join(turns) == "ab" + "ab" + "ba" + "ab"  # the first is not counted
    assert [len(each) for each in times.seconds.values()] == [3, 3]


def test_a_turn_lasts_as_long_as_asked(measuring):
    calls = []
    mean = measuring.seconds_per_call(lambda: (calls.append(0), time.sleep(0.01)), at_least=0.05)
    assert len(calls) > 1 and mean * len(calls) >= 0.05


@pytest.mark.parametrize(("value", "lowest", "highest"), [(1.0, True, True), (0.9, False, True), (1.1, True, False)])
def test_bounds(measuring, value, lowest, highest):
    spread = measuring.Spread(value, 0.0, 2.0)
    assert measuring.at_least("x", spread, 1.0).met is lowest
    assert measuring.at_most("x", spread, 1.0).met is highest


def test_figures_replace_those_of_the_same_benchmark_only(measuring, tmp_path, capsys):
    path = tmp_path / "figures.json"
    path.write_text(json.dumps({"other": {"figures": []}, "owned": {"figures": ["old"]}}))
    arguments = Namespace(json=path, threads=2, rounds=3)
    figure = measuring.at_least("speed", measuring.Spread(1.5, 1.0, 2.0), 2.0)
    measuring.report("owned", [figure], arguments)
    assert "speed: 1.5 (from 1 to 2)   wanted at least 2: MISSED" in capsys.readouterr().out
    written = json.loads(path.read_text())
    assert list(written) == ["other", "owned"]
    assert written["owned"]["figures"][0]["value"] == {"median": 1.5, "low": 1.0, "high": 2.0}
    assert written["owned"]["machine"]["threads"] == 2
    assert sorted(tmp_path.iterdir()) == [path]
