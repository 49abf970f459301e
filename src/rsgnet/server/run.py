"""Running the service in this process until it is told to stop."""

from __future__ import annotations

import signal
from typing import NoReturn

import uvicorn

from rsgnet.server.app import Service, create_app
from rsgnet.server.connections import bounded_protocol

_GRACE_S = 5.0  # beyond the time a request may take


def run(service: Service, host: str, port: int) -> None:
    """Serves until SIGINT or SIGTERM; then takes nothing more, finishes what was taken, and exits with 0.

    Args:
        service: What to serve.
        host: The address to listen on.
        port: Its port; 0 is any that is free, and the log names it.

    Raises:
        SystemExit: Always.
    """
    config = uvicorn.Config(
        create_app(service),
        host,
        port,
        server_header=False,
        http=bounded_protocol(service.limits),
        ws="none",
        timeout_graceful_shutdown=round(service.limits.seconds + _GRACE_S),
    )
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _leave)  # the server sends itself the signal again when it has stopped
    uvicorn.Server(config).run()


def _leave(*_: object) -> NoReturn:
    raise SystemExit(0)
