"""How much one service takes on: what keeps a stranger's request from harming the others."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, cast

from fastapi import HTTPException, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from rsgnet.errors import RSGNetError
from rsgnet.inference.detectors.boxes import Boxes, Detector, LoadedImage


@dataclass(frozen=True)
class Limits:
    """What is refused, and what waits.

    Attributes:
        request_bytes: Of a whole request.
        pixels: Of an image.
        images: In a request.
        people: In an image.
        seconds: That a request may take, from its first byte to its answer.
        waiting: Images that may wait for the network; beyond it requests are turned away.
        held_bytes: Of all requests together that are coming in or wait; beyond it requests are turned away.
        connections: At once; beyond it clients are turned away.
        batch: Images that go through the network together, of however many clients.

    Raises:
        RSGNetError: One of them is not positive, or a request could never be taken.
    """

    request_bytes: int = 32_000_000
    pixels: int = 64_000_000
    images: int = 16
    people: int = 200
    seconds: float = 60.0
    waiting: int = 64
    held_bytes: int = 512_000_000
    connections: int = 512
    batch: int = 16

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise RSGNetError(f"limits: {field.name} must be positive, not {getattr(self, field.name)}")
        if self.waiting < self.images:
            raise RSGNetError(
                f"limits: {self.waiting} images may wait, so a request of {self.images} could never be taken"
            )
        if self.held_bytes < self.request_bytes:
            raise RSGNetError(
                f"limits: {self.held_bytes} bytes may be held, so one request of {self.request_bytes} never could"
            )


class BoundedDetector:
    """A detector whose images are refused where it finds more people than are allowed.

    Args:
        detector: Finds them.
        people: How many are allowed in an image.
    """

    def __init__(self, detector: Detector, people: int) -> None:
        self.detector, self.people = detector, people

    def detect(self, photos: Sequence[LoadedImage]) -> list[Boxes]:
        """The detector's boxes.

        Raises:
            RSGNetError: There are too many in one of the images.
        """
        found = self.detector.detect(photos)
        for photo, boxes in zip(photos, found, strict=True):
            if len(boxes) > self.people:
                raise RSGNetError(
                    f"{photo.file_name}: {len(boxes)} people are over the limit of {self.people}; send parts of it"
                )
        return found


_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


def bearer_check(token: str | None) -> Callable[[Request], None]:
    """A dependency that refuses requests without `Authorization: Bearer TOKEN`; none are where `token` is None."""

    def check(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if token is None or (scheme.lower() == "bearer" and secrets.compare_digest(given.encode(), token.encode())):
            return
        raise HTTPException(
            401, "this service wants its token: Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"}
        )

    return check


class Guarded:
    """An ASGI application whose every answer forbids browsers to load or run anything from elsewhere.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on and adds headers to its answer."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self.app(scope, receive, guarded)


_HEAD_S = 10.0  # for a request's head to come in, once it has begun
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 51\r\n"
    b'retry-after: 5\r\nconnection: close\r\n\r\n{"error": "too many connections; try again later"}\n'
)


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which by itself waits for ever for a head, and for a client that does not read.

    Args:
        limits: How many connections there may be, and how long a request may take.
        options: As uvicorn gives them.
    """

    def __init__(self, *, limits: Limits, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits
        self._head_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a request; turns the client away where there are too many already."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            transport.write(_FULL)
            transport.close()
        else:
            self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Goes on with the request; the time for its head runs until the whole of it is there."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            _cancel(self._head_timer)
            self._head_timer = None
        else:
            self._expect_head()

    def _expect_head(self) -> None:
        if self._head_timer is None:
            seconds = min(_HEAD_S, self._limits.seconds)
            self._head_timer = self.loop.call_later(seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()

    def pause_writing(self) -> None:
        """Begins to wait for the client to fetch what was sent."""
        super().pause_writing()
        if self._answer_timer is None:
            self._answer_timer = self.loop.call_later(self._limits.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Goes on with the answer."""
        super().resume_writing()
        _cancel(self._answer_timer)
        self._answer_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits for nothing more."""
        _cancel(self._head_timer)
        _cancel(self._answer_timer)
        super().connection_lost(exc)


def bounded_protocol(limits: Limits) -> type[H11Protocol]:
    """What uvicorn is to speak, within limits."""
    return cast(type[H11Protocol], partial(BoundedProtocol, limits=limits))


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
