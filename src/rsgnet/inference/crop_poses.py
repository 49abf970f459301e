"""Crops through the network: keypoints in the picture, their scores, and the evidence about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import CropConfig, PoseConfig
from rsgnet.errors import RSGNetError
from rsgnet.geometry import Floats
from rsgnet.heatmaps import decode
from rsgnet.inference.crops import Crop
from rsgnet.inference.decode import average_flip, in_picture
from rsgnet.inference.evidence import Evidence, Maps, gather
from rsgnet.inference.runner import EvidenceRunner, Runner
from rsgnet.skeletons import skeleton_named


@dataclass(frozen=True, eq=False)
class CropPoses:
    """One pose a crop, in the network's own skeleton.

    Attributes:
        keypoints_xy: (B, K, 2) in picture pixels.
        scores: (B, K) the heights of the heatmaps there.
        evidence: (B, K, len(CROP_FEATURES)) as `evidence.gather` gives it; (B, K, 0) where it was not asked for.
        candidates: (B, K, P, 4) those of `Maps`, but in picture pixels; P is 0 where the network gives none, or
            evidence was not asked for.
    """

    keypoints_xy: NDArray[np.float32]
    scores: NDArray[np.float32]
    evidence: Evidence
    candidates: NDArray[np.float32]


def find_in_crops(
    runner: Runner, config: PoseConfig, crops: Sequence[Crop], flip_test: bool, evidence: bool = False
) -> CropPoses:
    """The poses in some crops.

    Args:
        runner: The network.
        config: What it was built with.
        crops: One or more.
        flip_test: Whether heatmaps, and evidence, are averaged with those of the mirrored crops.
        evidence: Whether to gather it.

    Raises:
        WeightsError: The network gives another shape, or numbers that are not finite.
        RSGNetError: Evidence was asked of a runner that has none to give.
    """
    skeleton, crop = skeleton_named(config.model.skeleton), config.crop
    pixels = np.stack([each.pixels for each in crops])
    first = _maps(runner, pixels, evidence)
    heatmaps, tables = first.target_heatmaps, [first.candidates]
    if flip_test:
        mirrored = _maps(runner, np.ascontiguousarray(pixels[:, :, ::-1]), evidence)
        heatmaps = average_flip(heatmaps, mirrored.target_heatmaps, skeleton.flip_indices, crop.pixel_centre)
        tables.append(mirrored.flipped_back(skeleton.flip_indices, crop.pixel_centre))
    found, scores = decode(heatmaps, config.decode.refinement)
    given = [table for table in tables if table is not None]
    told = gather(heatmaps, found, given) if evidence else np.zeros((*scores.shape, 0))
    affines = [each.affine for each in crops]
    candidates = _candidates(first, affines, crop)
    return CropPoses(in_picture(found, affines, crop), scores, told, candidates)


def _candidates(maps: Maps, affines: Sequence[Floats], crop: CropConfig) -> NDArray[np.float32]:
    """(B, K, P, 4) the candidates in picture pixels; rows of zeros stay so."""
    if maps.candidates is None:
        return np.zeros((*maps.target_heatmaps.shape[:2], 0, 4), np.float32)
    batch, keypoints, peaks = maps.candidates.shape[:3]
    places = in_picture(maps.candidates[..., :2].reshape(batch, -1, 2), affines, crop)
    rest = maps.candidates[..., 2:]
    places = np.where(rest[..., :1] > 0, places.reshape(batch, keypoints, peaks, 2), np.float32(0))
    return np.concatenate([places, rest], axis=-1)


def _maps(runner: Runner, pixels: NDArray[np.uint8], evidence: bool) -> Maps:
    if not evidence:
        return Maps(runner(pixels))
    if not isinstance(runner, EvidenceRunner):
        raise RSGNetError(f"{type(runner).__name__} gives no evidence: it has no `maps` and `ownership`")
    return runner.maps(pixels)
