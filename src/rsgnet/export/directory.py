"""Writes ONNX and OpenVINO files into model directories, and copies of them with weights in half precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

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
from rsgnet.export.network_files import read_network, set_metadata, write_network, write_onnx
from rsgnet.export.quantise import quantise_network, read_calibration_crops
from rsgnet.files import replace_atomically, write_text
from rsgnet.model import DenseRSGNet, PersonDetector, RSGNet


def export_onnx(directory: str | Path, options: ExportOptions | None = None) -> Path:
    """Writes `model.onnx` into a model directory.

    Args:
        directory: A model directory.
        options: Which steps of the pipeline a pose network's file contains; none where None.

    Returns:
        The file.

    Raises:
        WeightsError: The directory holds no network, or weights that do not fit it.
        RSGNetError: It is a Faster R-CNN, which runs in PyTorch only, or a detector for which options are given.
    """
    directory = Path(directory)
    graph, metadata = _build_graph(directory, options)
    path = directory / ONNX_FILE
    with replace_atomically(path) as temporary:
        write_onnx(graph, metadata, temporary)
    return path


def export_openvino(
    directory: str | Path, options: ExportOptions | None = None, calibration: Sequence[str] = ()
) -> Path:
    """Writes `model.xml` and `model.bin`, OpenVINO's format, into a model directory.

    Args:
        directory: A model directory.
        options: Which steps of the pipeline a pose network's file contains; none where None.
        calibration: Labels of people, each `LABELS[:IMAGES_DIR]`. If there are any, `model-int8.xml` and its .bin, with
            quantised convolutions, are written, too.

    Returns:
        The .xml file.

    Raises:
        WeightsError: The directory holds no network, or weights that do not fit it.
        RSGNetError: It cannot be exported, as for `export_onnx`; a library is missing; or the labels cannot be used.
    """
    directory = Path(directory)
    graph, metadata = _build_graph(directory, options)
    if calibration and isinstance(graph, DetectorGraph):
        raise RSGNetError(f"{directory}: --calibrate is for pose networks; this is a detector")
    crops = read_calibration_crops(calibration, graph.config) if calibration and isinstance(graph, PoseGraph) else None
    with TemporaryDirectory() as folder:
        write_onnx(graph, metadata, Path(folder) / ONNX_FILE)
        network = read_network(Path(folder) / ONNX_FILE)
        write_network(network, directory / OPENVINO_FILE)
        if isinstance(graph, PoseGraph) and crops is not None:
            quantised = quantise_network(network, crops)
            set_metadata(quantised, EXPORT_OPTIONS_PROPERTY, to_json(replace(graph.options, int8=True)))
            write_network(quantised, directory / INT8_FILE)
    return directory / OPENVINO_FILE


def _build_graph(directory: Path, options: ExportOptions | None) -> tuple[PoseGraph | DetectorGraph, dict[str, str]]:
    """Returns the graph of a model directory's network, and the metadata of its file."""
    model, config = _load_exportable(directory)
    metadata = {ONNX_CONFIG_PROPERTY: to_json(config)}
    if not isinstance(config, PoseConfig):
        if options not in (None, ExportOptions()):
            raise RSGNetError(f"{directory}: --with-flip and --with-decoding are for pose networks; this is a detector")
        assert isinstance(model, PersonDetector)
        return DetectorGraph(model, config), metadata
    assert isinstance(model, RSGNet | DenseRSGNet)
    graph, fit = PoseGraph(model, config, options), directory / OWNERSHIP_FILE
    metadata[EXPORT_OPTIONS_PROPERTY] = to_json(graph.options)
    if fit.is_file():
        metadata[ONNX_OWNERSHIP_PROPERTY] = fit.read_text(encoding="utf-8")
    return graph, metadata


def publish(directory: str | Path, out: str | Path) -> None:
    """Copies a model directory with weights in half precision, which are half the size.

    Args:
        directory: A model directory.
        out: The directory to write.

    Raises:
        WeightsError: The directory holds no network, or weights that do not fit it.
        RSGNetError: It is a Faster R-CNN, which runs in PyTorch only.
    """
    directory = Path(directory)
    out = Path(out)
    model, config = _load_exportable(directory)
    fit = directory / OWNERSHIP_FILE
    text = fit.read_text(encoding="utf-8") if fit.is_file() else None
    save_model(model, config, out, half=True)
    if text is not None:
        write_text(out / OWNERSHIP_FILE, text)


def _load_exportable(directory: Path) -> tuple[nn.Module, PoseConfig | DetectorConfig]:
    model, config = load_model(directory)
    if isinstance(config, FasterRCNNConfig):
        raise RSGNetError(f"{directory}: Faster R-CNN runs in PyTorch only: use --detector {directory}")
    return model, config
