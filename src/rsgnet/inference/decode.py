"""Network outputs become keypoints in the image, and the scores of poses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.config import CropConfig, Refinement
from rsgnet.geometry import Floats, apply_affine, compose_affine, invert_affine
from rsgnet.heatmaps import decode, flip_back, heatmap_affine, second_peak_heights
from rsgnet.inference.runtime.outputs import CandidateTable, DecodedOutput, HeatmapOutput, Heatmaps


def average_flip(
    heatmaps: Heatmaps, mirrored: Heatmaps, flip_indices: NDArray[np.intp], pixel_centre: float
) -> Heatmaps:
    """Computes the mean of the heatmaps of crops and of their mirror images.

    Args:
        heatmaps: (B, K, h, w) of the crops.
        mirrored: (B, K, h, w) of the crops mirrored left to right.
        flip_indices: (K,) the index of each keypoint after mirroring.
        pixel_centre: The convention of the crops. At 0 the mirrored heatmaps lie one pixel off, and are moved by one.

    Returns:
        (B, K, h, w).
    """
    unmirrored = flip_back(mirrored, flip_indices, shift=pixel_centre == 0)
    mean: Heatmaps = (heatmaps + unmirrored) * np.float32(0.5)
    return mean


def average_outputs(
    output: HeatmapOutput, mirrored: HeatmapOutput, flip_indices: NDArray[np.intp], pixel_centre: float
) -> HeatmapOutput:
    """Averages the heatmaps of crops and of their mirror images, and keeps the candidates of both.

    Args:
        output: The network's output for the crops.
        mirrored: Its output for the crops mirrored left to right; its candidates are mirrored back.
        flip_indices: (K,) the index of each keypoint after mirroring.
        pixel_centre: The convention of the crops, as in `average_flip`.
    """
    mean = average_flip(output.target_heatmaps, mirrored.target_heatmaps, flip_indices, pixel_centre)
    last_column = mean.shape[-1] - (1 if pixel_centre else 0)
    mirrored_back = []
    for table in mirrored.candidate_tables:
        flipped: CandidateTable = table[:, flip_indices].copy()
        flipped[..., 0] = np.where(flipped[..., 2] > 0, last_column - flipped[..., 0], 0)
        mirrored_back.append(flipped)
    return HeatmapOutput(mean, (*output.candidate_tables, *mirrored_back))


def decode_heatmaps(
    output: HeatmapOutput, refinement: Refinement, sigmas: Sequence[float], second_peaks: bool
) -> DecodedOutput:
    """Decodes the output of a network that does not decode inside.

    Args:
        output: The heatmaps and candidates.
        refinement: How keypoints are located below pixel precision, as in `heatmaps.decode`.
        sigmas: (K,) falloffs of the OKS, as in `heatmaps.decode`.
        second_peaks: Whether to compute `second_scores`.
    """
    keypoints_xy, scores = decode(output.target_heatmaps, refinement, sigmas)
    second_scores = second_peak_heights(output.target_heatmaps, keypoints_xy) if second_peaks else None
    return DecodedOutput(keypoints_xy, scores, second_scores, output.candidate_tables)


def heatmap_to_image(points_xy: ArrayLike, affines: ArrayLike, crop: CropConfig) -> NDArray[np.float32]:
    """Maps points from heatmap pixels to pixels of the images that the crops were cut from.

    Args:
        points_xy: (B, N, 2) in heatmap pixels.
        affines: (B, 2, 3) maps from image pixels to crop pixels.
        crop: How heatmaps lie over crops.

    Returns:
        (B, N, 2) in image pixels.
    """
    to_heatmap = heatmap_affine(crop.stride, crop.pixel_centre)
    to_image = [invert_affine(compose_affine(to_heatmap, affine)) for affine in np.asarray(affines, np.float64)]
    return apply_affine(np.reshape(to_image, (-1, 2, 3)), points_xy).astype(np.float32)


def score_poses(box_scores: ArrayLike, keypoint_scores: ArrayLike, threshold: float) -> Floats:
    """Computes the box score times the mean of the keypoint scores above a threshold; 0 where none is above it.

    Args:
        box_scores: (N,).
        keypoint_scores: (N, K).
        threshold: Keypoints that score no more than this do not count.

    Returns:
        (N,).
    """
    scores = np.asarray(keypoint_scores, np.float64)
    counts = scores > threshold
    total = np.where(counts, scores, 0.0).sum(-1)
    pose_scores: Floats = np.asarray(box_scores, np.float64) * total / np.maximum(counts.sum(-1), 1)
    return pose_scores


def score_poses_by_ownership(box_scores: ArrayLike, present: ArrayLike, owned: ArrayLike) -> Floats:
    """Computes the box score times the share of the present keypoints that is expected to be right.

    Args:
        box_scores: (N,).
        present: (N, K) probability that each keypoint is present.
        owned: (N, K) probability that its location is right, if it is present.

    Returns:
        (N,).
    """
    presence = np.asarray(present, np.float64)
    expected_right = (presence * np.asarray(owned, np.float64)).sum(-1)
    expected_present = np.maximum(presence.sum(-1), np.spacing(1))
    pose_scores: Floats = np.asarray(box_scores, np.float64) * expected_right / expected_present
    return pose_scores
