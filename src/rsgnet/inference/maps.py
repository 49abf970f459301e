"""What a network gives for crops: maps, and what is read off them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import PoseConfig, Refinement
from rsgnet.errors import WeightsError
from rsgnet.geometry import Floats
from rsgnet.heatmaps import decode, second_heights
from rsgnet.inference.decode import Heatmaps, average_flip
from rsgnet.skeletons import skeleton_named

Table = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Maps:
    """Heatmaps, and the candidates behind them.

    Attributes:
        target_heatmaps: (B, K, h, w).
        tables: (B, K, P, 4) x, y, height and support of each candidate, of each pass through the network whose heatmaps
            are averaged; none for a network without.
    """

    target_heatmaps: Heatmaps
    tables: tuple[Table, ...] = ()

    def averaged_with(self, mirrored: Maps, flip_indices: NDArray[np.intp], pixel_centre: float) -> Maps:
        """The mean with the maps of the mirrored crops, whose candidates are brought back and kept beside.

        Args:
            mirrored: Of the crops mirrored left to right.
            flip_indices: (K,) where each keypoint stands after mirroring.
            pixel_centre: The crops' convention, as for `decode.average_flip`.
        """
        mean = average_flip(self.target_heatmaps, mirrored.target_heatmaps, flip_indices, pixel_centre)
        last = mean.shape[-1] - (1 if pixel_centre else 0)
        back = []
        for table in mirrored.tables:
            moved: Table = table[:, flip_indices].copy()
            moved[..., 0] = np.where(moved[..., 2] > 0, last - moved[..., 0], 0)
            back.append(moved)
        return Maps(mean, (*self.tables, *back))


@dataclass(frozen=True, eq=False)
class Readings:
    """What is read off maps.

    Attributes:
        places: (B, K, 2) x and y in heatmap pixels.
        scores: (B, K) the heights of the heatmaps there, their highest.
        seconds: (B, K) as `heatmaps.second_heights` has them; None where evidence was not asked for.
        tables: Those of the maps.
    """

    places: Floats
    scores: NDArray[np.float32]
    seconds: NDArray[np.float32] | None
    tables: tuple[Table, ...] = ()


def read_off(maps: Maps, refinement: Refinement, sigmas: Sequence[float], evidence: bool) -> Readings:
    """Reads maps.

    Args:
        maps: The network's.
        refinement: How places are found.
        sigmas: (K,) falloffs of the OKS, as `heatmaps.decode` wants them.
        evidence: Whether second peaks are sought, too.
    """
    places, scores = decode(maps.target_heatmaps, refinement, sigmas)
    seconds = second_heights(maps.target_heatmaps, places) if evidence else None
    return Readings(places, scores, seconds, maps.tables)


def checked_maps(heatmaps: Any, tables: Sequence[Any], config: PoseConfig, count: int, origin: object) -> Maps:
    """A network's outputs for `count` crops, of the shapes that its config promises and finite.

    Raises:
        WeightsError: They are not; `origin` is named as their source.
    """
    keypoints = len(skeleton_named(config.model.skeleton))
    maps = _checked("heatmaps", heatmaps, (count, keypoints, *config.crop.heatmap_shape_hw), origin)
    return Maps(maps, _checked_tables(tables, config, count, origin))


def checked_readings(
    places: Any, scores: Any, seconds: Any, tables: Sequence[Any], config: PoseConfig, count: int, origin: object
) -> Readings:
    """As `checked_maps`, of a network that reads its maps itself."""
    shape = count, len(skeleton_named(config.model.skeleton))
    return Readings(
        _checked("keypoints", places, (*shape, 2), origin).astype(np.float64),
        _checked("scores", scores, shape, origin),
        _checked("second peaks", seconds, shape, origin),
        _checked_tables(tables, config, count, origin),
    )


def _checked_tables(tables: Sequence[Any], config: PoseConfig, count: int, origin: object) -> tuple[Table, ...]:
    shape = count, len(skeleton_named(config.model.skeleton)), config.model.peaks_per_keypoint, 4
    return tuple(_checked("candidates", table, shape, origin) for table in tables)


def _checked(what: str, values: Any, wanted: tuple[int, ...], origin: object) -> NDArray[np.float32]:
    found = np.asarray(values, np.float32)
    if found.shape != wanted:
        raise WeightsError(f"{origin}: the network gave {what} of shape {found.shape}, its config promises {wanted}")
    if not np.isfinite(found).all():
        raise WeightsError(f"{origin}: the network gave {what} that are not finite; its weights are broken")
    return found
