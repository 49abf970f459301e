"""Network outputs become keypoints in the image, and the scores of poses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.config import CropConfig, Refinement
from rsgnet.geometry import Floats, apply_affine, compose_affine, invert_affine
from rsgnet.heatmaps import (
    PEAK_RADIUS_PX,
    crop_to_heatmap,
    decode,
    flip_back,
    peak_covariances,
    second_peak_heights,
)
from rsgnet.inference.runtime.outputs import CandidateTable, DecodedOutput, HeatmapOutput, Heatmaps, SimccOutput

SIMCC_STRIDE = 4  # crop pixels per heatmap pixel, in which positions of SimCC networks are given as well


def average_flip(heatmaps: Heatmaps, mirrored: Heatmaps, flip_indices: NDArray[np.intp], shift: int) -> Heatmaps:
    """Computes the mean of the heatmaps of crops and of their mirror images.

    Args:
        heatmaps: (B, K, h, w) of the crops.
        mirrored: (B, K, h, w) of the crops mirrored left to right.
        flip_indices: (K,) the index of each keypoint after mirroring.
        shift: 1 to move the mirrored heatmaps by a pixel, as `heatmaps.mirrored_shift` says; else 0.

    Returns:
        (B, K, h, w).
    """
    unmirrored = flip_back(mirrored, flip_indices, shift=bool(shift))
    mean: Heatmaps = (heatmaps + unmirrored) * np.float32(0.5)
    return mean


def average_outputs(
    output: HeatmapOutput, mirrored: HeatmapOutput, flip_indices: NDArray[np.intp], shift: int
) -> HeatmapOutput:
    """Averages the heatmaps of crops and of their mirror images, and keeps the candidates of both.

    Args:
        output: The network's output for the crops.
        mirrored: Its output for the crops mirrored left to right; its candidates are mirrored back.
        flip_indices: (K,) the index of each keypoint after mirroring.
        shift: How far the mirrored heatmaps are moved, as in `average_flip`.
    """
    mean = average_flip(output.target_heatmaps, mirrored.target_heatmaps, flip_indices, shift)
    last_column = mean.shape[-1] - 1 + shift
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
        sigmas: (K,) of OKS, as in `heatmaps.decode`.
        second_peaks: Whether to compute `second_scores`.
    """
    keypoints_xy, scores = decode(output.target_heatmaps, refinement, sigmas)
    second_scores = second_peak_heights(output.target_heatmaps, keypoints_xy) if second_peaks else None
    covariances = peak_covariances(output.target_heatmaps, keypoints_xy)
    return DecodedOutput(keypoints_xy, scores, second_scores, output.candidate_tables, covariances)


def average_simcc(output: SimccOutput, mirrored: SimccOutput, flip_indices: NDArray[np.intp]) -> SimccOutput:
    """Averages the scores of crops and of their mirror images.

    The position of column x of a mirrored crop is that of column W - 1 - x, so that the reversed scores, of several
    positions a pixel, are moved to the left by one position less than those of a pixel.

    Args:
        output: The network's output for the crops.
        mirrored: Its output for the crops mirrored left to right.
        flip_indices: (K,) the index of each keypoint after mirroring.
    """
    moved = round(output.bins / SIMCC_STRIDE) - 1
    across = mirrored.across[:, flip_indices, ::-1]
    across = np.concatenate([across[..., moved:], np.repeat(across[..., -1:], moved, -1)], -1)
    half = np.float32(0.5)
    return SimccOutput(
        (output.across + across) * half, (output.down + mirrored.down[:, flip_indices]) * half, output.bins
    )


def decode_simcc(output: SimccOutput) -> DecodedOutput:
    """Decodes SimCC scores: the highest position of each axis; the score is the lesser of both.

    A second peak of either axis, with the first of the other or with its second, is a candidate. Which of them belong
    together is not known, so that some of these positions may be nobody's.
    """
    axes = [_two_peaks(axis, output.bins) for axis in (output.across, output.down)]
    (x, x_heights), (y, y_heights) = axes
    pairs = [(0, 0), (1, 0), (0, 1), (1, 1)]
    heights = np.stack([np.minimum(x_heights[..., i], y_heights[..., j]) for i, j in pairs], -1).clip(0)
    table = np.stack([x[..., [i for i, _ in pairs]], y[..., [j for _, j in pairs]], heights, 0 * heights], -1)
    table = np.where(heights[..., None] > 0, table, 0).astype(np.float32)
    order = np.argsort(-heights, axis=-1, kind="stable")[..., None]
    return DecodedOutput(
        keypoints_xy=table[..., 0, :2].astype(np.float64),
        scores=table[..., 0, 2],
        second_scores=heights[..., 1:].max(-1).astype(np.float32),
        candidate_tables=(np.take_along_axis(table, order, -2),),
        covariances=_axis_covariances(output, x[..., 0], y[..., 0]),
    )


def _axis_covariances(output: SimccOutput, x: Floats, y: Floats) -> Floats:
    """Returns (B, K, 2, 2) how SimCC scores spread around (B, K) positions, in squared heatmap pixels."""
    covariances = np.zeros((*x.shape, 2, 2))
    for axis, (scores, position) in enumerate(((output.across, x), (output.down, y))):
        offsets = np.arange(scores.shape[-1]) / output.bins - position[..., None]
        weights = np.where(np.abs(offsets) <= PEAK_RADIUS_PX, scores.clip(0), 0)
        spread = (weights * offsets**2).sum(-1) / np.maximum(weights.sum(-1), 1e-9)
        covariances[..., axis, axis] = spread + 1 / (12 * output.bins**2)
    return covariances


def _two_peaks(scores: NDArray[np.float32], bins: int) -> tuple[Floats, Floats]:
    """Returns (B, K, 2) positions in heatmap pixels, and heights, of the highest peak and of the next far from it."""
    first = scores.argmax(-1)
    is_far = np.abs(np.arange(scores.shape[-1]) - first[..., None]) > PEAK_RADIUS_PX * bins
    # A slope of the first peak is no peak: the second one is higher than both of its neighbours.
    padded = np.pad(scores, ((0, 0), (0, 0), (1, 1)), constant_values=-np.inf)
    is_peak = is_far & (scores > padded[..., :-2]) & (scores >= padded[..., 2:])
    others = np.where(is_peak, scores, 0)
    indices = np.stack([first, others.argmax(-1)], -1)
    heights = np.stack([np.take_along_axis(scores, first[..., None], -1)[..., 0], others.max(-1)], -1)
    return indices / bins, heights.astype(np.float64)


def heatmap_to_image(points_xy: ArrayLike, affines: ArrayLike, crop: CropConfig) -> NDArray[np.float32]:
    """Maps points from heatmap pixels to pixels of the images that the crops were cut from.

    Args:
        points_xy: (B, N, 2) in heatmap pixels.
        affines: (B, 2, 3) maps from image pixels to crop pixels.
        crop: How heatmaps lie over crops.

    Returns:
        (B, N, 2) in image pixels.
    """
    to_heatmap = crop_to_heatmap(crop)
    to_image = [invert_affine(compose_affine(to_heatmap, affine)) for affine in np.asarray(affines, np.float64)]
    return apply_affine(np.reshape(to_image, (-1, 2, 3)), points_xy).astype(np.float32)


def covariances_to_image(covariances: ArrayLike, affines: ArrayLike, crop: CropConfig) -> NDArray[np.float32]:
    """Maps (B, K, 2, 2) covariances from squared heatmap pixels to squared image pixels.

    Args:
        covariances: (B, K, 2, 2).
        affines: (B, 2, 3) maps from image pixels to crop pixels.
        crop: How heatmaps lie over crops.
    """
    to_heatmap = crop_to_heatmap(crop)
    linear = np.array([invert_affine(compose_affine(to_heatmap, affine))[:, :2] for affine in np.asarray(affines)])
    linear = linear.reshape(-1, 1, 2, 2)
    mapped: NDArray[np.float32] = (linear @ np.asarray(covariances) @ linear.swapaxes(-1, -2)).astype(np.float32)
    return mapped


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
