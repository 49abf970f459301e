"""Opening a person detector by its specification."""

from __future__ import annotations

from pathlib import Path

from rsgnet.config import FasterRCNNConfig
from rsgnet.errors import RSGNetError
from rsgnet.inference.detectors.box_file import BoxFileDetector
from rsgnet.inference.detectors.detector import Detector, WholeImageDetector
from rsgnet.inference.detectors.onnx import open_onnx_detector
from rsgnet.inference.detectors.torchvision import open_faster_rcnn, open_torchvision_detector
from rsgnet.inference.weights import (
    DETECTOR_PREFIX,
    WeightFiles,
    find_weights,
    list_shipped_weights,
    parse_any_config,
    read_config_text,
)


def open_detector(spec: str, device: str = "auto", threshold: float | None = None, backend: str = "onnx") -> Detector:
    """Opens the detector that a specification names.

    Args:
        spec: The name of a shipped one ("nano" or "detector-nano"), the model directory of a trained one, "onnx:PATH"
            (YOLOX, RTMDet, PicoDet, D-FINE, RT-DETR, RF-DETR or a detector of this package; "onnx:PATH@LAYOUT" where
            the file does not say which, see `layouts.LAYOUTS`), "torchvision" or "torchvision:MODEL" (Faster R-CNN),
            "boxes:PATH" (COCO JSON) or "full" (the whole image is one person).
        device: "auto", "cpu", "cuda", "cuda:1" or "mps", for detectors that are networks.
        threshold: A network drops boxes that score less than this; None for the threshold that its config names. Boxes
            from a file are all taken.
        backend: The back end of the pose network. Where it is "openvino", detectors in ONNX files run in OpenVINO too,
            else in ONNX Runtime.

    Raises:
        RSGNetError: The specification is none of these, or the detector cannot be opened.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise RSGNetError(f"the threshold of boxes (--box-threshold) is in 0..1, not {threshold}")
    if spec == "full":
        return WholeImageDetector()
    kind, colon, rest = spec.partition(":")
    if kind == "boxes" and rest:
        return BoxFileDetector.read(Path(rest))
    if kind == "onnx" and rest:
        path, layout = _split_layout(rest)
        return open_onnx_detector(find_weights(path, DETECTOR_PREFIX), device, threshold, backend, layout)
    if kind == "torchvision" and (rest or not colon):
        return open_torchvision_detector(rest or "fasterrcnn_mobilenet_v3_large_fpn", device, threshold)
    name = spec if Path(spec).is_dir() else spec.removeprefix(DETECTOR_PREFIX)
    if name in list_shipped_weights(DETECTOR_PREFIX) or (spec and Path(spec).is_dir()):
        return _open_directory(find_weights(name, DETECTOR_PREFIX), device, threshold, backend)
    names = ", ".join(list_shipped_weights(DETECTOR_PREFIX)) or "none shipped in this installation"
    raise RSGNetError(
        f"no detector {spec!r}; expected {names}, a model directory, onnx:PATH, torchvision, boxes:PATH or full"
    )


def _split_layout(rest: str) -> tuple[str, str | None]:
    """Splits "PATH@LAYOUT"; a path that exists as a whole has no layout."""
    path, at, layout = rest.rpartition("@")
    return (path, layout) if at and not Path(rest).exists() else (rest, None)


def _open_directory(files: WeightFiles, device: str, threshold: float | None, backend: str) -> Detector:
    config_text = read_config_text(files)
    assert config_text is not None and files.directory is not None
    config = parse_any_config(config_text, files.origin)
    if isinstance(config, FasterRCNNConfig):
        return open_faster_rcnn(files.directory, config, device, threshold)
    return open_onnx_detector(files, device, threshold, backend)
