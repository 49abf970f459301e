"""Augmentation of training crops: position, scale, rotation and mirroring as for HRNet, and colours."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from rsgnet.config import CropConfig
from rsgnet.geometry import Floats, compose_affine, crop_affine, crop_region, flip_affine
from rsgnet.images import RGBImage, extract_window
from rsgnet.skeletons import Skeleton
from rsgnet.training_config import AugmentConfig

_LOWER_BODY = ("hip", "knee", "ankle")
_HALF_BODY_MIN_KEYPOINTS = 9  # people with fewer labelled keypoints are never cropped to half of the body
_HALF_BODY_PADDING = 1.5


def training_affine(
    box_xywh: Floats,
    keypoints: Floats,
    skeleton: Skeleton,
    crop: CropConfig,
    augment: AugmentConfig,
    random: np.random.Generator,
) -> tuple[Floats, bool]:
    """Draws the position, scale, rotation and mirroring of a training crop.

    Args:
        box_xywh: (4,) the person's box in image pixels.
        keypoints: (K, 3) x, y in image pixels, and visibility.
        skeleton: The skeleton of the keypoints; their names tell the halves of the body apart.
        crop: Size and padding of the crop.
        augment: Ranges of the changes.
        random: The random generator.

    Returns:
        (2, 3) the affine map from image to crop pixels, and whether it mirrors.
    """
    box = box_xywh
    if random.random() < augment.half_body:
        box = half_body_box(box, keypoints, skeleton, crop.padding, random)
    centre, region = crop_region(box, crop.size_wh, crop.padding)
    spread = augment.scale
    region = region * np.clip(1 + spread * random.standard_normal(), 1 - spread, 1 + spread)
    centre = centre + region * random.uniform(-augment.shift, augment.shift, 2)
    rotation = 0.0
    if random.random() < 0.6:
        limit = 2 * augment.rotation_deg
        rotation = float(np.clip(augment.rotation_deg * random.standard_normal(), -limit, limit))
    affine = crop_affine(centre, region, crop.size_wh, rotation, crop.pixel_centre)
    flip = bool(random.random() < augment.flip)
    return (compose_affine(flip_affine(crop.size_wh[0]), affine) if flip else affine), flip


def half_body_box(
    box_xywh: Floats, keypoints: Floats, skeleton: Skeleton, padding: float, random: np.random.Generator
) -> Floats:
    """Returns a (4,) xywh box of the upper or the lower half of the body, chosen at random.

    Enlarged by `padding`, as all boxes are later, it is 1.5 times the extent of that half's keypoints, as for HRNet. If
    fewer than 9 keypoints, or no more than 2 in the half, are labelled, it is the given box.
    """
    labelled = keypoints[:, 2] > 0
    if labelled.sum() < _HALF_BODY_MIN_KEYPOINTS:
        return box_xywh
    lower = np.array([name.endswith(_LOWER_BODY) for name in skeleton.keypoints])
    upper_half, lower_half = labelled & ~lower, labelled & lower
    chosen = upper_half if random.random() < 0.7 else lower_half
    if chosen.sum() <= 2:
        chosen = lower_half if chosen is upper_half else upper_half
    points = keypoints[chosen, :2]
    if len(points) <= 2:
        return box_xywh
    size = np.maximum(np.ptp(points, axis=0), 1.0) * (_HALF_BODY_PADDING / padding)
    return np.concatenate([points.mean(0) - size / 2, size])


def jitter_colour(image: RGBImage, spread: float, random: np.random.Generator) -> RGBImage:
    """Returns an image with brightness, contrast and saturation multiplied by random factors in 1 - spread..1 + spread.

    Args:
        image: (H, W, 3) RGB.
        spread: Range of the factors; 0 changes nothing.
        random: The random generator.
    """
    if spread <= 0:
        return image
    brightness, contrast, saturation = random.uniform(1 - spread, 1 + spread, 3)
    values = image.astype(np.float32)
    grey = (values[..., 0] + values[..., 1] + values[..., 2]) / 3
    # Saturation relative to each pixel's grey, then contrast relative to the mean grey, then brightness.
    values *= contrast * saturation
    values += (contrast * (1 - saturation) * grey + (brightness - contrast) * grey.mean())[..., None]
    result: NDArray[np.uint8] = values.clip(0, 255, out=values).astype(np.uint8)
    return result


def fast_warp(image: RGBImage, matrix: Floats, size_wh: tuple[int, int]) -> RGBImage:
    """Cuts a crop faster than `rsgnet.images.warp`.

    Values differ from `warp`'s by at most 1 in 0..255, except at the image's outermost pixels, which fade to black.

    Args:
        image: (H, W, 3) RGB.
        matrix: (2, 3) affine map from pixel indices of the image to those of the crop.
        size_wh: Width and height of the crop in pixels.

    Returns:
        (height, width, 3) the crop.
    """
    crop = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    window, inverse = extract_window(image, matrix, size_wh)
    if not window.size:
        return crop
    # grid_sample's coordinates: -1 and 1 are the edges of the window.
    to_window = 2 * inverse / np.array(window.shape[1::-1])[:, None] - [0, 0, 1]
    columns, rows = np.arange(size_wh[0]) + 0.5, np.arange(size_wh[1])[:, None] + 0.5
    grid = np.empty((*crop.shape[:2], 2), np.float32)
    for axis, (by_column, by_row, shift) in enumerate(to_window):
        np.add((by_column * columns).astype(np.float32), (by_row * rows + shift).astype(np.float32), grid[..., axis])
    colours = torch.from_numpy(window.astype(np.float32)).permute(2, 0, 1)
    sampled = F.grid_sample(colours[None], torch.from_numpy(grid)[None], align_corners=False)[0]
    for channel, plane in enumerate(sampled.add_(0.5).byte().numpy()):
        crop[..., channel] = plane
    return crop
