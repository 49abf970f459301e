"""Connections that nobody can hold for nothing: not too many, nor for requests or readers that never come."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from rsgnet.server.limits import Limits

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
