"""Network files opened in ONNX Runtime or OpenVINO, behind one interface for raw tensors."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from rsgnet.config_files import METADATA_PROPERTIES
from rsgnet.errors import RSGNetError, RSGNetWarning, WeightsError, network_errors, requires_extra
from rsgnet.inference.runtime.fixed_batches import FixedBatches
from rsgnet.inference.runtime.onnx_structure import check_tensors_inside

DEVICES = ("auto", "cpu", "cuda", "cuda:NUMBER", "mps")
PRECISIONS: dict[str, tuple[str, ...]] = {
    "onnx": ("float32",),
    "torch": ("float32", "bf16"),
    "openvino": ("float32", "bf16", "int8"),
}
_MAX_THREADS = 16
_NO_TENSORS: Mapping[str, NDArray[Any]] = {}
_ONNX_DTYPES = {
    "tensor(uint8)": "uint8",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
}
# OpenVINO's names. The layers of an int8 network that are not quantised run in float32.
OPENVINO_PRECISIONS = {"float32": "f32", "bf16": "bf16", "int8": "f32"}


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a network.

    Attributes:
        name: Its name in the file.
        dtype: The numpy name of its type: "uint8", "float32"; ONNX's own name for rare types.
        shape: Its dimensions; None for a dimension that is free.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class Backend(Protocol):
    """A network file, ready to run. Several threads may share it.

    Attributes:
        input: Its first input of four dimensions, the images; the first of all where there is none.
        inputs: All of its inputs.
        outputs: All of its outputs.
        metadata: The texts that the file carries beside the network, by the property names of `rsgnet.config_files`.
        is_on_processor: Whether it runs on the processor, not on a GPU.
    """

    input: TensorSpec
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: Mapping[str, str]
    is_on_processor: bool

    def run(
        self, names: Sequence[str], tensor: NDArray[Any], others: Mapping[str, NDArray[Any]] = _NO_TENSORS
    ) -> list[NDArray[Any]]:
        """Returns the outputs of those names.

        Args:
            names: Names of outputs.
            tensor: Its `input`.
            others: The other inputs by name, where the network has any.

        Raises:
            NetworkError: The network failed.
        """
        ...


def open_backend(path: Path, device: str = "auto", backend: str = "onnx", precision: str = "float32") -> Backend:
    """Opens a network file.

    Args:
        path: An .onnx file, or for OpenVINO an .xml file.
        device: "auto", "cpu", "cuda" or "cuda:1".
        backend: "onnx" (ONNX Runtime) or "openvino".
        precision: One of the back end's PRECISIONS.

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
        raise WeightsError(f"{path}: an OpenVINO file; use --backend openvino")
    return OnnxBackend(path, device)


def check_backend(backend: str, device: str, precision: str) -> None:
    """Checks a combination that a user asked for.

    Raises:
        RSGNetError: There is no such back end or device, or the back end has no such precision.
    """
    if backend not in PRECISIONS:
        raise RSGNetError(f"backend must be one of {', '.join(PRECISIONS)}, not {backend!r}")
    if precision not in PRECISIONS[backend]:
        alternatives = " or ".join(name for name, known in PRECISIONS.items() if precision in known)
        hint = f"; use --backend {alternatives}" if alternatives else ""
        known = " or ".join(PRECISIONS[backend])
        raise RSGNetError(f"backend {backend} has precision {known}, not {precision!r}{hint}")
    check_device(device)


def check_device(device: str) -> None:
    """Checks the name of a device.

    Raises:
        RSGNetError: It is none of DEVICES.
    """
    kind, colon, number = device.partition(":")
    if kind not in DEVICES or (colon and not (kind == "cuda" and number.isdecimal())):
        raise RSGNetError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")


def thread_limit() -> int:
    """Returns how many threads a network may use: OMP_NUM_THREADS, else the cores of this process, 16 at most."""
    requested = os.environ.get("OMP_NUM_THREADS", "")
    if requested.isdecimal() and int(requested) > 0:
        return int(requested)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MAX_THREADS)


class OnnxBackend:
    """An ONNX file in ONNX Runtime, with as many threads as this process may use.

    Args:
        path: The file.
        device: "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        WeightsError: The file is truncated, not ONNX, or keeps tensors in other files.
        RSGNetError: There is no such device here.
    """

    def __init__(self, path: Path, device: str) -> None:
        providers = _onnx_providers(device)
        check_tensors_inside(path)
        self._path, threads = path, thread_limit()
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), _onnx_options(threads), providers=providers)
        except Exception as error:  # ONNX Runtime's own classes derive from nothing narrower
            reason = str(error).splitlines()[0]
            raise WeightsError(f"{path}: not an ONNX network that can be read ({reason}); is it truncated?") from error
        if device.startswith("cuda") and "CUDAExecutionProvider" not in self._session.get_providers():
            raise RSGNetError(f"device {device}: ONNX Runtime could not start it; use --device cpu")
        self.is_on_processor = self._session.get_providers() == ["CPUExecutionProvider"]
        if device == "auto" and self.is_on_processor and gpu_is_visible():
            warnings.warn(_CPU_FALLBACK, RSGNetWarning, stacklevel=2)
        self.inputs = tuple(_onnx_spec(each) for each in self._session.get_inputs())
        self.input = _main_input(self.inputs)
        self.outputs = tuple(_onnx_spec(output) for output in self._session.get_outputs())
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map

        def open_fixed(size: int) -> Any:
            options = _onnx_options(threads)
            options.add_free_dimension_override_by_name(self._session.get_inputs()[0].shape[0], size)
            return onnxruntime.InferenceSession(str(path), options, providers=providers)

        can_be_fixed = self.is_on_processor and _has_free_batch(self.inputs)
        self._fixed = FixedBatches[Any](open_fixed if can_be_fixed else None)

    def run(
        self, names: Sequence[str], tensor: NDArray[Any], others: Mapping[str, NDArray[Any]] = _NO_TENSORS
    ) -> list[NDArray[Any]]:
        """Returns the outputs of those names for an input tensor, and for other inputs by name."""
        session = self._fixed.find(len(tensor)) or self._session
        with network_errors(self._path):
            outputs: list[NDArray[Any]] = session.run(list(names), {self.input.name: tensor, **others})
        return outputs


def _onnx_options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only, and those are raised
    # Otherwise threads that wait for the next run keep cores busy that the other network and decoding need.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


_CPU_FALLBACK = (
    "device auto: this machine has a GPU, but ONNX Runtime cannot use it and runs on the processor; "
    "pip install onnxruntime-gpu, or choose --device cpu to say so"
)


def gpu_is_visible() -> bool:
    """Returns whether this machine has an NVIDIA GPU that CUDA_VISIBLE_DEVICES does not hide."""
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    return not is_hidden and (Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None)


def _onnx_providers(device: str) -> list[str | tuple[str, dict[str, int]]]:
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "mps":
        raise RSGNetError("device mps: only PyTorch runs on it: add --backend torch, or use --device cpu")
    if device.startswith("cuda") and not has_cuda:
        raise RSGNetError(f"device {device}: this ONNX Runtime does not support it: pip install onnxruntime-gpu")
    if device == "cpu" or not has_cuda:
        return ["CPUExecutionProvider"]
    number = int(device.partition(":")[2] or 0)
    return [("CUDAExecutionProvider", {"device_id": number}), "CPUExecutionProvider"]


def _main_input(inputs: Sequence[TensorSpec]) -> TensorSpec:
    return next((spec for spec in inputs if len(spec.shape) == 4), inputs[0])


def _has_free_batch(inputs: Sequence[TensorSpec]) -> bool:
    """Returns whether a network has one input, whose batch size is free."""
    return len(inputs) == 1 and inputs[0].shape[:1] == (None,)


def _onnx_spec(node: Any) -> TensorSpec:
    shape = tuple(side if isinstance(side, int) else None for side in node.shape)
    return TensorSpec(node.name, _ONNX_DTYPES.get(node.type, node.type), shape)


class OpenVinoBackend:
    """A network in OpenVINO on the CPU, with as many threads as this process may use.

    Args:
        path: An .onnx file, or an .xml file with its .bin beside it.
        device: "auto" or "cpu".
        precision: The arithmetic: "float32", "bf16", or "int8" for a file that was quantised.

    Raises:
        WeightsError: The file is truncated, holds no network, or is an .onnx file that keeps tensors in others.
        RSGNetError: OpenVINO is not installed, or has no such device or precision here.
    """

    is_on_processor = True

    def __init__(self, path: Path, device: str, precision: str) -> None:
        with requires_extra("backend openvino", "openvino"):
            import openvino  # noqa: PLC0415
        if device not in ("auto", "cpu"):
            raise RSGNetError("backend openvino runs on the processor; use --device cpu, or --backend onnx or torch")
        hints = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": thread_limit(),
            "INFERENCE_PRECISION_HINT": OPENVINO_PRECISIONS[precision],
        }
        if path.suffix.lower() != ".xml":
            check_tensors_inside(path)
        self._path = path
        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise RSGNetError("precision bf16: this processor does not support it; use --precision float32 or int8")
        try:
            network = core.read_model(path)
            self._network = core.compile_model(network, "CPU", hints)
        except RuntimeError as error:
            reason = [line for line in str(error).splitlines() if line.strip()][-1]
            raise WeightsError(f"{path}: not a network that OpenVINO can read ({reason}); is it truncated?") from error
        self.inputs = tuple(_openvino_spec(each) for each in network.inputs)
        self.input = _main_input(self.inputs)
        self.outputs = tuple(_openvino_spec(output) for output in network.outputs)
        self.metadata: Mapping[str, str] = {
            name: network.get_rt_info(["framework", name]).astype(str)
            for name in METADATA_PROPERTIES
            if network.has_rt_info(["framework", name])
        }
        self._indices = {name: index for index, output in enumerate(network.outputs) for name in output.get_names()}
        self._lock = Lock()  # a compiled network runs one request at a time

        def compile_fixed(size: int) -> Any:
            fixed = core.read_model(path)
            fixed.reshape([size, *(-1 if side is None else side for side in self.input.shape[1:])])
            return core.compile_model(fixed, "CPU", hints)

        self._fixed = FixedBatches[Any](compile_fixed if _has_free_batch(self.inputs) else None)

    def run(
        self, names: Sequence[str], tensor: NDArray[Any], others: Mapping[str, NDArray[Any]] = _NO_TENSORS
    ) -> list[NDArray[Any]]:
        """Returns the outputs of those names for an input tensor, and for other inputs by name."""
        if len(tensor) == 0:  # for an empty batch OpenVINO returns the outputs of the previous one
            return [output[:0] for output in self.run(names, np.zeros((1, *tensor.shape[1:]), tensor.dtype))]
        network = self._fixed.find(len(tensor)) or self._network
        with self._lock, network_errors(self._path):
            outputs = network({self.input.name: np.ascontiguousarray(tensor), **others})
        return [outputs[self._indices[name]] for name in names]


def _openvino_spec(node: Any) -> TensorSpec:
    sides = node.get_partial_shape()
    known = [] if sides.rank.is_dynamic else sides
    shape = tuple(None if side.is_dynamic else side.get_length() for side in known)
    return TensorSpec(node.get_any_name(), node.get_element_type().to_dtype().name, shape)
