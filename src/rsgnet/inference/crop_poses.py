"""Crops through the network: keypoints in the image, their scores, and the evidence about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import CropConfig, ExportOptions, PoseConfig
from rsgnet.errors import RSGNetError
from rsgnet.geometry import Floats
from rsgnet.inference.crops import Crop
from rsgnet.inference.decode import DecodedMaps, Maps, decode_maps, in_image
from rsgnet.inference.ownership import Evidence, gather
from rsgnet.inference.runtime.network import AnyRunner, DecodingRunner, EvidenceRunner, Runner
from rsgnet.skeletons import skeleton_named


@dataclass(frozen=True, eq=False)
class CropPoses:
    """One pose a crop, in the network's own skeleton.

    Attributes:
        keypoints_xy: (B, K, 2) in image pixels.
        scores: (B, K) the heights of the heatmaps there.
        evidence: (B, K, len(CROP_FEATURES)) as `evidence.gather` gives it; (B, K, 0) where it was not asked for.
        candidates: (B, K, P, 4) those of `Maps`, but in image pixels; P is 0 where the network gives none, or
            evidence was not asked for.
    """

    keypoints_xy: NDArray[np.float32]
    scores: NDArray[np.float32]
    evidence: Evidence
    candidates: NDArray[np.float32]


def find_in_crops(
    runner: AnyRunner, config: PoseConfig, crops: Sequence[Crop], flip_test: bool, evidence: bool = False
) -> CropPoses:
    """The poses in some crops.

    Args:
        runner: The network.
        config: What it was built with.
        crops: One or more.
        flip_test: Whether heatmaps, and evidence, are averaged with those of the mirrored crops, by `flip_test_of`.
        evidence: Whether to gather it.

    Raises:
        WeightsError: The network gives another shape, or numbers that are not finite.
        RSGNetError: Evidence was asked of a runner that has none to give.
    """
    crop = config.crop
    readings = _readings(runner, config, np.stack([each.pixels for each in crops]), flip_test, evidence)
    told = gather(readings, crop.heatmap_shape_hw) if evidence else np.zeros((*readings.scores.shape, 0))
    affines = [each.affine for each in crops]
    places, candidates = in_image(readings.places, affines, crop), _candidates(readings, affines, crop)
    return CropPoses(places, readings.scores, told, candidates)


def _candidates(readings: DecodedMaps, affines: Sequence[Floats], crop: CropConfig) -> NDArray[np.float32]:
    """(B, K, P, 4) the candidates of the crops, not of their mirror images, in image pixels; zeros stay so."""
    if not readings.tables:
        return np.zeros((*readings.scores.shape, 0, 4), np.float32)
    table = readings.tables[0]
    batch, keypoints, peaks = table.shape[:3]
    places = in_image(table[..., :2].reshape(batch, -1, 2), affines, crop)
    rest = table[..., 2:]
    places = np.where(rest[..., :1] > 0, places.reshape(batch, keypoints, peaks, 2), np.float32(0))
    return np.concatenate([places, rest], axis=-1)


def _readings(
    runner: AnyRunner, config: PoseConfig, pixels: NDArray[np.uint8], flip_test: bool, evidence: bool
) -> DecodedMaps:
    """What the network reads off its maps by itself; else they are read here, averaged where they are not yet."""
    if isinstance(runner, DecodingRunner):
        return runner.readings(pixels)
    maps, skeleton = _maps(runner, pixels, evidence), skeleton_named(config.model.skeleton)
    if flip_test and not getattr(runner, "form", ExportOptions()).flip_test:
        mirrored = _maps(runner, np.ascontiguousarray(pixels[:, :, ::-1]), evidence)
        maps = maps.averaged_with(mirrored, skeleton.flip_indices, config.crop.pixel_centre)
    return decode_maps(maps, config.decode.refinement, skeleton.sigmas, evidence)


def _maps(runner: Runner, pixels: NDArray[np.uint8], evidence: bool) -> Maps:
    if not evidence:
        return Maps(runner(pixels))
    if not isinstance(runner, EvidenceRunner):
        raise RSGNetError(f"{type(runner).__name__} gives no evidence: it has no `maps` and `ownership`")
    return runner.maps(pixels)
