"""Faster R-CNN as a person detector, for those who have PyTorch: trained here, or torchvision's large, general ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsgnet.config import FasterRCNNConfig
from rsgnet.config_files import WEIGHTS_FILE
from rsgnet.errors import RSGNetError, requires_extra
from rsgnet.inference.detectors.boxes import BOX_THRESHOLD, Boxes, LoadedImage
from rsgnet.inference.runtime.torch_network import pytorch_device

MODELS = (
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
)
_PERSON = 1  # its class in torchvision's COCO weights, and the only one of those trained here
_LOWEST_SCORE = 0.05  # torchvision's own


def open_faster_rcnn(directory: Path, config: FasterRCNNConfig, device: str, threshold: float | None) -> FasterRCNN:
    """Opens a Faster R-CNN that `rsgnet train-detector` left.

    Args:
        directory: Its model directory.
        config: That directory's config.
        device: "auto", "cpu" or "cuda".
        threshold: Boxes that score less are dropped; as its config says where None.

    Raises:
        WeightsError: The weights are missing or broken.
        RSGNetError: PyTorch or the device is missing.
    """
    with requires_extra("a Faster R-CNN", "train"):
        from rsgnet.checkpoint import load_model  # noqa: PLC0415
    where = pytorch_device(device)
    threshold = config.box_threshold if threshold is None else threshold
    network: Any = load_model(directory)[0]
    network.roi_heads.score_thresh = min(threshold, _LOWEST_SCORE)
    return FasterRCNN(network, where, threshold, directory / WEIGHTS_FILE)


def open_torchvision_detector(model: str, device: str, threshold: float | None) -> FasterRCNN:
    """Opens a Faster R-CNN with torchvision's COCO weights, which are fetched on first use.

    Args:
        model: One of MODELS.
        device: "auto", "cpu" or "cuda".
        threshold: Boxes that score less are dropped.

    Raises:
        RSGNetError: torchvision is missing, has no such model, or the weights cannot be fetched.
    """
    if model not in MODELS:
        raise RSGNetError(f"no torchvision detector {model!r}; there are {', '.join(MODELS)}")
    with requires_extra("detector torchvision", "train"):
        from torchvision.models import detection  # noqa: PLC0415
    where = pytorch_device(device)
    threshold = BOX_THRESHOLD if threshold is None else threshold
    try:
        network: Any = getattr(detection, model)(weights="DEFAULT", box_score_thresh=min(threshold, _LOWEST_SCORE))
    except (OSError, RuntimeError) as error:  # no network, a cut download, a hash that does not match
        raise RSGNetError(
            f"the weights of torchvision's {model} could not be fetched ({error}); "
            "connect to a network once, or use the shipped detector or onnx:PATH"
        ) from error
    return FasterRCNN(network, where, threshold)


class FasterRCNN:
    """A Faster R-CNN in PyTorch.

    Args:
        network: Takes a list of (3, H, W) images in 0..1, gives `boxes`, `labels` and `scores` of each.
        device: PyTorch's name of it.
        threshold: Boxes that score less are dropped.
        path: The file of its weights, None where it is torchvision's business.
    """

    def __init__(self, network: Any, device: str, threshold: float, path: Path | None = None) -> None:
        self.threshold, self.path = threshold, path
        self._device, self._network = device, network.to(device).eval()

    def detect(self, photos: Sequence[LoadedImage]) -> list[Boxes]:
        """The people of each image, surest first, clipped to the image."""
        return [self._detect(photo) for photo in photos]

    def _detect(self, photo: LoadedImage) -> Boxes:
        import torch  # noqa: PLC0415

        with torch.inference_mode():
            image = torch.from_numpy(photo.pixels.copy()).to(self._device).permute(2, 0, 1) / 255
            found = self._network([image])[0]
        people = (found["labels"] == _PERSON) & (found["scores"] >= self.threshold)
        boxes = found["boxes"][people].cpu().numpy().astype(np.float64)
        return Boxes(boxes, found["scores"][people].cpu().numpy().astype(np.float64)).inside(photo.size_wh)
