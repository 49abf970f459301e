"""Networks to learn from: those of this package, and other projects' that yield COCO-17 heatmaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import CropConfig, DecodeConfig, ModelConfig, PoseConfig
from rsgnet.config_files import ONNX_CONFIG_PROPERTY
from rsgnet.errors import WeightsError
from rsgnet.inference.runtime.backends import Backend, open_backend
from rsgnet.inference.runtime.network import EvidenceRunner, Runner, open_runner
from rsgnet.skeletons import COCO17


def open_teacher(weights: str) -> Runner:
    """Opens a network.

    Args:
        weights: As `open_runner` takes them; or an .onnx or .xml file of another project whose input is one crop,
            (1, 3, H, W) RGB normalised as ImageNet, and whose first output is (1, 17, h, w) heatmaps of COCO-17.

    Raises:
        WeightsError: It is neither.
    """
    path, backend = Path(weights), "openvino" if weights.lower().endswith(".xml") else "onnx"
    if path.is_file():
        session = open_backend(path, "cpu", backend)
        if ONNX_CONFIG_PROPERTY not in session.metadata:
            return _Foreign(session, path)
    runner = open_runner(weights, backend, "cpu", ownership=False)
    if not isinstance(runner, EvidenceRunner):
        raise WeightsError(f"{weights}: decodes inside and gives no heatmaps to learn from: export it anew")
    return runner


class _Foreign:
    """Another project's network, with this package's names for what it wants.

    As in the released code, and unlike in what this package ships, a heatmap's pixel `i` is its crop's pixel
    `stride * i`: read otherwise PP-TinyPose has AP 0.615 where it has 0.640 (docs/log.md).
    """

    def __init__(self, session: Backend, path: Path) -> None:
        shape, given = session.input.shape, session.outputs[0].shape
        if len(shape) != 4 or len(given) != 4 or shape[1] != 3 or given[1] != len(COCO17) or None in shape[2:]:
            raise WeightsError(
                f"{path}: wants {list(shape)} and gives {list(given)}; a teacher wants [1, 3, height, width] and gives "
                f"[1, {len(COCO17)}, h, w]"
            )
        height, width = int(shape[2] or 0), int(shape[3] or 0)
        stride = height // int(given[2] or height // 4)
        self.config = PoseConfig(
            path.stem,
            crop=CropConfig(size_wh=(width, height), stride=stride),
            model=ModelConfig(relation=None, skeleton_graph=False),
            decode=DecodeConfig(refinement="taylor"),
        )
        self._session = session

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, 17, h, w) heatmaps of (B, H, W, 3) RGB crops, looked at one by one."""
        crop, name = self.config.crop, self._session.outputs[0].name
        images = ((crops / 255 - crop.mean) / crop.std).astype(np.float32).transpose(0, 3, 1, 2)
        return np.concatenate([self._session.run([name], image[None])[0] for image in images])
