"""What all benchmarks share: rivals set side by side in one run, the machine they ran on, and one file of figures.

A figure is the median over rounds with the range it had. In every round each rival has its turn, so whatever slows the
machine for a while slows all of them, and ratios hold where times do not.
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

LIBRARIES = ("torch", "torchvision", "timm", "onnxruntime", "openvino", "nncf", "numpy", "pillow")


@dataclass(frozen=True)
class Spread:
    """A figure over the rounds of one run.

    Attributes:
        median: The middle round's.
        low: The lowest round's.
        high: The highest round's.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(float(statistics.median(values)), float(min(values)), float(max(values)))

    def scaled(self, factor: float) -> Spread:
        """The same in another unit."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)

    def __str__(self) -> str:
        return f"{self.median:.3g} (from {self.low:.3g} to {self.high:.3g})"


class SideBySide:
    """Seconds that some rivals took for one call, round by round.

    Args:
        rivals: What is called, by name.
        rounds: How often each has its turn.
        seconds: How long a turn lasts at least; within it calls are repeated.
    """

    def __init__(self, rivals: Mapping[str, Callable[[], object]], rounds: int, seconds: float) -> None:
        for call in rivals.values():
            call()  # whatever is made on first use
        self.seconds: dict[str, list[float]] = {name: [] for name in rivals}
        for turn in range(rounds):
            # Every other round goes backwards, so that nobody always follows the same rival.
            for name, call in list(rivals.items())[:: -1 if turn % 2 else 1]:
                self.seconds[name].append(seconds_per_call(call, seconds))

    def spread(self, name: str) -> Spread:
        """Seconds per call."""
        return Spread.of(self.seconds[name])

    def rate(self, name: str, amount: float) -> Spread:
        """How much gets done in a second where a call does that amount."""
        return Spread.of([amount / seconds for seconds in self.seconds[name]])

    def ratio(self, name: str, to: str) -> Spread:
        """How many times as long a call of one takes as a call of the other."""
        return Spread.of([one / other for one, other in zip(self.seconds[name], self.seconds[to], strict=True)])


def seconds_per_call(call: Callable[[], object], at_least: float) -> float:
    """The mean time of a call, repeated for as long as that."""
    count, start = 0, time.perf_counter()
    while True:
        call()
        count += 1
        passed = time.perf_counter() - start
        if passed >= at_least:
            return passed / count


def arguments_of(description: str | None, *, threads: int = 2, rounds: int = 5) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=threads, help="of the libraries that run networks")
    parser.add_argument("--rounds", type=int, default=rounds, help="how often each rival has its turn")
    parser.add_argument("--json", type=Path, help="a file to set the figures down in, beside other benchmarks'")
    return parser


def use_threads(count: int) -> None:
    """Has every library use that many threads; comes before a network is opened."""
    import torch  # noqa: PLC0415

    os.environ["OMP_NUM_THREADS"] = str(count)  # what ONNX Runtime and OpenVINO are opened with
    torch.set_num_threads(count)


def print_machine(threads: int) -> None:
    """A line about the machine and one about the libraries."""
    machine = machine_facts(threads)
    print(f"{machine['processor']}, {machine['cores']} cores, {threads} threads, Python {machine['python']}")
    print(", ".join(f"{name} {number}" for name, number in machine["libraries"].items()))  # type: ignore[union-attr]


def machine_facts(threads: int) -> dict[str, object]:
    """What figures depend on besides the code."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "instructions": instructions(),
        "cores": os.cpu_count(),
        "threads": threads,
        "python": platform.python_version(),
        "libraries": {name: installed(name) for name in LIBRARIES},
    }


def processor() -> str:
    """Its name."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def instructions() -> list[str]:
    """The sets of wide instructions that decide how fast convolutions can be."""
    kinds = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8", "asimd", "sve")
    given = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return [kind for kind in kinds if kind in given]


def _cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(": ")[2] for line in lines if line.startswith(key)), "")


def installed(name: str) -> str:
    """A library's version."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


@dataclass(frozen=True)
class Figure:
    """What one benchmark found about one thing.

    Attributes:
        what: In words, with the unit.
        value: The figure.
        wanted: What it was meant to reach, in words; nothing where it was only to be known.
        met: Whether it did.
    """

    what: str
    value: Spread
    wanted: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        verdict = "" if self.met is None else f"   wanted {self.wanted}: {'met' if self.met else 'MISSED'}"
        return f"{self.what}: {self.value}{verdict}"


def at_most(what: str, value: Spread, bound: float) -> Figure:
    """A figure that was to be that or less."""
    return Figure(what, value, f"at most {bound:g}", value.median <= bound)


def at_least(what: str, value: Spread, bound: float) -> Figure:
    """A figure that was to be that or more."""
    return Figure(what, value, f"at least {bound:g}", value.median >= bound)


def report(benchmark: str, figures: list[Figure], arguments: argparse.Namespace) -> None:
    """Prints figures and, where asked, sets them down in place of those that the file had of this benchmark."""
    for figure in figures:
        print(figure)
    if arguments.json is None:
        return
    path: Path = arguments.json
    known = json.loads(path.read_text()) if path.exists() else {}
    known[benchmark] = {
        "machine": machine_facts(arguments.threads),
        "rounds": arguments.rounds,
        "figures": [asdict(figure) for figure in figures],
    }
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
    beside.replace(path)
