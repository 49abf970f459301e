"""What published detectors want to be fed and how their outputs are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import DetectorConfig
from rsgnet.config_files import ONNX_CONFIG_PROPERTY
from rsgnet.errors import WeightsError
from rsgnet.geometry import Floats
from rsgnet.inference.crops import fit
from rsgnet.inference.detectors.boxes import BOX_THRESHOLD, Boxes, LoadedImage
from rsgnet.inference.nms import box_nms
from rsgnet.inference.runtime.backends import Backend, open_backend
from rsgnet.inference.weights import WeightFiles, config_text, read_config

Canvases = NDArray[np.uint8]
Found = tuple[Floats, Floats]


class Layout(Protocol):
    """One way of talking to a detector.

    Attributes:
        size_wh: Width and height of its input.
        fill: What pads images of another shape.
        batch: How many canvases at once: exports of published detectors often hold one only, whatever their inputs say.
    """

    @property
    def size_wh(self) -> tuple[int, int]: ...  # noqa: D102

    @property
    def fill(self) -> int: ...  # noqa: D102

    @property
    def batch(self) -> int: ...  # noqa: D102

    def tensor(self, canvases: Canvases) -> NDArray[Any]:
        """The network's input for (B, H, W, 3) RGB canvases."""
        ...

    def people(self, outputs: Sequence[NDArray[Any]]) -> list[Found]:
        """(N, 4) boxes in canvas pixels and (N,) scores of the people on each canvas."""
        ...


@dataclass(frozen=True)
class OwnLayout:
    """The detectors of this package: uint8 `images` in; `boxes_xyxy` and `scores`, padded with score 0, out."""

    size_wh: tuple[int, int]
    fill: ClassVar[int] = 0
    batch: ClassVar[int] = 16
    overlap: ClassVar[float] = 0.8  # two people's boxes may overlap a lot; more than this, and it is one person's

    def tensor(self, canvases: Canvases) -> NDArray[Any]:
        """(B, H, W, 3) as they are."""
        return canvases

    def people(self, outputs: Sequence[NDArray[Any]]) -> list[Found]:
        """The boxes that are no padding and overlap no better one nearly wholly."""
        found = []
        for boxes, scores in zip(outputs[0], outputs[1], strict=True):
            real = scores > 0
            kept = box_nms(boxes[real], scores[real], self.overlap)
            found.append(_found(boxes[real][kept], scores[real][kept]))
        return found


@dataclass(frozen=True)
class YoloxLayout:
    """YOLOX: BGR 0..255 in; one row a grid cell of strides 8, 16, 32 out, people being class 0."""

    size_wh: tuple[int, int]
    fill: ClassVar[int] = 114
    batch: ClassVar[int] = 1
    strides: ClassVar[tuple[int, ...]] = (8, 16, 32)
    overlap: ClassVar[float] = 0.65

    def tensor(self, canvases: Canvases) -> NDArray[Any]:
        """(B, 3, H, W) float BGR."""
        return np.ascontiguousarray(canvases[..., ::-1].transpose(0, 3, 1, 2), np.float32)

    def grid(self) -> tuple[Floats, Floats]:
        """(R, 2) cell indices and (R, 1) stride of each row of the output."""
        cells, strides = [], []
        for stride in self.strides:
            columns, rows = self.size_wh[0] // stride, self.size_wh[1] // stride
            cells.append(np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2))
            strides.append(np.full((columns * rows, 1), stride))
        return np.concatenate(cells).astype(np.float64), np.concatenate(strides).astype(np.float64)

    def people(self, outputs: Sequence[NDArray[Any]]) -> list[Found]:
        """Cells decoded, weak ones left out, overlapping ones suppressed."""
        cells, strides = self.grid()
        people = []
        for rows in outputs[0].astype(np.float64):
            scores = rows[:, 4] * rows[:, 5]
            likely = scores > 0.001
            centre = (rows[likely, :2] + cells[likely]) * strides[likely]
            half = np.exp(rows[likely, 2:4].clip(max=20)) * strides[likely] / 2
            boxes, scores = np.concatenate([centre - half, centre + half], -1), scores[likely]
            kept = box_nms(boxes, scores, self.overlap)
            people.append((boxes[kept], scores[kept]))
        return people


@dataclass(frozen=True)
class RtmdetLayout:
    """RTMDet exported end to end: normalised BGR in; `dets` (box and score, suppressed) and `labels` out."""

    size_wh: tuple[int, int]
    fill: ClassVar[int] = 114
    batch: ClassVar[int] = 1
    mean: ClassVar[tuple[float, ...]] = (103.53, 116.28, 123.675)
    std: ClassVar[tuple[float, ...]] = (57.375, 57.12, 58.395)

    def tensor(self, canvases: Canvases) -> NDArray[Any]:
        """(B, 3, H, W) float BGR, normalised."""
        normal = (canvases[..., ::-1].astype(np.float32) - self.mean) / self.std
        return np.ascontiguousarray(normal.transpose(0, 3, 1, 2), np.float32)

    def people(self, outputs: Sequence[NDArray[Any]]) -> list[Found]:
        """The detections of class 0."""
        return [_found(d[c == 0, :4], d[c == 0, 4]) for d, c in zip(outputs[0], outputs[1], strict=True)]


def layout_of(session: Backend, size_wh: tuple[int, int] | None, origin: object) -> tuple[Layout, list[str]]:
    """Recognises a detector by its inputs and outputs.

    Args:
        session: The opened network.
        size_wh: The input size of a detector of this package, None for others.
        origin: What messages call it.

    Returns:
        The layout, and the names of the outputs in the order that it reads them.

    Raises:
        WeightsError: It is none of those known.
    """
    source = session.input
    outputs = {output.name: output.shape for output in session.outputs}
    if size_wh is not None and source.kind == "uint8" and {"boxes_xyxy", "scores"} <= outputs.keys():
        return OwnLayout(size_wh), ["boxes_xyxy", "scores"]
    if source.kind == "float32" and len(source.shape) == 4 and source.shape[1] == 3:
        height, width = source.shape[2:]
        if {"dets", "labels"} <= outputs.keys():
            return RtmdetLayout((width or 320, height or 320)), ["dets", "labels"]
        yolox = YoloxLayout((width or 416, height or 416))
        name, shape = next(iter(outputs.items()))
        if len(outputs) == 1 and len(shape) == 3 and shape[1] == len(yolox.grid()[0]) and (shape[2] or 0) > 5:
            return yolox, [name]
    raise WeightsError(
        f"{origin}: not a detector of a known layout: expected YOLOX (one raw grid output), RTMDet (`dets`, `labels`) "
        f"or one of this package (uint8 in; `boxes_xyxy`, `scores`), got {source.kind} {source.shape} -> {outputs}"
    )


def _found(boxes: NDArray[Any], scores: NDArray[Any]) -> Found:
    return boxes.astype(np.float64), scores.astype(np.float64)


def open_onnx_detector(files: WeightFiles, device: str, threshold: float | None, backend: str = "onnx") -> OnnxDetector:
    """Opens a detector and recognises its layout.

    Args:
        files: A model directory of this package or a lone .onnx file.
        device: "auto", "cpu" or "cuda".
        threshold: Boxes that score less are dropped; as its config says where None.
        backend: What runs it: OpenVINO where it says "openvino", else ONNX Runtime.

    Raises:
        WeightsError: The file is broken or no person detector of a known layout.
    """
    config = _config(config_text(files), files.origin)
    library = "openvino" if backend == "openvino" else "onnx"
    path = files.network(library, "float32")
    session = open_backend(path, device, library)
    config = config or _config(session.metadata.get(ONNX_CONFIG_PROPERTY), files.origin)
    layout, outputs = layout_of(session, config.size_wh if config else None, files.origin)
    if threshold is None:
        threshold = config.box_threshold if config else BOX_THRESHOLD
    return OnnxDetector(session, layout, outputs, threshold, path)


def _config(text: str | None, origin: object) -> DetectorConfig | None:
    return None if text is None else read_config(DetectorConfig, text, origin)


class OnnxDetector:
    """A person detector, from the file `path`."""

    def __init__(self, session: Backend, layout: Layout, outputs: list[str], threshold: float, path: Path) -> None:
        self.layout, self.threshold, self.path = layout, threshold, path
        self._session, self._outputs = session, outputs
        fixed = session.input.shape[0]
        self._batch = layout.batch if fixed is None else fixed
        self._fixed = fixed is not None

    def detect(self, photos: Sequence[LoadedImage]) -> list[Boxes]:
        """The people of each image, surest first, clipped to the image."""
        found = []
        for start in range(0, len(photos), self._batch):
            found += self._detect(photos[start : start + self._batch])
        return found

    def _detect(self, photos: Sequence[LoadedImage]) -> list[Boxes]:
        fitted = [fit(photo.pixels, self.layout.size_wh, self.layout.fill) for photo in photos]
        canvases = np.stack([canvas for canvas, _ in fitted])
        if self._fixed and len(canvases) < self._batch:  # a network of a fixed batch wants it full
            canvases = np.concatenate([canvases, np.repeat(canvases[-1:], self._batch - len(canvases), axis=0)])
        outputs = self._session.run(self._outputs, self.layout.tensor(canvases))
        found = []
        for photo, (_, scale), (boxes, scores) in zip(photos, fitted, self.layout.people(outputs), strict=False):
            kept = scores >= self.threshold
            order = np.argsort(-scores[kept], kind="stable")
            inside = Boxes(boxes[kept][order] / scale, scores[kept][order]).inside(photo.size_wh)
            found.append(inside)
        return found
