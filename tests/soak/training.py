"""Training that is killed, also in two processes by torchrun, whose checkpoint is truncated and whose disk is full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from multiprocessing.process import BaseProcess
from pathlib import Path
from shutil import which

import torch
from safetensors.torch import load_file
from tests.soak.commands import TIMEOUT_S, RandomKiller, finish, kill, start
from tests.soak.outcome import Outcome

from rsgnet.crowds.data_sets import write_crowds
from rsgnet.training.checkpoints import BEFORE_LAST, FOLDER, LAST, is_intact

SETTINGS = [
    "crop.size_wh=64,64", "model.relation.clue_dim=8", "training.batch_size=4", "training.epoch_samples=8",
    "training.epochs=5", "training.precision=32-true", "training.warmup_steps=0", "training.pretrained=false",
]  # fmt: skip
DISK_MB = 300


def kill_training(folder: Path, short: bool) -> Outcome:
    """Kills runs at random times, also at their start and end, and resumes them until they are done."""
    expected, duration_s = _train_unbroken(folder)
    wanted_kills, killer = 2 if short else 20, RandomKiller(duration_s)
    kills, runs, differing = 0, 0, 0
    while kills < wanted_kills:
        run, runs = folder / f"killed-{runs}", runs + 1
        while True:
            process = start(train_arguments(folder, run), folder / "killed.log")
            if kills < wanted_kills and killer.kill_at_random_time(process):
                kills += 1
                continue
            if finish(process):
                output = (folder / "killed.log").read_text()[-300:]
                return Outcome("kill -9 of a training run", kills, f"a run that could not resume: {output}")
            break
        differing += not are_equal(read_weights(run), expected)
    description = f"kill -9 at random times of {runs} training runs, each resumed; weights equal an unbroken run's"
    return Outcome(description, kills, f"the weights of {differing} runs differ" if differing else "")


def truncate_last_checkpoint(folder: Path, short: bool) -> Outcome:
    """Truncates the last checkpoint of killed runs to several lengths; they must resume from the one before."""
    expected, _ = _train_unbroken(folder)
    shares, lost = ((0.6,) if short else (0.0, 0.3, 0.6, 0.999)), []
    for share in shares:
        run, log = folder / f"cut-{share}", folder / f"cut-{share}.log"
        _kill_after_checkpoint(run, BEFORE_LAST, start(train_arguments(folder, run), log))
        last = run / FOLDER / LAST
        os.truncate(last, int(last.stat().st_size * share))
        code = finish(start(train_arguments(folder, run), log))
        if code or "last.ckpt: broken" not in log.read_text() or not are_equal(read_weights(run), expected):
            lost.append(f"{share}: exit code {code}")
    return Outcome("last checkpoint truncated, the one before used", len(shares), "; ".join(lost))


def fill_disk(folder: Path, short: bool) -> Outcome:
    """Fills the disk of a run before a checkpoint or before its model is written; then frees it again."""
    expected, _ = _train_unbroken(folder)
    free_mbs, lost = ((8,) if short else (8, 2)), []
    for free_mb in free_mbs:
        with _small_disk(folder / f"disk-{free_mb}") as (disk, filled):
            run, log = disk / "run", folder / f"full-{free_mb}.log"
            _kill_after_checkpoint(run, LAST, start(train_arguments(folder, run), log))
            with filled(free_mb) as limit:
                code = finish(start(train_arguments(folder, run), log, limit))
                kept = is_intact(run / FOLDER / LAST)
            explained = "free some space and start it with --resume" in log.read_text()
            resumed_code = finish(start(train_arguments(folder, run), log))
            if code != 2 or not kept or not explained or resumed_code or not are_equal(read_weights(run), expected):
                lost.append(f"{free_mb} MB: exit codes {code} and {resumed_code}, kept {kept}, explained {explained}")
            kind = "RLIMIT_FSIZE" if limit else "tmpfs"
    return Outcome(f"disk full in a training run ({kind}), then freed", len(free_mbs), "; ".join(lost))


def kill_torchrun_worker(folder: Path, short: bool) -> Outcome:
    """Kills one of two workers after a checkpoint. torchrun restarts both, and they resume without --resume."""
    unbroken, killed = folder / "two", folder / "two-killed"
    with _torchrun(folder, unbroken) as process:
        unbroken_code = process.wait(TIMEOUT_S)
    with _torchrun(folder, killed) as process:
        end = time.monotonic() + TIMEOUT_S
        while not (killed / FOLDER / LAST).exists() and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(_find_children(process.pid)[-1], signal.SIGKILL)
        killed_code = process.wait(TIMEOUT_S)
    description = "kill -9 of one of two torchrun workers, --max-restarts 2; weights equal an unbroken run's of two"
    restarted = "exitcode: -9" in killed.with_suffix(".log").read_text()
    equal = not unbroken_code and not killed_code and are_equal(read_weights(unbroken), read_weights(killed))
    lost = f"exit codes {unbroken_code} and {killed_code}, restarted {restarted}, equal weights {equal}"
    return Outcome(description, 1, "" if restarted and equal else lost)


def train_arguments(folder: Path, run: Path) -> list[object]:
    """Returns the arguments of `rsgnet` for a tiny run with averaged weights and validation."""
    crowd = folder / "crowd" / "crowds.json"
    if not crowd.exists():
        write_crowds(crowd.parent, scenes=2, seed=0, crowd_index=(0.8, 1.0))
    settings = [argument for setting in SETTINGS for argument in ("--set", setting)]
    return [
        "train",
        "rsgnet-light",
        "--data",
        crowd,
        "--validate",
        crowd,
        "--out",
        run,
        "--workers",
        0,
        "--resume",
        *settings,
    ]


def read_weights(run: Path) -> dict[str, torch.Tensor]:
    """Returns the averaged weights of a finished run."""
    return load_file(run / "model" / "model.safetensors")


def are_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Returns whether two sets of weights are equal bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@cache
def _train_unbroken(folder: Path) -> tuple[dict[str, torch.Tensor], float]:
    """Returns the weights of a run without interruption, and its duration in seconds."""
    arguments = train_arguments(folder, folder / "whole")
    finish(start(["--version"], folder / "whole.log"))  # so that the libraries are imported before the time is taken
    started = time.monotonic()
    if finish(start(arguments, folder / "whole.log")):
        raise RuntimeError(f"an unbroken run failed: {(folder / 'whole.log').read_text()[-2000:]}")
    return read_weights(folder / "whole"), time.monotonic() - started


def _kill_after_checkpoint(run: Path, checkpoint: str, process: BaseProcess) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not (run / FOLDER / checkpoint).exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{run}: no {checkpoint}")
        time.sleep(0.01)
    kill(process)


@contextmanager
def _small_disk(folder: Path) -> Iterator[tuple[Path, Callable[[int], AbstractContextManager[int | None]]]]:
    """Yields a folder on a small disk in memory, and a context manager that fills it up to some free MB.

    That context manager yields None; where no disk can be mounted, it yields a limit in bytes for each file instead.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    mounted = which("mount") is not None and subprocess.run(mount, check=False, capture_output=True).returncode == 0

    @contextmanager
    def filled(free_mb: int) -> Iterator[int | None]:
        filler = folder / "filler"
        if mounted:
            status = os.statvfs(folder)
            filler.write_bytes(bytes(status.f_bavail * status.f_frsize - (free_mb << 20)))
        yield None if mounted else free_mb << 20
        filler.unlink(missing_ok=True)

    try:
        yield folder, filled
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def _torchrun(folder: Path, run: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a run of two processes, and kills those that are left at the end of the block."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "2"]
    arguments = [each for each in train_arguments(folder, run) if each != "--resume"]
    command = [sys.executable, *launcher, "-m", "rsgnet", *map(str, arguments)]
    # Without it, restarted processes of PyTorch 2.14 wait for ever for what the killed ones left in the shared store.
    own_store = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    environment = {**os.environ, **own_store, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with run.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        for each in (*_find_children(process.pid), process.pid) if process.poll() is None else ():
            os.kill(each, signal.SIGKILL)
        process.wait()


def _find_children(pid: int) -> list[int]:
    """Returns the child processes of a process. Linux only."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
