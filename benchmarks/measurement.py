"""Shared by all benchmarks: timing of several calls side by side, measurements with bounds, and their JSON file.

A measurement is the median over rounds, with its range. In every round each call has its turn, so that a
machine that is slow for a while slows all of them, and ratios are stable where times are not. The file keeps the
measurements of each kind of processor ("amx", "avx512", "avx2", see `rsgnet.inference.runtime.engines`) and of GPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rsgnet.inference.runtime.engines import describe_processor

LIBRARIES = ("torch", "torchvision", "timm", "onnxruntime", "openvino", "nncf", "numpy", "pillow")

Calls = Mapping[str, Callable[[], object]]


@dataclass(frozen=True)
class Spread:
    """The median and the range of a value over the rounds of one run."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, *values: float) -> Spread:
        return cls(float(statistics.median(values)), float(min(values)), float(max(values)))

    def scaled(self, factor: float) -> Spread:
        return Spread(self.median * factor, self.low * factor, self.high * factor)

    def __str__(self) -> str:
        return f"{self.median:.3g} (from {self.low:.3g} to {self.high:.3g})"


class Timings:
    """Seconds per call of several calls, measured side by side.

    Args:
        calls: The calls by name.
        rounds: How many turns each call has.
        min_seconds: The least duration of a turn, within which a call is repeated.
    """

    def __init__(self, calls: Calls, rounds: int, min_seconds: float) -> None:
        for call in calls.values():
            call()  # the first call also initialises
        self.seconds: dict[str, list[float]] = {name: [] for name in calls}
        for turn in range(rounds):
            # Every other round is in reverse order, so that no call always follows the same one.
            for name, call in list(calls.items())[:: -1 if turn % 2 else 1]:
                self.seconds[name].append(seconds_per_call(call, min_seconds))

    def spread(self, name: str) -> Spread:
        """Returns seconds per call."""
        return Spread.of(*self.seconds[name])

    def rate(self, name: str, amount: float) -> Spread:
        """Returns the amount per second, where one call processes `amount`."""
        return Spread.of(*(amount / seconds for seconds in self.seconds[name]))

    def ratio(self, name: str, to: str) -> Spread:
        """Returns the time of one call divided by the time of another, round by round."""
        return Spread.of(*(one / other for one, other in zip(self.seconds[name], self.seconds[to], strict=True)))


def seconds_per_call(call: Callable[[], object], min_seconds: float) -> float:
    """Returns the mean time of a call that is repeated for at least that long."""
    count, start = 0, time.perf_counter()
    while True:
        call()
        count += 1
        passed = time.perf_counter() - start
        if passed >= min_seconds:
            return passed / count


@dataclass(frozen=True)
class Measurement:
    """One measured value of a benchmark.

    Attributes:
        name: The measured quantity, with its unit.
        value: The value.
        target: The bound that the value should meet, "" for none.
        met: Whether it does, None without a bound.
    """

    name: str
    value: Spread
    target: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        verdict = "" if self.met is None else f"   target {self.target}: {'met' if self.met else 'MISSED'}"
        return f"{self.name}: {self.value}{verdict}"


def at_most(name: str, value: Spread, bound: float) -> Measurement:
    """Returns a measurement whose median should be at most the bound."""
    return Measurement(name, value, f"at most {bound:g}", value.median <= bound)


def at_least(name: str, value: Spread, bound: float) -> Measurement:
    """Returns a measurement whose median should be at least the bound."""
    return Measurement(name, value, f"at least {bound:g}", value.median >= bound)


def make_parser(description: str | None, *, threads: int = 2, rounds: int = 5) -> argparse.ArgumentParser:
    """Returns a parser with the options of all benchmarks."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=threads, help="of the libraries that run networks")
    parser.add_argument("--rounds", type=int, default=rounds, help="how many turns each call has")
    parser.add_argument("--json", type=Path, help="a file of all benchmarks to add the measurements to")
    return parser


def set_up(threads: int) -> None:
    """Makes every library use that many threads, before a network is opened, and prints machine and libraries."""
    import torch  # noqa: PLC0415

    os.environ["OMP_NUM_THREADS"] = str(threads)  # read by ONNX Runtime and OpenVINO
    torch.set_num_threads(threads)
    print_machine(threads)


def print_machine(threads: int) -> None:
    machine, processor = describe_machine(threads), describe_processor()
    print(f"{processor.name}, {processor.cores} cores, {threads} threads, Python {machine['python']}")
    print(f"processor of the kind {processor.kind}: {', '.join(processor.instructions) or 'no known units'}")
    print(", ".join(f"{name} {number}" for name, number in machine["libraries"].items()))  # type: ignore[union-attr]


def describe_machine(threads: int) -> dict[str, object]:
    """Returns the processor, libraries and settings that measurements depend on."""
    processor = describe_processor()
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor.name,
        "instructions": list(processor.instructions),
        "cores": processor.cores,
        "threads": threads,
        "python": platform.python_version(),
        "libraries": {name: _library_version(name) for name in LIBRARIES},
    }


def _library_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def report(
    benchmark: str, measurements: list[Measurement], arguments: argparse.Namespace, kind: str | None = None
) -> None:
    """Prints measurements; with --json also replaces those of this benchmark and kind of processor in the file.

    Args:
        benchmark: Its name.
        measurements: What it measured.
        arguments: The values of `make_parser`'s options.
        kind: "gpu" for measurements on a GPU; None for the kind of this machine's processor.
    """
    for measurement in measurements:
        print(measurement)
    if arguments.json is None:
        return
    path: Path = arguments.json
    content = json.loads(path.read_text()) if path.exists() else {}
    kind = kind or describe_processor().kind
    of_kind = content.get(kind, {})
    of_kind[benchmark] = {
        "machine": describe_machine(arguments.threads),
        "rounds": arguments.rounds,
        "measurements": [asdict(measurement) for measurement in measurements],
    }
    content[kind] = dict(sorted(of_kind.items()))
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(dict(sorted(content.items())), indent=1) + "\n")
    temporary.replace(path)
