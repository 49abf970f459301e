"""Chooses the back end and the precision that run a network fastest on this machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rsgnet.config_files import WEIGHTS_FILE
from rsgnet.inference.runtime.backends import gpu_is_visible
from rsgnet.inference.weights import HUB_PREFIX, find_weights, parse_named_file

AUTO = "auto"
INSTRUCTION_SETS = (
    "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8", "asimd", "sve",
)  # fmt: skip
# Opening a network in OpenVINO takes about a second longer than in ONNX Runtime; a smaller gain rarely repays it.
MIN_GAIN = 1.2
_KINDS = {"amx": "amx_bf16", "avx512": "avx512f", "avx2": "avx2"}  # widest first, with the instructions that tell it


@dataclass(frozen=True)
class Processor:
    """The processor of this machine.

    Attributes:
        name: As the system names it.
        instructions: Those of INSTRUCTION_SETS that it has.
        cores: How many the system has.
    """

    name: str
    instructions: tuple[str, ...]
    cores: int

    @property
    def kind(self) -> str:
        """Its widest units for floating-point numbers: "amx", "avx512" or "avx2"; "other" where none is known."""
        return next((kind for kind, name in _KINDS.items() if name in self.instructions), "other")


@dataclass(frozen=True)
class Engine:
    """A back end and the precision in which it runs a network."""

    backend: str
    precision: str = "float32"

    def __str__(self) -> str:
        return f"{self.backend} {self.precision}"


BASELINE = Engine("onnx")  # is always installed
# Crops per second relative to BASELINE by kind of processor, of small or HRNet-W32 in batches of 8, from
# docs/performance.json: a test compares them.
SPEEDS: Mapping[str, Mapping[Engine, float]] = {
    "avx512": {Engine("openvino"): 1.01, Engine("openvino", "bf16"): 1.78},
    "avx2": {Engine("openvino"): 1.06},
}


def describe_processor() -> Processor:
    """Returns what the system says of the processor; without /proc/cpuinfo no instructions are known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = values.get("flags", values.get("Features", "")).split()
    name = values.get("model name") or platform.processor() or platform.machine()
    return Processor(name, tuple(each for each in INSTRUCTION_SETS if each in flags), os.cpu_count() or 1)


def choose_engine(
    weights: str | Path, backend: str = AUTO, precision: str = AUTO, device: str = AUTO, kind: str | None = None
) -> Engine:
    """Replaces "auto" by what is fastest among what is installed and agrees with float32 to 0.1 pixels and 0.001 AP.

    bf16 and int8 do not agree so closely (docs/performance.md), and are used only where they are asked for.

    Args:
        weights: As `open_network` takes them.
        backend: "auto", or what is wanted.
        precision: "auto", or what is wanted.
        device: The device that the network is to run on.
        kind: The kind of processor; None for this machine's.

    Raises:
        WeightsError: There are no such weights.
    """
    if precision == AUTO:
        precision = "float32"
    if backend == AUTO:
        backend = _only_backend(weights, device) or _fastest_backend(precision, device, kind)
    return Engine(backend, precision)


def _only_backend(weights: str | Path, device: str) -> str | None:
    """Returns the back end that the weights or the device require, None where they leave a choice."""
    named = parse_named_file(weights)
    if named is not None:
        return named.backend
    if not str(weights).startswith(HUB_PREFIX):
        files = find_weights(weights)
        if files.onnx.suffix.lower() == ".xml":
            return "openvino"
        has_torch_weights = files.directory is not None and (files.directory / WEIGHTS_FILE).is_file()
        if has_torch_weights and not files.onnx.is_file() and _is_installed("torch"):
            return "torch"
    return "torch" if device == "mps" else None


def _fastest_backend(precision: str, device: str, kind: str | None) -> str:
    if device.startswith("cuda") or (device == AUTO and gpu_is_visible()):
        return "onnx" if precision == "float32" else "torch"
    if precision != "float32":
        return "openvino"
    speeds = SPEEDS.get(kind or describe_processor().kind, {})
    worthwhile = [engine for engine in speeds if _is_worthwhile(engine, speeds) and _is_installed(engine.backend)]
    return max([BASELINE, *worthwhile], key=lambda engine: speeds.get(engine, 1.0)).backend


def _is_worthwhile(engine: Engine, speeds: Mapping[Engine, float]) -> bool:
    return engine.precision == "float32" and speeds[engine] >= MIN_GAIN


def explain_choice(processor: Processor) -> list[str]:
    """Returns lines of text: the processor, what "auto" chooses on it and why, and what else would be faster."""
    speeds = SPEEDS.get(processor.kind, {})
    chosen = _fastest_backend("float32", "cpu", processor.kind)
    lines = [
        f"processor: {processor.name}, {processor.cores} cores, {' '.join(processor.instructions) or 'no known units'}",
        f"auto: {Engine(chosen)}, the fastest here whose keypoints agree to 0.1 pixels",
    ]
    has_bf16 = bool({"avx512_bf16", "amx_bf16"} & set(processor.instructions))
    for engine, speed in speeds.items():
        if engine == Engine(chosen) or (engine.precision == "bf16" and not has_bf16):
            continue
        notes = [f"{engine}: {speed:g} times as fast as {BASELINE}"]
        if engine.precision != "float32":
            notes.append(f"less exact, so only with --backend {engine.backend} --precision {engine.precision}")
        elif speed < MIN_GAIN:
            notes.append(f"takes a second longer to open, so only with --backend {engine.backend}")
        if not _is_installed(engine.backend):
            notes.append(f"pip install 'rsgnet[{engine.backend}]'")
        lines.append("; ".join(notes))
    if not speeds:
        lines.append(f"no other back end has been measured on a processor of this kind ({processor.kind})")
    return lines


def _is_installed(library: str) -> bool:
    return find_spec(library) is not None
