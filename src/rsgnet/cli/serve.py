"""`rsgnet serve`: poses by HTTP, and a page to look at them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from rsgnet.cli.options import Backend, BatchSize, Device, Flip, Weights
from rsgnet.errors import RSGNetError, requires_extra

if TYPE_CHECKING:
    from rsgnet.inference.estimator import PoseEstimator

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    weights: Weights = "nano",
    compare: Annotated[
        str | None, typer.Option(help="A second network that clients may ask for.", metavar="NAME|PATH")
    ] = None,
    detector: Annotated[str, typer.Option(help="As for predict.", metavar="SPEC")] = "nano",
    box_threshold: Annotated[float | None, typer.Option(help="As for predict.")] = None,
    skeleton: Annotated[str | None, typer.Option(help="As for predict.")] = None,
    flip: Flip = None,
    token: Annotated[
        str | None, typer.Option(envvar="RSGNET_TOKEN", help="What clients must show: Authorization: Bearer TOKEN.")
    ] = None,
    max_megabytes: Annotated[float, typer.Option(help="Of a request.")] = 32.0,
    max_pixels: Annotated[int, typer.Option(help="Of an image.")] = 64_000_000,
    max_images: Annotated[int, typer.Option(help="In a request.")] = 16,
    max_people: Annotated[int, typer.Option(help="In an image.")] = 200,
    max_seconds: Annotated[float, typer.Option(help="That a request may take.")] = 60.0,
    max_waiting: Annotated[int, typer.Option(help="Images that may wait; beyond it clients get 503.")] = 64,
    max_held_megabytes: Annotated[float, typer.Option(help="Of all requests that come in or wait, together.")] = 512.0,
    max_connections: Annotated[int, typer.Option(help="At once; beyond it clients get 503.")] = 512,
    batch: Annotated[int, typer.Option(help="Images that go through the network together.")] = 16,
    backend: Backend = "onnx",
    device: Device = "auto",
    batch_size: BatchSize = 32,
) -> None:
    """Serve poses by HTTP, and a page to look at them, on this machine only unless told otherwise.

    [dim]Examples:[/dim]

      rsgnet serve

      curl -F images=@photo.jpg http://127.0.0.1:8000/v1/poses

      RSGNET_TOKEN=secret rsgnet serve --host 0.0.0.0 --port 80

    Stops on Ctrl-C or SIGTERM, finishing what it took. docs/service.md says more.
    """
    with requires_extra("this", "serve"):
        from rsgnet.server.app import run
    from rsgnet.inference.detectors.detector import open_detector
    from rsgnet.inference.estimator import PoseEstimator
    from rsgnet.server.app import Service
    from rsgnet.server.limits import BoundedDetector, Limits
    from rsgnet.server.metrics import Metrics
    from rsgnet.server.worker import Worker

    limits = Limits(
        request_bytes=round(max_megabytes * 1e6),
        pixels=max_pixels,
        images=max_images,
        people=max_people,
        seconds=max_seconds,
        waiting=max_waiting,
        held_bytes=round(max_held_megabytes * 1e6),
        connections=max_connections,
        batch=batch,
    )
    if compare == weights:
        raise RSGNetError(f"--compare {compare}: these are the weights that are served already; name others")
    names, metrics = [weights, *([compare] if compare is not None else [])], Metrics()

    def open_estimator(name: str) -> PoseEstimator:
        return PoseEstimator(
            name,
            BoundedDetector(open_detector(detector, device, box_threshold), limits.people),
            device=device,
            backend=backend,
            flip_test=flip,
            batch_size=batch_size,
            skeleton=skeleton,
            max_pixels=limits.pixels,
        )

    workers = {name: Worker(partial(open_estimator, name), limits, metrics) for name in names}
    if host not in _LOOPBACK and token is None:
        typer.echo(f"note: whoever reaches {host} may use this service; --token restricts it", err=True)
    run(Service(workers, limits, metrics, token), host, port)
