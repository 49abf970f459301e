"""How each kind of detector network is fed and read: those of this package, YOLOX, RTMDet, PicoDet and the DETRs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import IMAGENET_MEAN, IMAGENET_STD
from rsgnet.geometry import Floats
from rsgnet.images import normalise_images
from rsgnet.inference.nms import box_nms

Canvases = NDArray[np.uint8]
_LEAST_SCORE = 0.001  # that is worth the time of suppression
_COCO_IDS, _PERSON_ID = 91, 1  # of classes that are numbered as in COCO's files, not from 0
ScoredBoxes = tuple[Floats, Floats]  # (N, 4) left, top, right, bottom in canvas pixels; (N,) scores


@dataclass(frozen=True)
class DetectorFormat(ABC):
    """The input and output conventions of a kind of detector.

    Attributes:
        size_wh: Width and height of its input.
        batch_size: How many canvases it takes at once. Exports of published detectors often take only one, whatever
            their input's shape says.
        keeps_ratio: Whether images are scaled to fit at the top left of the canvas, else stretched over all of it.
    """

    size_wh: tuple[int, int]
    batch_size: ClassVar[int] = 1
    keeps_ratio: ClassVar[bool] = True

    @abstractmethod
    def prepare_input(self, canvases: Canvases) -> NDArray[Any]:
        """Returns the network's input for (B, H, W, 3) RGB canvases."""

    def other_inputs(self, count: int) -> Mapping[str, NDArray[Any]]:
        """Returns the network's further inputs for that many canvases, by name."""
        return {}

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


class YoloxEndToEndFormat(DetectorFormat):
    """YOLOX exported end to end: BGR 0..255 in; `dets` (box and score, suppressed) as in MMDeploy."""

    def prepare_input(self, canvases: Canvases) -> NDArray[Any]:
        """Returns (B, 3, H, W) float BGR."""
        return np.ascontiguousarray(canvases[..., ::-1].transpose(0, 3, 1, 2), np.float32)

    def read_people(self, outputs: Sequence[NDArray[Any]]) -> list[ScoredBoxes]:
        """Returns the detections of class 0."""
        return _read_detections(outputs)


class RtmdetFormat(DetectorFormat):
    """RTMDet exported end to end: normalised BGR in; `dets` (box and score, suppressed) and `labels` out."""

    mean = 103.53, 116.28, 123.675
    std = 57.375, 57.12, 58.395

    def prepare_input(self, canvases: Canvases) -> NDArray[Any]:
        """Returns (B, 3, H, W) float BGR, normalised."""
        return normalise_images(canvases[..., ::-1], self.mean, self.std)

    def read_people(self, outputs: Sequence[NDArray[Any]]) -> list[ScoredBoxes]:
        """Returns the detections of class 0."""
        return _read_detections(outputs)


class DfineFormat(DetectorFormat):
    """D-FINE and RT-DETR as their authors export them: RGB 0..1, stretched, and the size that boxes are wanted in."""

    keeps_ratio = False

    def prepare_input(self, canvases: Canvases) -> NDArray[Any]:
        """Returns (B, 3, H, W) float RGB."""
        pixels: NDArray[Any] = np.ascontiguousarray(canvases.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
        return pixels

    def other_inputs(self, count: int) -> Mapping[str, NDArray[Any]]:
        """Asks for boxes in canvas pixels."""
        return {"orig_target_sizes": np.tile(np.array(self.size_wh, np.int64), (count, 1))}

    def read_people(self, outputs: Sequence[NDArray[Any]]) -> list[ScoredBoxes]:
        """Returns the boxes of class 0, out of `labels`, `boxes` and `scores`."""
        return [
            _as_floats(boxes[labels == 0], scores[labels == 0]) for labels, boxes, scores in zip(*outputs, strict=True)
        ]


class RfdetrFormat(DetectorFormat):
    """RF-DETR: normalised RGB, stretched, in; `dets` (centre, width, height as shares) and `labels` (logits) out."""

    keeps_ratio = False

    def prepare_input(self, canvases: Canvases) -> NDArray[Any]:
        """Returns (B, 3, H, W) float RGB, normalised."""
        return _imagenet_input(canvases)

    def read_people(self, outputs: Sequence[NDArray[Any]]) -> list[ScoredBoxes]:
        """Returns all boxes with the probability of a person: class 1 of 91 (COCO's ids), or else the first."""
        column = _PERSON_ID if outputs[1].shape[-1] == _COCO_IDS else 0
        people = []
        for boxes, logits in zip(outputs[0].astype(np.float64), outputs[1].astype(np.float64), strict=True):
            scores = 1 / (1 + np.exp(-logits[:, column].clip(-50, 50)))
            centre, half = boxes[:, :2], boxes[:, 2:4] / 2
            shares = np.concatenate([centre - half, centre + half], -1)
            people.append((shares * np.tile(self.size_wh, 2), scores))
        return people


class PicodetFormat(DetectorFormat):
    """PicoDet exported with its suppression by PaddleDetection: normalised RGB, stretched, and a scale in.

    It gives rows of class, score and box of all images, and the number of each image's rows.
    """

    keeps_ratio = False

    def prepare_input(self, canvases: Canvases) -> NDArray[Any]:
        """Returns (B, 3, H, W) float RGB, normalised."""
        return _imagenet_input(canvases)

    def other_inputs(self, count: int) -> Mapping[str, NDArray[Any]]:
        """Asks for boxes in canvas pixels."""
        return {"scale_factor": np.ones((count, 2), np.float32)}

    def read_people(self, outputs: Sequence[NDArray[Any]]) -> list[ScoredBoxes]:
        """Returns the rows of class 0."""
        rows, counts = outputs
        each_image = np.split(rows, np.cumsum(counts.ravel().astype(int))[:-1])
        return [_as_floats(part[part[:, 0] == 0, 2:6], part[part[:, 0] == 0, 1]) for part in each_image]


def _imagenet_input(canvases: Canvases) -> NDArray[Any]:
    return normalise_images(canvases, np.multiply(IMAGENET_MEAN, 255), np.multiply(IMAGENET_STD, 255))


def _read_detections(outputs: Sequence[NDArray[Any]]) -> list[ScoredBoxes]:
    """Returns the rows of `dets` whose `labels` are 0."""
    return [
        _as_floats(detections[labels == 0, :4], detections[labels == 0, 4])
        for detections, labels in zip(outputs[0], outputs[1], strict=True)
    ]


def _as_floats(boxes: NDArray[Any], scores: NDArray[Any]) -> ScoredBoxes:
    return boxes.astype(np.float64), scores.astype(np.float64)
