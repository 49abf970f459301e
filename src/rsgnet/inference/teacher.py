"""Teachers for distillation: networks of this package and of other projects that give heatmaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsgnet.errors import WeightsError
from rsgnet.inference.runtime.network import PoseNetwork
from rsgnet.inference.runtime.open_network import open_network
from rsgnet.inference.runtime.outputs import HeatmapOutput, SimccOutput


class TeacherNetwork:
    """A network to learn from: a callable from crops to heatmaps, as `rsgnet.data.teacher.Network` asks for.

    Args:
        network: A pose network that gives heatmaps or SimCC scores.

    Attributes:
        config: What the network was built with.
    """

    def __init__(self, network: PoseNetwork) -> None:
        self.network, self.config = network, network.config

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns (B, K, h, w) heatmaps of (B, H, W, 3) RGB crops."""
        output = self.network.run(crops)
        if isinstance(output, SimccOutput):
            return output.to_heatmaps()
        assert isinstance(output, HeatmapOutput)
        return output.target_heatmaps


def open_teacher(weights: str) -> TeacherNetwork:
    """Opens a network to learn from.

    Args:
        weights: Weights as `open_network` takes them; an .xml file runs in OpenVINO.

    Raises:
        WeightsError: The weights are none, or their file decodes inside.
    """
    backend = "openvino" if weights.lower().endswith(".xml") else "onnx"
    network = open_network(weights, backend, "cpu", ownership=False)
    if network.capabilities.export_options.decoding:
        raise WeightsError(
            f"{weights}: decodes inside and gives no heatmaps to learn from: export it again without --with-decoding"
        )
    return TeacherNetwork(network)
