"""Prometheus metrics of one service."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The metrics of one service, in a registry of their own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "rsgnet_requests", "Requests by path and status.", ["path", "status"], registry=registry
        )
        self._request_seconds = Histogram("rsgnet_request_seconds", "Time to respond.", ["path"], registry=registry)
        self._images = Counter("rsgnet_images", "Images by outcome.", ["outcome"], registry=registry)
        self._people = Counter("rsgnet_people", "People whose poses were returned.", registry=registry)
        self._waiting = Gauge("rsgnet_waiting_images", "Images that wait, decoded or not.", registry=registry)
        self._decoded = Gauge("rsgnet_decoded_images", "Images that wait for the network only.", registry=registry)
        self._batches = Histogram(
            "rsgnet_batch_images", "Images in one batch.", buckets=_BATCH_SIZES, registry=registry
        )
        self._batch_seconds = Histogram("rsgnet_batch_seconds", "Time of one batch.", registry=registry)
        self._crashes = Counter("rsgnet_worker_crashes", "How often the network failed.", registry=registry)

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Counts a request and its time."""
        self._requests.labels(path, str(status)).inc()
        self._request_seconds.labels(path).observe(seconds)

    def count_image(self, people: int | None) -> None:
        """Counts an image and its people; None stands for an image that was refused."""
        self._images.labels("error" if people is None else "done").inc()
        self._people.inc(people or 0)

    def set_waiting(self, images: int) -> None:
        """Sets the number of images that wait."""
        self._waiting.set(images)

    def set_decoded(self, images: int) -> None:
        """Sets the number of images that are decoded and wait for the network."""
        self._decoded.set(images)

    def count_batch(self, images: int, seconds: float) -> None:
        """Counts a batch and its time."""
        self._batches.observe(images)
        self._batch_seconds.observe(seconds)

    def count_crash(self) -> None:
        """Counts a failure of the network."""
        self._crashes.inc()

    def exposition(self) -> bytes:
        """Returns all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class MetricsMiddleware:
    """ASGI middleware that counts requests by the route of the API; every other path counts as "page".

    Args:
        app: The wrapped application.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on and counts it with its status and time."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, started = 500, time.perf_counter()

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note_status)
        finally:
            path = getattr(scope.get("route"), "path", "") or "page"
            self.metrics.count_request(path, status, time.perf_counter() - started)
