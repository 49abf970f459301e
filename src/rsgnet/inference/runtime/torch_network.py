"""What the parts that run in PyTorch ask of the installation and the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import ExportOptions, PoseConfig
from rsgnet.errors import RSGNetError, requires_extra
from rsgnet.inference.decode import InnerMaps, Maps, checked_maps
from rsgnet.inference.ownership import Ownership
from rsgnet.inference.runtime.backends import check_device


def pytorch_device(device: str) -> str:
    """The device in PyTorch's words: "cuda" for "auto" where there is one.

    Raises:
        RSGNetError: There is no such device here.
    """
    import torch  # noqa: PLC0415

    check_device(device)
    found = torch.cuda.is_available()
    if device == "cuda" and not found:
        raise RSGNetError("device cuda asked for, but PyTorch sees no GPU; use --device cpu")
    return "cuda" if device != "cpu" and found else "cpu"


class TorchRunner:
    """A pose network in PyTorch.

    Args:
        path: Its weights, the safetensors file of a model directory.
        config: What it was built with.
        device: "auto", "cpu" or "cuda".
        precision: "float32", or "bf16" to multiply in it.

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
        self.config, self.path, self.form = config, path, ExportOptions()
        self.ownership: Ownership | None = None
        self.gives_candidates = config.model.candidates is not None
        self._torch, self._normalise, self._device = torch, normalise, pytorch_device(device)
        self._table, self._bf16 = candidate_table, precision == "bf16"
        network: Any = load_pose_model(path.parent)
        self._model = network.to(self._device, memory_format=torch.channels_last).eval()

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, K, h, w) target heatmaps of (B, H, W, 3) RGB crops."""
        with self._torch.inference_mode():
            heatmaps = self._output(crops).target_heatmaps.float().cpu().numpy()
        return checked_maps(heatmaps, [], self.config, len(crops), self.path).target_heatmaps

    def maps(self, crops: NDArray[np.uint8]) -> Maps:
        """Target heatmaps and candidates of (B, H, W, 3) RGB crops."""
        with self._torch.inference_mode():
            output = self._output(crops)
            table = None if output.candidates is None else self._table(output.candidates, output.relation)
            tables = [] if table is None else [table.float().cpu().numpy()]
            heatmaps = output.target_heatmaps.float().cpu().numpy()
        return checked_maps(heatmaps, tables, self.config, len(crops), self.path)

    def inner(self, crop: NDArray[np.uint8]) -> InnerMaps:
        """Everything that the network makes of an (H, W, 3) RGB crop."""
        maps = self.maps(crop[None])
        with self._torch.inference_mode():
            output = self._output(crop[None])
            found = output.candidate_relation
        given = output.candidate_heatmaps, maps.tables[0] if maps.tables else None, found, output.limb_heatmaps
        return InnerMaps(maps.target_heatmaps[0], *(_first(each) for each in given))

    def _output(self, crops: NDArray[np.uint8]) -> Any:
        """The network's `ModelOutput`."""
        crop, torch = self.config.crop, self._torch
        pixels = torch.from_numpy(np.require(crops, requirements=("C", "W"))).to(
            self._device
        )  # PyTorch warns of others
        with torch.autocast(self._device, torch.bfloat16, enabled=self._bf16):
            return self._model(self._normalise(pixels, crop.mean, crop.std))


def _first(maps: Any) -> NDArray[np.float32] | None:
    """The first crop's, of an array or a tensor."""
    if maps is None:
        return None
    return np.asarray(maps[0] if isinstance(maps, np.ndarray) else maps[0].float().cpu().numpy(), np.float32)
