"""What a network's output says for and against each keypoint: the numbers that `ownership` turns to probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsgnet.geometry import Floats
from rsgnet.inference.decode import Heatmaps

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
# What `contests` adds once everyone of the picture is known; 0 where nobody contests the place.
FEATURES = (
    *CROP_FEATURES,
    "contested",  # 1 where another person's keypoint lies there, too
    "rival_peak",  # the height of that person's target heatmap at it
    "rival_person",  # the mean peak of that person's other keypoints
    "rival_support",  # how much they are related to the candidate at it
)
CANDIDATE_FEATURES = 4  # the last so many of a crop's
_REACH_PX = 4.0  # heatmap pixels: beyond two standard deviations of a peak, it is another one
_CLOSENESS_PX = 2.0  # standard deviation of how near a candidate is to a place
_LOWEST = 0.01

Evidence = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Maps:
    """What a network says of some crops.

    Attributes:
        target_heatmaps: (B, K, h, w) of the box's person.
        candidates: (B, K, P, 4) the candidates of each keypoint: x, y in heatmap pixels, height, support by the other
            keypoints in 0..1; rows of zeros for no candidate. None where the network gives none.
    """

    target_heatmaps: Heatmaps
    candidates: NDArray[np.float32] | None = None

    def flipped_back(self, flip_indices: NDArray[np.intp], pixel_centre: float) -> NDArray[np.float32] | None:
        """The candidates of mirrored crops as they would be of the crops themselves.

        Args:
            flip_indices: (K,) where each keypoint stands after mirroring.
            pixel_centre: The crops' convention, as for `decode.average_flip`.
        """
        if self.candidates is None:
            return None
        table: NDArray[np.float32] = self.candidates[:, flip_indices].copy()
        last = self.target_heatmaps.shape[-1] - (1 if pixel_centre else 0)
        table[..., 0] = np.where(table[..., 2] > 0, last - table[..., 0], 0)
        return table


def gather(heatmaps: Heatmaps, places: Floats, tables: list[NDArray[np.float32]]) -> Evidence:
    """The evidence about decoded keypoints.

    Args:
        heatmaps: (B, K, h, w) target heatmaps that were decoded.
        places: (B, K, 2) where, in heatmap pixels.
        tables: Candidates (B, K, P, 4) of each pass through the network, whose evidence is averaged; none for a network
            without.

    Returns:
        (B, K, F) in the order of CROP_FEATURES, finite.
    """
    peak = heatmaps.max((-2, -1)).astype(np.float64)
    person = (peak.sum(-1, keepdims=True) - peak) / max(peak.shape[-1] - 1, 1)
    height, width = heatmaps.shape[-2:]
    share = (places + 0.5) / [width, height]
    border = np.minimum(share, 1 - share).min(-1).clip(0)
    own = [peak, np.log(peak.clip(_LOWEST)), _elsewhere(heatmaps, places), person, border]
    seen = [_candidate_features(table, places) for table in tables]
    rest = np.mean(seen, axis=0) if seen else np.zeros((*peak.shape, CANDIDATE_FEATURES))
    return np.concatenate([np.stack(own, -1), rest], axis=-1)


def _elsewhere(heatmaps: Heatmaps, places: Floats) -> Evidence:
    """(B, K) the highest value of each heatmap further from the place than a peak reaches."""
    height, width = heatmaps.shape[-2:]
    across = np.abs(np.arange(width, dtype=np.float32) - places[..., :1]) <= _REACH_PX
    down = np.abs(np.arange(height, dtype=np.float32) - places[..., 1:]) <= _REACH_PX
    near = down[..., :, None] & across[..., None, :]
    highest: Evidence = np.where(near, np.float32(0), heatmaps).max((-2, -1)).astype(np.float64)
    return highest


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
