"""Networks in files, opened to be run: one contract for whichever library runs them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from rsgnet.config_files import METADATA_PROPERTIES
from rsgnet.errors import RSGNetError, WeightsError, requires_extra
from rsgnet.files import regular_size

DEVICES = ("auto", "cpu", "cuda")
_MOST_THREADS = 16


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a network.

    Attributes:
        name: What the file calls it.
        kind: The type of its numbers, as numpy names it: "uint8", "float32".
        shape: Its dimensions, None for those that are free.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]


class Backend(Protocol):
    """A network in a file, ready to run; several threads may share it.

    Attributes:
        input: Its first input.
        outputs: All of its outputs.
        metadata: What the file carries beside the network, by the names of `rsgnet.config`.
    """

    input: TensorSpec
    outputs: tuple[TensorSpec, ...]
    metadata: Mapping[str, str]

    def run(self, names: Sequence[str], tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """The outputs of those names for an input."""
        ...


def check_device(device: str) -> None:
    """Refuses what is no device.

    Raises:
        RSGNetError: It is none of DEVICES.
    """
    if device not in DEVICES:
        raise RSGNetError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")


def allowed_threads() -> int:
    """How many threads a session may use: OMP_NUM_THREADS, else the cores of this process, 16 at most."""
    wish = os.environ.get("OMP_NUM_THREADS", "")
    if wish.isdecimal() and int(wish) > 0:
        return int(wish)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, _MOST_THREADS)


_KINDS = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


class OnnxBackend:
    """An ONNX file in ONNX Runtime, with as many threads as this process may use.

    Args:
        path: The file.
        device: "auto", "cpu" or "cuda".

    Raises:
        WeightsError: The file is truncated or not ONNX.
        RSGNetError: There is no such device here.
    """

    def __init__(self, path: Path, device: str) -> None:
        providers = _providers(device)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = allowed_threads()
        options.log_severity_level = 3  # errors only: they are raised anyway
        try:
            regular_size(path)
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # ONNX Runtime's own classes derive from nothing narrower
            reason = str(error).splitlines()[0]
            raise WeightsError(f"{path}: not an ONNX network that can be read ({reason}); is it truncated?") from error
        if device == "cuda" and "CUDAExecutionProvider" not in self._session.get_providers():
            raise RSGNetError("device cuda asked for, but ONNX Runtime could not start it; use --device cpu")
        self.input = _onnx_spec(self._session.get_inputs()[0])
        self.outputs = tuple(_onnx_spec(output) for output in self._session.get_outputs())
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map

    def run(self, names: Sequence[str], tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """The outputs of those names for an input."""
        outputs: list[NDArray[Any]] = self._session.run(list(names), {self.input.name: tensor})
        return outputs


def _onnx_spec(node: Any) -> TensorSpec:
    shape = tuple(side if isinstance(side, int) else None for side in node.shape)
    return TensorSpec(node.name, _KINDS.get(node.type, node.type), shape)


def _providers(device: str) -> list[str]:
    cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not cuda:
        raise RSGNetError("device cuda asked for, but this ONNX Runtime has none: pip install onnxruntime-gpu")
    return ["CUDAExecutionProvider", "CPUExecutionProvider"] if cuda and device != "cpu" else ["CPUExecutionProvider"]


_HINTS = {"float32": "f32", "bf16": "bf16", "int8": "f32"}  # of a quantised network, what is not quantised


class OpenVinoBackend:
    """A network in OpenVINO on the CPU, with as many threads as this process may use.

    Args:
        path: An .onnx file, or an .xml file with its .bin beside it.
        device: "auto" or "cpu".
        precision: What is reckoned in: "float32", "bf16", or "int8" for a file that was quantised.

    Raises:
        WeightsError: The file is truncated or holds no network.
        RSGNetError: OpenVINO is not installed, or has no such device or precision here.
    """

    def __init__(self, path: Path, device: str, precision: str) -> None:
        with requires_extra("backend openvino", "openvino"):
            import openvino  # noqa: PLC0415
        if device == "cuda":
            raise RSGNetError("backend openvino runs on the processor; use --device cpu, or --backend onnx or torch")
        hints = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": allowed_threads(),
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
        }
        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise RSGNetError("precision bf16: this processor does not reckon in it; use --precision float32 or int8")
        try:
            network = core.read_model(path)
            self._network = core.compile_model(network, "CPU", hints)
        except RuntimeError as error:
            reason = [line for line in str(error).splitlines() if line.strip()][-1]
            raise WeightsError(f"{path}: not a network that OpenVINO can read ({reason}); is it truncated?") from error
        self.input = _openvino_spec(network.inputs[0])
        self.outputs = tuple(_openvino_spec(output) for output in network.outputs)
        self.metadata: Mapping[str, str] = {
            name: network.get_rt_info(["framework", name]).astype(str)
            for name in METADATA_PROPERTIES
            if network.has_rt_info(["framework", name])
        }
        self._places = {name: place for place, output in enumerate(network.outputs) for name in output.get_names()}
        self._one_at_a_time = Lock()

    def run(self, names: Sequence[str], tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """The outputs of those names for an input."""
        if len(tensor) == 0:  # OpenVINO answers an empty batch with what it gave before
            return [output[:0] for output in self.run(names, np.zeros((1, *tensor.shape[1:]), tensor.dtype))]
        with self._one_at_a_time:
            outputs = self._network(np.ascontiguousarray(tensor))
        return [outputs[self._places[name]] for name in names]


def _openvino_spec(node: Any) -> TensorSpec:
    sides = node.get_partial_shape()
    known = [] if sides.rank.is_dynamic else sides
    shape = tuple(None if side.is_dynamic else side.get_length() for side in known)
    return TensorSpec(node.get_any_name(), node.get_element_type().to_dtype().name, shape)


PRECISIONS: dict[str, tuple[str, ...]] = {
    "onnx": ("float32",),
    "torch": ("float32", "bf16"),
    "openvino": ("float32", "bf16", "int8"),
}


def check_backend(backend: str, device: str, precision: str) -> None:
    """Refuses what no network can be run with.

    Raises:
        RSGNetError: There is no such back end or device, or the back end has no such precision.
    """
    if backend not in PRECISIONS:
        raise RSGNetError(f"backend must be one of {', '.join(PRECISIONS)}, not {backend!r}")
    if precision not in PRECISIONS[backend]:
        able = " or ".join(name for name, known in PRECISIONS.items() if precision in known)
        hint = f"; use --backend {able}" if able else ""
        has = " or ".join(PRECISIONS[backend])
        raise RSGNetError(f"backend {backend} has precision {has}, not {precision!r}{hint}")
    check_device(device)


def open_backend(path: Path, device: str = "auto", backend: str = "onnx", precision: str = "float32") -> Backend:
    """Opens a network file.

    Args:
        path: An .onnx file, or for OpenVINO an .xml file.
        device: "auto", "cpu" or "cuda".
        backend: "onnx" (ONNX Runtime) or "openvino".
        precision: One that the back end has.

    Raises:
        WeightsError: The file is missing, truncated or of another kind.
        RSGNetError: There is no such device or precision here, or the library is not installed.
    """
    check_backend(backend, device, precision)
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; `rsgnet export` writes it")
    if backend == "openvino":
        return OpenVinoBackend(path, device, precision)
    if path.suffix.lower() == ".xml":
        raise WeightsError(f"{path}: a file of OpenVINO's; use --backend openvino")
    return OnnxBackend(path, device)
