"""Random changes to training crops: where the crop is cut (Section "Training", HRNet's recipe) and its colours."""

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
_HALF_BODY_OVER = 8  # people with more labelled keypoints than this may be cropped to half of the body
_HALF_BODY_PADDING = 1.5


def training_affine(
    box_xywh: Floats,
    keypoints: Floats,
    skeleton: Skeleton,
    crop: CropConfig,
    augment: AugmentConfig,
    random: np.random.Generator,
) -> tuple[Floats, bool]:
    """Where a training crop is cut.

    Args:
        box_xywh: (4,) the person's box in image pixels.
        keypoints: (K, 3) x, y, visibility.
        skeleton: Names the keypoints, so that halves of the body can be told apart.
        crop: Size and padding.
        augment: The spreads.
        random: Where the randomness comes from.

    Returns:
        (2, 3) the map from image to crop pixels, and whether it mirrors.
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
    """(4,) a box about the upper or lower half of the body; the given box where too little is labelled.

    Padded by `padding`, as every box is, it is HRNet's: 1.5 times the extent of that half's keypoints.
    """
    labelled = keypoints[:, 2] > 0
    if labelled.sum() <= _HALF_BODY_OVER:
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
    """A crop with brightness, contrast and saturation changed at random, each by a factor within 1 +- spread.

    Args:
        image: (H, W, 3) RGB.
        spread: 0 changes nothing.
        random: Where the randomness comes from.
    """
    if spread <= 0:
        return image
    brightness, contrast, saturation = random.uniform(1 - spread, 1 + spread, 3)
    values = image.astype(np.float32)
    grey = (values[..., 0] + values[..., 1] + values[..., 2]) / 3
    # Saturation about each pixel's grey, then contrast about the middle grey, then brightness.
    values *= contrast * saturation
    values += (contrast * (1 - saturation) * grey + (brightness - contrast) * grey.mean())[..., None]
    result: NDArray[np.uint8] = values.clip(0, 255, out=values).astype(np.uint8)
    return result


def quick_warp(image: RGBImage, matrix: Floats, size_wh: tuple[int, int]) -> RGBImage:
    """As `rsgnet.images.warp` cuts it, within 1 of 255, but that the image fades to black over its outermost pixel.

    Args:
        image: (H, W, 3) RGB.
        matrix: (2, 3) the map from image pixel indices to crop pixel indices.
        size_wh: Width and height of the crop.

    Returns:
        (height, width, 3) the crop.
    """
    crop = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    seen, inverse = extract_window(image, matrix, size_wh)
    if not seen.size:
        return crop
    # -1 and 1 are the edges of the window.
    to_window = 2 * inverse / np.array(seen.shape[1::-1])[:, None] - [0, 0, 1]
    columns, rows = np.arange(size_wh[0]) + 0.5, np.arange(size_wh[1])[:, None] + 0.5
    places = np.empty((*crop.shape[:2], 2), np.float32)
    for axis, (by_column, by_row, shift) in enumerate(to_window):
        np.add((by_column * columns).astype(np.float32), (by_row * rows + shift).astype(np.float32), places[..., axis])
    colours = torch.from_numpy(seen.astype(np.float32)).permute(2, 0, 1)
    sampled = F.grid_sample(colours[None], torch.from_numpy(places)[None], align_corners=False)[0]
    for channel, plane in enumerate(sampled.add_(0.5).byte().numpy()):
        crop[..., channel] = plane
    return crop
