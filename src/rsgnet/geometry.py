"""Boxes, and the affine map between an image and a crop of it.

The origin of an image is its top left corner, x points right and y points down. Coordinates are pixel indices. The
centre of a pixel lies at its index (`pixel_centre=0`, the convention of the released code) or half a pixel further
(`pixel_centre=0.5`, exact under scaling and mirroring); functions for which this matters take it as an argument.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.config import CropConfig

Floats = NDArray[np.float64]


def xywh_to_xyxy(boxes_xywh: ArrayLike) -> Floats:
    """Converts (..., 4) boxes from left, top, width, height to left, top, right, bottom."""
    boxes = np.asarray(boxes_xywh, np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def xyxy_to_xywh(boxes_xyxy: ArrayLike) -> Floats:
    """Converts (..., 4) boxes from left, top, right, bottom to left, top, width, height."""
    boxes = np.asarray(boxes_xyxy, np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def box_iou(first_xyxy: ArrayLike, second_xyxy: ArrayLike) -> Floats:
    """Computes the (N, M) intersection over union of (N, 4) and (M, 4) boxes; 0 where both boxes are empty."""
    first = np.asarray(first_xyxy, np.float64).reshape(-1, 1, 4)
    second = np.asarray(second_xyxy, np.float64).reshape(1, -1, 4)
    overlap_wh = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    overlap = overlap_wh.clip(min=0).prod(-1)
    union = (first[..., 2:] - first[..., :2]).prod(-1) + (second[..., 2:] - second[..., :2]).prod(-1) - overlap
    iou: Floats = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return iou


def crop_region(box_xywh: ArrayLike, size_wh: tuple[int, int], padding: float = 1.25) -> tuple[Floats, Floats]:
    """Computes the image region to crop for each box: the box extended to the aspect ratio of the crop, then padded.

    Args:
        box_xywh: (..., 4) left, top, width, height in image pixels.
        size_wh: Width and height of the crop in pixels; only their ratio matters.
        padding: The factor by which the extended box is scaled.

    Returns:
        The (..., 2) centre and the (..., 2) width and height of the region, in image pixels.
    """
    box = np.asarray(box_xywh, np.float64)
    aspect = size_wh[0] / size_wh[1]
    width, height = box[..., 2], box[..., 3]
    region = np.stack([np.maximum(width, height * aspect), np.maximum(height, width / aspect)], axis=-1)
    return box[..., :2] + box[..., 2:] / 2, region * padding


def crop_affine(
    centre_xy: ArrayLike,
    region_wh: ArrayLike,
    size_wh: tuple[int, int],
    rotation_deg: float = 0.0,
    pixel_centre: float = 0.0,
) -> Floats:
    """Computes the affine map from image pixels to crop pixels.

    It maps the centre of the region to the centre of the crop and scales the width of the region to that of the crop.

    Args:
        centre_xy: (2,) centre of the region, in image pixels.
        region_wh: (2,) width and height of the region, in image pixels; the width sets the scale.
        size_wh: Width and height of the crop in pixels.
        rotation_deg: Clockwise rotation of the region in the image, in degrees (y points down).
        pixel_centre: Offset of a pixel's centre from its index: 0 (released code) or 0.5 (exact).

    Returns:
        The (2, 3) matrix M with crop_xy = M @ (x, y, 1).
    """
    scale = size_wh[0] / float(np.asarray(region_wh)[0])
    angle = np.deg2rad(rotation_deg)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cos, sin], [-sin, cos]])
    shift = np.asarray(size_wh) / 2 - pixel_centre - linear @ (np.asarray(centre_xy, np.float64) - pixel_centre)
    return np.concatenate([linear, shift[:, None]], axis=1)


def box_affine(box_xywh: ArrayLike, crop: CropConfig, padding: float | None = None) -> Floats:
    """Computes the map from image pixels to the pixels of the upright crop of a box.

    Args:
        box_xywh: (4,) left, top, width, height in image pixels.
        crop: How the crop lies on the image.
        padding: By how much the box grows; the crop's own padding where None.

    Returns:
        (2, 3).
    """
    centre, region_wh = crop_region(box_xywh, crop.size_wh, crop.padding if padding is None else padding)
    if crop.alignment == "pixels":
        return crop_affine(centre, region_wh, crop.size_wh, pixel_centre=crop.pixel_centre)
    last = np.array(crop.size_wh) - 1
    scale = last / region_wh
    return np.concatenate([np.diag(scale), (last / 2 - scale * centre)[:, None]], axis=1)


def invert_affine(matrix: ArrayLike) -> Floats:
    """Computes the (..., 2, 3) inverses of (..., 2, 3) affine maps."""
    matrix = np.asarray(matrix, np.float64)
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate([linear, -linear @ matrix[..., 2:]], axis=-1)


def apply_affine(matrix: ArrayLike, points_xy: ArrayLike) -> Floats:
    """Maps (..., P, 2) points by (..., 2, 3) affine maps."""
    matrix, points = np.asarray(matrix, np.float64), np.asarray(points_xy, np.float64)
    mapped: Floats = points @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]
    return mapped


def flip_affine(width: int) -> Floats:
    """Returns the (2, 3) map that mirrors an image of a width in pixels left to right, in pixel indices."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]])


def compose_affine(outer: ArrayLike, inner: ArrayLike) -> Floats:
    """Returns the (2, 3) map that applies `inner` first and `outer` second."""
    outer, inner = np.asarray(outer, np.float64), np.asarray(inner, np.float64)
    return np.concatenate([outer[:, :2] @ inner[:, :2], apply_affine(outer, inner[:, 2][None])[0][:, None]], axis=1)
