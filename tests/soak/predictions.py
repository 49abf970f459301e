"""Prediction that is killed: in one process, and on Ray."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.soak.commands import Moments, finish, start
from tests.soak.outcome import Outcome

from rsgnet.crowds.data_sets import write_crowds

RAY_TESTS = ("killed_and_started_anew", "test_a_node_is_lost_in_mid_run")


def folder_killed(folder: Path, short: bool) -> Outcome:
    """Kills `rsgnet predict` of a folder at random moments; what it leaves is nothing, or whole."""
    kills = 2 if short else 10
    crowd = write_crowds(folder / "many", scenes=4 if short else 12, seed=0, crowd_index=(0.3, 0.6))
    arguments = ["predict", crowd.parent / "images", "--detector", f"boxes:{crowd}", "--no-overlay", "--out"]
    log = folder / "predict.log"
    finish(start(["--version"], log))  # its libraries are loaded by then
    began = time.monotonic()
    code = finish(start([*arguments, folder / "whole"], log))
    took_s = time.monotonic() - began
    if code:
        return Outcome("rsgnet predict", 0, log.read_text()[-300:])
    whole, killed, moments, tries = _rows(folder / "whole"), 0, Moments(took_s), 0
    while killed < kills:
        out, tries = folder / f"killed-{tries}", tries + 1
        killed += moments.kill_at_one(start([*arguments, out], log))
        half = (out / "poses.json").exists() and _rows(out) != whole
        if half or finish(start([*arguments, out], log)) or _rows(out) != whole:
            return Outcome("kill -9 of rsgnet predict", killed, f"rows of {out}")
    tried = "kill -9 at random moments of rsgnet predict of a folder, started again; rows against an unbroken run's"
    return Outcome(tried, killed, "")


def ray_killed(folder: Path, short: bool) -> Outcome:
    """Runs the tests in which a Ray driver is killed and a node of three is lost."""
    selected = " or ".join(RAY_TESTS)
    command = [sys.executable, "-m", "pytest", "-x", "tests/scaleout/test_ray_pool.py", "-k", selected]
    done = subprocess.run(
        [*command, "--basetemp", str(folder / "ray")], capture_output=True, text=True, check=False
    ).stdout
    passed = f"{len(RAY_TESTS)} passed" in done
    tried = "a run on three Ray nodes: the driver killed -9 and started anew; a node lost"
    return Outcome(tried, len(RAY_TESTS), "" if passed else done[-300:])


def _rows(out: Path) -> list[object]:
    rows: list[object] = json.loads((out / "poses.json").read_text())
    return rows
