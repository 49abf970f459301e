"""Faster R-CNN as a person detector, for installations with PyTorch: trained here, or torchvision's large models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsgnet.config import FasterRCNNConfig
from rsgnet.config_files import WEIGHTS_FILE
from rsgnet.errors import RSGNetError, requires_extra
from rsgnet.inference.detectors.detector import DEFAULT_BOX_THRESHOLD, Boxes, Detector, LoadedImage
from rsgnet.inference.runtime.torch_network import pytorch_device

MODELS = (
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
)
_PERSON = 1  # the class of people in torchvision's COCO weights, and the only class of the models trained here
_DEFAULT_SCORE_THRESHOLD = 0.05  # torchvision's own


def open_faster_rcnn(
    directory: Path, config: FasterRCNNConfig, device: str, threshold: float | None
) -> FasterRCNNDetector:
    """Opens a Faster R-CNN that `rsgnet train` trained.

    Args:
        directory: Its model directory.
        config: The config in that directory.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        threshold: Boxes that score less are dropped; None for the threshold of its config.

    Raises:
        WeightsError: The weights are missing or broken.
        RSGNetError: PyTorch or the device is missing.
    """
    with requires_extra("a Faster R-CNN", "train"):
        from rsgnet.checkpoint import load_model  # noqa: PLC0415
    torch_device = pytorch_device(device)
    threshold = config.box_threshold if threshold is None else threshold
    model: Any = load_model(directory)[0]
    model.roi_heads.score_thresh = min(threshold, _DEFAULT_SCORE_THRESHOLD)
    return FasterRCNNDetector(config.name, model, torch_device, threshold, directory / WEIGHTS_FILE)


def open_torchvision_detector(model_name: str, device: str, threshold: float | None) -> FasterRCNNDetector:
    """Opens a Faster R-CNN with torchvision's COCO weights, which are downloaded on first use.

    Args:
        model_name: One of MODELS.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        threshold: Boxes that score less are dropped; None for DEFAULT_BOX_THRESHOLD.

    Raises:
        RSGNetError: torchvision is missing, has no such model, or the weights cannot be downloaded.
    """
    if model_name not in MODELS:
        raise RSGNetError(f"no torchvision detector {model_name!r}; there are {', '.join(MODELS)}")
    with requires_extra("detector torchvision", "train"):
        from torchvision.models import detection  # noqa: PLC0415
    torch_device = pytorch_device(device)
    threshold = DEFAULT_BOX_THRESHOLD if threshold is None else threshold
    score_threshold = min(threshold, _DEFAULT_SCORE_THRESHOLD)
    try:
        model: Any = getattr(detection, model_name)(weights="DEFAULT", box_score_thresh=score_threshold)
    except (OSError, RuntimeError) as error:  # no network, an interrupted download, a hash that does not match
        raise RSGNetError(
            f"the weights of torchvision's {model_name} could not be fetched ({error}); "
            "connect to a network once, or use the shipped detector or onnx:PATH"
        ) from error
    return FasterRCNNDetector(model_name, model, torch_device, threshold)


class FasterRCNNDetector(Detector):
    """A Faster R-CNN in PyTorch.

    Args:
        name: Its name in messages.
        model: Takes a list of (3, H, W) images in 0..1, returns `boxes`, `labels` and `scores` of each.
        device: PyTorch's name of the device.
        threshold: Boxes that score less are dropped.
        path: The file of its weights, None where torchvision keeps them.
    """

    def __init__(self, name: str, model: Any, device: str, threshold: float, path: Path | None = None) -> None:
        self.name, self.threshold, self.path = name, threshold, path
        self._device, self._model = device, model.to(device).eval()

    def detect(self, images: Sequence[LoadedImage]) -> list[Boxes]:
        """Returns the people of each image, highest score first, clipped to the image."""
        return [self._detect(image) for image in images]

    def _detect(self, image: LoadedImage) -> Boxes:
        import torch  # noqa: PLC0415

        with torch.inference_mode():
            tensor = torch.from_numpy(image.pixels.copy()).to(self._device).permute(2, 0, 1) / 255
            found = self._model([tensor])[0]
        is_person = (found["labels"] == _PERSON) & (found["scores"] >= self.threshold)
        boxes = found["boxes"][is_person].cpu().numpy().astype(np.float64)
        scores = found["scores"][is_person].cpu().numpy().astype(np.float64)
        return Boxes(boxes, scores).clip_to(image.size_wh)
