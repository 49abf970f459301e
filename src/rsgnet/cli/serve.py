"""`rsgnet serve`: serves poses by HTTP, and a page to look at them."""

from __future__ import annotations

import os
from functools import partial
from socket import gethostname
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from rsgnet.cli.options import (
    Backend,
    BatchSize,
    BoxThreshold,
    Detector,
    DetectorLayout,
    Device,
    Flip,
    Network,
    Precision,
    SkeletonName,
    Weights,
    name_layout,
    name_network,
)
from rsgnet.defaults import DEFAULT_DETECTOR, DEFAULT_WEIGHTS
from rsgnet.errors import RSGNetError, requires_extra

if TYPE_CHECKING:
    from rsgnet.inference.estimator import PoseEstimator

_TOKEN_VARIABLE = "RSGNET_TOKEN"
_LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")


def serve(
    *,
    host: Annotated[str, Option(help="Address to listen on; 0.0.0.0 for all.", metavar="ADDRESS")] = "127.0.0.1",
    port: Annotated[
        int, Option(min=0, max=65535, help="Port to listen on; 0 chooses a free one.", metavar="PORT")
    ] = 8000,
    weights: Weights = DEFAULT_WEIGHTS,
    network: Network = None,
    compare: Annotated[
        str | None, Option(help="A second pose network that clients may choose.", metavar="WEIGHTS")
    ] = None,
    detector: Detector = DEFAULT_DETECTOR,
    detector_layout: DetectorLayout = None,
    box_threshold: BoxThreshold = None,
    skeleton: SkeletonName = None,
    flip: Flip = None,
    token: Annotated[
        str | None,
        Option(envvar=_TOKEN_VARIABLE, help="Require this token: Authorization: Bearer TOKEN.", metavar="TOKEN"),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        Option(
            help="A name by which clients without a token may call the service, besides addresses and this machine's "
            "name; repeatable.",
            metavar="NAME",
        ),
    ] = None,
    max_megabytes: Annotated[float, Option(help="Largest request.", metavar="MB")] = 32.0,
    max_pixels: Annotated[int, Option(help="Most pixels of an image.", metavar="PIXELS")] = 64_000_000,
    max_images: Annotated[int, Option(help="Most images in a request.", metavar="COUNT")] = 16,
    max_people: Annotated[int, Option(help="Most people in an image.", metavar="COUNT")] = 200,
    max_seconds: Annotated[float, Option(help="Longest time of a request.", metavar="SECONDS")] = 60.0,
    max_decode_seconds: Annotated[float, Option(help="Longest time to decode an image.", metavar="SECONDS")] = 10.0,
    max_waiting: Annotated[int, Option(help="Most waiting images; beyond it clients get 503.", metavar="COUNT")] = 64,
    max_held_megabytes: Annotated[
        float, Option(help="Largest sum of all requests that arrive or wait; beyond it clients get 503.", metavar="MB")
    ] = 512.0,
    max_connections: Annotated[
        int, Option(help="Most simultaneous connections; beyond it clients get 503.", metavar="COUNT")
    ] = 512,
    max_connections_per_address: Annotated[
        int, Option(help="Most simultaneous connections from one address, such as a proxy's.", metavar="COUNT")
    ] = 128,
    batch: Annotated[int, Option(help="Most images in a batch.", metavar="COUNT")] = 16,
    backend: Backend = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
    batch_size: BatchSize = 32,
) -> None:
    """Serve poses by HTTP, with a web page, to this machine or with --host to others.

    Needs rsgnet\\[serve]. Runs until Ctrl-C or SIGTERM, and then finishes accepted requests. The page is at
    http://127.0.0.1:8000, the description of the API at http://127.0.0.1:8000/docs.

    [dim]Examples:[/dim]

      rsgnet serve
      curl -F images=@photo.jpg http://127.0.0.1:8000/v1/poses
      RSGNET_TOKEN=secret rsgnet serve --host 0.0.0.0 --port 80
    """
    with requires_extra("rsgnet serve", "serve"):
        from rsgnet.server.app import Service, run_service
    from rsgnet.inference.detectors.open_detector import open_detector
    from rsgnet.inference.estimator import PoseEstimator
    from rsgnet.inference.runtime.engines import choose_engine
    from rsgnet.server.decoding import Decoders
    from rsgnet.server.limits import Limits, PeopleLimitDetector
    from rsgnet.server.metrics import Metrics
    from rsgnet.server.worker import Worker

    weights, detector = name_network(weights, network), name_layout(detector, detector_layout)
    limits = Limits(
        request_bytes=round(max_megabytes * 1e6),
        pixels=max_pixels,
        images=max_images,
        people=max_people,
        seconds=max_seconds,
        decode_seconds=max_decode_seconds,
        waiting=max_waiting,
        held_bytes=round(max_held_megabytes * 1e6),
        connections=max_connections,
        connections_per_address=max_connections_per_address,
        batch=batch,
    )
    if token == "" or (token is None and _TOKEN_VARIABLE in os.environ):
        raise RSGNetError(f"--token: the token is empty; set one, or unset {_TOKEN_VARIABLE} for none")
    if compare == weights:
        raise RSGNetError(f"--compare {compare}: these weights are served already; name others")
    names, metrics = [weights, *([compare] if compare is not None else [])], Metrics()

    def open_estimator(name: str) -> PoseEstimator:
        engine = choose_engine(name, backend, precision, device)
        return PoseEstimator(
            name,
            PeopleLimitDetector(open_detector(detector, device, box_threshold, engine.backend), limits.people),
            device=device,
            backend=backend,
            precision=precision,
            flip_test=flip,
            batch_size=batch_size,
            skeleton=skeleton,
            max_pixels=limits.pixels,
        )

    decoders = Decoders(limits)
    workers = {name: Worker(partial(open_estimator, name), decoders, limits, metrics) for name in names}
    if host not in _LOOPBACK_HOSTS and token is None:
        typer.echo(f"note: anybody who reaches {host} can use this service; --token restricts it", err=True)
    host_names = frozenset(name.lower() for name in ("localhost", gethostname(), host, *(allow_host or ())))
    run_service(Service(workers, decoders, limits, metrics, token, host_names), host, port)
