"""RSGNet: multi-person 2D pose for crowded scenes.

    import rsgnet
    poses = rsgnet.PoseEstimator()("crowd.jpg")
    poses.draw().save("overlay.jpg")

The names below are imported on first use. Only `RSGNet` needs PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsgnet.errors import AnnotationError, ImageError, RSGNetError, WeightsError
    from rsgnet.evaluation.average_precision import evaluate_keypoints
    from rsgnet.images import read_image
    from rsgnet.inference.detectors.detector import Boxes, Detector, LoadedImage
    from rsgnet.inference.detectors.open_detector import open_detector
    from rsgnet.inference.estimator import PoseEstimator
    from rsgnet.inference.runtime.network import PoseNetwork
    from rsgnet.model.rsgnet import RSGNet
    from rsgnet.poses import Poses
    from rsgnet.skeletons import COCO17, CROWDPOSE14, Skeleton

__all__ = [
    "COCO17",
    "CROWDPOSE14",
    "AnnotationError",
    "Boxes",
    "Detector",
    "ImageError",
    "LoadedImage",
    "PoseEstimator",
    "PoseNetwork",
    "Poses",
    "RSGNet",
    "RSGNetError",
    "Skeleton",
    "WeightsError",
    "evaluate_keypoints",
    "open_detector",
    "read_image",
]

_MODULES = {
    "COCO17": "skeletons",
    "CROWDPOSE14": "skeletons",
    "AnnotationError": "errors",
    "Boxes": "inference.detectors.detector",
    "Detector": "inference.detectors.detector",
    "LoadedImage": "inference.detectors.detector",
    "ImageError": "errors",
    "PoseEstimator": "inference.estimator",
    "PoseNetwork": "inference.runtime.network",
    "Poses": "poses",
    "RSGNet": "model.rsgnet",
    "RSGNetError": "errors",
    "Skeleton": "skeletons",
    "WeightsError": "errors",
    "evaluate_keypoints": "evaluation.average_precision",
    "open_detector": "inference.detectors.open_detector",
    "read_image": "images",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("rsgnet")
    if name not in _MODULES:
        raise AttributeError(f"module 'rsgnet' has no attribute {name!r}")
    from rsgnet.errors import requires_extra  # noqa: PLC0415

    with requires_extra(f"rsgnet.{name}", "train"):
        return getattr(import_module(f"rsgnet.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
