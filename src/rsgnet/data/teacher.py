"""Heatmaps of a teacher for distillation, computed once for everyone and resampled for each training crop.

The teacher may run on several crops of a person, mirrored and of several sizes; the mean of their heatmaps is more
accurate than one of them. The heatmaps are stored in a file. Each training crop reads those of its person, rotated,
scaled and mirrored as the crop is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from rsgnet.config import CropConfig, PoseConfig
from rsgnet.data.augment import fast_warp
from rsgnet.files import replace_atomically
from rsgnet.geometry import Floats, apply_affine, box_affine, compose_affine, flip_affine, invert_affine
from rsgnet.heatmaps import crop_to_heatmap, heatmap_affine
from rsgnet.images import RGBImage
from rsgnet.skeletons import get_skeleton

_KERNEL_SIGMAS = 3  # radius of the kernel that widens peaks, in standard deviations


class Network(Protocol):
    """A pose network, ready to run.

    Attributes:
        config: The network's config; `training.loss.sigma` is the width of its peaks.
    """

    config: PoseConfig

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns (B, K, h, w) heatmaps of (B, H, W, 3) RGB crops."""
        ...


@dataclass(frozen=True)
class Teacher:
    """A network to learn from, and the crops that it runs on.

    Attributes:
        name: The network's file or name.
        open: Opens the network.
        paddings: Sizes of its crops as factors of the box; the heatmaps of all crops are averaged.
        mirrored_crops: Whether it also runs on mirrored crops.
    """

    name: str
    open: Callable[[], Network]
    paddings: tuple[float, ...] = (1.25,)
    mirrored_crops: bool = True


class TeacherHeatmaps:
    """A teacher's heatmaps of some people, in a file that all processes of a run read.

    The heatmaps of a person cover the frame, which is the largest of the teacher's crops, at twice the resolution of
    the teacher's heatmaps.

    Args:
        path: The file that `compute_teacher_heatmaps` wrote.
        network: The teacher's config.
        padding: Size of the frame as a factor of the box.
        student: The config of the network that is trained. Keypoints are matched by name.
    """

    def __init__(self, path: Path, network: PoseConfig, padding: float, student: PoseConfig) -> None:
        self._heatmaps: NDArray[np.uint8] = np.load(path, mmap_mode="r")
        self._frame = _Frame(network.crop, padding)
        self._student = student
        self._sigma = 2 * network.training.loss.sigma
        self._channels = get_skeleton(student.model.skeleton).indices_in(get_skeleton(network.model.skeleton))
        self._flip = get_skeleton(network.model.skeleton).flip_indices

    def crop(self, person: int, box_xywh: Floats, to_crop: Floats, mirrored: bool) -> Float[Tensor, "keypoints h w"]:
        """Returns the heatmaps of a crop, with peaks as wide as the student's if these are wider.

        Args:
            person: Index of the person in the file.
            box_xywh: (4,) the person's box in image pixels.
            to_crop: (2, 3) affine map from image to crop pixels.
            mirrored: Whether `to_crop` mirrors.

        Returns:
            (K, h, w) heatmaps in 0..1; NaN outside the frame and for keypoints that the teacher lacks.
        """
        crop = self._student.crop
        to_image = invert_affine(compose_affine(heatmap_affine(crop.stride, crop.pixel_centre), to_crop))
        to_frame = compose_affine(self._frame.from_image(box_xywh), to_image)
        heatmaps = torch.tensor(self._heatmaps[person]).float() / 255
        if mirrored:
            heatmaps = heatmaps[self._flip]
        heatmaps = _resample(heatmaps, to_frame, crop.heatmap_shape_hw)
        scale = float(np.abs(np.linalg.det(to_frame[:, :2]))) ** 0.5
        heatmaps = _widen_peaks(heatmaps, self._sigma / scale, self._student.training.loss.sigma)
        return heatmaps[self._channels].where(torch.from_numpy(self._channels >= 0)[:, None, None], torch.nan)


@dataclass(frozen=True)
class _Frame:
    """The region of the image that a person's stored heatmaps cover."""

    crop: CropConfig
    padding: float

    @property
    def shape_hw(self) -> tuple[int, int]:
        height, width = self.crop.heatmap_shape_hw
        return 2 * height, 2 * width

    def from_image(self, box_xywh: Floats) -> Floats:
        """Returns the (2, 3) affine map from image pixels to cells of the frame."""
        to_cells = heatmap_affine(self.crop.stride // 2, self.crop.pixel_centre)
        return compose_affine(to_cells, box_affine(box_xywh, self.crop, self.padding))


def compute_teacher_heatmaps(
    teacher: Teacher, network: Network, people: Sequence[tuple[Floats, Callable[[], RGBImage]]], folder: Path
) -> Path:
    """Computes and stores the teacher's heatmaps of some people, unless the folder holds their file already.

    Args:
        teacher: The teacher.
        network: The teacher's network.
        people: The (4,) xywh box of each person and a function that reads the image.
        folder: The folder of the file.

    Returns:
        The file of (N, K, 2 h, 2 w) uint8 heatmaps, 255 for a height of 1.
    """
    boxes = np.array([box for box, _ in people])
    key = hashlib.sha256(repr((teacher.name, teacher.paddings, teacher.mirrored_crops)).encode() + boxes.tobytes())
    path = folder / f"teacher-{key.hexdigest()[:12]}.npy"
    if path.is_file():
        return path
    frame = _Frame(network.config.crop, max(teacher.paddings))
    keypoints = len(get_skeleton(network.config.model.skeleton))
    with replace_atomically(path) as temporary:
        shape = (len(people), keypoints, *frame.shape_hw)
        stored = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        for person, (box, read_image) in enumerate(people):
            heatmaps = _compute_mean_heatmaps(teacher, network, box, read_image(), frame)
            stored[person] = (heatmaps.clip(0, 1) * 255).round()
        stored.flush()
    return path


def _compute_mean_heatmaps(
    teacher: Teacher, network: Network, box_xywh: Floats, image: RGBImage, frame: _Frame
) -> NDArray[np.float32]:
    """Returns (K, H, W) heatmaps on the frame, the mean over the teacher's crops of a person; 0 outside all crops."""
    crop = network.config.crop
    flip_indices = get_skeleton(network.config.model.skeleton).flip_indices
    to_image = invert_affine(frame.from_image(box_xywh))
    to_cells = crop_to_heatmap(crop)
    resampled = []
    for padding in teacher.paddings:
        upright = box_affine(box_xywh, crop, padding)
        for mirrored in (False, True)[: 1 + teacher.mirrored_crops]:
            affine = compose_affine(flip_affine(crop.size_wh[0]), upright) if mirrored else upright
            heatmaps = torch.from_numpy(network(fast_warp(image, affine, crop.size_wh)[None])[0])
            source = compose_affine(to_cells, compose_affine(affine, to_image))
            heatmaps = heatmaps[flip_indices] if mirrored else heatmaps
            resampled.append(_resample(heatmaps, source, frame.shape_hw).numpy())
    stack = np.stack(resampled)
    is_covered = np.isfinite(stack)
    mean: NDArray[np.float32] = np.where(is_covered, stack, 0).sum(0) / is_covered.sum(0).clip(1)
    return mean


def _widen_peaks(
    heatmaps: Float[Tensor, "keypoints h w"], sigma: float, new_sigma: float
) -> Float[Tensor, "keypoints h w"]:
    """Widens Gaussian peaks to a larger standard deviation and keeps their height; NaN stays NaN.

    Args:
        heatmaps: (K, h, w) heatmaps.
        sigma: Standard deviation of the peaks in pixels.
        new_sigma: The new standard deviation; if it is not larger, the heatmaps are returned as they are.
    """
    if new_sigma <= sigma + 1e-3:
        return heatmaps
    is_known = heatmaps.isfinite()
    blur = (new_sigma**2 - sigma**2) ** 0.5
    radius = int(np.ceil(_KERNEL_SIGMAS * blur))
    kernel = torch.exp(-torch.arange(-radius, radius + 1).square() / (2 * blur**2))
    kernel = kernel / kernel.sum()
    blurred = F.conv2d(heatmaps.nan_to_num()[:, None], kernel[None, None, :, None], padding=(radius, 0))
    blurred = F.conv2d(blurred, kernel[None, None, None, :], padding=(0, radius))[:, 0]
    return (blurred * (new_sigma / sigma) ** 2).clamp(max=1).where(is_known, torch.nan)


def _resample(heatmaps: Float[Tensor, "keypoints h w"], source: Floats, shape_hw: tuple[int, int]) -> Tensor:
    """Resamples heatmaps bilinearly.

    Args:
        heatmaps: (K, H, W) heatmaps.
        source: (2, 3) affine map from cells of the result to cells of the heatmaps.
        shape_hw: Height and width of the result.

    Returns:
        (K, h, w) heatmaps, NaN outside the given ones.
    """
    size_wh = np.array(heatmaps.shape[:0:-1])
    rows, columns = np.indices(shape_hw)
    cells_xy = apply_affine(source, np.stack([columns, rows], -1))
    # With align_corners -1 and 1 are the centres of the first and the last cell.
    grid = torch.from_numpy(2 * cells_xy / (size_wh - 1) - 1).float()
    sampled = F.grid_sample(heatmaps[None], grid[None], align_corners=True)[0]
    return torch.where((grid.abs() <= 1).all(-1), sampled, torch.nan)
