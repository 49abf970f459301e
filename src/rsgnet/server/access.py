"""Who may ask, and what browsers may do with the answers."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from fastapi import HTTPException, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
