"""Pose networks in PyTorch, which is imported only when one is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import PoseConfig
from rsgnet.errors import RSGNetError, network_errors, requires_extra
from rsgnet.inference.runtime.backends import check_device
from rsgnet.inference.runtime.network import NetworkCapabilities, PoseNetwork
from rsgnet.inference.runtime.outputs import HeatmapOutput, InnerMaps, build_heatmap_output


def pytorch_device(device: str) -> str:
    """Returns PyTorch's name for a device: for "auto" it is "cuda" where there is a GPU, else "cpu".

    Raises:
        RSGNetError: There is no such device here.
    """
    import torch  # noqa: PLC0415

    check_device(device)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if gpus else "cpu"
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= gpus:
        found = f"only {', '.join(f'cuda:{number}' for number in range(gpus))}" if gpus else "no GPU"
        raise RSGNetError(f"device {device}: PyTorch finds {found}; use --device cpu")
    if device == "mps" and not torch.backends.mps.is_available():
        raise RSGNetError("device mps: PyTorch finds no Apple GPU; use --device cpu")
    return device


class TorchNetwork(PoseNetwork):
    """A pose network in PyTorch.

    Args:
        path: Its weights, the safetensors file of a model directory.
        config: What it was built with.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: "float32", or "bf16" for autocasting to it.

    Raises:
        WeightsError: The weights are missing or do not fit the config.
        RSGNetError: PyTorch is not installed, or has no such device here.
    """

    def __init__(self, path: Path, config: PoseConfig, device: str, precision: str) -> None:
        with requires_extra("backend torch", "train"):
            import torch  # noqa: PLC0415

            from rsgnet.checkpoint import load_pose_model  # noqa: PLC0415
            from rsgnet.model.layers import normalise  # noqa: PLC0415
            from rsgnet.model.relation_parser import candidate_table  # noqa: PLC0415
        self.config, self.path = config, path
        self.capabilities = NetworkCapabilities(
            gives_candidates=config.model.candidates is not None, shows_inner_maps=True
        )
        self._torch, self._normalise, self._candidate_table = torch, normalise, candidate_table
        self._device, self._uses_bf16 = pytorch_device(device), precision == "bf16"
        model: Any = load_pose_model(path.parent)
        self._model = model.to(self._device, memory_format=torch.channels_last).eval()

    def run(self, crops: NDArray[np.uint8]) -> HeatmapOutput:
        """Returns the heatmaps and candidates of (B, H, W, 3) RGB crops; raises as `PoseNetwork.run` does."""
        with self._torch.inference_mode():
            return self._to_heatmap_output(self._forward(crops), len(crops))

    def inspect(self, crop: NDArray[np.uint8]) -> InnerMaps:
        """Returns every map that the network computes for an (H, W, 3) RGB crop."""
        with self._torch.inference_mode():
            output = self._forward(crop[None])
            maps = self._to_heatmap_output(output, 1)
            return InnerMaps(
                maps.target_heatmaps[0],
                _first_array(output.candidate_heatmaps),
                maps.candidate_tables[0][0] if maps.candidate_tables else None,
                _first_array(output.candidate_relation),
                _first_array(output.limb_heatmaps),
            )

    def _forward(self, crops: NDArray[np.uint8]) -> Any:
        """Returns the model's `ModelOutput`."""
        crop, torch = self.config.crop, self._torch
        writable = np.require(crops, requirements=("C", "W"))  # PyTorch warns of read-only arrays
        pixels = torch.from_numpy(writable).to(self._device)
        autocast = torch.autocast(self._device.partition(":")[0], torch.bfloat16, enabled=self._uses_bf16)
        with network_errors(self.path), autocast:
            return self._model(self._normalise(pixels, crop.mean, crop.std))

    def _to_heatmap_output(self, output: Any, crops: int) -> HeatmapOutput:
        tables = []
        if output.candidates is not None:
            tables = [self._candidate_table(output.candidates, output.relation).float().cpu().numpy()]
        heatmaps = output.target_heatmaps.float().cpu().numpy()
        return build_heatmap_output(heatmaps, tables, self.config, crops, self.path)


def _first_array(maps: Any) -> NDArray[np.float32] | None:
    """Returns the maps of the first crop as an array, None where there are none."""
    return None if maps is None else np.asarray(maps[0].float().cpu().numpy(), np.float32)
