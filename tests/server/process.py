"""`rsgnet serve` as a process of its own, with what it says in a file, and images posted to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 300.0  # machines that do other things, too, are slow
_FORM = b'--x\r\nContent-Disposition: form-data; name="images"; filename="%s"\r\n\r\n%s\r\n--x--\r\n'
FORM_TYPE = "multipart/form-data; boundary=x"


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the headers in lower case, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A service that runs.

    Attributes:
        host: Where it listens.
        port: And on which port.
        process: The process.
    """

    host: str
    port: int
    process: subprocess.Popen[bytes]

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request on a connection of its own; underscores in headers' names stand for hyphens."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answered = connection.getresponse()
            told = {name.lower(): value for name, value in answered.getheaders()}
            return Answer(answered.status, told, answered.read())
        finally:
            connection.close()

    def post(self, content: bytes, name: bytes = b"a.png") -> Answer:
        """An image."""
        return self.ask("POST", "/v1/poses", form(content, name), content_type=FORM_TYPE)

    @property
    def memory_mb(self) -> float:
        """How much memory the process has in use. Linux only."""
        return memory_mb(self.process.pid)

    def settles(self, content: bytes) -> bool:
        """Whether an image is answered as usual before patience ends."""
        end = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < end:
            if self.post(content).status == 200:
                return True
            time.sleep(0.2)
        return False


def memory_mb(process: int) -> float:
    """How much memory a process that runs has in use. Linux only."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024


def form(content: bytes, name: bytes = b"a.png") -> bytes:
    """The form of one image; its content type is FORM_TYPE."""
    return _FORM % (name, content)


@contextmanager
def serving(log: Path, *arguments: object) -> Iterator[Server]:
    """Runs `rsgnet serve` with these arguments on a free port of this machine while the block lasts."""
    command = [sys.executable, "-m", "rsgnet", "serve", "--port", "0", *map(str, arguments)]
    with log.open("wb") as told:
        process = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT, env=dict(os.environ))
    try:
        address = urlsplit(_address(process, log))
        yield Server(str(address.hostname), int(address.port or 0), process)
    finally:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < end:
        if found := re.search(r"running on (http://\S+)", log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace")[-2000:])
