"""Network files in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from rsgnet.bounded import regular_size
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.inference.session import Port, allowed_threads

_KINDS = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


class OnnxSession:
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
        self.input = _port(self._session.get_inputs()[0])
        self.outputs = tuple(_port(output) for output in self._session.get_outputs())
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map

    def run(self, names: Sequence[str], tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """The outputs of those names for an input."""
        outputs: list[NDArray[Any]] = self._session.run(list(names), {self.input.name: tensor})
        return outputs


def _port(node: Any) -> Port:
    shape = tuple(side if isinstance(side, int) else None for side in node.shape)
    return Port(node.name, _KINDS.get(node.type, node.type), shape)


def _providers(device: str) -> list[str]:
    cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not cuda:
        raise RSGNetError("device cuda asked for, but this ONNX Runtime has none: pip install onnxruntime-gpu")
    return ["CUDAExecutionProvider", "CPUExecutionProvider"] if cuda and device != "cpu" else ["CPUExecutionProvider"]
