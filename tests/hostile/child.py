"""The process that reads hostile files: `python -m tests.hostile.child JOBS`. It says what came of each.

Its address space may grow by a fixed amount, each case may use so much processor time, and whatever Python does beside
reading (writing outside the case's folder, starting programs, opening connections) is told.
"""

from __future__ import annotations

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

LIMIT_BYTES = 2 << 30  # beyond what the program takes by itself
_LATE = ("rsgnet.checkpoint", "rsgnet.scaleout.reading", "av")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = {"os.mkdir": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2, "os.remove": 1, "os.rmdir": 1, "os.truncate": 1}
_NEVER = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "socket.bind",
          "socket.getaddrinfo", "webbrowser.")  # fmt: skip


class Watch:
    """Hears of what Python does, and notes what it should not do.

    Attributes:
        out: The one folder that may be written to.
        acts: What was done beside.
    """

    def __init__(self) -> None:
        self.out, self.acts = "", list[str]()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.out:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, bytes, os.PathLike)) and (flags or 0) & _WRITES and not self._allowed(path):
                self.acts.append(f"open {os.fsdecode(path)}")
        elif event in _PATHS:
            self.acts += [f"{event} {path}" for path in arguments[: _PATHS[event]][-1:] if not self._allowed(path)]
        elif event.startswith(_NEVER):
            self.acts.append(f"{event} {arguments!r:.200}")

    def _allowed(self, path: Any) -> bool:
        return f"{os.path.realpath(os.fsdecode(path))}{os.sep}".startswith(self.out + os.sep)


def main(jobs: Path) -> None:
    watch = Watch()
    from tests.hostile.readers import READERS, TRAPS

    for module in _LATE:  # what readers import only when asked would count as theirs
        with suppress(ImportError):
            import_module(module)
    warnings.simplefilter("ignore")
    readers = READERS | TRAPS
    own = int(re.findall(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (own + LIMIT_BYTES, own + LIMIT_BYTES))
    print(json.dumps({"ready": True}), flush=True)
    for job in json.loads(jobs.read_text()):
        print(json.dumps({"begun": job["name"]}), flush=True)
        watch.acts.clear()
        Path(job["out"]).mkdir(parents=True)
        watch.out = os.path.realpath(job["out"])
        signal.setitimer(signal.ITIMER_PROF, job["cpu_s"])
        told: dict[str, Any] = {"name": job["name"], "errors": [], "slipped": ""}
        try:
            told["errors"] = [str(error) for error in readers[job["reader"]](Path(job["target"]), Path(job["out"]))]
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            told["slipped"] = f"{type(error).__name__} {error!s:.200} ({Path(place.filename).name}:{place.lineno})"
        signal.setitimer(signal.ITIMER_PROF, 0)
        watch.out = ""
        print(json.dumps({**told, "acts": watch.acts}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
