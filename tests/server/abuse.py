"""What clients who mean harm, or know no better, do to a service: each a function that says what came of it."""

from __future__ import annotations

import http.client
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

from tests.server.process import FORM_TYPE, PATIENCE_S, Server, form

_TINY = (
    ("GET", "/healthz", b""),
    ("GET", "/nowhere", b""),
    ("POST", "/v1/poses", b"--x--\r\n"),
    ("PUT", "/healthz", b"x"),
)


@contextmanager
def connected(server: Server, sent: bytes = b"") -> Iterator[socket.socket]:
    """A connection on which some bytes were sent."""
    with socket.create_connection((server.host, server.port), PATIENCE_S) as connection:
        connection.sendall(sent)
        yield connection


def raw(server: Server, sent: bytes) -> bytes:
    """What comes back for these bytes, up to the end of the connection."""
    with connected(server) as connection:
        with suppress(OSError):  # hung up on before all was sent, which is an answer, too
            connection.sendall(sent)
        return until_closed(connection)


def until_closed(connection: socket.socket) -> bytes:
    """All that comes until the other side ends the connection."""
    came = b""
    try:
        while block := connection.recv(1 << 16):
            came += block
    except ConnectionError:
        pass
    return came


def status_of(came: bytes) -> int:
    """The status that an answer begins with; 0 where there is none."""
    return int(came[9:12]) if came.startswith(b"HTTP/1.1 ") else 0


def half_a_head(server: Server, clients: int) -> int:
    """Clients who begin a request and go on with a byte now and then; how many of them were hung up on."""
    with ExitStack() as opened, ThreadPoolExecutor(clients) as pool:
        held = [opened.enter_context(connected(server, b"GET /healthz HTTP/1.1\r\nx: ")) for _ in range(clients)]
        return sum(pool.map(_drips, held))


def _drips(connection: socket.socket) -> bool:
    end = time.monotonic() + PATIENCE_S
    connection.settimeout(0.5)
    while time.monotonic() < end:
        try:
            connection.sendall(b"x")
            if not connection.recv(1):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def slow_body(server: Server) -> int:
    """A client who declares an image and then sends next to nothing; the status that it gets."""
    head = f"POST /v1/poses HTTP/1.1\r\nhost: x\r\ncontent-type: {FORM_TYPE}\r\ncontent-length: 100000\r\n\r\n--x\r\n"
    with connected(server, head.encode()) as connection:
        return status_of(connection.recv(1 << 16))


def dropped(server: Server, clients: int, image: bytes) -> None:
    """Clients who reset the connection: half of them in the middle of a form, half before they have their answer."""
    body = form(image)
    head = f"POST /v1/poses HTTP/1.1\r\nhost: x\r\ncontent-type: {FORM_TYPE}\r\ncontent-length: {len(body)}\r\n\r\n"
    for number in range(clients):
        with connected(server, head.encode() + body[: len(body) // (1 + number % 2)]) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def never_read(server: Server, requests: int) -> bool:
    """A client who asks for much and fetches nothing; whether it was hung up on."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.5)
        connection.connect((server.host, server.port))
        asked = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * requests
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                asked = asked[connection.send(asked) :] or b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
            except TimeoutError:
                continue
            except OSError:
                return True
    return False


def tiny_requests(server: Server, count: int, clients: int = 4) -> Counter[int]:
    """Requests of no worth, one after another on a few connections; how many got which status, 0 for none."""
    with ThreadPoolExecutor(clients) as pool:
        parts = pool.map(lambda start: _tiny(server, range(start, count, clients)), range(clients))
        return sum(parts, Counter[int]())


def _tiny(server: Server, numbers: Sequence[int]) -> Counter[int]:
    statuses: Counter[int] = Counter()
    connection = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE_S)
    for number in numbers:
        method, path, body = _TINY[number % len(_TINY)]
        try:
            connection.request(method, path, body, {"content-type": FORM_TYPE})
            answered = connection.getresponse()
            answered.read()
            statuses[answered.status] += 1
        except OSError:
            statuses[0] += 1
            connection.close()
    connection.close()
    return statuses


def many_connections(server: Server, count: int) -> int:
    """Clients who connect and say nothing; the status that one more gets."""
    with ExitStack() as opened:
        for _ in range(count):
            opened.enter_context(connected(server))
        return status_of(raw(server, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
