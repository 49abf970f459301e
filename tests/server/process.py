"""Runs `rsgnet serve` as a process of its own, and sends requests to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 300.0  # generous, because other work may slow the machine down
FORM_TYPE = "multipart/form-data; boundary=x"
_FORM = b'--x\r\nContent-Disposition: form-data; name="images"; filename="%s"\r\n\r\n%s\r\n--x--\r\n'


@dataclass(frozen=True)
class Response:
    """A response: its status, its headers (names in lower case) and its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        """The decoded JSON of the body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A running service.

    Attributes:
        host: The address that it listens on.
        port: The port that it listens on.
        process: Its process.
    """

    host: str
    port: int
    process: subprocess.Popen[bytes]

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Response:
        """Sends a request on a new connection; underscores in the names of headers stand for hyphens."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            response_headers = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, response_headers, response.read())
        finally:
            connection.close()

    def post(self, content: bytes, name: bytes = b"a.png") -> Response:
        """Sends an image."""
        return self.request("POST", "/v1/poses", form(content, name), content_type=FORM_TYPE)

    @property
    def memory_mb(self) -> float:
        """The resident memory of the process. Linux only."""
        return memory_mb(self.process.pid)

    def recovers(self, content: bytes) -> bool:
        """Returns whether the service answers an image with 200 before the timeout."""
        end = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None and time.monotonic() < end:
            if self.post(content).status == 200:
                return True
            time.sleep(0.2)
        return False


def memory_mb(process: int) -> float:
    """Returns the resident memory of a running process. Linux only."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024


def form(content: bytes, name: bytes = b"a.png") -> bytes:
    """Returns the form of one image; its content type is FORM_TYPE."""
    return _FORM % (name, content)


def serving(log: Path, *arguments: object, **environment: str) -> AbstractContextManager[Server]:
    """Runs `rsgnet serve` with these arguments on a free port of this machine; its output goes to the log file."""
    return running(log, "-m", "rsgnet", "serve", "--port", 0, *arguments, **environment)


@contextmanager
def running(log: Path, *arguments: object, **environment: str) -> Iterator[Server]:
    """Runs Python with arguments that start a service; its output goes to the log file."""
    command = [sys.executable, *map(str, arguments)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **environment})
    try:
        address = urlsplit(_wait_for_address(process, log))
        yield Server(str(address.hostname), int(address.port or 0), process)
    finally:
        process.kill()
        process.wait()


def _wait_for_address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + TIMEOUT_S
    while process.poll() is None and time.monotonic() < end:
        if found := re.search(r"running on (http://\S+)", log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace")[-2000:])
