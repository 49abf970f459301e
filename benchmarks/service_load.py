"""Measures the service under open-loop load: requests arrive at a fixed rate, whether earlier ones are answered or not.

`python benchmarks/service_load.py [--seconds 8] [--rates 0.5 0.8 1.5 3] [--waiting 16]`

The service runs in a process of its own. Its capacity is the rate of answers to as many clients as may wait, each of
which sends a new request after each answer. Then images are sent at multiples of this rate, evenly spaced, each on a
new connection. Latency is counted from the time at which a request was due, so that a stalled service cannot hide it.
Below capacity there must be no error; above it, excess requests are refused with 503. Finally single requests must be
answered as before. Clients and service share the machine, which must be idle for the times to mean anything.
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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rsgnet.crowds.simulator.crowd import render_crowd

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.server.process import Server, serving

MAX_CLIENTS = 256  # requests that wait for an answer at once


@dataclass(frozen=True)
class Outcome:
    """The result of one request: its status, 0 for a failed connection, and seconds since it was due."""

    status: int
    seconds: float


@dataclass(frozen=True)
class Load:
    """The results of one rate.

    Attributes:
        rate: Requests per second.
        outcomes: The outcome of each request.
        memory_mb: The memory of the service before and after.
    """

    rate: float
    outcomes: list[Outcome]
    memory_mb: tuple[float, float]

    @property
    def counts(self) -> Counter[int]:
        """The number of requests by status."""
        return Counter(outcome.status for outcome in self.outcomes)

    @property
    def errors(self) -> int:
        """The number of requests that were neither answered nor properly refused."""
        return len(self.outcomes) - self.counts[200] - self.counts[503]

    def percentiles(self, status: int) -> list[float]:
        """Returns the median, 95th and 99th percentile of the latency of a status; NaN without requests."""
        seconds = [outcome.seconds for outcome in self.outcomes if outcome.status == status]
        return np.percentile(seconds, (50, 95, 99)).tolist() if seconds else [float("nan")] * 3


def send(server: Server, image: bytes, due: float | None = None) -> Outcome:
    """Sends one request and measures its latency from the time at which it was due."""
    due = time.perf_counter() if due is None else due
    try:
        status = server.post(image).status
    except OSError:
        status = 0
    return Outcome(status, time.perf_counter() - due)


def measure_capacity(server: Server, image: bytes, clients: int, seconds: float) -> float:
    """Returns the images per second that are answered while a number of clients always wait."""
    end = time.perf_counter() + seconds

    def client(_: int) -> int:
        answered = 0
        while time.perf_counter() < end:
            answered += send(server, image).status == 200
        return answered

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answered = sum(pool.map(client, range(clients)))
    return answered / (time.perf_counter() - start)


def open_loop(server: Server, image: bytes, rate: float, seconds: float) -> Load:
    """Sends requests at a fixed rate."""
    before, start = server.memory_mb, time.perf_counter()
    with ThreadPoolExecutor(MAX_CLIENTS) as pool:
        futures = []
        for number in range(max(1, round(rate * seconds))):
            due = start + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            futures.append(pool.submit(send, server, image, due))
        outcomes = [future.result() for future in futures]
    return Load(rate, outcomes, (before, server.memory_mb))


def measure(server: Server, image: bytes, rates: list[float], waiting: int, seconds: float) -> tuple[list[Load], bool]:
    """Measures capacity, then loads at multiples of it; returns the loads and whether the service recovered."""
    alone = min(send(server, image).seconds for _ in range(5))
    capacity = measure_capacity(server, image, waiting, seconds)
    print(f"capacity {capacity:.2f} images/s; one request alone takes {1000 * alone:.0f} ms\n")
    print("| rate | sent | answered | 503 | errors | p50, p95, p99, s | p99 of 503s, s | MB before, after |")
    print("|---|---|---|---|---|---|---|---|")
    loads = []
    for factor in rates:
        load = open_loop(server, image, factor * capacity, seconds)
        loads.append(load)
        latencies = ", ".join(f"{value:.2f}" for value in load.percentiles(200))
        sizes = ", ".join(f"{size:.0f}" for size in load.memory_mb)
        print(
            f"| {factor:g} x | {len(load.outcomes)} | {load.counts[200]} | {load.counts[503]} | {load.errors} "
            f"| {latencies} | {load.percentiles(503)[2]:.2f} | {sizes} |",
            flush=True,
        )
    after = [send(server, image) for _ in range(5)]
    recovered = all(outcome.status == 200 for outcome in after)
    alone_ms = 1000 * min(outcome.seconds for outcome in after)
    print(f"\nafterwards: {'recovered' if recovered else 'NOT recovered'}, {alone_ms:.0f} ms alone")
    return loads, recovered


def draw_crowd(seed: int) -> bytes:
    """Returns a drawn crowd as JPEG."""
    file = io.BytesIO()
    Image.fromarray(render_crowd(seed, 0.5).image).save(file, "JPEG", quality=90)
    return file.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="duration of each rate")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.5, 0.8, 1.5, 3.0], help="in multiples of capacity")
    parser.add_argument("--waiting", type=int, default=16, help="images that may wait")
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--detector", default="nano")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    arguments = ["--weights", options.weights, "--detector", options.detector]
    with tempfile.TemporaryDirectory() as folder:
        limits = ["--max-waiting", options.waiting, "--max-images", min(16, options.waiting)]
        with serving(Path(folder) / "log", *arguments, *limits) as server:
            loads, recovered = measure(server, draw_crowd(0), options.rates, options.waiting, options.seconds)
    if any(load.errors for load in loads) or not recovered:
        raise SystemExit("requests failed, or the service did not recover")


if __name__ == "__main__":
    main()
