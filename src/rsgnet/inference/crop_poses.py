"""Crops through the network: keypoints in the picture, their scores, and the evidence about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import PoseConfig
from rsgnet.errors import RSGNetError
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
    """

    keypoints_xy: NDArray[np.float32]
    scores: NDArray[np.float32]
    evidence: Evidence


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
    return CropPoses(in_picture(found, [each.affine for each in crops], crop), scores, told)


def _maps(runner: Runner, pixels: NDArray[np.uint8], evidence: bool) -> Maps:
    if not evidence:
        return Maps(runner(pixels))
    if not isinstance(runner, EvidenceRunner):
        raise RSGNetError(f"{type(runner).__name__} gives no evidence: it has no `maps` and `ownership`")
    return runner.maps(pixels)
