"""The service under open-loop load: requests come at a fixed rate, whether those before were answered or not.

`python benchmarks/service_load.py [--seconds 8] [--rates 0.5 0.8 1.5 3] [--waiting 16]`

A service is started as a process of its own. Its capacity is what it answers with as many clients as may wait, each
asking anew once it was answered. Then images come at multiples of that rate, evenly spaced, each on a connection of
its own. Seconds are counted from when a request was due, so that a service that stalls cannot hide it. Below capacity
there must be no error; above it what is not taken is refused with 503. In the end one request at a time must be
answered as before. Clients and service share the machine: run it on one that does nothing else, or believe nothing of
the times.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rsgnet.crowds.simulator.crowd import rendered_crowd

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.server.process import Server, serving

CLIENTS = 256  # at the most that wait for an answer at once


@dataclass(frozen=True)
class Outcome:
    """What came of one request: its status, 0 where the connection failed, and seconds since it was due."""

    status: int
    seconds: float


@dataclass(frozen=True)
class Load:
    """What came of one rate.

    Attributes:
        rate: Requests a second.
        outcomes: Of each request.
        memory_mb: Of the service, before and after.
    """

    rate: float
    outcomes: list[Outcome]
    memory_mb: tuple[float, float]

    @property
    def counts(self) -> Counter[int]:
        """Requests by status."""
        return Counter(outcome.status for outcome in self.outcomes)

    @property
    def errors(self) -> int:
        """Requests that were neither answered nor refused as they should."""
        return len(self.outcomes) - self.counts[200] - self.counts[503]

    def percentiles(self, status: int) -> list[float]:
        """The median, 95th and 99th percentile of the seconds of requests of a status; NaN where there are none."""
        seconds = [outcome.seconds for outcome in self.outcomes if outcome.status == status]
        return np.percentile(seconds, (50, 95, 99)).tolist() if seconds else [float("nan")] * 3


def ask(server: Server, image: bytes, due: float | None = None) -> Outcome:
    """One request, counted from when it was due."""
    due = time.perf_counter() if due is None else due
    try:
        status = server.post(image).status
    except OSError:
        status = 0
    return Outcome(status, time.perf_counter() - due)


def capacity(server: Server, image: bytes, clients: int, seconds: float) -> float:
    """Images a second that are answered if there are always as many that wait."""
    end = time.perf_counter() + seconds

    def client(_: int) -> int:
        answered = 0
        while time.perf_counter() < end:
            answered += ask(server, image).status == 200
        return answered

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answered = sum(pool.map(client, range(clients)))
    return answered / (time.perf_counter() - start)


def open_loop(server: Server, image: bytes, rate: float, seconds: float) -> Load:
    """Requests at a fixed rate."""
    before, start = server.memory_mb, time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        asked = []
        for number in range(max(1, round(rate * seconds))):
            due = start + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            asked.append(pool.submit(ask, server, image, due))
        outcomes = [future.result() for future in asked]
    return Load(rate, outcomes, (before, server.memory_mb))


def measure(
    server: Server,
    image: bytes,
    rates: list[float],
    waiting: int,
    seconds: float,
    tell: Callable[[str], None] = print,
) -> tuple[list[Load], bool]:
    """Measures capacity, then loads by multiples of it; gives these, and whether the service recovered."""
    usual = min(ask(server, image).seconds for _ in range(5))
    most = capacity(server, image, waiting, seconds)
    tell(f"capacity {most:.2f} images/s; one request alone takes {1000 * usual:.0f} ms\n")
    tell("| rate | sent | answered | 503 | errors | p50, p95, p99, s | p99 of 503s, s | MB before, after |")
    tell("|---|---|---|---|---|---|---|---|")
    loads = []
    for times in rates:
        load = open_loop(server, image, times * most, seconds)
        loads.append(load)
        told = ", ".join(f"{value:.2f}" for value in load.percentiles(200))
        sizes = ", ".join(f"{size:.0f}" for size in load.memory_mb)
        tell(
            f"| {times:g} x | {len(load.outcomes)} | {load.counts[200]} | {load.counts[503]} | {load.errors} | {told} "
            f"| {load.percentiles(503)[2]:.2f} | {sizes} |"
        )
    after = [ask(server, image) for _ in range(5)]
    recovered = all(outcome.status == 200 for outcome in after)
    alone_ms = 1000 * min(outcome.seconds for outcome in after)
    tell(f"\nafterwards: {'recovered' if recovered else 'NOT recovered'}, {alone_ms:.0f} ms alone")
    return loads, recovered


def crowd_file() -> bytes:
    """A drawn crowd as JPEG."""
    file = io.BytesIO()
    Image.fromarray(rendered_crowd(0, 0.5).image).save(file, "JPEG", quality=90)
    return file.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each rate")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.5, 0.8, 1.5, 3.0], help="in multiples of capacity")
    parser.add_argument("--waiting", type=int, default=16, help="images that may wait")
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--detector", default="nano")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    line = ["--weights", options.weights, "--detector", options.detector]
    with tempfile.TemporaryDirectory() as folder:
        limits = ["--max-waiting", options.waiting, "--max-images", min(16, options.waiting)]
        with serving(Path(folder) / "log", *line, *limits) as server:
            loads, recovered = measure(server, crowd_file(), options.rates, options.waiting, options.seconds)
    if any(load.errors for load in loads) or not recovered:
        raise SystemExit("requests failed, or the service did not recover")


if __name__ == "__main__":
    main()
