"""Protection from strangers: the access token, the headers of responses, and slow or idle connections."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any, cast
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from rsgnet.server.limits import Limits

_SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}
_REQUEST_HEAD_TIMEOUT_S = 10.0
_TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 51\r\n"
    b'retry-after: 5\r\nconnection: close\r\n\r\n{"error": "too many connections; try again later"}\n'
)


def require_token(token: str | None) -> Callable[[Request], Awaitable[None]]:
    """Returns a FastAPI dependency that refuses requests without `Authorization: Bearer TOKEN`.

    Args:
        token: The token; None accepts every request.
    """

    async def check_token(request: Request) -> None:  # async, as others wait for a thread
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if token is None or (scheme.lower() == "bearer" and secrets.compare_digest(_hash(given), _hash(token))):
            return
        raise HTTPException(
            401, "this service requires its token: Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"}
        )

    return check_token


def _hash(text: str) -> bytes:
    """Returns a digest to be compared, whose length does not tell the text's."""
    return hashlib.sha256(text.encode()).digest()


def client_of(request: Request) -> str:
    """Returns the address of the client, or of its network where it has an IPv6 address, of which each has many."""
    host = request.client.host if request.client is not None else ""
    try:
        address = ip_address(host)
    except ValueError:  # such as a Unix socket's
        return host
    return str(ip_network((address, 64), strict=False)) if address.version == 6 else host


class SecurityHeadersMiddleware:
    """ASGI middleware that adds headers which forbid browsers to load or run anything from other origins.

    Args:
        app: The wrapped application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on and adds the headers to its response."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SECURITY_HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class ForeignSiteMiddleware:
    """ASGI middleware that refuses what the pages of other sites make a browser send.

    A browser sends forms for any page, and believes any page whose name leads to this service's address.

    Args:
        app: The wrapped application.
        host_names: The names, besides IP addresses, by which clients may call the service; None for all.
    """

    def __init__(self, app: ASGIApp, host_names: frozenset[str] | None) -> None:
        self.app, self.host_names = app, host_names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or responds with status 403."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers({})
        error = ""
        if not self._is_allowed_host(headers.get("host", "")):
            error = "this service is called by its address; --allow-host allows another name"
        elif headers.get("sec-fetch-site") in ("cross-site", "same-site") and scope["path"].startswith("/v1/"):
            error = "this request comes from the page of another site"
        if error:
            await JSONResponse({"error": error}, 403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_allowed_host(self, host: str) -> bool:
        if self.host_names is None or not host:  # browsers always send it
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self.host_names or bool(ip_address(name))
        except ValueError:
            return False


class LimitedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with limits on the number of connections and on waiting.

    By itself uvicorn waits without end for the head of a request, and for a client that does not read its response.

    Args:
        limits: How many connections there may be, and how long a request may take.
        options: The arguments that uvicorn passes.
    """

    def __init__(self, *, limits: Limits, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits
        self._head_timer: asyncio.TimerHandle | None = None
        self._response_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the timer for the head of a request, or refuses the client where there are too many connections."""
        super().connection_made(transport)
        others = cast(set[H11Protocol], self.connections)
        of_client = sum(
            self.client is not None and each.client[:1] == self.client[:1] for each in others if each.client
        )
        if len(self.connections) > self._limits.connections or of_client > self._limits.connections_per_address:
            transport.write(_TOO_MANY_CONNECTIONS)
            transport.close()
        else:
            self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        """Processes received bytes; the timer for the head runs until the head is complete."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            _cancel(self._head_timer)
            self._head_timer = None
        else:
            self._start_head_timer()

    def pause_writing(self) -> None:
        """Starts the timer for a client that does not read its response."""
        super().pause_writing()
        if self._response_timer is None:
            self._response_timer = self.loop.call_later(self._limits.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stops that timer once the client reads again."""
        super().resume_writing()
        _cancel(self._response_timer)
        self._response_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops both timers."""
        _cancel(self._head_timer)
        _cancel(self._response_timer)
        super().connection_lost(exc)

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            seconds = min(_REQUEST_HEAD_TIMEOUT_S, self._limits.seconds)
            self._head_timer = self.loop.call_later(seconds, self._abort_without_head)

    def _abort_without_head(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


def limited_protocol(limits: Limits) -> type[H11Protocol]:
    """Returns the protocol class that uvicorn instantiates for each connection."""
    return cast(type[H11Protocol], partial(LimitedProtocol, limits=limits))


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
