"""The process that reads hostile files: `python -m tests.hostile.child JOBS`. It prints a report per case.

Its address space may grow by a fixed amount, and each case has a limit of processor time. The report lists everything
that Python does besides reading: writing outside the case's folder, starting programs, opening connections.
"""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import signal
import sys
import traceback
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

MEMORY_LIMIT_BYTES = 2 << 30  # beyond what the program uses after its imports
_LATE_IMPORTS = ("rsgnet.checkpoint", "rsgnet.scaleout.image_reading", "av")
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Events that change a path, and which of their arguments is the changed path, counted from 1.
_PATH_EVENTS = {"os.mkdir": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2, "os.remove": 1, "os.rmdir": 1,
                "os.truncate": 1}  # fmt: skip
_FORBIDDEN_EVENTS = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect",
                     "socket.bind", "socket.getaddrinfo", "webbrowser.")  # fmt: skip


class AuditHook:
    """Records forbidden actions of Python code.

    Attributes:
        out: The only folder that may be written to; "" records nothing.
        actions: The forbidden actions so far.
    """

    def __init__(self) -> None:
        self.out, self.actions = "", list[str]()
        sys.addaudithook(self._record)

    def _record(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.out:
            return
        if event == "open":
            path, _, flags = arguments
            is_path = isinstance(path, (str, bytes, os.PathLike))
            if is_path and (flags or 0) & _WRITE_FLAGS and not self._is_allowed(path):
                self.actions.append(f"open {os.fsdecode(path)}")
        elif event in _PATH_EVENTS:
            path = arguments[_PATH_EVENTS[event] - 1]
            if not self._is_allowed(path):
                self.actions.append(f"{event} {path}")
        elif event.startswith(_FORBIDDEN_EVENTS):
            self.actions.append(f"{event} {arguments!r:.200}")

    def _is_allowed(self, path: Any) -> bool:
        return f"{os.path.realpath(os.fsdecode(path))}{os.sep}".startswith(self.out + os.sep)


def main(jobs: Path) -> None:
    hook = AuditHook()
    from tests.hostile.readers import FAULTY_READERS, READERS

    for module in _LATE_IMPORTS:  # which readers import when they run, and whose actions would count as the reader's
        with suppress(ImportError):
            import_module(module)
    warnings.simplefilter("ignore")
    readers = READERS | FAULTY_READERS
    own_bytes = int(re.findall(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (own_bytes + MEMORY_LIMIT_BYTES, own_bytes + MEMORY_LIMIT_BYTES))
    print(json.dumps({"ready": True}), flush=True)
    for job in json.loads(jobs.read_text()):
        print(json.dumps({"begun": job["name"]}), flush=True)
        hook.actions.clear()
        gc.collect()  # what a case leaves is not to be taken from the memory of the next
        Path(job["out"]).mkdir(parents=True)
        hook.out = os.path.realpath(job["out"])
        signal.setitimer(signal.ITIMER_PROF, job["cpu_s"])
        report: dict[str, Any] = {"name": job["name"], "errors": [], "raised": ""}
        try:
            report["errors"] = [str(error) for error in readers[job["reader"]](Path(job["target"]), Path(job["out"]))]
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            report["raised"] = f"{type(error).__name__} {error!s:.200} ({Path(place.filename).name}:{place.lineno})"
        signal.setitimer(signal.ITIMER_PROF, 0)
        hook.out = ""
        print(json.dumps({**report, "actions": hook.actions}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
