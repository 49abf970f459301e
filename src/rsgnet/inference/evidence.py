"""What a network's output says for and against each keypoint: the numbers that `ownership` turns to probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsgnet.geometry import Floats
from rsgnet.inference.maps import Readings

# Column by column. Those of candidates are 0 where the network has none.
CROP_FEATURES = (
    "peak",  # the height of the target heatmap at the place
    "log_peak",  # its logarithm
    "second",  # the highest value of that heatmap away from the place
    "person",  # the mean peak of the person's other keypoints
    "border",  # distance to the nearest border, as a share of the crop
    "candidate",  # the height of the candidate at the place
    "support",  # how much the person's other keypoints are related to it
    "other_candidate",  # the height of the strongest candidate of this keypoint elsewhere
    "other_support",  # how much the person's other keypoints are related to that one
)
# What `contests` adds once everyone of the image is known; 0 where nobody contests the place.
FEATURES = (
    *CROP_FEATURES,
    "contested",  # 1 where another person's keypoint lies there, too
    "rival_peak",  # the height of that person's target heatmap at it
    "rival_person",  # the mean peak of that person's other keypoints
    "rival_support",  # how much they are related to the candidate at it
)
CANDIDATE_FEATURES = 4  # the last so many of a crop's
_CLOSENESS_PX = 2.0  # standard deviation of how near a candidate is to a place
_LOWEST = 0.01

Evidence = NDArray[np.float64]


def gather(readings: Readings, shape_hw: tuple[int, int]) -> Evidence:
    """The evidence about keypoints that were read off maps.

    Args:
        readings: With second peaks; the evidence of several passes' candidates is averaged.
        shape_hw: Height and width of the heatmaps.

    Returns:
        (B, K, F) in the order of CROP_FEATURES, finite.
    """
    assert readings.seconds is not None
    peak, seconds = readings.scores.astype(np.float64), readings.seconds.astype(np.float64)
    person = (peak.sum(-1, keepdims=True) - peak) / max(peak.shape[-1] - 1, 1)
    share = (readings.places + 0.5) / shape_hw[::-1]
    border = np.minimum(share, 1 - share).min(-1).clip(0)
    own = [peak, np.log(peak.clip(_LOWEST)), seconds, person, border]
    seen = [_candidate_features(table, readings.places) for table in readings.tables]
    rest = np.mean(seen, axis=0) if seen else np.zeros((*peak.shape, CANDIDATE_FEATURES))
    return np.concatenate([np.stack(own, -1), rest], axis=-1)


def _candidate_features(table: NDArray[np.float32], places: Floats) -> Evidence:
    """(B, K, 4) height and support of the candidate at each place, and of the strongest elsewhere."""
    squared = ((table[..., :2] - places[..., None, :]) ** 2).sum(-1)
    closeness = np.exp(-squared / (2 * _CLOSENESS_PX**2))
    here, away = closeness * table[..., 2], (1 - closeness) * table[..., 2]
    features = []
    for weight, heights in ((closeness, here), (1 - closeness, away)):
        best = heights.argmax(-1)[..., None]
        features.append(np.take_along_axis(heights, best, -1)[..., 0])
        features.append(np.take_along_axis(weight * table[..., 3], best, -1)[..., 0])
    return np.stack(features, -1).astype(np.float64)
