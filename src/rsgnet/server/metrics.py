"""What a service counts, for Prometheus."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The figures of one service, in a registry of their own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "rsgnet_requests", "Requests answered, by path and status.", ["path", "status"], registry=registry
        )
        self._request_seconds = Histogram("rsgnet_request_seconds", "Time to answer.", ["path"], registry=registry)
        self._images = Counter("rsgnet_images", "Images by outcome.", ["outcome"], registry=registry)
        self._people = Counter("rsgnet_people", "People whose poses were told.", registry=registry)
        self._waiting = Gauge("rsgnet_waiting_images", "Images that wait for the network.", registry=registry)
        self._batches = Histogram(
            "rsgnet_batch_images", "Images in one batch.", buckets=_BATCH_SIZES, registry=registry
        )
        self._batch_seconds = Histogram("rsgnet_batch_seconds", "Time of one batch.", registry=registry)
        self._crashes = Counter("rsgnet_worker_crashes", "How often the network failed.", registry=registry)

    def request_done(self, path: str, status: int, seconds: float) -> None:
        """Counts a request that was answered."""
        self._requests.labels(path, str(status)).inc()
        self._request_seconds.labels(path).observe(seconds)

    def image_done(self, people: int | None) -> None:
        """Counts an image: its people, or None where it was refused."""
        self._images.labels("error" if people is None else "done").inc()
        self._people.inc(people or 0)

    def waiting(self, images: int) -> None:
        """Says how many images wait."""
        self._waiting.set(images)

    def batch_done(self, images: int, seconds: float) -> None:
        """Counts a batch."""
        self._batches.observe(images)
        self._batch_seconds.observe(seconds)

    def crashed(self) -> None:
        """Counts a crash of the network."""
        self._crashes.inc()

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)


class Counted:
    """An ASGI application whose requests are counted, by the routes of the API; any other path is "page".

    Args:
        app: The application.
        metrics: Where they are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on and notes its status and time."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, started = 500, time.perf_counter()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, note)
        finally:
            path = getattr(scope.get("route"), "path", "") or "page"
            self.metrics.request_done(path, status, time.perf_counter() - started)
