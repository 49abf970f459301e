"""Training in two processes by torchrun, one of which is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.soak.commands import PATIENCE_S
from tests.soak.outcome import Outcome
from tests.soak.training import same, training, weights

from rsgnet.training.checkpoints import FOLDER, LAST


def torchrun_starts_again(folder: Path, short: bool) -> Outcome:
    """Kills one of two workers after a checkpoint; torchrun starts both anew. Not told to resume, they do."""
    whole, broken = folder / "two", folder / "two-killed"
    with _torchrun(folder, whole) as process:
        done = process.wait(PATIENCE_S)
    with _torchrun(folder, broken) as process:
        end = time.monotonic() + PATIENCE_S
        while not (broken / FOLDER / LAST).exists() and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(_children(process.pid)[-1], signal.SIGKILL)
        again = process.wait(PATIENCE_S)
    tried = "kill -9 of one of two torchrun workers, --max-restarts 2; weights against an unbroken run's of two"
    started_again = "exitcode: -9" in broken.with_suffix(".log").read_text()
    if done or again or not started_again or not same(weights(whole), weights(broken)):
        return Outcome(tried, 1, f"exit codes {done} and {again}, started again {started_again}, or other weights")
    return Outcome(tried, 1, "")


@contextmanager
def _torchrun(folder: Path, run: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run of two processes; none of them is left behind."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "2"]
    arguments = [each for each in training(folder, run) if each != "--resume"]
    command = [sys.executable, *launcher, "-m", "rsgnet", *map(str, arguments)]
    # Else PyTorch 2.14's processes, started again, wait for ever at what the killed ones left in the store.
    own_store = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    environment = {**os.environ, **own_store, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with run.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        for each in (*_children(process.pid), process.pid) if process.poll() is None else ():
            os.kill(each, signal.SIGKILL)
        process.wait()


def _children(pid: int) -> list[int]:
    """The processes that a process started, as Linux tells."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
