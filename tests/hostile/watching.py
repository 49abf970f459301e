"""Reading hostile cases in child processes, and what is to be said of each."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.hostile.cases import Case

ROOT = Path(__file__).parents[2]
PATIENCE_S = 900.0  # without a word; machines that do other things, too, are slow
CPU_S = 60.0  # of slow processors, which other work shares
_LONGEST_MESSAGE = 2000
_FOLDERS = ("here", "home", "tmp")


def complaints(cases: Sequence[Case], sandbox: Path, patience_s: float = PATIENCE_S, cpu_s: float = CPU_S) -> list[str]:
    """Reads cases as the program would; gives what was wrong, a line each, with the case's name.

    Args:
        cases: What to read, each in a folder of its own.
        sandbox: An empty folder.
        patience_s: How long a case may take without using the processor.
        cpu_s: How long it may use the processor.
    """
    jobs = {case.name: _laid_out(case, sandbox, index) | {"cpu_s": cpu_s} for index, case in enumerate(cases)}
    known: set[Path] = set()
    for folder in _FOLDERS:
        (sandbox / folder).mkdir()
    by_name = {case.name: case for case in cases}
    wrong: list[str] = []
    while jobs:
        for name, told in _told(list(jobs.values()), sandbox, patience_s):
            if not name:  # what libraries write when they are opened is theirs
                known.update(_around(sandbox))
                continue
            job = jobs.pop(name)
            wrong += [
                f"{name}: {what}" for what in _complaints(by_name[name], f"/cases/{Path(job['out']).name}/", told)
            ]
    return [*wrong, *(f"{path} was written" for path in _around(sandbox) - known)]


def _around(sandbox: Path) -> set[Path]:
    """What lies where a reader might leave something."""
    return {path for folder in _FOLDERS for path in (sandbox / folder).rglob("*")}


def _laid_out(case: Case, sandbox: Path, index: int) -> dict[str, Any]:
    target = case.write(sandbox / "cases" / f"{index:04}")
    out = sandbox / "out" / f"{index:04}"
    return {"name": case.name, "reader": case.reader, "target": str(target), "out": str(out)}


def _told(jobs: list[dict[str, Any]], sandbox: Path, patience_s: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a child says of each job until it is through, or dies of one."""
    listing = sandbox / "jobs.json"
    listing.write_text(json.dumps(jobs))
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {
        **os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
        "HOME": str(sandbox / "home"), "TMPDIR": str(sandbox / "tmp"),
    }  # fmt: skip
    with (sandbox / "stderr").open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.child", str(listing)],
            cwd=sandbox / "here", env=environment, stdout=subprocess.PIPE, stderr=errors, bufsize=0,
        )  # fmt: skip
    begun = ""
    try:
        for line in _lines(child, patience_s):
            told = json.loads(line)
            begun = told.get("begun", "")
            if not begun:
                yield told.get("name", ""), told
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
    if begun:
        yield begun, {"died": _death(child.returncode)}
    elif child.returncode:
        raise AssertionError((sandbox / "stderr").read_text(errors="replace")[-2000:])


def _lines(child: subprocess.Popen[bytes], patience_s: float) -> Iterator[bytes]:
    """What the child prints, until it ends or has been silent for too long."""
    assert child.stdout is not None
    rest, limit_s = b"", PATIENCE_S  # to open the libraries, whatever a case may take
    while select.select([child.stdout], [], [], limit_s)[0]:
        limit_s = patience_s
        block = os.read(child.stdout.fileno(), 1 << 16)
        if not block:
            child.wait(patience_s)
            return
        *lines, rest = (rest + block).split(b"\n")
        yield from lines


def _death(code: int) -> str:
    causes = {signal.SIGPROF: "used too much processor time", signal.SIGKILL: "hung, or was killed"}
    return f"the process {causes.get(-code, f'died with {code}')}"  # type: ignore[call-overload]


def _complaints(case: Case, folder: str, told: dict[str, Any]) -> Iterator[str]:
    if "died" in told:
        yield told["died"]
        return
    if told["slipped"]:
        yield f"raised {told['slipped']}"
    elif case.refused and not told["errors"]:
        yield "was not refused"
    for act in told["acts"]:
        yield f"did {act}"
    names = {Path(name).name for name in case.files} | {case.target, folder, *case.named}
    for message in told["errors"]:
        if not any(name in message for name in names):
            yield f"names no file: {message:.300}"
        if len(message) > _LONGEST_MESSAGE or not message.isprintable():
            yield f"says {len(message)} characters, or unprintable ones: {message!r:.300}"
