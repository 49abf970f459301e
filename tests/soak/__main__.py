"""`python -m tests.soak`: what breaks in use is broken here on purpose. Exits with 1 if anything was lost."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.soak import predictions, processes, service, training
from tests.soak.outcome import Outcome, Scenario

SHORT: list[Scenario] = [
    training.killed_at_random,
    training.last_checkpoint_cut_off,
    training.full_disk,
    predictions.folder_killed,
    service.network_crashes,
]
LONG: list[Scenario] = [*SHORT, processes.torchrun_starts_again, predictions.ray_killed]
LIMIT_S = 14 * 60


def main() -> int:
    """Runs the scenarios and prints what came of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer and quicker scenarios")
    parser.add_argument("--only", help="the scenario of that name alone")
    asked = parser.parse_args()
    chosen = [each for each in (SHORT if asked.short else LONG) if asked.only in (None, each.__name__)]
    signal.signal(signal.SIGALRM, _too_late)
    signal.alarm(LIMIT_S)
    end = time.monotonic() + LIMIT_S
    table, lost = Table("scenario", "what was tried", "times", "seconds", "lost", title="Broken on purpose"), 0
    with tempfile.TemporaryDirectory(prefix="rsgnet-soak-") as folder:
        for scenario in chosen:
            began = time.monotonic()
            outcome = _outcome(scenario, Path(folder), asked.short) if began < end else Outcome("no time left", 0, "?")
            lost += bool(outcome.lost)
            seconds = f"{time.monotonic() - began:.0f}"
            print(f"{scenario.__name__}: {seconds} s, lost {outcome.lost or 'nothing'}", file=sys.stderr, flush=True)
            table.add_row(scenario.__name__, outcome.tried, str(outcome.times), seconds, outcome.lost or "nothing")
    signal.alarm(0)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    return int(lost > 0)


def _outcome(scenario: Scenario, folder: Path, short: bool) -> Outcome:
    """What came of a scenario; one that cannot be done to its end has lost something."""
    room = folder / scenario.__module__
    room.mkdir(exist_ok=True)
    try:
        return scenario(room, short)
    except Exception as error:
        return Outcome("not done to its end", 0, f"{type(error).__name__}: {error}")


def _too_late(*_: object) -> None:
    raise TimeoutError(f"all together take longer than {LIMIT_S} s")


if __name__ == "__main__":
    sys.exit(main())
