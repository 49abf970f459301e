"""Opening a person detector by its specification."""

from __future__ import annotations

from pathlib import Path

from rsgnet.config import FasterRCNNConfig
from rsgnet.errors import RSGNetError
from rsgnet.inference.detectors.box_file import FileBoxes
from rsgnet.inference.detectors.boxes import Detector, WholeImage
from rsgnet.inference.detectors.onnx import open_onnx_detector
from rsgnet.inference.detectors.torchvision import open_faster_rcnn, open_torchvision_detector
from rsgnet.inference.weights import DETECTOR_PREFIX, WeightFiles, any_config, config_text, find_weights, shipped_names


def open_detector(spec: str, device: str = "auto", threshold: float | None = None, backend: str = "onnx") -> Detector:
    """Opens the detector that a specification names.

    Args:
        spec: The name of a shipped one ("nano"), the model directory of a trained one, "onnx:PATH" (YOLOX, RTMDet or a
            detector of this package), "torchvision" or "torchvision:MODEL" (Faster R-CNN), "boxes:PATH" (COCO JSON) or
            "full" (the whole image is one person).
        device: "auto", "cpu" or "cuda", for those that are networks.
        threshold: Boxes that a network scores less than this are dropped, as suits the network where None; boxes from a
            file are all taken.
        backend: What the pose network runs in: OpenVINO then runs detectors in ONNX files, too, else ONNX Runtime does.

    Raises:
        RSGNetError: It is none of these, or cannot be opened.
    """
    if spec == "full":
        return WholeImage()
    kind, colon, rest = spec.partition(":")
    if kind == "boxes" and rest:
        return FileBoxes.read(Path(rest))
    if kind == "onnx" and rest:
        return open_onnx_detector(find_weights(rest, DETECTOR_PREFIX), device, threshold, backend)
    if kind == "torchvision" and (rest or not colon):
        return open_torchvision_detector(rest or "fasterrcnn_mobilenet_v3_large_fpn", device, threshold)
    if spec in shipped_names(DETECTOR_PREFIX):
        return open_onnx_detector(find_weights(spec, DETECTOR_PREFIX), device, threshold, backend)
    if spec and Path(spec).is_dir():
        return _open_directory(find_weights(spec, DETECTOR_PREFIX), device, threshold, backend)
    names = ", ".join(shipped_names(DETECTOR_PREFIX)) or "none shipped in this installation"
    raise RSGNetError(
        f"no detector {spec!r}; expected {names}, a model directory, onnx:PATH, torchvision, boxes:PATH or full"
    )


def _open_directory(files: WeightFiles, device: str, threshold: float | None, backend: str) -> Detector:
    text = config_text(files)
    assert text is not None and files.directory is not None
    config = any_config(text, files.origin)
    if isinstance(config, FasterRCNNConfig):
        return open_faster_rcnn(files.directory, config, device, threshold)
    return open_onnx_detector(files, device, threshold, backend)
