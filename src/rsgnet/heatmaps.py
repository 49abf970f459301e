"""Keypoints to heatmaps and back.

Coordinates here are heatmap pixel indices. `heatmap_affine` carries them from and to crop pixels.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rsgnet.geometry import Floats

Refinement = Literal["none", "quarter", "taylor"]


def heatmap_affine(stride: int, pixel_centre: float) -> Floats:
    """(2, 3) the map from crop pixel indices to heatmap pixel indices."""
    shift = pixel_centre / stride - pixel_centre
    return np.array([[1 / stride, 0.0, shift], [0.0, 1 / stride, shift]])


def encode(keypoints_xy: Any, shape_hw: tuple[int, int], sigma: float) -> Any:
    """Gaussians of height 1 about keypoints, at their exact sub-pixel places.

    Args:
        keypoints_xy: (..., 2) array or tensor of heatmap coordinates; NaN gives an empty map.
        shape_hw: Height and width of the maps.
        sigma: Standard deviation in heatmap pixels.

    Returns:
        (..., H, W) of the same library, type and device as the keypoints.
    """
    xp = sys.modules[type(keypoints_xy).__module__]  # numpy or torch: one formula, whichever asks
    height, width = shape_hw
    columns = xp.arange(width, dtype=keypoints_xy.dtype, device=keypoints_xy.device)
    rows = xp.arange(height, dtype=keypoints_xy.dtype, device=keypoints_xy.device)
    across = xp.exp(-((columns - keypoints_xy[..., 0, None]) ** 2) / (2 * sigma**2))
    down = xp.exp(-((rows - keypoints_xy[..., 1, None]) ** 2) / (2 * sigma**2))
    return xp.nan_to_num(down)[..., :, None] * xp.nan_to_num(across)[..., None, :]


def decode(heatmaps: NDArray[np.float32], refinement: Refinement = "quarter") -> tuple[Floats, NDArray[np.float32]]:
    """The highest place of each heatmap, below pixel precision where asked.

    Args:
        heatmaps: (..., H, W).
        refinement: "none"; "quarter": a quarter pixel towards the higher neighbour on each axis; "taylor": the top of
            the second-order Taylor expansion of the smoothed log-heatmap (DARK).

    Returns:
        (..., 2) x and y in heatmap pixels, and (...,) the heights there. A map without a positive value gives (0, 0).
    """
    *lead, height, width = heatmaps.shape
    flat = heatmaps.reshape(-1, height * width)
    if len(flat) == 0:
        return np.zeros((*lead, 2)), np.zeros(lead, np.float32)
    best = flat.argmax(-1)
    scores = np.take_along_axis(flat, best[:, None], -1)[:, 0]
    column, row = best % width, best // width
    found = np.stack([column, row], -1).astype(np.float64)
    edge = 1 if refinement == "quarter" else 0  # the published decoding leaves the second row and column alone too
    inside = (column > edge) & (column < width - 1) & (row > edge) & (row < height - 1)
    if refinement != "none" and inside.any():
        around = _neighbourhoods(flat[inside].reshape(-1, height, width), row[inside], column[inside], refinement)
        found[inside] += _quarter_offset(around) if refinement == "quarter" else _taylor_offset(around)
    found[scores <= 0] = 0.0
    return found.reshape(*lead, 2), scores.reshape(lead)


def _neighbourhoods(maps: NDArray[np.float32], row: Any, column: Any, refinement: Refinement) -> Floats:
    """(n, 3, 3) the surroundings of each peak; for "taylor" smoothed by a 3x3 binomial kernel."""
    reach = 2 if refinement == "taylor" else 1
    padded = np.pad(maps.astype(np.float64), ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    offsets = np.arange(2 * reach + 1)
    index = np.arange(len(maps))[:, None, None]
    around: Floats = padded[index, row[:, None, None] + offsets[:, None], column[:, None, None] + offsets]
    if refinement == "taylor":
        around = (around[:, :-2] + 2 * around[:, 1:-1] + around[:, 2:]) / 4
        around = (around[:, :, :-2] + 2 * around[:, :, 1:-1] + around[:, :, 2:]) / 4
    return around


def _quarter_offset(around: Floats) -> Floats:
    slope = np.stack([around[:, 1, 2] - around[:, 1, 0], around[:, 2, 1] - around[:, 0, 1]], -1)
    return np.sign(slope) * 0.25


def _taylor_offset(around: Floats) -> Floats:
    logs = np.log(np.maximum(around, 1e-10))
    slope = np.stack([logs[:, 1, 2] - logs[:, 1, 0], logs[:, 2, 1] - logs[:, 0, 1]], -1) / 2
    xx = logs[:, 1, 2] - 2 * logs[:, 1, 1] + logs[:, 1, 0]
    yy = logs[:, 2, 1] - 2 * logs[:, 1, 1] + logs[:, 0, 1]
    xy = (logs[:, 2, 2] - logs[:, 2, 0] - logs[:, 0, 2] + logs[:, 0, 0]) / 4
    determinant = xx * yy - xy * xy
    curved = (determinant > 1e-12) & (xx < 0)
    safe = np.where(curved, determinant, 1.0)
    offset = -np.stack([yy * slope[:, 0] - xy * slope[:, 1], xx * slope[:, 1] - xy * slope[:, 0]], -1) / safe[:, None]
    # A peak cannot lie nearer to another pixel than to its own; a flat or saddle-shaped top keeps the pixel.
    return np.where(curved[:, None], offset.clip(-1, 1), 0.0)


def flip_back(heatmaps: NDArray[np.float32], flip_indices: NDArray[np.intp], shift: bool) -> NDArray[np.float32]:
    """Heatmaps of a mirrored crop as they would be of the crop itself.

    Args:
        heatmaps: (..., K, H, W) of the mirrored crop.
        flip_indices: (K,) where each keypoint stands after mirroring.
        shift: Whether to move them one pixel right, for networks whose `pixel_centre` is 0.

    Returns:
        (..., K, H, W).
    """
    flipped: NDArray[np.float32] = heatmaps[..., flip_indices, :, ::-1].copy()
    if shift:
        flipped[..., 1:] = flipped[..., :-1].copy()
    return flipped
