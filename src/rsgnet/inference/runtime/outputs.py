"""What a pose network returns for a batch of crops, and the checks of a network's raw arrays.

B crops, K keypoints, P candidates per keypoint. All coordinates are heatmap pixel indices, x before y.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import PoseConfig
from rsgnet.errors import WeightsError
from rsgnet.geometry import Floats
from rsgnet.skeletons import get_skeleton

Heatmaps = NDArray[np.float32]
CandidateTable = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class HeatmapOutput:
    """The output of a network that does not decode: heatmaps, and the candidates behind them.

    Attributes:
        target_heatmaps: (B, K, h, w) heatmaps of the box's own person.
        candidate_tables: One (B, K, P, 4) table of x, y, height and support for each pass through the network whose
            heatmaps are averaged; rows of zeros are padding. Empty for a network without candidates.
    """

    target_heatmaps: Heatmaps
    candidate_tables: tuple[CandidateTable, ...] = ()


@dataclass(frozen=True, eq=False)
class SimccOutput:
    """The output of a network that scores columns and rows of the crop apart (SimCC), finer than pixels.

    Attributes:
        across: (B, K, X) scores of X positions from the left edge of the crop to the right.
        down: (B, K, Y) scores of Y positions from the top to the bottom.
        bins: Positions per heatmap pixel of the network's config.
    """

    across: NDArray[np.float32]
    down: NDArray[np.float32]
    bins: int

    def to_heatmaps(self) -> Heatmaps:
        """Returns (B, K, h, w) heatmaps: in each pixel the lesser of its column's and its row's highest score."""
        across, down = (
            axis.reshape(*axis.shape[:2], -1, self.bins).max(-1).clip(0) for axis in (self.across, self.down)
        )
        heatmaps: Heatmaps = np.minimum(down[..., :, None], across[..., None, :])
        return heatmaps


@dataclass(frozen=True, eq=False)
class DecodedOutput:
    """Decoded keypoints, whether the network's file decoded them or `rsgnet.inference.decode` did.

    Attributes:
        keypoints_xy: (B, K, 2) in heatmap pixels.
        scores: (B, K) the maximum of each target heatmap.
        second_scores: (B, K) the second peaks, as `heatmaps.second_peak_heights` computes them; None where they were
            not asked for.
        candidate_tables: The tables of the `HeatmapOutput`.
        covariances: (B, K, 2, 2) how heatmaps spread around the keypoints, in squared heatmap pixels, as
            `heatmaps.peak_covariances` computes it; None where they were not asked for, or a file decoded inside.
    """

    keypoints_xy: Floats
    scores: NDArray[np.float32]
    second_scores: NDArray[np.float32] | None
    candidate_tables: tuple[CandidateTable, ...] = ()
    covariances: Floats | None = None


@dataclass(frozen=True, eq=False)
class InnerMaps:
    """The maps of one crop, for inspection; a map that the network or its file does not give is None.

    Attributes:
        target_heatmaps: (K, h, w) heatmaps of the box's own person.
        candidate_heatmaps: (K, h, w) heatmaps of everyone in the crop.
        candidates: (K, P, 4) x, y, height and support of each candidate; rows of zeros are padding.
        relation: (K P, K P) probability that two candidates both belong to the box's person, in 0..1; 0 for padding.
        limb_heatmaps: (L, h, w) limbs of the box's person, in 0..1.
    """

    target_heatmaps: Heatmaps
    candidate_heatmaps: Heatmaps | None = None
    candidates: NDArray[np.float32] | None = None
    relation: NDArray[np.float32] | None = None
    limb_heatmaps: Heatmaps | None = None


def build_heatmap_output(
    heatmaps: Any, candidate_tables: Sequence[Any], config: PoseConfig, crops: int, origin: object
) -> HeatmapOutput:
    """Builds the output of a network from its raw arrays.

    Args:
        heatmaps: The target heatmaps.
        candidate_tables: One table for each pass, or none.
        config: The config of the network, which says what shapes to expect.
        crops: How many crops the network was given.
        origin: The file of the network, for messages.

    Raises:
        WeightsError: A shape differs from what the config promises, or a number is not finite.
    """
    keypoints = len(get_skeleton(config.model.skeleton))
    target_heatmaps = _checked("heatmaps", heatmaps, (crops, keypoints, *config.crop.heatmap_shape_hw), origin)
    return HeatmapOutput(target_heatmaps, _checked_tables(candidate_tables, config, crops, origin))


def build_decoded_output(
    keypoints_xy: Any,
    scores: Any,
    second_scores: Any,
    candidate_tables: Sequence[Any],
    config: PoseConfig,
    crops: int,
    origin: object,
) -> DecodedOutput:
    """Builds the output of a network that decodes inside; checks and raises as `build_heatmap_output` does."""
    shape = crops, len(get_skeleton(config.model.skeleton))
    return DecodedOutput(
        _checked("keypoints", keypoints_xy, (*shape, 2), origin).astype(np.float64),
        _checked("scores", scores, shape, origin),
        _checked("second peaks", second_scores, shape, origin),
        _checked_tables(candidate_tables, config, crops, origin),
    )


def _checked_tables(
    tables: Sequence[Any], config: PoseConfig, crops: int, origin: object
) -> tuple[CandidateTable, ...]:
    peaks = 0 if config.model.candidates is None else config.model.candidates.peaks_per_keypoint
    shape = crops, len(get_skeleton(config.model.skeleton)), peaks, 4
    return tuple(_checked("candidates", table, shape, origin) for table in tables)


def _checked(name: str, values: Any, expected_shape: tuple[int, ...], origin: object) -> NDArray[np.float32]:
    array = np.asarray(values, np.float32)
    if array.shape != expected_shape:
        raise WeightsError(
            f"{origin}: the network gave {name} of shape {array.shape}, its config promises {expected_shape}"
        )
    if not np.isfinite(array).all():
        raise WeightsError(f"{origin}: the network gave {name} that are not finite; its weights are broken")
    return array
