"""The one door to a network: crops go in, heatmaps come out, whichever library runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import WEIGHTS_FILE, PoseConfig
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.inference.pytorch import needing_pytorch, pytorch_device
from rsgnet.inference.session import Session, check_device, embedded_config, open_session
from rsgnet.inference.weights import config_text, find_weights, read_config
from rsgnet.skeletons import skeleton_named

Backend = Literal["onnx", "torch"]
BACKENDS = ("onnx", "torch")


class Runner(Protocol):
    """A pose network, ready to run.

    Attributes:
        config: What it was built with.
    """

    config: PoseConfig

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, K, h, w) target heatmaps of (B, H, W, 3) RGB crops.

        Raises:
            WeightsError: The network gives another shape, or numbers that are not finite.
        """
        ...


def open_runner(weights: str | Path, backend: str = "onnx", device: str = "auto") -> Runner:
    """Opens a pose network.

    Args:
        weights: A shipped name, a model directory, or an .onnx file.
        backend: "onnx" (ONNX Runtime) or "torch" (PyTorch, from safetensors).
        device: "auto", "cpu" or "cuda".

    Raises:
        WeightsError: The weights are missing, broken or of another kind.
        RSGNetError: There is no such backend or device here.
    """
    if backend not in BACKENDS:
        raise RSGNetError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    check_device(device)
    files = find_weights(weights)
    text = config_text(files)
    if backend == "torch":
        if files.directory is None or text is None:
            raise WeightsError(f"{files.onnx}: backend torch needs a model directory, not an .onnx file")
        return TorchRunner(files.directory, read_config(PoseConfig, text, files.origin), device)
    session = open_session(files.onnx, device)
    text = text if text is not None else embedded_config(session)
    if text is None:
        raise WeightsError(
            f"{files.onnx}: carries no rsgnet config; use one written by `rsgnet` or its model directory"
        )
    return OnnxRunner(session, read_config(PoseConfig, text, files.origin), files.onnx)


class OnnxRunner:
    """A pose network in ONNX Runtime, from the file `path`; the normalisation of crops is part of the graph."""

    def __init__(self, session: Session, config: PoseConfig, path: Path) -> None:
        self.config, self.path = config, path
        self._session = session
        self._input = session.get_inputs()[0]
        self._output = session.get_outputs()[0].name
        width, height = config.crop.size_wh
        shape, wanted = self._input.shape, (height, width, 3)
        fits = len(shape) == 4 and all(
            isinstance(a, str | None) or a == b for a, b in zip(shape[1:], wanted, strict=True)
        )
        if self._input.type != "tensor(uint8)" or not fits:
            raise WeightsError(
                f"{path}: not a pose network of this package: its input is {self._input.type} {shape}, "
                f"expected tensor(uint8) [batch, {height}, {width}, 3]"
            )

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, K, h, w) target heatmaps of (B, H, W, 3) RGB crops."""
        heatmaps = self._session.run([self._output], {self._input.name: crops})[0]
        return _checked(heatmaps, self.config, len(crops), self.path)


class TorchRunner:
    """A pose network in PyTorch, to run weights as they are trained, from the safetensors file `path`."""

    def __init__(self, directory: Path, config: PoseConfig, device: str) -> None:
        with needing_pytorch("backend torch"):
            import torch  # noqa: PLC0415

            from rsgnet.checkpoint import load_pose_model  # noqa: PLC0415
            from rsgnet.model.pixels import normalise  # noqa: PLC0415
        self.config, self.path = config, directory / WEIGHTS_FILE
        self._torch, self._normalise, self._device = torch, normalise, pytorch_device(device)
        self._model: Any = load_pose_model(directory).to(self._device).eval()

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, K, h, w) target heatmaps of (B, H, W, 3) RGB crops."""
        torch, crop = self._torch, self.config.crop
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(crops)).to(self._device)
            images = self._normalise(pixels, crop.mean, crop.std)
            heatmaps = self._model(images).target_heatmaps.float().cpu().numpy()
        return _checked(heatmaps, self.config, len(crops), self.path)


def _checked(heatmaps: Any, config: PoseConfig, count: int, origin: object) -> NDArray[np.float32]:
    wanted = (count, len(skeleton_named(config.model.skeleton)), *config.crop.heatmap_shape_hw)
    maps = np.asarray(heatmaps, np.float32)
    if maps.shape != wanted:
        raise WeightsError(f"{origin}: the network gave heatmaps of shape {maps.shape}, its config promises {wanted}")
    if not np.isfinite(maps).all():
        raise WeightsError(f"{origin}: the network gave numbers that are not finite; its weights are broken")
    return maps
