"""Detectors in ONNX files, in ONNX Runtime or OpenVINO: the shipped one, YOLOX and RTMDet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsgnet.detector_config import DetectorConfig
from rsgnet.inference.backends import open_session
from rsgnet.inference.boxes import BOX_THRESHOLD, Boxes, Photo
from rsgnet.inference.detector_layouts import Layout, layout_of
from rsgnet.inference.letterbox import fit
from rsgnet.inference.session import Session
from rsgnet.inference.weights import WeightFiles, config_text, read_config
from rsgnet.model_files import ONNX_CONFIG_PROPERTY


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
    session = open_session(path, device, library)
    config = config or _config(session.metadata.get(ONNX_CONFIG_PROPERTY), files.origin)
    layout, outputs = layout_of(session, config.size_wh if config else None, files.origin)
    if threshold is None:
        threshold = config.box_threshold if config else BOX_THRESHOLD
    return OnnxDetector(session, layout, outputs, threshold, path)


def _config(text: str | None, origin: object) -> DetectorConfig | None:
    return None if text is None else read_config(DetectorConfig, text, origin)


class OnnxDetector:
    """A person detector, from the file `path`."""

    def __init__(self, session: Session, layout: Layout, outputs: list[str], threshold: float, path: Path) -> None:
        self.layout, self.threshold, self.path = layout, threshold, path
        self._session, self._outputs = session, outputs
        fixed = session.input.shape[0]
        self._batch = layout.batch if fixed is None else fixed
        self._fixed = fixed is not None

    def detect(self, photos: Sequence[Photo]) -> list[Boxes]:
        """The people of each image, surest first, clipped to the image."""
        found = []
        for start in range(0, len(photos), self._batch):
            found += self._detect(photos[start : start + self._batch])
        return found

    def _detect(self, photos: Sequence[Photo]) -> list[Boxes]:
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
