"""Clients that abuse a service, on purpose or by mistake: each is a function that returns the outcome."""

from __future__ import annotations

import http.client
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

from tests.server.process import FORM_TYPE, TIMEOUT_S, Server, form

_TINY_REQUESTS = (
    ("GET", "/healthz", b""),
    ("GET", "/nowhere", b""),
    ("POST", "/v1/poses", b"--x--\r\n"),
    ("PUT", "/healthz", b"x"),
)
_HEALTH_REQUEST = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


@contextmanager
def connected(server: Server, sent: bytes = b"", address: str = "127.0.0.1") -> Iterator[socket.socket]:
    """Yields a connection, from an address of this machine, on which some bytes were sent."""
    with socket.create_connection((server.host, server.port), TIMEOUT_S, (address, 0)) as connection:
        connection.sendall(sent)
        yield connection


def send_raw(server: Server, sent: bytes, address: str = "127.0.0.1") -> bytes:
    """Sends bytes and returns what comes back until the connection ends."""
    with connected(server, address=address) as connection:
        with suppress(OSError):  # the server may close the connection before all is sent
            connection.sendall(sent)
        return _read_until_closed(connection)


def status_of(received: bytes) -> int:
    """Returns the status that a response begins with; 0 where there is none."""
    return int(received[9:12]) if received.startswith(b"HTTP/1.1 ") else 0


def send_endless_heads(server: Server, clients: int) -> int:
    """Clients begin a request and continue with a byte now and then; returns how many were disconnected."""
    with ExitStack() as stack, ThreadPoolExecutor(clients) as pool:
        head = b"GET /healthz HTTP/1.1\r\nx: "
        connections = [stack.enter_context(connected(server, head)) for _ in range(clients)]
        return sum(pool.map(_drip_until_closed, connections))


def send_stalled_body(server: Server) -> int:
    """A client declares an image and then sends next to nothing; returns the status."""
    with connected(server, post_head(100_000) + b"--x\r\n") as connection:
        return status_of(connection.recv(1 << 16))


def reset_connections(server: Server, clients: int, image: bytes) -> None:
    """Clients reset the connection: half of them in the middle of a form, half before they have a response."""
    body = form(image)
    head = post_head(len(body))
    for number in range(clients):
        with connected(server, head + body[: len(body) // (1 + number % 2)]) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def never_read(server: Server, requests: int) -> bool:
    """A client sends many requests and reads no response; returns whether it was disconnected."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.5)
        connection.connect((server.host, server.port))
        to_send = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * requests
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            try:
                to_send = to_send[connection.send(to_send) :] or b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
            except TimeoutError:
                continue
            except OSError:
                return True
    return False


def send_tiny_requests(server: Server, count: int, clients: int = 4) -> Counter[int]:
    """Sends small requests in quick succession on a few connections; counts the statuses, 0 for no response."""
    with ThreadPoolExecutor(clients) as pool:
        parts = pool.map(lambda start: _send_tiny(server, range(start, count, clients)), range(clients))
        return sum(parts, Counter[int]())


def hold_connections(server: Server, count: int, address: str) -> int:
    """Clients of one address connect and send nothing; returns the status that a client of another address gets."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(connected(server))
        return status_of(send_raw(server, _HEALTH_REQUEST, address))


def post_head(length: int) -> bytes:
    """Returns the head of a request whose body has so many bytes."""
    head = (
        f"POST /v1/poses HTTP/1.1\r\nhost: localhost\r\ncontent-type: {FORM_TYPE}\r\ncontent-length: {length}\r\n\r\n"
    )
    return head.encode()


def _read_until_closed(connection: socket.socket) -> bytes:
    received = b""
    try:
        while block := connection.recv(1 << 16):
            received += block
    except ConnectionError:
        pass
    return received


def _drip_until_closed(connection: socket.socket) -> bool:
    end = time.monotonic() + TIMEOUT_S
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


def _send_tiny(server: Server, numbers: Sequence[int]) -> Counter[int]:
    statuses: Counter[int] = Counter()
    connection = http.client.HTTPConnection(server.host, server.port, timeout=TIMEOUT_S)
    for number in numbers:
        method, path, body = _TINY_REQUESTS[number % len(_TINY_REQUESTS)]
        try:
            connection.request(method, path, body, {"content-type": FORM_TYPE})
            response = connection.getresponse()
            response.read()
            statuses[response.status] += 1
        except OSError:
            statuses[0] += 1
            connection.close()
    connection.close()
    return statuses
