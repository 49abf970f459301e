"""torchvision's Faster R-CNN as a person detector, for those who have PyTorch and want large, general weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rsgnet.errors import RSGNetError
from rsgnet.inference.boxes import BOX_THRESHOLD, Boxes, Photo

MODELS = (
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
)
_PERSON = 1  # its class in torchvision's COCO weights


class TorchvisionDetector:
    """A Faster R-CNN with torchvision's COCO weights, which are fetched on first use.

    Raises:
        RSGNetError: torchvision is missing, has no such model, or the weights cannot be fetched.
    """

    def __init__(self, model: str, device: str = "auto", threshold: float | None = None) -> None:
        threshold = BOX_THRESHOLD if threshold is None else threshold
        if model not in MODELS:
            raise RSGNetError(f"no torchvision detector {model!r}; there are {', '.join(MODELS)}")
        try:
            import torch  # noqa: PLC0415
            from torchvision.models import detection  # noqa: PLC0415
        except ImportError as error:
            raise RSGNetError("detector torchvision needs torchvision: pip install 'rsgnet[train]'") from error
        if device == "cuda" and not torch.cuda.is_available():
            raise RSGNetError("device cuda asked for, but PyTorch sees no GPU; use --device cpu")
        try:
            network: Any = getattr(detection, model)(weights="DEFAULT", box_score_thresh=min(threshold, 0.05))
        except (OSError, RuntimeError) as error:  # no network, a cut download, a hash that does not match
            raise RSGNetError(
                f"the weights of torchvision's {model} could not be fetched ({error}); "
                "connect to a network once, or use the shipped detector or onnx:PATH"
            ) from error
        self._device = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
        self._torch, self._network, self._threshold = torch, network.to(self._device).eval(), threshold

    def detect(self, photos: Sequence[Photo]) -> list[Boxes]:
        """The people of each picture, surest first, clipped to the picture."""
        return [self._detect(photo) for photo in photos]

    def _detect(self, photo: Photo) -> Boxes:
        torch = self._torch
        with torch.inference_mode():
            image = torch.from_numpy(photo.pixels.copy()).to(self._device).permute(2, 0, 1) / 255
            found = self._network([image])[0]
        people = (found["labels"] == _PERSON) & (found["scores"] >= self._threshold)
        boxes = found["boxes"][people].cpu().numpy().astype(np.float64)
        return Boxes(boxes, found["scores"][people].cpu().numpy().astype(np.float64)).inside(photo.size_wh)
