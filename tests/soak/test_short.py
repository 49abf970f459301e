"""The short form of `make soak` loses nothing, and losses are reported."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.soak import __main__ as soak
from tests.soak.outcome import Outcome


def run(monkeypatch, scenario):
    monkeypatch.setattr(soak, "SHORT", [scenario])
    monkeypatch.setattr(sys, "argv", ["soak", "--short"])
    return soak.main()


@pytest.mark.slow
def test_nothing_is_lost():
    command = [sys.executable, "-m", "tests.soak", "--short"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("lost nothing") == len(soak.SHORT)


def test_a_loss_is_reported_and_the_exit_code_is_1(monkeypatch, capsys):
    def lose(folder: Path, short: bool) -> Outcome:
        assert folder.is_dir() and short
        return Outcome("something", 3, "a row")

    assert run(monkeypatch, lose) == 1 and "a row" in capsys.readouterr().out


def test_a_scenario_that_raises_has_lost(monkeypatch, capsys):
    def fail(folder: Path, short: bool) -> Outcome:
        raise OSError("no such thing")

    assert run(monkeypatch, fail) == 1 and "OSError: no such thing" in capsys.readouterr().out
