"""Real people, cut out of the images of a data set by their masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsgnet.annotations.masks import Mask, Segmentation, decode_segmentation, mask_to_xyxy, read_segmentations
from rsgnet.annotations.people import AnnotatedImage
from rsgnet.annotations.readers import read_annotations
from rsgnet.crowds.real_people.blending import Lighting, compute_soft_alpha, measure_lighting
from rsgnet.crowds.simulator.bodies import SHIN, SHOULDER_HALF, SHOULDER_RISE, THIGH, UPPER_ARM
from rsgnet.errors import AnnotationError
from rsgnet.geometry import Floats
from rsgnet.images import read_image
from rsgnet.skeletons import Skeleton

_STATURE_M = 1.72  # the stature in metres to which the bone lengths belong
# Pairs of keypoints and their distance in metres.
_BONES = (
    *((f"{side}_shoulder", f"{side}_hip", SHOULDER_RISE) for side in ("left", "right")),
    *((f"{side}_hip", f"{side}_knee", THIGH) for side in ("left", "right")),
    *((f"{side}_knee", f"{side}_ankle", SHIN) for side in ("left", "right")),
    *((f"{side}_shoulder", f"{side}_elbow", UPPER_ARM) for side in ("left", "right")),
    ("left_shoulder", "right_shoulder", 2 * SHOULDER_HALF),
)
_FACE_DISTANCES = (("left_ear", "right_ear", 0.166), ("left_eye", "right_eye", 0.066))
_HEAD_SUFFIXES = ("nose", "eye", "ear", "head")
# Keypoints that show where the shoulders are, and how much lower the shoulders are, as a share of the stature.
_SHOULDER_OFFSETS = ((("shoulder",), 0.0), (_HEAD_SUFFIXES, 0.13), (("hip",), -0.27))
_CACHE_BYTES = 1 << 29  # the memory for cut-outs; further ones are cut out anew each time
_RIM_PX = 4  # margin about a mask in which its edge is blurred
_MIN_KEYPOINTS = 8
_MIN_SIDE_PX = 56  # of the longer side
_MIN_SHARE_ON_MASK = 0.85  # of the labelled keypoints; where fewer lie on the mask, an object hides the person
_MAX_MASK_DISTANCE = 0.02  # of a keypoint that counts as on the mask, relative to the mask's longer side


@dataclass(frozen=True, eq=False)
class CutOut:
    """A person cut out of an image.

    Attributes:
        rgba: (h, w, 4) colours and opacity with soft edges.
        keypoints: (K, 3) in pixel indices of `rgba`: 2 visible, 1 hidden by the person's own body, 0 not labelled or
            not on the mask.
        stature_px: The person's height if they stood upright, in pixels of `rgba`.
        is_whole: False where the lower edge of the image or an object cuts the person off, so that no ankle is visible.
        lighting: The lighting of the surroundings they were cut from.
    """

    rgba: NDArray[np.uint8]
    keypoints: Floats
    stature_px: float
    is_whole: bool
    lighting: Lighting


class CutOutSource(NamedTuple):
    """A person of a library who is not cut out yet.

    Attributes:
        path: The image file.
        size_wh: Width and height of the image in pixels, as annotated.
        segmentation: The person's mask.
        keypoints: (K, 3) in image pixels; 0 where they are not labelled or not on the mask.
        is_whole: As in `CutOut`.
    """

    path: Path
    size_wh: tuple[int, int]
    segmentation: Segmentation
    keypoints: Floats
    is_whole: bool


class NobodyToCutOutError(AnnotationError):
    """None of the annotated people has a mask that covers them completely."""


class PeopleLibrary:
    """People who can be cut out. Each is cut out on first use and kept in memory while there is room.

    Args:
        data_sets: COCO files, each with its image folder.
        skeleton: The keypoints of the cut-outs, matched by name.
        side_px: The longest side of a cut-out.

    Raises:
        AnnotationError: A file is broken.
        NobodyToCutOutError: Nobody has a mask that covers them completely.
    """

    def __init__(self, data_sets: Sequence[tuple[Path, Path]], skeleton: Skeleton, side_px: int = 256) -> None:
        self.skeleton = skeleton
        self._sources = [source for labels, images in data_sets for source in _find_sources(labels, images, skeleton)]
        self._side_px = side_px
        self._cache: dict[int, CutOut] = {}
        self._bytes_left = _CACHE_BYTES
        if not self._sources:
            names = ", ".join(str(annotations) for annotations, _ in data_sets)
            raise NobodyToCutOutError(
                f"{names}: nobody to cut out; a person needs `segmentation` and {_MIN_KEYPOINTS} labelled keypoints"
            )

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int) -> CutOut:
        """Returns the cut-out with that index.

        Raises:
            ImageError: Its image cannot be read.
            AnnotationError: Its image has another size than annotated.
        """
        if index in self._cache:
            return self._cache[index]
        cutout = _cut_out(self._sources[index], self._side_px, self.skeleton)
        if cutout.rgba.nbytes <= self._bytes_left:
            self._cache[index] = cutout
            self._bytes_left -= cutout.rgba.nbytes
        return cutout

    def sample(self, random: np.random.Generator) -> CutOut:
        """Returns a random cut-out."""
        return self[int(random.integers(len(self)))]


def estimate_stature(keypoints: Floats, skeleton: Skeleton) -> float:
    """Estimates a person's height when standing upright from the lengths of their bones, in pixels.

    Args:
        keypoints: (K, 3) x, y in pixels and visibility.
        skeleton: The keypoints.

    Returns:
        The height; NaN where no bone has both ends labelled.
    """
    statures = _compute_bone_statures(keypoints, skeleton, _BONES) or _compute_bone_statures(
        keypoints, skeleton, _FACE_DISTANCES
    )
    # Foreshortened bones look too short and labels are inexact, so neither the mean nor the maximum is right.
    return float(np.percentile(statures, 80)) if statures else float("nan")


def estimate_shoulder_xy(keypoints: Floats, skeleton: Skeleton, stature_px: float) -> Floats:
    """Estimates (2,) the centre of the shoulders of (K, 3) keypoints, from the head or hips where necessary."""
    labelled = keypoints[:, 2] > 0
    for suffixes, offset in _SHOULDER_OFFSETS:
        part = labelled & [name.endswith(suffixes) for name in skeleton.keypoints]
        if part.any():
            shoulders: Floats = keypoints[part, :2].mean(0) + np.array([0, offset * stature_px])
            return shoulders
    centre: Floats = keypoints[labelled, :2].mean(0)
    return centre


def is_near_mask(mask: Mask, xy: Floats, max_distance_px: float) -> Mask:
    """Returns (N,) whether (N, 2) points, in pixel indices, lie on an (H, W) mask or within a distance of it."""
    radius = int(np.ceil(max_distance_px))
    steps = np.arange(-radius, radius + 1)
    offsets = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    offsets = offsets[np.hypot(*offsets.T) <= max(max_distance_px, 0.5)]
    x, y = np.moveaxis(np.rint(xy)[:, None].astype(int) + offsets, -1, 0)
    inside = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
    is_near: Mask = (mask[y.clip(0, mask.shape[0] - 1), x.clip(0, mask.shape[1] - 1)] & inside).any(1)
    return is_near


def _compute_bone_statures(
    keypoints: Floats, skeleton: Skeleton, bones: Sequence[tuple[str, str, float]]
) -> list[float]:
    """Returns the stature in pixels that follows from each bone with both ends labelled."""
    points = {name: row[:2] for name, row in zip(skeleton.keypoints, keypoints, strict=True) if row[2] > 0}
    return [
        float(np.hypot(*(points[first] - points[second]))) * _STATURE_M / metres
        for first, second, metres in bones
        if first in points and second in points
    ]


def _find_sources(annotations: Path, images: Path, skeleton: Skeleton) -> Iterator[CutOutSource]:
    data_set = read_annotations(annotations)
    index = skeleton.indices_in(data_set.skeleton)
    segmentations = read_segmentations(annotations)
    for image in data_set.images:
        for person in image.people:
            if person.id not in segmentations or person.is_crowd or person.num_labelled < _MIN_KEYPOINTS:
                continue
            keypoints = np.where(index[:, None] >= 0, person.keypoints[index], 0.0)
            try:
                source = _make_source(images, image, segmentations[person.id], keypoints, skeleton)
            except AnnotationError as error:
                raise AnnotationError(f"{annotations}: annotation {person.id}: {error}") from error
            if source and np.isfinite(estimate_stature(source.keypoints, skeleton)):
                yield source


def _make_source(
    images: Path, image: AnnotatedImage, segmentation: Segmentation, keypoints: Floats, skeleton: Skeleton
) -> CutOutSource | None:
    """Returns the source of a person whose mask is large enough and covers them; None for any other."""
    mask = decode_segmentation(segmentation, image.size_wh)
    if not mask.any():
        return None
    left, top, right, bottom = mask_to_xyxy(mask)
    side = max(right - left, bottom - top)
    if side < _MIN_SIDE_PX:
        return None
    if left < 2 or top < 2 or right > image.size_wh[0] - 2:
        return None
    labelled = keypoints[:, 2] > 0
    on_mask = labelled & is_near_mask(mask, keypoints[:, :2], _MAX_MASK_DISTANCE * side)
    is_head, is_ankle = (
        np.array([name.endswith(suffixes) for name in skeleton.keypoints]) for suffixes in (_HEAD_SUFFIXES, "ankle")
    )
    if on_mask.sum() < _MIN_SHARE_ON_MASK * labelled.sum() or not on_mask[is_head].any():
        return None
    keypoints_on_mask = np.where(on_mask[:, None], keypoints, 0.0)
    is_whole = bottom <= image.size_wh[1] - 2 and bool(on_mask[is_ankle].any())
    return CutOutSource(images / image.file_name, image.size_wh, segmentation, keypoints_on_mask, is_whole)


def _cut_out(source: CutOutSource, side_px: int, skeleton: Skeleton) -> CutOut:
    image = read_image(source.path)
    if image.shape[1::-1] != source.size_wh:
        raise AnnotationError(
            f"{source.path}: is {image.shape[1]}x{image.shape[0]}, annotated as {source.size_wh[0]}x{source.size_wh[1]}"
        )
    mask = decode_segmentation(source.segmentation, source.size_wh)
    left, top, right, bottom = mask_to_xyxy(mask)
    margin = max(right - left, bottom - top) // 4
    surroundings = image[max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin]
    window = np.s_[top:bottom, left:right]
    alpha = compute_soft_alpha(np.pad(mask[window], _RIM_PX))[_RIM_PX:-_RIM_PX, _RIM_PX:-_RIM_PX]
    rgba = Image.fromarray(np.dstack([image[window], alpha]))
    shrink = min(side_px / max(rgba.size), 1.0)
    size_wh = max(round(rgba.width * shrink), 1), max(round(rgba.height * shrink), 1)
    if shrink < 1:
        rgba = rgba.resize(size_wh, Image.Resampling.BOX)
    scale = np.array(size_wh) / (right - left, bottom - top)
    keypoints = source.keypoints.copy()
    keypoints[:, :2] = (keypoints[:, :2] + 0.5 - (left, top)) * scale - 0.5
    stature_px = estimate_stature(source.keypoints, skeleton) * float(scale[1])
    return CutOut(np.asarray(rgba), keypoints, stature_px, source.is_whole, measure_lighting(surroundings))
