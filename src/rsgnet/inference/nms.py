"""Of several finds of one person, keep the best: by the overlap of boxes, or by the likeness of poses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.geometry import Floats, box_iou
from rsgnet.poses import oks


def box_nms(boxes_xyxy: ArrayLike, scores: ArrayLike, threshold: float) -> NDArray[np.intp]:
    """The boxes that overlap no better box by more than `threshold`.

    Args:
        boxes_xyxy: (N, 4).
        scores: (N,).
        threshold: Highest intersection over union that two kept boxes may have.

    Returns:
        The kept indices, highest score first.
    """
    boxes = np.asarray(boxes_xyxy, np.float64)
    return _greedy(np.asarray(scores, np.float64), threshold, lambda best, rest: box_iou(boxes[best], boxes[rest])[0])


def oks_nms(
    keypoints_xy: ArrayLike, scores: ArrayLike, areas: ArrayLike, sigmas: ArrayLike, threshold: float
) -> NDArray[np.intp]:
    """The poses that are like no better pose by more than `threshold` ("Test", as in HRNet).

    Args:
        keypoints_xy: (N, K, 2) in image pixels; all of them count.
        scores: (N,) pose scores.
        areas: (N,) squared pixels; two poses are compared at the mean of theirs.
        sigmas: (K,) falloffs.
        threshold: Highest OKS that two kept poses may have.

    Returns:
        The kept indices, highest score first.
    """
    keypoints, area = np.asarray(keypoints_xy, np.float64), np.asarray(areas, np.float64)

    def likeness(best: np.intp, rest: NDArray[np.intp]) -> Floats:
        row: Floats = oks(keypoints[best][None], keypoints[rest], (area[best] + area[rest])[None] / 2, sigmas)[0]
        return row

    return _greedy(np.asarray(scores, np.float64), threshold, likeness)


def _greedy(
    scores: Floats, threshold: float, likeness: Callable[[np.intp, NDArray[np.intp]], Floats]
) -> NDArray[np.intp]:
    order = np.argsort(-scores, kind="stable")
    kept: list[np.intp] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        order = rest[likeness(best, rest) <= threshold]
    return np.array(kept, np.intp)
