"""Another network that looks at every training crop as it is: a teacher whose answers differ with each change of it.

A student that sees few people learns them by heart; a teacher answers for every turn, colour and crowd that the crops
are given, so what is to be learnt has no end (Beyer et al., "A good teacher is patient and consistent", CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from rsgnet.config import PoseConfig
from rsgnet.data.quick_warp import quick_warp
from rsgnet.geometry import Floats, apply_affine, compose_affine, crop_affine, invert_affine
from rsgnet.heatmaps import heatmap_affine
from rsgnet.pictures import Picture
from rsgnet.skeletons import skeleton_named

_REACH = 3  # of the widening Gaussian, in its standard deviations


class Network(Protocol):
    """A pose network, ready to run.

    Attributes:
        config: What it was built with; of `training` the width of its peaks.
    """

    config: PoseConfig

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, K, h, w) heatmaps of (B, H, W, 3) RGB crops."""
        ...


class Teacher:
    """What a network sees in a student's crops, in the student's heatmaps.

    Args:
        opened: Opens the network; called once in every process that cuts crops, when the first is cut.
        student: Whose crops these are; keypoints are matched by name.
    """

    def __init__(self, opened: Callable[[], Network], student: PoseConfig) -> None:
        self._opened = opened
        self._student = student
        self._network: Network | None = None

    def __call__(self, crop: Picture) -> Float[Tensor, "keypoints h w"]:
        """(K, h, w) heights 0..1 for an (H, W, 3) RGB crop; NaN where the teacher does not know the keypoint.

        Its peaks are widened where the student's are wider.
        """
        if self._network is None:
            self._network = self._opened()
        own, theirs = self._student, self._network.config
        resized = _resizing(own.crop.size_wh, theirs.crop.size_wh)
        seen = crop if own.crop.size_wh == theirs.crop.size_wh else quick_warp(crop, resized, theirs.crop.size_wh)
        heatmaps = torch.from_numpy(self._network(seen[None])[0]).clamp(0, 1)
        from_map = compose_affine(resized, invert_affine(heatmap_affine(own.crop.stride, own.crop.pixel_centre)))
        source = compose_affine(heatmap_affine(theirs.crop.stride, theirs.crop.pixel_centre), from_map)
        wanted = own.training.loss.sigma * float(np.abs(np.linalg.det(source[:, :2]))) ** 0.5
        heatmaps = _widened(heatmaps, theirs.training.loss.sigma, wanted)
        channels = skeleton_named(own.model.skeleton).indices_in(skeleton_named(theirs.model.skeleton))
        return _carried(heatmaps, source, own.crop.heatmap_shape_hw, channels)


def _resizing(size_wh: tuple[int, int], wanted_wh: tuple[int, int]) -> Floats:
    """The affine that stretches a whole picture to another size, corners to corners."""
    size = np.array(size_wh, np.float64)
    return crop_affine(size / 2, size, wanted_wh, pixel_centre=0.5)


def _widened(heatmaps: Float[Tensor, "keypoints h w"], sigma: float, wanted: float) -> Float[Tensor, "keypoints h w"]:
    """Peaks of one width made peaks of another and of the same height; wider ones stay as they are."""
    if wanted <= sigma + 1e-3:
        return heatmaps
    blur = (wanted**2 - sigma**2) ** 0.5
    size = 2 * int(np.ceil(_REACH * blur)) + 1
    blurred: Tensor = gaussian_blur(heatmaps, [size, size], [blur, blur])
    return (blurred * (wanted / sigma) ** 2).clamp(max=1)


def _carried(
    heatmaps: Float[Tensor, "theirs h w"], source: Floats, shape_hw: tuple[int, int], channels: NDArray[np.intp]
) -> Float[Tensor, "keypoints h w"]:
    """A teacher's heatmaps, as a student's of another size or place would be.

    Args:
        heatmaps: (K', H, W) the teacher's.
        source: (2, 3) from the student's heatmap pixels to the teacher's.
        shape_hw: Height and width of the student's.
        channels: (K,) the teacher's heatmap of each keypoint, -1 for none.

    Returns:
        (K, h, w), NaN beyond the teacher's and where it has none.
    """
    size_wh = np.array(heatmaps.shape[:0:-1])
    rows, columns = np.indices(shape_hw)
    places = apply_affine(source, np.stack([columns, rows], -1))
    # align_corners: -1 and 1 are the middles of the first and last pixel.
    grid = torch.from_numpy(2 * places / (size_wh - 1) - 1).float()
    warped = F.grid_sample(heatmaps[None], grid[None], align_corners=True)[0]
    looked_at = (grid.abs() <= 1).all(-1)
    known = torch.from_numpy(channels >= 0)
    return torch.where(looked_at & known[:, None, None], warped[channels], torch.nan)
