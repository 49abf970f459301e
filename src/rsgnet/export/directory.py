"""Model directories: network files written beside the weights, and directories made smaller to be shipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from torch import nn

from rsgnet.checkpoint import load_model, save_model
from rsgnet.config import DetectorConfig, ExportOptions, FasterRCNNConfig, PoseConfig
from rsgnet.config_files import (
    EXPORT_OPTIONS_PROPERTY,
    INT8_FILE,
    ONNX_CONFIG_PROPERTY,
    ONNX_FILE,
    ONNX_OWNERSHIP_PROPERTY,
    OPENVINO_FILE,
    OWNERSHIP_FILE,
    to_json,
)
from rsgnet.errors import RSGNetError
from rsgnet.export.graphs import DetectorGraph, PoseGraph
from rsgnet.export.network_files import (
    embed_in_onnx,
    embed_in_openvino,
    read_network,
    set_metadata,
    write_network,
    write_onnx,
)
from rsgnet.export.quantise import calibration_crops, quantised
from rsgnet.files import replacing, write_text
from rsgnet.model import DenseRSGNet, PersonDetector, RSGNet


def export_onnx(directory: Path, form: ExportOptions | None = None) -> Path:
    """Writes `model.onnx` beside the weights of a model directory.

    Args:
        directory: A model directory.
        form: What of the line a pose network's file is to do itself; nothing where None.

    Returns:
        The file.

    Raises:
        WeightsError: The directory holds no network, or weights that do not fit it.
        RSGNetError: It is a Faster R-CNN, which runs in PyTorch only, or a detector that is to be more than one.
    """
    graph, metadata = _graph(directory, form)
    path = directory / ONNX_FILE
    with replacing(path) as beside:
        write_onnx(graph, metadata, beside)
    return path


def export_openvino(directory: Path, form: ExportOptions | None = None, calibration: Sequence[str] = ()) -> Path:
    """Writes `model.xml` and `model.bin`, OpenVINO's form, beside the weights of a model directory.

    Args:
        directory: A model directory.
        form: What of the line a pose network's file is to do itself; nothing where None.
        calibration: Labels of people, each `LABELS[:IMAGES_DIR]`: with any, the network is also written with
            quantised convolutions: `model-int8.xml` and its .bin.

    Returns:
        The .xml file.

    Raises:
        WeightsError: The directory holds no network, or weights that do not fit it.
        RSGNetError: It cannot be exported, as for `export_onnx`; a library is missing; or the labels cannot be used.
    """
    graph, metadata = _graph(directory, form)
    crops = _calibration_crops(directory, graph, calibration) if calibration else None
    with TemporaryDirectory() as folder:
        write_onnx(graph, metadata, Path(folder) / ONNX_FILE)
        network = read_network(Path(folder) / ONNX_FILE)
        write_network(network, directory / OPENVINO_FILE)
        if isinstance(graph, PoseGraph) and crops is not None:
            small = quantised(network, crops)
            set_metadata(small, EXPORT_OPTIONS_PROPERTY, to_json(replace(graph.form, int8=True)))
            write_network(small, directory / INT8_FILE)
    return directory / OPENVINO_FILE


def _calibration_crops(
    directory: Path, graph: PoseGraph | DetectorGraph, calibration: Sequence[str]
) -> NDArray[np.uint8]:
    if isinstance(graph, DetectorGraph):
        raise RSGNetError(f"{directory}: --calibrate is for pose networks; this is a detector")
    return calibration_crops(calibration, graph.config)


def _graph(directory: Path, form: ExportOptions | None) -> tuple[PoseGraph | DetectorGraph, dict[str, str]]:
    """What is exported of a model directory, and what goes into the file beside it."""
    model, config = _load(directory)
    metadata = {ONNX_CONFIG_PROPERTY: to_json(config)}
    if not isinstance(config, PoseConfig):
        if form not in (None, ExportOptions()):
            raise RSGNetError(f"{directory}: --with-flip and --with-decoding are for pose networks; this is a detector")
        assert isinstance(model, PersonDetector)
        return DetectorGraph(model, config), metadata
    assert isinstance(model, RSGNet | DenseRSGNet)
    graph, fit = PoseGraph(model, config, form), directory / OWNERSHIP_FILE
    metadata[EXPORT_OPTIONS_PROPERTY] = to_json(graph.form)
    if fit.is_file():
        metadata[ONNX_OWNERSHIP_PROPERTY] = fit.read_text(encoding="utf-8")
    return graph, metadata


def embed_ownership(path: Path, text: str) -> None:
    """Writes an ownership fit into the file of a pose network, so that the file suffices by itself.

    Args:
        path: An .onnx file or an .xml file of OpenVINO's.
        text: The fit, as `ownership.json` has it.
    """
    if path.suffix.lower() == ".xml":
        embed_in_openvino(path, text)
    else:
        embed_in_onnx(path, text)


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
