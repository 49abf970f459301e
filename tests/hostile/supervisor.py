"""Reads hostile cases in child processes and finds violations of what readers promise."""

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
# Generous, because other work may slow the machine down.
IDLE_TIMEOUT_S = 900.0
CPU_TIMEOUT_S = 60.0
_LONGEST_MESSAGE = 2000
_FOLDERS = ("here", "home", "tmp")


def find_violations(
    cases: Sequence[Case], sandbox: Path, idle_timeout_s: float = IDLE_TIMEOUT_S, cpu_timeout_s: float = CPU_TIMEOUT_S
) -> list[str]:
    """Reads cases as the program does, and returns a line per violation, with the name of the case.

    Args:
        cases: What to read, each in a folder of its own.
        sandbox: An empty folder.
        idle_timeout_s: How long a case may take without an answer.
        cpu_timeout_s: How much processor time a case may use.
    """
    jobs = {case.name: _prepare(case, sandbox, index) | {"cpu_s": cpu_timeout_s} for index, case in enumerate(cases)}
    known: set[Path] = set()
    for folder in _FOLDERS:
        (sandbox / folder).mkdir()
    cases_by_name = {case.name: case for case in cases}
    violations: list[str] = []
    while jobs:
        for name, report in _run_child(list(jobs.values()), sandbox, idle_timeout_s):
            if not name:  # the libraries are imported; files that they wrote do not count
                known.update(_list_files(sandbox))
                continue
            folder = f"/cases/{Path(jobs.pop(name)['out']).name}/"
            violations += [f"{name}: {each}" for each in _check_report(cases_by_name[name], folder, report)]
    return [*violations, *(f"{path} was written" for path in _list_files(sandbox) - known)]


def _list_files(sandbox: Path) -> set[Path]:
    """Returns the files in the folders where a reader might leave some."""
    return {path for folder in _FOLDERS for path in (sandbox / folder).rglob("*")}


def _prepare(case: Case, sandbox: Path, index: int) -> dict[str, Any]:
    """Writes a case and returns its job for the child."""
    target = case.write(sandbox / "cases" / f"{index:04}")
    out = sandbox / "out" / f"{index:04}"
    return {"name": case.name, "reader": case.reader, "target": str(target), "out": str(out)}


def _run_child(
    jobs: list[dict[str, Any]], sandbox: Path, idle_timeout_s: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the child's report of each job until it has done all, or dies of one."""
    jobs_file = sandbox / "jobs.json"
    jobs_file.write_text(json.dumps(jobs))
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {
        **os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
        "HOME": str(sandbox / "home"), "TMPDIR": str(sandbox / "tmp"),
    }  # fmt: skip
    with (sandbox / "stderr").open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.child", str(jobs_file)],
            cwd=sandbox / "here", env=environment, stdout=subprocess.PIPE, stderr=errors, bufsize=0,
        )  # fmt: skip
    current = ""
    try:
        for line in _read_lines(child, idle_timeout_s):
            report = json.loads(line)
            current = report.get("begun", "")
            if not current:
                yield report.get("name", ""), report
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
    if current:
        yield current, {"died": _describe_death(child.returncode)}
    elif child.returncode not in (0, -signal.SIGKILL):  # killed between two cases: the machine is too busy
        raise AssertionError((sandbox / "stderr").read_text(errors="replace")[-2000:])


def _read_lines(child: subprocess.Popen[bytes], idle_timeout_s: float) -> Iterator[bytes]:
    """Yields the lines that the child prints, until it ends or prints nothing for too long."""
    assert child.stdout is not None
    rest, timeout_s = b"", IDLE_TIMEOUT_S  # the first line comes after the imports, which take longer than a case
    while select.select([child.stdout], [], [], timeout_s)[0]:
        timeout_s = idle_timeout_s
        block = os.read(child.stdout.fileno(), 1 << 16)
        if not block:
            child.wait(idle_timeout_s)
            return
        *lines, rest = (rest + block).split(b"\n")
        yield from lines


def _describe_death(code: int) -> str:
    causes = {signal.SIGPROF: "used too much processor time", signal.SIGKILL: "hung, or was killed"}
    return f"the process {causes.get(-code, f'died with {code}')}"  # type: ignore[call-overload]


def _check_report(case: Case, folder: str, report: dict[str, Any]) -> Iterator[str]:
    """Yields the violations in the report of a case."""
    if "died" in report:
        yield report["died"]
        return
    if report["raised"]:
        yield f"raised {report['raised']}"
    elif case.refused and not report["errors"]:
        yield "was not refused"
    for action in report["actions"]:
        yield f"did {action}"
    names = {Path(name).name for name in case.files} | {case.target, folder, *case.named}
    for message in report["errors"]:
        if not any(name in message for name in names):
            yield f"names no file: {message:.300}"
        if len(message) > _LONGEST_MESSAGE or not message.isprintable():
            yield f"has a message of {len(message)} characters, or of unprintable ones: {message!r:.300}"
