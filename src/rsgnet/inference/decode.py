"""Heatmaps of crops become keypoints in the image, and their scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.config import CropConfig
from rsgnet.geometry import Floats, apply_affine, compose_affine, invert_affine
from rsgnet.heatmaps import flip_back, heatmap_affine

Heatmaps = NDArray[np.float32]


def average_flip(
    heatmaps: Heatmaps, mirrored: Heatmaps, flip_indices: NDArray[np.intp], pixel_centre: float
) -> Heatmaps:
    """The mean of a crop's heatmaps and those of its mirror image.

    Args:
        heatmaps: (B, K, h, w) of the crops.
        mirrored: (B, K, h, w) of the crops mirrored left to right.
        flip_indices: (K,) where each keypoint stands after mirroring.
        pixel_centre: The crops' convention; at 0 the mirrored heatmaps lie a pixel off, and are moved by one.

    Returns:
        (B, K, h, w).
    """
    unmirrored = flip_back(mirrored, flip_indices, shift=pixel_centre == 0)
    mean: Heatmaps = (heatmaps + unmirrored) * np.float32(0.5)
    return mean


def in_image(places: ArrayLike, affines: ArrayLike, crop: CropConfig) -> NDArray[np.float32]:
    """(B, K, 2) places in heatmap pixels to pixels of the images that the crops were cut from.

    Args:
        places: (B, K, 2) in heatmap pixels.
        affines: (B, 2, 3) from image pixels to crop pixels.
        crop: How heatmaps lie over crops.
    """
    to_heatmap = heatmap_affine(crop.stride, crop.pixel_centre)
    back = [invert_affine(compose_affine(to_heatmap, affine)) for affine in np.asarray(affines, np.float64)]
    return apply_affine(np.reshape(back, (-1, 2, 3)), places).astype(np.float32)


def pose_scores(box_scores: ArrayLike, scores: ArrayLike, threshold: float) -> Floats:
    """(N,) box score times the mean of the keypoint scores above the threshold; 0 where none is.

    Args:
        box_scores: (N,).
        scores: (N, K).
        threshold: Keypoints that score no more than this do not count.
    """
    heights = np.asarray(scores, np.float64)
    sure = heights > threshold
    total = np.where(sure, heights, 0.0).sum(-1)
    poses: Floats = np.asarray(box_scores, np.float64) * total / np.maximum(sure.sum(-1), 1)
    return poses


def owned_scores(box_scores: ArrayLike, present: ArrayLike, mine: ArrayLike) -> Floats:
    """(N,) box score times the share of each person's keypoints that is expected to be right, of those that are there.

    Args:
        box_scores: (N,).
        present: (N, K) how likely each keypoint is there.
        mine: (N, K) how likely, if it is there, its place is right.
    """
    there = np.asarray(present, np.float64)
    right = (there * np.asarray(mine, np.float64)).sum(-1)
    poses: Floats = np.asarray(box_scores, np.float64) * right / np.maximum(there.sum(-1), np.spacing(1))
    return poses
