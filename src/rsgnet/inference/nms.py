"""Non-maximum suppression: of several detections of one person the best is kept, by box overlap or by OKS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.geometry import Floats, box_iou
from rsgnet.poses import oks


def box_nms(boxes_xyxy: ArrayLike, scores: ArrayLike, threshold: float) -> NDArray[np.intp]:
    """Selects the boxes that overlap no better box by more than a threshold.

    Args:
        boxes_xyxy: (N, 4).
        scores: (N,).
        threshold: The highest intersection over union that two kept boxes may have.

    Returns:
        The kept indices, highest score first.
    """
    boxes = np.asarray(boxes_xyxy, np.float64)
    return _suppress(np.asarray(scores, np.float64), threshold, lambda best, rest: box_iou(boxes[best], boxes[rest])[0])


def oks_nms(
    keypoints_xy: ArrayLike, scores: ArrayLike, areas: ArrayLike, sigmas: ArrayLike, threshold: float
) -> NDArray[np.intp]:
    """Selects the poses whose OKS with no better pose exceeds a threshold ("Test", as in HRNet).

    Args:
        keypoints_xy: (N, K, 2) in image pixels; all of them count.
        scores: (N,) pose scores.
        areas: (N,) squared pixels; two poses are compared at the mean of their areas.
        sigmas: (K,) of OKS.
        threshold: The highest OKS that two kept poses may have.

    Returns:
        The kept indices, highest score first.
    """
    keypoints, area = np.asarray(keypoints_xy, np.float64), np.asarray(areas, np.float64)

    def similarity(best: np.intp, rest: NDArray[np.intp]) -> Floats:
        row: Floats = oks(keypoints[best][None], keypoints[rest], (area[best] + area[rest])[None] / 2, sigmas)[0]
        return row

    return _suppress(np.asarray(scores, np.float64), threshold, similarity)


def _suppress(
    scores: Floats, threshold: float, similarity: Callable[[np.intp, NDArray[np.intp]], Floats]
) -> NDArray[np.intp]:
    order = np.argsort(-scores, kind="stable")
    kept: list[np.intp] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        order = rest[similarity(best, rest) <= threshold]
    return np.array(kept, np.intp)
