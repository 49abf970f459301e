"""Starting `rsgnet` many times over, to be killed: out of a process that has its libraries loaded already."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from rsgnet import cli

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["rsgnet.training.run", "rsgnet.inference.estimator"])
PATIENCE_S = 600  # of a command that is not killed


def start(arguments: Sequence[object], log: Path, largest_file: int | None = None) -> BaseProcess:
    """Starts `rsgnet` with those arguments; what it says is appended to a file.

    Args:
        arguments: Its arguments.
        log: The file.
        largest_file: Bytes after which writing a file fails, as on a disk that is full; None for no limit.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    process = _CONTEXT.Process(target=_rsgnet, args=([str(each) for each in arguments], log, largest_file))
    process.start()
    return process


def finish(process: BaseProcess) -> int:
    """Waits for a command; gives its exit code."""
    process.join(PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"a command was not done within {PATIENCE_S} s")
    return process.exitcode


def kill(process: BaseProcess) -> bool:
    """Kills a command as `kill -9` does; whether it was still running."""
    process.kill()
    process.join()
    return process.exitcode == -9


class Moments:
    """Random moments within what a command takes, start and end included; it learns when one is quicker.

    Args:
        longest_s: What it took when nothing happened to it, in seconds.
    """

    def __init__(self, longest_s: float) -> None:
        self._random, self._longest_s = random.Random(0), longest_s

    def kill_at_one(self, process: BaseProcess) -> bool:
        """Kills a command that was just started; whether it had not ended by itself before."""
        began = time.monotonic()
        process.join(self._random.uniform(0, self._longest_s))
        if process.exitcode is not None:
            self._longest_s = min(self._longest_s, time.monotonic() - began)
        return kill(process)


def _rsgnet(arguments: list[str], log: Path, largest_file: int | None) -> None:
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    if largest_file is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.argv = ["rsgnet", *arguments]
    cli.main()
