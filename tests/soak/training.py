"""Training that is killed, that finds its last checkpoint cut off and its disk full."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from shutil import which

import torch
from safetensors.torch import load_file
from tests.soak.commands import PATIENCE_S, Moments, finish, kill, start
from tests.soak.outcome import Outcome

from rsgnet.crowds.data_sets import write_crowds
from rsgnet.training.checkpoints import BEFORE_LAST, FOLDER, LAST, is_whole

SETTINGS = [
    "crop.size_wh=64,64", "model.relation.clue_dim=8", "training.batch_size=4", "training.epoch_samples=8",
    "training.epochs=5", "training.precision=32-true", "training.warmup_steps=0", "training.pretrained=false",
]  # fmt: skip
DISK_MB = 300


def killed_at_random(folder: Path, short: bool) -> Outcome:
    """Kills a run at random moments, its start and its end among them, and goes on with it, until it is done."""
    whole, took_s = _unbroken(folder)
    kills, moments = 2 if short else 20, Moments(took_s)
    killed, runs, differ = 0, 0, 0
    while killed < kills:
        run, runs = folder / f"killed-{runs}", runs + 1
        while True:
            process = start(training(folder, run), folder / "killed.log")
            if killed < kills and moments.kill_at_one(process):
                killed += 1
                continue
            if finish(process):
                return Outcome("kill -9 of a training run", killed, f"a run that could not go on: {_tail(folder)}")
            break
        differ += not same(weights(run), whole)
    tried = f"kill -9 at random moments of {runs} training runs, each gone on with; weights against an unbroken run's"
    return Outcome(tried, killed, f"{differ} runs' weights differ" if differ else "")


def last_checkpoint_cut_off(folder: Path, short: bool) -> Outcome:
    """Cuts the last checkpoint of a killed run off at several lengths."""
    whole, _ = _unbroken(folder)
    shares, lost = ((0.6,) if short else (0.0, 0.3, 0.6, 0.999)), []
    for share in shares:
        run, log = folder / f"cut-{share}", folder / f"cut-{share}.log"
        _until(run, BEFORE_LAST, start(training(folder, run), log))
        last = run / FOLDER / LAST
        os.truncate(last, int(last.stat().st_size * share))
        code = finish(start(training(folder, run), log))
        if code or "last.ckpt: broken" not in log.read_text() or not same(weights(run), whole):
            lost.append(f"{share}: exit code {code}")
    return Outcome("last checkpoint cut off, the one before taken", len(shares), "; ".join(lost))


def full_disk(folder: Path, short: bool) -> Outcome:
    """Lets a run find the disk full, at its checkpoint or at its model; then makes room."""
    whole, _ = _unbroken(folder)
    rooms, lost = ((8,) if short else (8, 2)), []
    for room_mb in rooms:
        with _disk(folder / f"disk-{room_mb}") as (disk, fill):
            run, log = disk / "run", folder / f"full-{room_mb}.log"
            _until(run, LAST, start(training(folder, run), log))
            with fill(room_mb) as limit:
                code = finish(start(training(folder, run), log, limit))
                kept = is_whole(run / FOLDER / LAST)
            told = "make room and start it with --resume" in log.read_text()
            again = finish(start(training(folder, run), log))
            if code != 2 or not kept or not told or again or not same(weights(run), whole):
                lost.append(f"{room_mb} MB left: exit codes {code} and {again}, kept {kept}, told {told}")
            kind = "RLIMIT_FSIZE" if limit else "tmpfs"
    return Outcome(f"disk full in a training run ({kind}), then room made", len(rooms), "; ".join(lost))


def training(folder: Path, run: Path, *more: object) -> list[object]:
    """The arguments of `rsgnet` for a tiny run, averaged weights and validation included."""
    crowd = folder / "crowd" / "crowds.json"
    if not crowd.exists():
        write_crowds(crowd.parent, scenes=2, seed=0, crowd_index=(0.8, 1.0))
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    return ["train", "nano", "--data", crowd, "--validate", crowd, "--out", run, "--workers", 0, "--resume", *words]


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The averaged weights that a run left."""
    return load_file(run / "model" / "model.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Whether weights are equal bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@cache
def _unbroken(folder: Path) -> tuple[dict[str, torch.Tensor], float]:
    """The weights of a run that nothing happens to, and how long it took in seconds."""
    arguments = training(folder, folder / "whole")
    finish(start(["--version"], folder / "whole.log"))  # so that its libraries are loaded, as they are for others
    began = time.monotonic()
    if finish(start(arguments, folder / "whole.log")):
        raise RuntimeError(f"a run that nothing happened to failed: {(folder / 'whole.log').read_text()[-2000:]}")
    return weights(folder / "whole"), time.monotonic() - began


def _until(run: Path, checkpoint: str, process: object) -> None:
    """Kills a run once that checkpoint is there."""
    end = time.monotonic() + PATIENCE_S
    while not (run / FOLDER / checkpoint).exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{run}: no {checkpoint}")
        time.sleep(0.01)
    kill(process)  # type: ignore[arg-type]


@contextmanager
def _disk(folder: Path) -> Iterator[tuple[Path, Callable[[int], object]]]:
    """A small disk in memory and what fills it; where it may not be mounted, a folder and a limit for files."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    mounted = which("mount") is not None and subprocess.run(mount, check=False, capture_output=True).returncode == 0

    @contextmanager
    def fill(room_mb: int) -> Iterator[int | None]:
        filler = folder / "filler"
        if mounted:
            about = os.statvfs(folder)
            filler.write_bytes(bytes(about.f_bavail * about.f_frsize - (room_mb << 20)))
        yield None if mounted else room_mb << 20
        filler.unlink(missing_ok=True)

    try:
        yield folder, fill
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _tail(folder: Path) -> str:
    return (folder / "killed.log").read_text()[-300:]
