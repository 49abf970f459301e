"""Distillation: what another network sees of every person, computed once and cut like the crops of the student.

A teacher may look at each person several times, mirrored and in crops of several sizes, and is better than itself for
it. Looking once at everyone costs minutes; every training crop then takes its share of the stored heatmaps, turned,
scaled and mirrored as it is.
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
from rsgnet.data.augment import quick_warp
from rsgnet.files import replace_atomically
from rsgnet.geometry import Floats, apply_affine, box_affine, compose_affine, flip_affine, invert_affine
from rsgnet.heatmaps import crop_to_heatmap, heatmap_affine
from rsgnet.images import RGBImage
from rsgnet.skeletons import get_skeleton

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


@dataclass(frozen=True)
class Teacher:
    """A network to learn from, and how it looks at a person.

    Attributes:
        name: Its file or name, for messages.
        open: Opens the network.
        paddings: By how much its crops grow beyond the box; the heatmaps of all are averaged.
        mirrored_crops: Whether it looks at mirrored crops, too.
    """

    name: str
    open: Callable[[], Network]
    paddings: tuple[float, ...] = (1.25,)
    mirrored_crops: bool = True


class TeacherHeatmaps:
    """A teacher's heatmaps of some people, in a file that all processes of a run read.

    Each person's lie on a frame: the largest of the teacher's crops, on a grid twice as fine as the teacher's.

    Args:
        path: The file that `compute_teacher_heatmaps` wrote.
        network: The teacher's configuration.
        padding: Of the frame.
        student: Whose crops are cut; keypoints are matched by name.
    """

    def __init__(self, path: Path, network: PoseConfig, padding: float, student: PoseConfig) -> None:
        self._heatmaps: NDArray[np.uint8] = np.load(path, mmap_mode="r")
        self._frame = _Frame(network.crop, padding)
        self._student = student
        self._sigma = 2 * network.training.loss.sigma
        self._channels = get_skeleton(student.model.skeleton).indices_in(get_skeleton(network.model.skeleton))
        self._flip = get_skeleton(network.model.skeleton).flip_indices

    def crop(self, person: int, box_xywh: Floats, to_crop: Floats, mirrored: bool) -> Float[Tensor, "keypoints h w"]:
        """(K, h, w) heights 0..1 for one crop; NaN beyond the frame and where the teacher does not know the keypoint.

        Its peaks are widened where the student's are wider.

        Args:
            person: Index of the person in the file.
            box_xywh: (4,) their box in image pixels.
            to_crop: (2, 3) from image to crop pixels.
            mirrored: Whether that mirrors.
        """
        crop = self._student.crop
        from_map = invert_affine(compose_affine(heatmap_affine(crop.stride, crop.pixel_centre), to_crop))
        source = compose_affine(self._frame.from_image(box_xywh), from_map)
        heatmaps = torch.tensor(self._heatmaps[person]).float() / 255
        if mirrored:
            heatmaps = heatmaps[self._flip]
        heatmaps = _resampled(heatmaps, source, crop.heatmap_shape_hw)
        shrunk = float(np.abs(np.linalg.det(source[:, :2]))) ** 0.5
        heatmaps = _widened(heatmaps, self._sigma / shrunk, self._student.training.loss.sigma)
        return heatmaps[self._channels].where(torch.from_numpy(self._channels >= 0)[:, None, None], torch.nan)


@dataclass(frozen=True)
class _Frame:
    """Where the stored heatmaps of a person lie in the image."""

    crop: CropConfig
    padding: float

    @property
    def shape_hw(self) -> tuple[int, int]:
        height, width = self.crop.heatmap_shape_hw
        return 2 * height, 2 * width

    def from_image(self, box_xywh: Floats) -> Floats:
        """(2, 3) from image pixels to cells of the frame."""
        to_cells = heatmap_affine(self.crop.stride // 2, self.crop.pixel_centre)
        return compose_affine(to_cells, box_affine(box_xywh, self.crop, self.padding))


def compute_teacher_heatmaps(
    teacher: Teacher, network: Network, people: Sequence[tuple[Floats, Callable[[], RGBImage]]], folder: Path
) -> Path:
    """Looks at everyone, unless the folder holds the result already.

    Args:
        teacher: How it looks.
        network: The teacher's network.
        people: Of each person the (4,) box and what reads their image.
        folder: Where the file goes.

    Returns:
        The file: (N, K, 2 h, 2 w) heights in 255ths.
    """
    boxes = np.array([box for box, _ in people])
    key = hashlib.sha256(repr((teacher.name, teacher.paddings, teacher.mirrored_crops)).encode() + boxes.tobytes())
    path = folder / f"teacher-{key.hexdigest()[:12]}.npy"
    if path.is_file():
        return path
    frame = _Frame(network.config.crop, max(teacher.paddings))
    keypoints = len(get_skeleton(network.config.model.skeleton))
    with replace_atomically(path) as beside:
        shape = (len(people), keypoints, *frame.shape_hw)
        stored = np.lib.format.open_memmap(beside, mode="w+", dtype=np.uint8, shape=shape)
        for person, (box, read_image) in enumerate(people):
            heatmaps = _looked_at(teacher, network, box, read_image(), frame)
            stored[person] = (heatmaps.clip(0, 1) * 255).round()
        stored.flush()
    return path


def _looked_at(
    teacher: Teacher, network: Network, box_xywh: Floats, image: RGBImage, frame: _Frame
) -> NDArray[np.float32]:
    """(K, H, W) the mean of a teacher's heatmaps over its crops of one person, on the frame; 0 beyond all crops."""
    crop = network.config.crop
    flip_indices = get_skeleton(network.config.model.skeleton).flip_indices
    to_image = invert_affine(frame.from_image(box_xywh))
    to_cells = crop_to_heatmap(crop)
    seen = []
    for padding in teacher.paddings:
        straight = box_affine(box_xywh, crop, padding)
        for mirrored in (False, True)[: 1 + teacher.mirrored_crops]:
            affine = compose_affine(flip_affine(crop.size_wh[0]), straight) if mirrored else straight
            heatmaps = torch.from_numpy(network(quick_warp(image, affine, crop.size_wh)[None])[0])
            source = compose_affine(to_cells, compose_affine(affine, to_image))
            seen.append(_resampled(heatmaps[flip_indices] if mirrored else heatmaps, source, frame.shape_hw).numpy())
    stack = np.stack(seen)
    reached = np.isfinite(stack)
    mean: NDArray[np.float32] = np.where(reached, stack, 0).sum(0) / reached.sum(0).clip(1)
    return mean


def _widened(heatmaps: Float[Tensor, "keypoints h w"], sigma: float, wanted: float) -> Float[Tensor, "keypoints h w"]:
    """Peaks of one width made peaks of another and of the same height; wider ones stay as they are, as NaN does."""
    if wanted <= sigma + 1e-3:
        return heatmaps
    known = heatmaps.isfinite()
    blur = (wanted**2 - sigma**2) ** 0.5
    reach = int(np.ceil(_REACH * blur))
    kernel = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * blur**2))
    kernel = kernel / kernel.sum()
    blurred = F.conv2d(heatmaps.nan_to_num()[:, None], kernel[None, None, :, None], padding=(reach, 0))
    blurred = F.conv2d(blurred, kernel[None, None, None, :], padding=(0, reach))[:, 0]
    return (blurred * (wanted / sigma) ** 2).clamp(max=1).where(known, torch.nan)


def _resampled(heatmaps: Float[Tensor, "keypoints h w"], source: Floats, shape_hw: tuple[int, int]) -> Tensor:
    """Heatmaps read at other places.

    Args:
        heatmaps: (K, H, W).
        source: (2, 3) from the cells that are wanted to those of the heatmaps.
        shape_hw: Height and width that are wanted.

    Returns:
        (K, h, w), NaN beyond the heatmaps.
    """
    size_wh = np.array(heatmaps.shape[:0:-1])
    rows, columns = np.indices(shape_hw)
    places = apply_affine(source, np.stack([columns, rows], -1))
    # align_corners: -1 and 1 are the middles of the first and last cell.
    grid = torch.from_numpy(2 * places / (size_wh - 1) - 1).float()
    read = F.grid_sample(heatmaps[None], grid[None], align_corners=True)[0]
    return torch.where((grid.abs() <= 1).all(-1), read, torch.nan)
