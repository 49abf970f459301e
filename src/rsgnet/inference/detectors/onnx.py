"""Person detectors in ONNX and OpenVINO files: those of this package, YOLOX and RTMDet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import DetectorConfig
from rsgnet.config_files import ONNX_CONFIG_PROPERTY
from rsgnet.errors import WeightsError
from rsgnet.geometry import Floats, crop_affine
from rsgnet.images import CANVAS_GREY, RGBImage, warp
from rsgnet.inference.detectors.detector import DEFAULT_BOX_THRESHOLD, Boxes, Detector, LoadedImage
from rsgnet.inference.nms import box_nms
from rsgnet.inference.runtime.backends import Backend, open_backend
from rsgnet.inference.weights import WeightFiles, parse_config, read_config_text

Canvases = NDArray[np.uint8]
_LEAST_SCORE = 0.001  # that is worth the time of suppression
ScoredBoxes = tuple[Floats, Floats]  # (N, 4) left, top, right, bottom in canvas pixels; (N,) scores


def open_onnx_detector(files: WeightFiles, device: str, threshold: float | None, backend: str = "onnx") -> OnnxDetector:
    """Opens a detector and recognises its format.

    Args:
        files: A model directory of this package or a lone .onnx file.
        device: "auto", "cpu", "cuda" or "cuda:1"; "mps" means "cpu".
        threshold: Boxes that score less are dropped; None for the threshold of its config.
        backend: OpenVINO runs it where this is "openvino", else ONNX Runtime.

    Raises:
        WeightsError: The file is broken or no person detector of a known format.
    """
    config = _parse_config(read_config_text(files), files)
    library = "openvino" if backend == "openvino" else "onnx"
    path = files.network(library, "float32")
    session = open_backend(path, "cpu" if device == "mps" else device, library)
    config = config or _parse_config(session.metadata.get(ONNX_CONFIG_PROPERTY), files)
    format, outputs = recognise_format(session, config, files.origin)
    if threshold is None:
        threshold = config.box_threshold if config else DEFAULT_BOX_THRESHOLD
    return OnnxDetector(session, format, outputs, threshold, path)


def _parse_config(text: str | None, files: WeightFiles) -> DetectorConfig | None:
    return None if text is None else parse_config(DetectorConfig, text, files.origin)


class OnnxDetector(Detector):
    """A person detector in an ONNX or OpenVINO file.

    Args:
        backend: The opened file.
        format: How images are prepared for it and its outputs read.
        outputs: The names of the outputs, in the order in which the format reads them.
        threshold: Boxes that score less are dropped.
        path: The file.
    """

    def __init__(
        self, backend: Backend, format: DetectorFormat, outputs: list[str], threshold: float, path: Path
    ) -> None:
        self.name, self.path, self.format = f"onnx:{path}", path, format
        self.threshold: float = threshold
        self._backend, self._outputs = backend, outputs
        fixed_batch = backend.input.shape[0]
        self._has_fixed_batch = fixed_batch is not None
        self._batch_size = format.batch_size if fixed_batch is None else fixed_batch

    def detect(self, images: Sequence[LoadedImage]) -> list[Boxes]:
        """Returns the people of each image, highest score first, clipped to the image."""
        found = []
        for start in range(0, len(images), self._batch_size):
            found += self._detect_batch(images[start : start + self._batch_size])
        return found

    def _detect_batch(self, images: Sequence[LoadedImage]) -> list[Boxes]:
        fitted = [letterbox(image.pixels, self.format.size_wh) for image in images]
        canvases = np.stack([canvas for canvas, _ in fitted])
        if self._has_fixed_batch and len(canvases) < self._batch_size:
            canvases = np.concatenate([canvases, np.repeat(canvases[-1:], self._batch_size - len(canvases), axis=0)])
        outputs = self._backend.run(self._outputs, self.format.prepare_input(canvases))
        people = self.format.read_people(outputs)
        found = []
        for image, (_, scale), (boxes, scores) in zip(images, fitted, people, strict=False):
            kept = scores >= self.threshold
            order = np.argsort(-scores[kept], kind="stable")
            found.append(Boxes(boxes[kept][order] / scale, scores[kept][order]).clip_to(image.size_wh))
        return found


def letterbox(image: RGBImage, size_wh: tuple[int, int]) -> tuple[RGBImage, float]:
    """Scales an image to fit at the top left of a grey canvas.

    Args:
        image: (H, W, 3) RGB.
        size_wh: Width and height of the canvas.

    Returns:
        (height, width, 3) canvas, and canvas pixels per image pixel, the same along both sides. Boxes, whose origin is
        the corner of a pixel, are scaled by it without a shift.
    """
    height, width = image.shape[:2]
    scale = min(size_wh[0] / width, size_wh[1] / height)
    region_wh = np.array(size_wh) / scale
    affine = crop_affine(region_wh / 2, region_wh, size_wh, pixel_centre=0.5)
    return warp(image, affine, size_wh, fill=CANVAS_GREY), scale


@dataclass(frozen=True)
class DetectorFormat(ABC):
    """The input and output conventions of a kind of detector.

    Attributes:
        size_wh: Width and height of its input.
        batch_size: How many canvases it takes at once. Exports of published detectors often take only one, whatever
            their input's shape says.
    """

    size_wh: tuple[int, int]
    batch_size: ClassVar[int] = 1

    @abstractmethod
    def prepare_input(self, canvases: Canvases) -> NDArray[Any]:
        """Returns the network's input for (B, H, W, 3) RGB canvases."""

    @abstractmethod
    def read_people(self, outputs: Sequence[NDArray[Any]]) -> list[ScoredBoxes]:
        """Returns the boxes and scores of the people on each canvas."""


@dataclass(frozen=True)
class RsgnetFormat(DetectorFormat):
    """Detectors of this package: uint8 `images` in; `boxes_xyxy` and `scores`, several of each person, out.

    Attributes:
        nms_threshold: The overlap (IoU) above which two boxes are of one person.
    """

    batch_size = 16
    nms_threshold: float

    def prepare_input(self, canvases: Canvases) -> NDArray[Any]:
        """Returns the canvases unchanged."""
        return canvases

    def read_people(self, outputs: Sequence[NDArray[Any]]) -> list[ScoredBoxes]:
        """Returns the best box of each person."""
        people = []
        for boxes, scores in zip(outputs[0], outputs[1], strict=True):
            likely = scores > _LEAST_SCORE
            kept = box_nms(boxes[likely], scores[likely], self.nms_threshold)
            people.append(_as_floats(boxes[likely][kept], scores[likely][kept]))
        return people


class YoloxFormat(DetectorFormat):
    """YOLOX: BGR 0..255 in; one row for each grid cell of strides 8, 16 and 32 out. People are class 0."""

    strides = 8, 16, 32
    nms_threshold = 0.65

    def prepare_input(self, canvases: Canvases) -> NDArray[Any]:
        """Returns (B, 3, H, W) float BGR."""
        return np.ascontiguousarray(canvases[..., ::-1].transpose(0, 3, 1, 2), np.float32)

    def grid(self) -> tuple[Floats, Floats]:
        """Returns (R, 2) cell indices and (R, 1) stride of each row of the output."""
        cells, strides = [], []
        for stride in self.strides:
            columns, rows = self.size_wh[0] // stride, self.size_wh[1] // stride
            cells.append(np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2))
            strides.append(np.full((columns * rows, 1), stride))
        return np.concatenate(cells).astype(np.float64), np.concatenate(strides).astype(np.float64)

    def read_people(self, outputs: Sequence[NDArray[Any]]) -> list[ScoredBoxes]:
        """Decodes the cells, drops low scores and suppresses duplicates."""
        cells, strides = self.grid()
        people = []
        for rows in outputs[0].astype(np.float64):
            scores = rows[:, 4] * rows[:, 5]
            likely = scores > _LEAST_SCORE
            centre = (rows[likely, :2] + cells[likely]) * strides[likely]
            half = np.exp(rows[likely, 2:4].clip(max=20)) * strides[likely] / 2
            boxes, scores = np.concatenate([centre - half, centre + half], -1), scores[likely]
            kept = box_nms(boxes, scores, self.nms_threshold)
            people.append((boxes[kept], scores[kept]))
        return people


class RtmdetFormat(DetectorFormat):
    """RTMDet exported end to end: normalised BGR in; `dets` (box and score, suppressed) and `labels` out."""

    mean = 103.53, 116.28, 123.675
    std = 57.375, 57.12, 58.395

    def prepare_input(self, canvases: Canvases) -> NDArray[Any]:
        """Returns (B, 3, H, W) float BGR, normalised."""
        normalised = (canvases[..., ::-1].astype(np.float32) - self.mean) / self.std
        return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2), np.float32)

    def read_people(self, outputs: Sequence[NDArray[Any]]) -> list[ScoredBoxes]:
        """Returns the detections of class 0."""
        return [
            _as_floats(detections[labels == 0, :4], detections[labels == 0, 4])
            for detections, labels in zip(outputs[0], outputs[1], strict=True)
        ]


def _as_floats(boxes: NDArray[Any], scores: NDArray[Any]) -> ScoredBoxes:
    return boxes.astype(np.float64), scores.astype(np.float64)


def recognise_format(
    backend: Backend, config: DetectorConfig | None, origin: object
) -> tuple[DetectorFormat, list[str]]:
    """Recognises the format of a detector by its inputs and outputs.

    Args:
        backend: The opened network.
        config: The configuration of a detector of this package, None for others.
        origin: The name of the file in messages.

    Returns:
        The format, and the names of the outputs in the order in which it reads them.

    Raises:
        WeightsError: It is no known format.
    """
    given = backend.input
    outputs = {output.name: output.shape for output in backend.outputs}
    if config is not None and given.dtype == "uint8" and {"boxes_xyxy", "scores"} <= outputs.keys():
        return RsgnetFormat(config.size_wh, config.nms_threshold), ["boxes_xyxy", "scores"]
    if given.dtype == "float32" and len(given.shape) == 4 and given.shape[1] == 3:
        height, width = given.shape[2:]
        if {"dets", "labels"} <= outputs.keys():
            return RtmdetFormat((width or 320, height or 320)), ["dets", "labels"]
        yolox = YoloxFormat((width or 416, height or 416))
        name, shape = next(iter(outputs.items()))
        if len(outputs) == 1 and len(shape) == 3 and shape[1] == len(yolox.grid()[0]) and (shape[2] or 0) > 5:
            return yolox, [name]
    raise WeightsError(
        f"{origin}: not a detector of a known format: expected YOLOX (one raw grid output), RTMDet (`dets`, `labels`) "
        f"or one of this package (uint8 in; `boxes_xyxy`, `scores`), got {given.dtype} {given.shape} -> {outputs}"
    )
