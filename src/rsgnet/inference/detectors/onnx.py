"""Person detectors in ONNX and OpenVINO files: those of this package and published ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsgnet.config import DetectorConfig
from rsgnet.config_files import ONNX_CONFIG_PROPERTY
from rsgnet.geometry import Floats, crop_affine
from rsgnet.images import CANVAS_GREY, RGBImage, warp
from rsgnet.inference.detectors.detector import DEFAULT_BOX_THRESHOLD, Boxes, Detector, LoadedImage
from rsgnet.inference.detectors.formats import DetectorFormat
from rsgnet.inference.detectors.layouts import recognise_format
from rsgnet.inference.runtime.backends import Backend, open_backend
from rsgnet.inference.weights import WeightFiles, parse_config, read_config_text


def open_onnx_detector(
    files: WeightFiles, device: str, threshold: float | None, backend: str = "onnx", layout: str | None = None
) -> OnnxDetector:
    """Opens a detector and recognises its format.

    Args:
        files: A model directory of this package or a lone .onnx file.
        device: "auto", "cpu", "cuda" or "cuda:1"; "mps" means "cpu".
        threshold: Boxes that score less are dropped; None for the threshold of its config.
        backend: OpenVINO runs it where this is "openvino", else ONNX Runtime.
        layout: The layout of a published detector, where it is named; see `layouts.LAYOUTS`.

    Raises:
        WeightsError: The file is broken or no person detector of a known format.
    """
    config = _parse_config(read_config_text(files), files)
    library = "openvino" if backend == "openvino" else "onnx"
    path = files.network(library, "float32")
    session = open_backend(path, "cpu" if device == "mps" else device, library)
    config = config or _parse_config(session.metadata.get(ONNX_CONFIG_PROPERTY), files)
    format, outputs = recognise_format(session, config, path, layout)
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
        fit = letterbox if self.format.keeps_ratio else stretch
        fitted = [fit(image.pixels, self.format.size_wh) for image in images]
        canvases = np.stack([canvas for canvas, _ in fitted])
        if self._has_fixed_batch and len(canvases) < self._batch_size:
            canvases = np.concatenate([canvases, np.repeat(canvases[-1:], self._batch_size - len(canvases), axis=0)])
        others = self.format.other_inputs(len(canvases))
        outputs = self._backend.run(self._outputs, self.format.prepare_input(canvases), others)
        people = self.format.read_people(outputs)
        found = []
        for image, (_, scale_wh), (boxes, scores) in zip(images, fitted, people, strict=False):
            kept = scores >= self.threshold
            order = np.argsort(-scores[kept], kind="stable")
            found.append(Boxes(boxes[kept][order] / np.tile(scale_wh, 2), scores[kept][order]).clip_to(image.size_wh))
        return found


def letterbox(image: RGBImage, size_wh: tuple[int, int]) -> tuple[RGBImage, Floats]:
    """Scales an image to fit at the top left of a grey canvas.

    Args:
        image: (H, W, 3) RGB.
        size_wh: Width and height of the canvas.

    Returns:
        (height, width, 3) canvas, and (2,) canvas pixels per image pixel, the same along both sides. Boxes, whose
        origin is the corner of a pixel, are scaled by it without a shift.
    """
    height, width = image.shape[:2]
    scale = min(size_wh[0] / width, size_wh[1] / height)
    region_wh = np.array(size_wh) / scale
    affine = crop_affine(region_wh / 2, region_wh, size_wh, pixel_centre=0.5)
    return warp(image, affine, size_wh, fill=CANVAS_GREY), np.array([scale, scale])


def stretch(image: RGBImage, size_wh: tuple[int, int]) -> tuple[RGBImage, Floats]:
    """Scales an image to fill a canvas, whatever its shape; arguments and results as of `letterbox`."""
    scale_wh = np.array(size_wh) / (image.shape[1], image.shape[0])
    affine = np.concatenate([np.diag(scale_wh), (scale_wh / 2 - 0.5)[:, None]], axis=1)
    return warp(image, affine, size_wh), scale_wh
