"""Heatmaps of crops become keypoints in the image, and their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.config import CropConfig, PoseConfig, Refinement
from rsgnet.errors import WeightsError
from rsgnet.geometry import Floats, apply_affine, compose_affine, invert_affine
from rsgnet.heatmaps import decode, flip_back, heatmap_affine, second_heights
from rsgnet.skeletons import skeleton_named

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


def owned_scores(box_scores: ArrayLike, present: ArrayLike, owned: ArrayLike) -> Floats:
    """(N,) box score times the share of each person's keypoints that is expected to be right, of those that are there.

    Args:
        box_scores: (N,).
        present: (N, K) how likely each keypoint is there.
        owned: (N, K) how likely, if it is there, its place is right.
    """
    there = np.asarray(present, np.float64)
    right = (there * np.asarray(owned, np.float64)).sum(-1)
    poses: Floats = np.asarray(box_scores, np.float64) * right / np.maximum(there.sum(-1), np.spacing(1))
    return poses


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
class DecodedMaps:
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


def decode_maps(maps: Maps, refinement: Refinement, sigmas: Sequence[float], evidence: bool) -> DecodedMaps:
    """Reads maps.

    Args:
        maps: The network's.
        refinement: How places are found.
        sigmas: (K,) falloffs of the OKS, as `heatmaps.decode` wants them.
        evidence: Whether second peaks are sought, too.
    """
    places, scores = decode(maps.target_heatmaps, refinement, sigmas)
    seconds = second_heights(maps.target_heatmaps, places) if evidence else None
    return DecodedMaps(places, scores, seconds, maps.tables)


def checked_maps(heatmaps: Any, tables: Sequence[Any], config: PoseConfig, count: int, origin: object) -> Maps:
    """A network's outputs for `count` crops, of the shapes that its config promises and finite.

    Raises:
        WeightsError: They are not; `origin` is named as their source.
    """
    keypoints = len(skeleton_named(config.model.skeleton))
    maps = _checked("heatmaps", heatmaps, (count, keypoints, *config.crop.heatmap_shape_hw), origin)
    return Maps(maps, _checked_tables(tables, config, count, origin))


def checked_decoded_maps(
    places: Any, scores: Any, seconds: Any, tables: Sequence[Any], config: PoseConfig, count: int, origin: object
) -> DecodedMaps:
    """As `checked_maps`, of a network that reads its maps itself."""
    shape = count, len(skeleton_named(config.model.skeleton))
    return DecodedMaps(
        _checked("keypoints", places, (*shape, 2), origin).astype(np.float64),
        _checked("scores", scores, shape, origin),
        _checked("second peaks", seconds, shape, origin),
        _checked_tables(tables, config, count, origin),
    )


def _checked_tables(tables: Sequence[Any], config: PoseConfig, count: int, origin: object) -> tuple[Table, ...]:
    peaks = 0 if config.model.candidates is None else config.model.candidates.peaks_per_keypoint
    shape = count, len(skeleton_named(config.model.skeleton)), peaks, 4
    return tuple(_checked("candidates", table, shape, origin) for table in tables)


def _checked(what: str, values: Any, wanted: tuple[int, ...], origin: object) -> NDArray[np.float32]:
    found = np.asarray(values, np.float32)
    if found.shape != wanted:
        raise WeightsError(f"{origin}: the network gave {what} of shape {found.shape}, its config promises {wanted}")
    if not np.isfinite(found).all():
        raise WeightsError(f"{origin}: the network gave {what} that are not finite; its weights are broken")
    return found


Maps3 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class InnerMaps:
    """The maps of one crop; what a network, or the file it was read from, does not give is None.

    Attributes:
        target_heatmaps: (K, h, w) of the box's own person.
        candidate_heatmaps: (K, h, w) of everyone in the crop.
        candidates: (K, P, 4) x, y in heatmap pixels, height, support; rows of zeros for none.
        relation: (K P, K P) how likely two candidates are both the box's person's, in 0..1; 0 for none.
        limb_heatmaps: (L, h, w) of the box's person, in 0..1.
    """

    target_heatmaps: Maps3
    candidate_heatmaps: Maps3 | None = None
    candidates: NDArray[np.float32] | None = None
    relation: NDArray[np.float32] | None = None
    limb_heatmaps: Maps3 | None = None


@runtime_checkable
class InnerRunner(Protocol):
    """A pose network that lets one look inside.

    Attributes:
        config: What it was built with.
    """

    config: PoseConfig

    def inner(self, crop: NDArray[np.uint8]) -> InnerMaps:
        """The maps of an (H, W, 3) RGB crop."""
        ...
