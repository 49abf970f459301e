"""Network files in OpenVINO: its own, and ONNX files as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.errors import RSGNetError, WeightsError, needing
from rsgnet.inference.session import Port, allowed_threads
from rsgnet.model_files import METADATA_PROPERTIES

_HINTS = {"float32": "f32", "bf16": "bf16", "int8": "f32"}  # of a quantised network, what is not quantised


class OpenVinoSession:
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
        with needing("backend openvino", "openvino"):
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
        self.input = _port(network.inputs[0])
        self.outputs = tuple(_port(output) for output in network.outputs)
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


def _port(node: Any) -> Port:
    sides = node.get_partial_shape()
    known = [] if sides.rank.is_dynamic else sides
    shape = tuple(None if side.is_dynamic else side.get_length() for side in known)
    return Port(node.get_any_name(), node.get_element_type().to_dtype().name, shape)
