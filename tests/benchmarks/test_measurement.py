"""Measurements are medians with their range, ratios are taken round by round, and one file holds all benchmarks."""

import json
import time
from argparse import Namespace
from pathlib import Path

import pytest
from tests.conftest import load_script

from rsgnet.inference.runtime.engines import Processor

FILE = Path(__file__).parents[2] / "benchmarks" / "measurement.py"


@pytest.fixture(scope="module")
def measurement():
    return load_script(FILE)


def test_a_ratio_is_taken_within_each_round(measurement):
    times = measurement.Timings({"one": lambda: None, "other": lambda: None}, rounds=1, min_seconds=0)
    times.seconds = {"one": [2.0, 8.0, 30.0], "other": [1.0, 2.0, 10.0]}
    assert times.ratio("one", to="other") == measurement.Spread(3.0, 2.0, 4.0)
    assert times.spread("other") == measurement.Spread(2.0, 1.0, 10.0)


def test_every_call_has_a_turn_in_every_round(measurement):
    turns = []
    calls_by_name = {name: lambda name=name: turns.append(name) for name in "ab"}
    times = measurement.Timings(calls_by_name, rounds=3, min_seconds=0)
    assert "".join(turns) == "ab" + "ab" + "ba" + "ab"  # the first turn is not measured
    assert [len(each) for each in times.seconds.values()] == [3, 3]


def test_a_turn_lasts_at_least_as_long_as_requested(measurement):
    calls = []
    mean = measurement.seconds_per_call(lambda: (calls.append(0), time.sleep(0.01)), min_seconds=0.05)
    assert len(calls) > 1 and mean * len(calls) >= 0.05


@pytest.mark.parametrize(("value", "lowest", "highest"), [(1.0, True, True), (0.9, False, True), (1.1, True, False)])
def test_bounds(measurement, value, lowest, highest):
    spread = measurement.Spread(value, 0.0, 2.0)
    assert measurement.at_least("x", spread, 1.0).met is lowest
    assert measurement.at_most("x", spread, 1.0).met is highest


def test_report_replaces_the_same_benchmark_of_the_same_kind_of_processor_only(
    measurement, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(measurement, "describe_processor", lambda: Processor("new", ("avx2", "avx512f"), 2))
    path = tmp_path / "figures.json"
    old = {"other": {"measurements": []}, "speed": {"measurements": ["old"]}}
    path.write_text(json.dumps({"avx2": old, "avx512": old}))
    arguments = Namespace(json=path, threads=2, rounds=3)
    found = measurement.at_least("crops", measurement.Spread(1.5, 1.0, 2.0), 2.0)
    measurement.report("speed", [found], arguments)
    assert "crops: 1.5 (from 1 to 2)   target at least 2: MISSED" in capsys.readouterr().out
    written = json.loads(path.read_text())
    assert written["avx2"] == old and list(written["avx512"]) == ["other", "speed"]
    speed = written["avx512"]["speed"]
    assert speed["measurements"][0]["value"] == {"median": 1.5, "low": 1.0, "high": 2.0}
    assert speed["machine"]["threads"] == 2 and speed["machine"]["instructions"] == ["avx2", "avx512f"]
    measurement.report("speed", [found], arguments, kind="gpu")
    assert set(json.loads(path.read_text())) == {"avx2", "avx512", "gpu"}
    assert sorted(tmp_path.iterdir()) == [path]
