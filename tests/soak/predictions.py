"""Predictions that are killed: in one process, and on Ray."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.soak.commands import RandomKiller, finish, start
from tests.soak.outcome import Outcome

from rsgnet.crowds.data_sets import write_crowds

RAY_TESTS = ("test_the_driver_is_killed_and_restarted", "test_a_node_is_lost_during_a_run")


def kill_prediction(folder: Path, short: bool) -> Outcome:
    """Kills `rsgnet predict` of a folder at random times; its results must be absent or complete."""
    wanted_kills = 2 if short else 10
    crowd = write_crowds(folder / "many", scenes=4 if short else 12, seed=0, crowd_index=(0.3, 0.6))
    arguments = ["predict", crowd.parent / "images", "--detector", f"boxes:{crowd}", "--no-overlay", "--out"]
    log = folder / "predict.log"
    finish(start(["--version"], log))  # so that the libraries are imported before the time is taken
    started = time.monotonic()
    code = finish(start([*arguments, folder / "whole"], log))
    duration_s = time.monotonic() - started
    if code:
        return Outcome("rsgnet predict", 0, log.read_text()[-300:])
    expected, killer, kills, runs = _read_results(folder / "whole"), RandomKiller(duration_s), 0, 0
    while kills < wanted_kills:
        out, runs = folder / f"killed-{runs}", runs + 1
        kills += killer.kill_at_random_time(start([*arguments, out], log))
        is_partial = (out / "poses.json").exists() and _read_results(out) != expected
        if is_partial or finish(start([*arguments, out], log)) or _read_results(out) != expected:
            return Outcome("kill -9 of rsgnet predict", kills, f"results in {out}")
    description = "kill -9 at random times of rsgnet predict of a folder, run again; results equal an unbroken run's"
    return Outcome(description, kills, "")


def interrupt_prediction(folder: Path, short: bool) -> Outcome:
    """Ends runs with SIGTERM at random times; the finished results in their folder must stay, and nothing else."""
    wanted = 2 if short else 10
    crowd = write_crowds(folder / "many", scenes=4 if short else 12, seed=0, crowd_index=(0.3, 0.6))
    out, log = folder / "finished", folder / "interrupt.log"
    arguments = ["predict", crowd.parent / "images", "--detector", f"boxes:{crowd}", "--no-overlay", "--out", out]
    started = time.monotonic()
    if finish(start(arguments, log)):
        return Outcome("rsgnet predict", 0, log.read_text()[-300:])
    killer, interrupted = RandomKiller(time.monotonic() - started), 0
    finished = {path.name: path.read_bytes() for path in out.iterdir()}
    while interrupted < wanted:
        interrupted += killer.kill_at_random_time(start(arguments, log), signal.SIGTERM)
        if {name: (out / name).read_bytes() for name in finished} != finished:
            return Outcome("SIGTERM to rsgnet predict", interrupted, f"the results in {out}")
        left = {path.name for path in out.iterdir()} - {*finished, "poses.partial.json", "images.partial.json"}
        if left:
            return Outcome("SIGTERM to rsgnet predict", interrupted, f"left {left}")
    return Outcome("SIGTERM at random times to rsgnet predict, in a folder of finished results", interrupted, "")


def kill_on_ray(folder: Path, short: bool) -> Outcome:
    """Runs the tests in which a Ray driver is killed and one of three nodes is lost."""
    command = [sys.executable, "-m", "pytest", "-x", "tests/scaleout/test_ray_pool.py", "-k", " or ".join(RAY_TESTS)]
    output = subprocess.run(
        [*command, "--basetemp", str(folder / "ray")], capture_output=True, text=True, check=False
    ).stdout
    description = "a run on three Ray nodes: the driver killed with -9 and restarted; a node lost"
    return Outcome(description, len(RAY_TESTS), "" if f"{len(RAY_TESTS)} passed" in output else output[-300:])


def _read_results(out: Path) -> list[object]:
    results: list[object] = json.loads((out / "poses.json").read_text())
    return results
