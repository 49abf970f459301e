"""`python -m tests.soak`: kills, interrupts and breaks runs on purpose. Exits with 1 if anything was lost."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.soak import predictions, scaleout, service, training
from tests.soak.outcome import Outcome, Scenario

SHORT: list[Scenario] = [
    training.kill_training,
    training.truncate_last_checkpoint,
    training.fill_disk,
    predictions.kill_prediction,
    predictions.interrupt_prediction,
    scaleout.begin_at_once,
    scaleout.run_at_once,
    scaleout.kill_data_set,
    service.crash_network,
]
LONG: list[Scenario] = [*SHORT, training.kill_torchrun_worker, predictions.kill_on_ray]
SCENARIO_LIMIT_S = 60 * 60  # against hanging only: other work may slow the machine down


def main() -> int:
    """Runs the scenarios and prints a table of their outcomes."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--short", action="store_true", help="run fewer and quicker scenarios")
    parser.add_argument("--only", help="run only the scenario of this name")
    options = parser.parse_args()
    scenarios = [each for each in (SHORT if options.short else LONG) if options.only in (None, each.__name__)]
    signal.signal(signal.SIGALRM, _raise_timeout)
    table, losses = Table("scenario", "description", "times", "seconds", "lost", title="Injected faults"), 0
    with tempfile.TemporaryDirectory(prefix="rsgnet-soak-") as folder:
        for scenario in scenarios:
            started = time.monotonic()
            signal.alarm(SCENARIO_LIMIT_S)
            outcome = _run(scenario, Path(folder), options.short)
            losses += bool(outcome.lost)
            seconds = f"{time.monotonic() - started:.0f}"
            print(f"{scenario.__name__}: {seconds} s, lost {outcome.lost or 'nothing'}", file=sys.stderr, flush=True)
            table.add_row(
                scenario.__name__, outcome.description, str(outcome.times), seconds, outcome.lost or "nothing"
            )
    signal.alarm(0)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    return int(losses > 0)


def _run(scenario: Scenario, folder: Path, short: bool) -> Outcome:
    """Runs a scenario; one that raises has lost something."""
    scenario_folder = folder / scenario.__module__
    scenario_folder.mkdir(exist_ok=True)
    try:
        return scenario(scenario_folder, short)
    except Exception as error:
        return Outcome("not finished", 0, f"{type(error).__name__}: {error}")


def _raise_timeout(*_: object) -> None:
    raise TimeoutError(f"took longer than {SCENARIO_LIMIT_S} s")


if __name__ == "__main__":
    sys.exit(main())
