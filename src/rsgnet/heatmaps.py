"""Keypoints to heatmaps and back.

Coordinates here are heatmap pixel indices. `heatmap_affine` carries them from and to crop pixels.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import Refinement
from rsgnet.geometry import Floats

PEAK_REACH_PX = 4.0  # heatmap pixels: beyond two standard deviations of a peak, it is another one
_SHARPNESS = 10.0  # softmax of so many times a heatmap is where its keypoint lies, as `losses.location` trains it
# The area that OKS measures by, as a share of a crop: 0.53 of a box padded to 1.25 that fills about 3/4 of the shape.
_AREA_SHARE = 0.25


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
    xp = _library_of(keypoints_xy)
    height, width = shape_hw
    columns = xp.arange(width, dtype=keypoints_xy.dtype, device=keypoints_xy.device)
    rows = xp.arange(height, dtype=keypoints_xy.dtype, device=keypoints_xy.device)
    across = xp.exp(-((columns - keypoints_xy[..., 0, None]) ** 2) / (2 * sigma**2))
    down = xp.exp(-((rows - keypoints_xy[..., 1, None]) ** 2) / (2 * sigma**2))
    return xp.nan_to_num(down)[..., :, None] * xp.nan_to_num(across)[..., None, :]


def decode(
    heatmaps: NDArray[np.float32], refinement: Refinement = "quarter", sigmas: Sequence[float] = ()
) -> tuple[Floats, NDArray[np.float32]]:
    """The highest place of each heatmap, below pixel precision where asked.

    Args:
        heatmaps: (..., H, W).
        refinement: "none"; "quarter": a quarter pixel towards the higher neighbour on each axis; "taylor": the top of
            the second-order Taylor expansion of the smoothed log-heatmap (DARK); "expected_oks": "taylor" on
            `expected_oks` of (..., K, H, W) heatmaps.
        sigmas: (K,) falloffs of the OKS, for "expected_oks" alone.

    Returns:
        (..., 2) x and y in heatmap pixels, and (...,) the heights of the heatmaps: their highest, wherever the place
        is. A map without a positive value gives (0, 0).
    """
    if refinement == "expected_oks":
        places, _ = decode(expected_oks(heatmaps, sigmas), "taylor")
        highest: NDArray[np.float32] = heatmaps.max((-2, -1))
        return np.where(highest[..., None] > 0, places, 0.0), highest
    *lead, height, width = heatmaps.shape
    flat = heatmaps.reshape(-1, height * width)
    if len(flat) == 0:
        return np.zeros((*lead, 2)), np.zeros(lead, np.float32)
    best = flat.argmax(-1)
    scores = np.take_along_axis(flat, best[:, None], -1)[:, 0]
    column, row = best % width, best // width
    found = np.stack([column, row], -1).astype(np.float64)
    inside = refinable(column, row, (height, width), refinement)
    if inside.any():
        around = _surroundings(flat[inside].reshape(-1, height, width), row[inside], column[inside])
        found[inside] += peak_offset(around, refinement)
    found[scores <= 0] = 0.0
    return found.reshape(*lead, 2), scores.reshape(lead)


def _surroundings(maps: NDArray[np.float32], row: Any, column: Any) -> Floats:
    """(n, 5, 5) about one place in each of (n, H, W) maps."""
    padded = np.pad(maps.astype(np.float64), ((0, 0), (2, 2), (2, 2)), mode="edge")
    index, offsets = np.arange(len(maps))[:, None, None], np.arange(5)
    around: Floats = padded[index, row[:, None, None] + offsets[:, None], column[:, None, None] + offsets]
    return around


# Those below, like `encode`, take arrays and tensors: one formula for `decode` and for exported graphs.


def expected_oks(heatmaps: Any, sigmas: Sequence[float]) -> Any:
    """What each place would score, were it the answer: the expected similarity with where the keypoint really lies.

    Where a heatmap is of two minds or flat, its highest pixel is not the best answer, and a keypoint that OKS forgives
    more should lean further to the middle of what is likely. (As ProbPose decodes, arXiv:2412.02254.)

    Args:
        heatmaps: (..., K, H, W) array or tensor.
        sigmas: (K,) falloffs of the OKS.

    Returns:
        (..., K, H, W) of the same library and type, in 0..1.
    """
    xp = _library_of(heatmaps)
    height, width = heatmaps.shape[-2:]
    likely = xp.exp(_SHARPNESS * (heatmaps - xp.amax(heatmaps, (-2, -1))[..., None, None]))
    likely = likely / likely.sum((-2, -1))[..., None, None]
    spreads = [2 * sigma * (_AREA_SHARE * height * width) ** 0.5 for sigma in sigmas]
    return _falloffs(height, spreads, heatmaps, xp) @ likely @ _falloffs(width, spreads, heatmaps, xp)


def _falloffs(length: int, spreads: list[float], like: Any, xp: Any) -> Any:
    """(K, length, length) the Gaussian falloff from each row or column to each other."""
    apart = np.subtract.outer(np.arange(length), np.arange(length))
    falloffs = np.exp(-(apart**2) / (2 * np.square(spreads)[:, None, None]))
    return xp.asarray(falloffs, dtype=like.dtype, device=like.device)


def refinable(column: Any, row: Any, shape_hw: tuple[int, int], refinement: Refinement) -> Any:
    """(...) which peaks lie far enough inside (H, W) maps to be placed below pixel precision."""
    height, width = shape_hw
    # The published decoding, in quarters, leaves the second row and column alone, too.
    edge = {"none": max(shape_hw), "quarter": 1}.get(refinement, 0)
    return (column > edge) & (column < width - 1) & (row > edge) & (row < height - 1)


def peak_offset(around: Any, refinement: Refinement) -> Any:
    """How far from its pixel each peak lies.

    Args:
        around: (..., 5, 5) the surroundings of each peak.
        refinement: "quarter" or "taylor", as `decode` has them.

    Returns:
        (..., 2) x and y, no more than a pixel.
    """
    xp = _library_of(around)
    if refinement == "quarter":
        return 0.25 * xp.sign(_slope(around[..., 1:-1, 1:-1], xp))
    around = (around[..., :-2, :] + 2 * around[..., 1:-1, :] + around[..., 2:, :]) / 4  # a 3x3 binomial kernel
    around = (around[..., :-2] + 2 * around[..., 1:-1] + around[..., 2:]) / 4
    logs = xp.log(around.clip(1e-10))
    slope = _slope(logs, xp) / 2
    xx = logs[..., 1, 2] - 2 * logs[..., 1, 1] + logs[..., 1, 0]
    yy = logs[..., 2, 1] - 2 * logs[..., 1, 1] + logs[..., 0, 1]
    xy = (logs[..., 2, 2] - logs[..., 2, 0] - logs[..., 0, 2] + logs[..., 0, 0]) / 4
    determinant = xx * yy - xy * xy
    curved = (determinant > 1e-12) & (xx < 0)
    safe = xp.where(curved, determinant, 1.0)[..., None]
    x, y = slope[..., 0], slope[..., 1]
    offset = -xp.stack([yy * x - xy * y, xx * y - xy * x], -1) / safe
    # A peak cannot lie nearer to another pixel than to its own; a flat or saddle-shaped top keeps the pixel.
    return xp.where(curved[..., None], offset.clip(-1, 1), 0.0)


def _slope(around: Any, xp: Any) -> Any:
    return xp.stack([around[..., 1, 2] - around[..., 1, 0], around[..., 2, 1] - around[..., 0, 1]], -1)


def second_heights(heatmaps: Any, places: Any) -> Any:
    """The highest value of each heatmap further from a place than a peak reaches.

    Args:
        heatmaps: (..., H, W) array or tensor.
        places: (..., 2) x and y in heatmap pixels.

    Returns:
        (...,) of the same library, 0 or more.
    """
    xp = _library_of(heatmaps)
    height, width = heatmaps.shape[-2:]
    columns = xp.arange(width, dtype=heatmaps.dtype, device=heatmaps.device)
    rows = xp.arange(height, dtype=heatmaps.dtype, device=heatmaps.device)
    across = xp.abs(columns - places[..., :1]) <= PEAK_REACH_PX
    down = xp.abs(rows - places[..., 1:]) <= PEAK_REACH_PX
    near = down[..., :, None] & across[..., None, :]
    return xp.amax(xp.where(near, xp.zeros_like(heatmaps), heatmaps), (-2, -1))


def _library_of(values: Any) -> Any:
    """numpy or torch, whichever asks; torch is never imported here."""
    return np if isinstance(values, np.ndarray) else sys.modules["torch"]


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
