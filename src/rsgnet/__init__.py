"""RSGNet: multi-person 2D pose for crowded scenes.

    import rsgnet
    poses = rsgnet.PoseEstimator("nano")("crowd.jpg")
    poses.draw().save("overlay.jpg")

The names below are imported on first use, and none of them needs PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsgnet.errors import AnnotationError, ImageError, RSGNetError, WeightsError
    from rsgnet.images import read_image
    from rsgnet.inference.detectors.detector import Boxes, LoadedImage
    from rsgnet.inference.detectors.open_detector import open_detector
    from rsgnet.inference.estimator import PoseEstimator
    from rsgnet.poses import Poses
    from rsgnet.skeletons import COCO17, CROWDPOSE14, Skeleton

__all__ = [
    "COCO17",
    "CROWDPOSE14",
    "AnnotationError",
    "Boxes",
    "ImageError",
    "LoadedImage",
    "PoseEstimator",
    "Poses",
    "RSGNetError",
    "Skeleton",
    "WeightsError",
    "open_detector",
    "read_image",
]

_MODULES = {
    "COCO17": "skeletons",
    "CROWDPOSE14": "skeletons",
    "AnnotationError": "errors",
    "Boxes": "inference.detectors.detector",
    "LoadedImage": "inference.detectors.detector",
    "ImageError": "errors",
    "PoseEstimator": "inference.estimator",
    "Poses": "poses",
    "RSGNetError": "errors",
    "Skeleton": "skeletons",
    "WeightsError": "errors",
    "open_detector": "inference.detectors.open_detector",
    "read_image": "images",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("rsgnet")
    if name not in _MODULES:
        raise AttributeError(f"module 'rsgnet' has no attribute {name!r}")
    return getattr(import_module(f"rsgnet.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
