"""Starts `rsgnet` many times, to be killed. The processes fork from one that has imported the libraries already."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rsgnet import cli
from rsgnet.cli.terminal import INTERRUPTED

TIMEOUT_S = 600  # of a command that is not killed
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["rsgnet.training.run", "rsgnet.inference.estimator"])


def start(arguments: Sequence[object], log: Path, largest_file: int | None = None) -> BaseProcess:
    """Starts `rsgnet`.

    Args:
        arguments: Its arguments.
        log: The file to which its output is appended.
        largest_file: Bytes after which writing a file fails, as on a full disk; None for no limit.
    """
    return start_function(_run_rsgnet, [str(each) for each in arguments], log, largest_file)


def start_function(function: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Starts a process that calls a function of a module."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    process = _CONTEXT.Process(target=function, args=arguments)
    process.start()
    return process


def finish(process: BaseProcess) -> int:
    """Waits for a command and returns its exit code."""
    process.join(TIMEOUT_S)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"a command did not end within {TIMEOUT_S} s")
    return process.exitcode


def kill(process: BaseProcess, number: int = signal.SIGKILL) -> bool:
    """Sends a signal to a command, as `kill -9` does; returns whether that ended it."""
    assert process.pid is not None
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)
    process.join(TIMEOUT_S)
    return process.exitcode == -number or (number != signal.SIGKILL and process.exitcode in (1, INTERRUPTED))


class RandomKiller:
    """Kills commands at random times between their start and their end.

    Args:
        duration_s: How long the command takes when it is not killed; shortened if it turns out to be faster.
    """

    def __init__(self, duration_s: float) -> None:
        self._random, self._duration_s = random.Random(0), duration_s

    def kill_at_random_time(self, process: BaseProcess, number: int = signal.SIGKILL) -> bool:
        """Sends a signal to a command that was just started; returns whether that ended it."""
        started = time.monotonic()
        process.join(self._random.uniform(0, self._duration_s))
        if process.exitcode is not None:
            self._duration_s = min(self._duration_s, time.monotonic() - started)
        return kill(process, number)


def write_to_log(log: Path) -> None:
    """Appends what this process prints from now on to a file."""
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)


def _run_rsgnet(arguments: list[str], log: Path, largest_file: int | None) -> None:
    write_to_log(log)
    if largest_file is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.argv = ["rsgnet", *arguments]
    cli.main()
