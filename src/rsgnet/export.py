"""Networks to ONNX: pixels in, heatmaps or boxes out, the configuration in the file's metadata.

The graph takes 8-bit RGB and normalises it itself, so that every back end is fed alike.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from rsgnet.checkpoint import load_model, save_model
from rsgnet.config import (
    ONNX_CONFIG_PROPERTY,
    ONNX_FILE,
    ONNX_OWNERSHIP_PROPERTY,
    OWNERSHIP_FILE,
    DetectorConfig,
    FasterRCNNConfig,
    PoseConfig,
)
from rsgnet.errors import RSGNetError
from rsgnet.files import replacing, write_text
from rsgnet.model import DenseRSGNet, PersonDetector, RSGNet
from rsgnet.model.candidate_table import candidate_table
from rsgnet.model.pixels import normalise
from rsgnet.settings import to_json

_OPSET = 18


class PoseGraph(nn.Module):
    """What is exported of a pose network.

    Args:
        model: The network.
        config: Its configuration.
    """

    def __init__(self, model: RSGNet | DenseRSGNet, config: PoseConfig) -> None:
        super().__init__()
        self.model, self.crop = model, config.crop
        self.peaks, self.threshold = config.model.peaks_per_keypoint, config.model.candidate_threshold
        related = config.model.relation != "none"
        self.input_name = "crops"
        self.output_names = ["target_heatmaps"]
        if related:
            self.output_names += ["candidate_heatmaps", "candidates"]
        self.size_wh = config.crop.size_wh

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, 3) uint8 RGB to (B, K, h, w) target heatmaps; and where the network has them, everyone's.

        With everyone's heatmaps come the (B, K, P, 4) candidates of `candidate_table`.
        """
        output = self.model(normalise(crops, self.crop.mean, self.crop.std))
        table = candidate_table(output, self.peaks, self.threshold)
        if table is None:
            return (output.target_heatmaps,)
        return output.target_heatmaps, output.candidate_heatmaps, table


class DetectorGraph(nn.Module):
    """What is exported of a detector.

    Args:
        model: The network.
        config: Its configuration.
    """

    def __init__(self, model: PersonDetector, config: DetectorConfig) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.input_name = "pictures"
        self.output_names = ["boxes_xyxy", "scores"]
        self.size_wh = config.size_wh

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, 3) uint8 RGB to (B, M, 4) boxes in input pixels and (B, M) scores, highest first."""
        found = self.model(normalise(pictures, self.config.mean, self.config.std))
        return self.model.find_boxes(found)


def export_onnx(directory: Path) -> Path:
    """Writes `model.onnx` beside the weights of a model directory.

    Args:
        directory: A model directory.

    Returns:
        The file.

    Raises:
        WeightsError: The directory holds no network, or weights that do not fit it.
        RSGNetError: It is a Faster R-CNN, which runs in PyTorch only.
    """
    model, config = _load(directory)
    path = directory / ONNX_FILE
    with replacing(path) as beside:
        write_onnx(model, config, beside)
    fit = directory / OWNERSHIP_FILE
    if fit.is_file():
        embed_ownership(path, fit.read_text(encoding="utf-8"))
    return path


def embed_ownership(path: Path, text: str) -> None:
    """Writes an ownership fit into an ONNX file, so that the file suffices by itself.

    Args:
        path: The ONNX file of a pose network.
        text: The fit, as `ownership.json` has it.
    """
    proto = onnx.load(path)
    properties = {entry.key: entry.value for entry in proto.metadata_props}
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {**properties, ONNX_OWNERSHIP_PROPERTY: text})
    with replacing(path) as beside:
        onnx.save(proto, beside)


def publish(directory: Path, out: Path) -> None:
    """Writes a model directory anew, its weights in half precision: half the size, to be shipped.

    Args:
        directory: A model directory.
        out: The new one.

    Raises:
        WeightsError: The directory holds no network, or weights that do not fit it.
        RSGNetError: It is a Faster R-CNN, which runs in PyTorch only.
    """
    model, config = _load(directory)
    fit = directory / OWNERSHIP_FILE
    text = fit.read_text(encoding="utf-8") if fit.is_file() else None
    save_model(model, config, out, half=True)
    if text is not None:
        write_text(out / OWNERSHIP_FILE, text)


def _load(directory: Path) -> tuple[nn.Module, PoseConfig | DetectorConfig]:
    model, config = load_model(directory)
    if isinstance(config, FasterRCNNConfig):
        raise RSGNetError(f"{directory}: Faster R-CNN runs in PyTorch only: use --detector {directory}")
    return model, config


def write_onnx(model: nn.Module, config: PoseConfig | DetectorConfig, path: Path) -> None:
    """Writes one network, in evaluation mode, as an ONNX file with a dynamic batch."""
    graph: PoseGraph | DetectorGraph
    if isinstance(config, PoseConfig):
        assert isinstance(model, RSGNet | DenseRSGNet)
        graph = PoseGraph(model, config)
    else:
        assert isinstance(model, PersonDetector)
        graph = DetectorGraph(model, config)
    width, height = graph.size_wh
    example = torch.zeros((2, height, width, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            graph.eval(),
            (example,),
            input_names=[graph.input_name],
            output_names=graph.output_names,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(proto, {ONNX_CONFIG_PROPERTY: to_json(config)})
    for node in proto.graph.node:
        del node.metadata_props[:]  # the exporter's notes on where each node came from: paths and megabytes
        node.doc_string = ""
    onnx.save(proto, path)
