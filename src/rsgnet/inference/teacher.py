"""Teachers for distillation: networks of this package, and other projects' networks with COCO-17 heatmaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import CropConfig, DecodeConfig, ModelConfig, PoseConfig
from rsgnet.config_files import ONNX_CONFIG_PROPERTY
from rsgnet.errors import WeightsError
from rsgnet.inference.runtime.backends import Backend, open_backend
from rsgnet.inference.runtime.network import PoseNetwork
from rsgnet.inference.runtime.open_network import open_network
from rsgnet.inference.runtime.outputs import HeatmapOutput
from rsgnet.skeletons import COCO17


class TeacherNetwork:
    """A network to learn from: a callable from crops to heatmaps, as `rsgnet.data.teacher.Network` asks for.

    Args:
        network: A pose network that gives heatmaps.

    Attributes:
        config: What the network was built with.
    """

    def __init__(self, network: PoseNetwork) -> None:
        self.network, self.config = network, network.config

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns (B, K, h, w) heatmaps of (B, H, W, 3) RGB crops."""
        output = self.network.run(crops)
        assert isinstance(output, HeatmapOutput)
        return output.target_heatmaps


def open_teacher(weights: str) -> TeacherNetwork:
    """Opens a network to learn from.

    Args:
        weights: Weights as `open_network` takes them; or an .onnx or .xml file of another project whose input is one
            crop, (1, 3, H, W) RGB normalised with ImageNet's mean and standard deviation, and whose first output is
            (1, 17, h, w) heatmaps of COCO-17.

    Raises:
        WeightsError: The weights are neither, or their file decodes inside.
    """
    path, backend = Path(weights), "openvino" if weights.lower().endswith(".xml") else "onnx"
    if path.is_file():
        session = open_backend(path, "cpu", backend)
        if ONNX_CONFIG_PROPERTY not in session.metadata:
            return TeacherNetwork(ForeignNetwork(session, path))
    network = open_network(weights, backend, "cpu", ownership=False)
    if network.capabilities.export_options.decoding:
        raise WeightsError(
            f"{weights}: decodes inside and gives no heatmaps to learn from: export it again without --with-decoding"
        )
    return TeacherNetwork(network)


class ForeignNetwork(PoseNetwork):
    """A network of another project that takes one normalised crop and gives heatmaps of COCO-17.

    In its heatmaps, as in the released code's, pixel `i` is pixel `stride * i` of the crop. Decoded with the convention
    of the weights that this package ships PP-TinyPose has AP 0.615, with this one 0.640 (docs/log.md).

    Args:
        backend: The opened file.
        path: The file.

    Raises:
        WeightsError: Its input or first output has another shape.
    """

    def __init__(self, backend: Backend, path: Path) -> None:
        shape, output_shape = backend.input.shape, backend.outputs[0].shape
        is_image = len(shape) == 4 and shape[1] == 3 and None not in shape[2:]
        if not is_image or len(output_shape) != 4 or output_shape[1] != len(COCO17):
            raise WeightsError(
                f"{path}: takes {list(shape)} and gives {list(output_shape)}; a teacher takes [1, 3, height, width] "
                f"and gives [1, {len(COCO17)}, h, w]"
            )
        height, width = int(shape[2] or 0), int(shape[3] or 0)
        stride = height // int(output_shape[2] or height // 4)
        self.path = path
        self.config = PoseConfig(
            path.stem,
            crop=CropConfig(size_wh=(width, height), stride=stride),
            model=ModelConfig(relation=None, skeleton_graph=False),
            decode=DecodeConfig(refinement="taylor"),
        )
        self._backend = backend

    def run(self, crops: NDArray[np.uint8]) -> HeatmapOutput:
        """Returns the heatmaps of (B, H, W, 3) RGB crops, which the network is given one by one."""
        crop, name = self.config.crop, self._backend.outputs[0].name
        images = ((crops / 255 - crop.mean) / crop.std).astype(np.float32).transpose(0, 3, 1, 2)
        return HeatmapOutput(np.concatenate([self._backend.run([name], image[None])[0] for image in images]))
