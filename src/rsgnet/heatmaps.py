"""Encodes keypoints as Gaussian heatmaps and decodes heatmaps to keypoints.

Coordinates are heatmap pixel indices; `heatmap_affine` maps crop pixel indices to them. `encode` and the functions
below `decode` take NumPy arrays and PyTorch tensors, so that `decode` and exported graphs use the same formulas.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import CropConfig, PoseConfig, Refinement
from rsgnet.geometry import Floats

PEAK_RADIUS_PX = 4.0  # two standard deviations of a Gaussian; values farther off belong to another peak
_SOFTMAX_SCALE = 10.0  # the location loss trains softmax(10 * heatmap) as the distribution of the position
_BLUR_SIGMA, _BLUR_RADIUS, _LOWEST = 2.0, 5, 1e-3  # of "udp": MMPose's blur of 11x11 pixels, floor of the logarithm
# The area that sets the OKS scale, as a share of the crop: 0.53 of a box padded to 1.25 that fills about 3/4 of it.
_AREA_SHARE = 0.25


def heatmap_affine(stride: int, pixel_centre: float) -> Floats:
    """Returns the (2, 3) affine map from crop pixel indices to heatmap pixel indices."""
    shift = pixel_centre / stride - pixel_centre
    return np.array([[1 / stride, 0.0, shift], [0.0, 1 / stride, shift]])


def crop_to_heatmap(crop: CropConfig) -> Floats:
    """Returns the (2, 3) map from crop pixel indices to heatmap pixel indices."""
    if crop.alignment != "corners":
        return heatmap_affine(crop.stride, crop.pixel_centre)
    scale = (np.array(crop.heatmap_shape_hw[::-1]) - 1) / (np.array(crop.size_wh) - 1)
    return np.concatenate([np.diag(scale), np.zeros((2, 1))], axis=1)


def mirrored_shift(config: PoseConfig) -> int:
    """Returns by how many pixels heatmaps of mirrored crops lie too far left once they are mirrored back.

    It is `decode.flip_shift`, or else, rounded, what follows from the geometry of the crop.
    """
    if config.decode.flip_shift is not None:
        return config.decode.flip_shift
    crop = config.crop
    return 1 if crop.alignment != "corners" and crop.pixel_centre == 0 else 0


def encode(keypoints_xy: Any, shape_hw: tuple[int, int], sigma: float) -> Any:
    """Draws a Gaussian of height 1 centred at the exact sub-pixel position of each keypoint.

    Args:
        keypoints_xy: (..., 2) array or tensor in heatmap pixels; NaN gives a heatmap of zeros.
        shape_hw: Height and width of the heatmaps.
        sigma: Standard deviation in heatmap pixels.

    Returns:
        (..., H, W) heatmaps of the same library, dtype and device as the keypoints.
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
    """Finds the position and height of the maximum of each heatmap.

    Args:
        heatmaps: (..., H, W).
        refinement: How the position is refined below pixel precision. "none": not at all. "quarter": a quarter pixel
            towards the higher neighbour on each axis. "taylor": the maximum of the second-order Taylor expansion of
            the smoothed log-heatmap (DARK). "udp": the same of the heatmap blurred by `blur`, at the borders too, as
            ViTPose and MMPose's UDP networks are decoded. "expected_oks": "taylor" applied to `expected_oks` of
            (..., K, H, W) heatmaps.
        sigmas: (K,) of OKS, for "expected_oks" only.

    Returns:
        (..., 2) x and y in heatmap pixels, and (...,) the maximum of each heatmap. A heatmap without a positive value
        gives the position (0, 0).
    """
    if refinement == "expected_oks":
        positions, _ = decode(expected_oks(heatmaps, sigmas), "taylor")
        highest: NDArray[np.float32] = heatmaps.max((-2, -1))
        return np.where(highest[..., None] > 0, positions, 0.0), highest
    *lead, height, width = heatmaps.shape
    flat = heatmaps.reshape(-1, height * width)
    if len(flat) == 0:
        return np.zeros((*lead, 2)), np.zeros(lead, np.float32)
    best = flat.argmax(-1)
    scores = np.take_along_axis(flat, best[:, None], -1)[:, 0]
    column, row = best % width, best // width
    found = np.stack([column, row], -1).astype(np.float64)
    inside = is_refinable(column, row, (height, width), refinement)
    if inside.any():
        refined = flat[inside].reshape(-1, height, width)
        windows = _windows(blur(refined) if refinement == "udp" else refined, row[inside], column[inside])
        found[inside] += peak_offset(windows, refinement)
    found[scores <= 0] = 0.0
    return found.reshape(*lead, 2), scores.reshape(lead)


def _windows(heatmaps: NDArray[np.float32], row: Any, column: Any) -> Floats:
    """Returns the (n, 5, 5) window around one pixel of each of (n, H, W) heatmaps, padded at the borders."""
    padded = np.pad(heatmaps.astype(np.float64), ((0, 0), (2, 2), (2, 2)), mode="edge")
    index, offsets = np.arange(len(heatmaps))[:, None, None], np.arange(5)
    windows: Floats = padded[index, row[:, None, None] + offsets[:, None], column[:, None, None] + offsets]
    return windows


def blur(heatmaps: Any) -> Any:
    """Blurs (..., H, W) heatmaps, arrays or tensors, by the Gaussian of UDP decoding, mirrored at the border pixels."""
    xp = _library_of(heatmaps)
    down, across = (_blur_weights(length, heatmaps, xp) for length in heatmaps.shape[-2:])
    return down @ heatmaps @ across.T


def _blur_weights(length: int, like: Any, xp: Any) -> Any:
    """Returns the (length, length) weights by which pixels of one axis make up the blurred ones."""
    offsets = np.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1)
    kernel = np.exp(-(offsets**2) / (2 * _BLUR_SIGMA**2))
    period = max(2 * (length - 1), 1)
    sources = (np.arange(length)[:, None] + offsets) % period
    weights = np.zeros((length, length))
    np.add.at(weights, (np.arange(length)[:, None], np.minimum(sources, period - sources)), kernel / kernel.sum())
    return xp.asarray(weights, dtype=like.dtype, device=like.device)


def expected_oks(heatmaps: Any, sigmas: Sequence[float]) -> Any:
    """Computes the OKS that each pixel is expected to score if it is predicted as the keypoint.

    The heatmap, as a distribution of the true position, is convolved with the OKS falloff (ProbPose, arXiv:2412.02254).
    For a heatmap with several peaks or a flat one the maximum of the result is a better prediction than the highest
    pixel, and it lies closer to the mean the larger the keypoint's sigma.

    Args:
        heatmaps: (..., K, H, W) array or tensor.
        sigmas: (K,) of OKS.

    Returns:
        (..., K, H, W) in 0..1, of the same library and dtype.
    """
    xp = _library_of(heatmaps)
    height, width = heatmaps.shape[-2:]
    probability = xp.exp(_SOFTMAX_SCALE * (heatmaps - xp.amax(heatmaps, (-2, -1))[..., None, None]))
    probability = probability / probability.sum((-2, -1))[..., None, None]
    spreads = [2 * sigma * (_AREA_SHARE * height * width) ** 0.5 for sigma in sigmas]
    return _falloffs(height, spreads, heatmaps, xp) @ probability @ _falloffs(width, spreads, heatmaps, xp)


def _falloffs(length: int, spreads: list[float], like: Any, xp: Any) -> Any:
    """Returns the (K, length, length) Gaussian falloff between each two rows or columns."""
    distance = np.subtract.outer(np.arange(length), np.arange(length))
    falloffs = np.exp(-(distance**2) / (2 * np.square(spreads)[:, None, None]))
    return xp.asarray(falloffs, dtype=like.dtype, device=like.device)


def is_refinable(column: Any, row: Any, shape_hw: tuple[int, int], refinement: Refinement) -> Any:
    """Returns which (...) peaks of (H, W) heatmaps are far enough from the border for sub-pixel refinement."""
    height, width = shape_hw
    if refinement == "udp":
        return column >= 0
    # The published "quarter" decoding does not refine peaks in the second row and column either.
    edge = {"none": max(shape_hw), "quarter": 1}.get(refinement, 0)
    return (column > edge) & (column < width - 1) & (row > edge) & (row < height - 1)


def peak_offset(windows: Any, refinement: Refinement) -> Any:
    """Computes the offset of each peak from its pixel centre.

    Args:
        windows: (..., 5, 5) window of the heatmap around each peak; of the blurred heatmap for "udp".
        refinement: "quarter", "taylor" or "udp", as in `decode`.

    Returns:
        (..., 2) x and y in heatmap pixels, each in -1..1, or within PEAK_RADIUS_PX for "udp".
    """
    xp = _library_of(windows)
    if refinement == "quarter":
        return 0.25 * xp.sign(_central_differences(windows[..., 1:-1, 1:-1], xp))
    if refinement == "udp":
        logs = xp.log(windows[..., 1:-1, 1:-1].clip(_LOWEST))
    else:
        smooth = (windows[..., :-2, :] + 2 * windows[..., 1:-1, :] + windows[..., 2:, :]) / 4  # a 3x3 binomial kernel
        smooth = (smooth[..., :-2] + 2 * smooth[..., 1:-1] + smooth[..., 2:]) / 4
        logs = xp.log(smooth.clip(1e-10))
    slope = _central_differences(logs, xp) / 2
    xx = logs[..., 1, 2] - 2 * logs[..., 1, 1] + logs[..., 1, 0]
    yy = logs[..., 2, 1] - 2 * logs[..., 1, 1] + logs[..., 0, 1]
    xy = (logs[..., 2, 2] - logs[..., 2, 0] - logs[..., 0, 2] + logs[..., 0, 0]) / 4
    if refinement == "udp":  # the mixed difference along one diagonal
        xy = (logs[..., 2, 2] + logs[..., 0, 0] - xx - yy) / 2 - logs[..., 1, 1]
    determinant = xx * yy - xy * xy
    is_maximum = (determinant > 1e-12) & (xx < 0)
    safe = xp.where(is_maximum, determinant, 1.0)[..., None]
    x, y = slope[..., 0], slope[..., 1]
    offset = -xp.stack([yy * x - xy * y, xx * y - xy * x], -1) / safe
    # A peak more than a pixel away would belong to another pixel, though a blurred heatmap may have its own there; a
    # flat or saddle-shaped top is not refined.
    farthest = PEAK_RADIUS_PX if refinement == "udp" else 1
    return xp.where(is_maximum[..., None], offset.clip(-farthest, farthest), 0.0)


def _central_differences(windows: Any, xp: Any) -> Any:
    return xp.stack([windows[..., 1, 2] - windows[..., 1, 0], windows[..., 2, 1] - windows[..., 0, 1]], -1)


def second_peak_heights(heatmaps: Any, positions: Any) -> Any:
    """Returns the maximum of each heatmap at pixels more than PEAK_RADIUS_PX from a position in x or in y.

    Args:
        heatmaps: (..., H, W) array or tensor.
        positions: (..., 2) x and y in heatmap pixels.

    Returns:
        (...,) of the same library, at least 0.
    """
    xp = _library_of(heatmaps)
    height, width = heatmaps.shape[-2:]
    columns = xp.arange(width, dtype=heatmaps.dtype, device=heatmaps.device)
    rows = xp.arange(height, dtype=heatmaps.dtype, device=heatmaps.device)
    across = xp.abs(columns - positions[..., :1]) <= PEAK_RADIUS_PX
    down = xp.abs(rows - positions[..., 1:]) <= PEAK_RADIUS_PX
    near = down[..., :, None] & across[..., None, :]
    return xp.amax(xp.where(near, xp.zeros_like(heatmaps), heatmaps), (-2, -1))


def find_peaks(heatmaps: NDArray[np.float32], count: int, threshold: float) -> NDArray[np.float32]:
    """Finds the highest local maxima of each heatmap, each the first of its 3x3 pixels that is as high as any.

    Args:
        heatmaps: (B, K, H, W).
        count: How many to return of each.
        threshold: Lower ones are left out.

    Returns:
        (B, K, count, 3) x and y in heatmap pixels and height, highest first; rows of zeros are padding.
    """
    *lead, height, width = heatmaps.shape
    padded = np.pad(heatmaps, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    is_peak = heatmaps >= threshold
    for index, (row, column) in enumerate(np.ndindex(3, 3)):
        neighbour = padded[..., row : row + height, column : column + width]
        if index != 4:
            is_peak &= heatmaps > neighbour if index < 4 else heatmaps >= neighbour
    flat = np.where(is_peak, heatmaps, 0).reshape(*lead, height * width)
    best = np.argpartition(-flat, min(count, flat.shape[-1] - 1), axis=-1)[..., :count]
    best = np.take_along_axis(best, np.argsort(-np.take_along_axis(flat, best, -1), axis=-1, kind="stable"), -1)
    heights = np.take_along_axis(flat, best, -1)
    peaks = np.stack([best % width, best // width, heights], -1).astype(np.float32)
    return np.where(heights[..., None] > 0, peaks, np.float32(0))


def peak_covariances(heatmaps: NDArray[np.float32], positions: Floats) -> Floats:
    """Computes how a heatmap spreads around its peak: second moments of its positive values near the peak.

    Args:
        heatmaps: (..., H, W).
        positions: (..., 2) x and y of the peaks in heatmap pixels; values within PEAK_RADIUS_PX count.

    Returns:
        (..., 2, 2) in squared heatmap pixels, symmetric; a heatmap without a positive value there has that of a pixel.
    """
    *lead, height, width = heatmaps.shape
    flat, places = heatmaps.reshape(-1, height, width), positions.reshape(-1, 2)
    radius = int(PEAK_RADIUS_PX)
    offsets = np.arange(-radius, radius + 1)
    centres = places.round().astype(np.intp).clip(0, [width - 1, height - 1])
    padded = np.pad(flat.clip(0), ((0, 0), (radius, radius), (radius, radius)))
    index = np.arange(len(flat))[:, None, None]
    window = radius + offsets
    values = padded[index, centres[:, 1, None, None] + window[:, None], centres[:, 0, None, None] + window]
    x, y = (offsets + (centres - places)[:, axis, None] for axis in (0, 1))
    total = values.sum((1, 2))
    sums = [
        np.einsum("nyx,nx,nx->n", values, x, x),
        np.einsum("nyx,nx,ny->n", values, x, y),
        np.einsum("nyx,ny,ny->n", values, y, y),
    ]
    xx, xy, yy = (each / np.maximum(total, 1e-9) + least for each, least in zip(sums, (1 / 12, 0, 1 / 12), strict=True))
    return np.stack([xx, xy, xy, yy], -1).reshape(*lead, 2, 2)


def _library_of(values: Any) -> Any:
    """Returns the module numpy or torch, whichever the values belong to, without importing torch."""
    return np if isinstance(values, np.ndarray) else sys.modules["torch"]


def flip_back(heatmaps: NDArray[np.float32], flip_indices: NDArray[np.intp], shift: bool) -> NDArray[np.float32]:
    """Mirrors the heatmaps of a mirrored crop, so that they align with those of the crop itself.

    Args:
        heatmaps: (..., K, H, W) of the mirrored crop.
        flip_indices: (K,) index of each keypoint's left/right counterpart.
        shift: Whether to shift the result one pixel to the right, for networks whose `pixel_centre` is 0.

    Returns:
        (..., K, H, W).
    """
    flipped: NDArray[np.float32] = heatmaps[..., flip_indices, :, ::-1].copy()
    if shift:
        flipped[..., 1:] = flipped[..., :-1].copy()
    return flipped
