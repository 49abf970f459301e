"""One person's box becomes a crop, and the network's output for crops becomes keypoints in the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.config import CropConfig
from rsgnet.geometry import Floats, box_affine, crop_region, xyxy_to_xywh
from rsgnet.heatmaps import mirrored_shift
from rsgnet.images import RGBImage, warp
from rsgnet.inference.decode import (
    average_outputs,
    average_simcc,
    covariances_to_image,
    decode_heatmaps,
    decode_simcc,
    heatmap_to_image,
)
from rsgnet.inference.ownership import Features, extract_features
from rsgnet.inference.runtime.network import PoseNetwork
from rsgnet.inference.runtime.outputs import CandidateTable, DecodedOutput, HeatmapOutput, SimccOutput
from rsgnet.skeletons import get_skeleton


@dataclass(frozen=True, eq=False)
class Crop:
    """The crop of one person.

    Attributes:
        pixels: (height, width, 3) RGB.
        affine: (2, 3) the map from image pixels to crop pixels.
        area: Area of the cropped region in squared image pixels, padding included. The released code compares poses
            at this scale.
    """

    pixels: NDArray[np.uint8]
    affine: Floats
    area: float


@dataclass(frozen=True, eq=False)
class CropPredictions:
    """One pose for each crop, in the network's own skeleton.

    Attributes:
        keypoints_xy: (B, K, 2) in image pixels.
        scores: (B, K) the maximum of each heatmap.
        features: (B, K, len(CROP_FEATURES)) as `extract_features` returns them; (B, K, 0) where they were not asked
            for.
        candidates: (B, K, P, 4) x and y in image pixels, height and support of each candidate, of the crops and not
            of their mirror images; rows of zeros are padding. P is 0 where the network gives no candidates.
        covariances: (B, K, 2, 2) how the heatmaps spread around the keypoints, in squared image pixels; None where a
            file decodes inside.
    """

    keypoints_xy: NDArray[np.float32]
    scores: NDArray[np.float32]
    features: Features
    candidates: NDArray[np.float32]
    covariances: NDArray[np.float32] | None


def cut_crop(image: RGBImage, box_xyxy: ArrayLike, config: CropConfig) -> Crop:
    """Cuts one person out of an image: the box widened to the crop's shape, padded, black outside the image.

    Args:
        image: (H, W, 3) RGB.
        box_xyxy: (4,) in image pixels, finite and not empty.
        config: The crop's size and padding.
    """
    box_xywh = xyxy_to_xywh(box_xyxy)
    affine = box_affine(box_xywh, config)
    _, region_wh = crop_region(box_xywh, config.size_wh, config.padding)
    return Crop(warp(image, affine, config.size_wh), affine, float(region_wh.prod()))


def predict_crops(
    network: PoseNetwork, crops: Sequence[Crop], flip_test: bool, with_features: bool = False
) -> CropPredictions:
    """Finds the pose in each crop.

    Args:
        network: The network.
        crops: One crop or more.
        flip_test: Whether outputs are averaged with those of the mirrored crops, as `network.resolve_flip_test` says.
        with_features: Whether to extract the features that ownership is computed from; candidates are given only with
            them.

    Raises:
        WeightsError: The network gives another shape than its config promises, or numbers that are not finite.
    """
    crop_config = network.config.crop
    decoded = _run_and_decode(network, np.stack([crop.pixels for crop in crops]), flip_test, with_features)
    affines = [crop.affine for crop in crops]
    keypoints_xy = heatmap_to_image(decoded.keypoints_xy, affines, crop_config)
    features, candidates = np.zeros((*decoded.scores.shape, 0)), np.zeros((*decoded.scores.shape, 0, 4), np.float32)
    if with_features:
        features = extract_features(decoded, crop_config.heatmap_shape_hw)
        if decoded.candidate_tables:
            candidates = _candidates_in_image(decoded.candidate_tables[0], affines, crop_config)
    covariances = None
    if decoded.covariances is not None:
        covariances = covariances_to_image(decoded.covariances, affines, crop_config)
    return CropPredictions(keypoints_xy, decoded.scores, features, candidates, covariances)


def _run_and_decode(
    network: PoseNetwork, pixels: NDArray[np.uint8], flip_test: bool, second_peaks: bool
) -> DecodedOutput:
    """Runs the network, and does here what its file does not do inside: the flip test and decoding."""
    output = network.run(pixels)
    if isinstance(output, DecodedOutput):
        return output
    config = network.config
    skeleton = get_skeleton(config.model.skeleton)
    if flip_test and not network.capabilities.export_options.flip_test:
        mirrored = network.run(np.ascontiguousarray(pixels[:, :, ::-1]))
        if isinstance(output, SimccOutput):
            assert isinstance(mirrored, SimccOutput)
            output = average_simcc(output, mirrored, skeleton.flip_indices)
        else:
            assert isinstance(mirrored, HeatmapOutput)
            output = average_outputs(output, mirrored, skeleton.flip_indices, mirrored_shift(config))
    if isinstance(output, SimccOutput):
        return decode_simcc(output)
    return decode_heatmaps(output, config.decode.refinement, skeleton.sigmas, second_peaks)


def _candidates_in_image(
    table: CandidateTable, affines: Sequence[Floats], crop_config: CropConfig
) -> NDArray[np.float32]:
    """Returns a (B, K, P, 4) table of candidates with x and y in image pixels; padding stays 0."""
    batch, keypoints, peaks = table.shape[:3]
    points_xy = heatmap_to_image(table[..., :2].reshape(batch, -1, 2), affines, crop_config)
    height_and_support = table[..., 2:]
    is_real = height_and_support[..., :1] > 0
    points_xy = np.where(is_real, points_xy.reshape(batch, keypoints, peaks, 2), np.float32(0))
    return np.concatenate([points_xy, height_and_support], axis=-1)
