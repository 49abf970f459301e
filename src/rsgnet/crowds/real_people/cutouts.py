"""Real people, cut out of the photos of a data set by their masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsgnet.annotations.masks import Mask, Segmentation, extent_xyxy, read_segmentations, segmentation_mask
from rsgnet.annotations.people import AnnotatedImage
from rsgnet.annotations.readers import read_annotations
from rsgnet.crowds.real_people.blending import Light, measure_light, soft_alpha
from rsgnet.crowds.simulator.bodies import SHIN, SHOULDER_HALF, SHOULDER_RISE, THIGH, UPPER_ARM
from rsgnet.errors import AnnotationError
from rsgnet.geometry import Floats
from rsgnet.images import read_image
from rsgnet.skeletons import Skeleton

_TALL = 1.72  # metres
# Pairs of keypoints and how far apart they are, in metres.
_BONES = (
    *((f"{side}_shoulder", f"{side}_hip", SHOULDER_RISE) for side in ("left", "right")),
    *((f"{side}_hip", f"{side}_knee", THIGH) for side in ("left", "right")),
    *((f"{side}_knee", f"{side}_ankle", SHIN) for side in ("left", "right")),
    *((f"{side}_shoulder", f"{side}_elbow", UPPER_ARM) for side in ("left", "right")),
    ("left_shoulder", "right_shoulder", 2 * SHOULDER_HALF),
)
_FACE = (("left_ear", "right_ear", 0.166), ("left_eye", "right_eye", 0.066))
_HEAD = ("nose", "eye", "ear", "head")
_SHOULDER_CLUES = ((("shoulder",), 0.0), (_HEAD, 0.13), (("hip",), -0.27))  # how much lower
_RIM = 4  # pixels about a mask, for its edge to be blurred in
_LEAST_KEYPOINTS = 8
_LEAST_SIDE = 56  # image pixels of the longer side
_LEAST_ON_MASK = 0.85  # the share of labelled keypoints that lies on the mask: where fewer do, something hides them
_REACH = 0.02  # how far off the mask a keypoint may lie, over the mask's longer side


@dataclass(frozen=True, eq=False)
class CutOut:
    """A person cut out of a photo.

    Attributes:
        rgba: (h, w, 4) colours and soft-edged opacity.
        keypoints: (K, 3) in pixel indices of `rgba`: 2 visible, 1 hidden by the body itself, 0 not labelled or off the
            mask.
        stature_px: How tall the person would stand.
        whole: False where the photo's lower edge, or a thing before it, cuts the person off: no ankle is to be seen.
        light: Of the place they were cut from.
    """

    rgba: NDArray[np.uint8]
    keypoints: Floats
    stature_px: float
    whole: bool
    light: Light


class Shot(NamedTuple):
    """One person of a library, not cut out yet."""

    path: Path
    size_wh: tuple[int, int]
    segmentation: Segmentation
    keypoints: Floats
    whole: bool


class PeopleLibrary:
    """People who can be cut out whole enough; each is cut when first asked for and kept while there is room.

    Args:
        shots: The people.
        skeleton: The keypoints of the people.
        side_px: The longest side of a cut-out.
        max_bytes: Cut-outs beyond this are cut anew each time.
    """

    def __init__(self, shots: Sequence[Shot], skeleton: Skeleton, side_px: int = 256, max_bytes: int = 1 << 29) -> None:
        self._shots = tuple(shots)
        self.skeleton = skeleton
        self._side_px = side_px
        self._kept: dict[int, CutOut] = {}
        self._bytes_left = max_bytes

    @classmethod
    def read(cls, sources: Sequence[tuple[Path, Path]], skeleton: Skeleton, side_px: int = 256) -> PeopleLibrary:
        """The people of some COCO files, each with the folder of its images; matched to the skeleton by name.

        Raises:
            AnnotationError: A file is broken, or nobody has a mask that covers them whole.
        """
        shots = [shot for annotations, images in sources for shot in _shots(annotations, images, skeleton)]
        if not shots:
            names = ", ".join(str(annotations) for annotations, _ in sources)
            raise AnnotationError(
                f"{names}: nobody to cut out: that takes `segmentation` and {_LEAST_KEYPOINTS} labelled keypoints"
            )
        return cls(shots, skeleton, side_px)

    def __len__(self) -> int:
        return len(self._shots)

    def __getitem__(self, index: int) -> CutOut:
        """The cut-out of that number.

        Raises:
            ImageError: Its image cannot be read.
            AnnotationError: Its image has another size than annotated.
        """
        if index in self._kept:
            return self._kept[index]
        cut = _cut(self._shots[index], self._side_px, self.skeleton)
        if cut.rgba.nbytes <= self._bytes_left:
            self._kept[index] = cut
            self._bytes_left -= cut.rgba.nbytes
        return cut

    def draw(self, random: np.random.Generator) -> CutOut:
        """Anybody."""
        return self[int(random.integers(len(self)))]


def stature(keypoints: Floats, skeleton: Skeleton) -> float:
    """How tall a person of (K, 3) keypoints would stand, by the longer of their bones; NaN where none is labelled."""
    tall = _statures(keypoints, skeleton, _BONES) or _statures(keypoints, skeleton, _FACE)
    # Bones that point at the camera look short, labels are off by a little: neither the mean nor the largest.
    return float(np.percentile(tall, 80)) if tall else float("nan")


def _statures(keypoints: Floats, skeleton: Skeleton, bones: Sequence[tuple[str, str, float]]) -> list[float]:
    places = {name: place[:2] for name, place in zip(skeleton.keypoints, keypoints, strict=True) if place[2] > 0}
    known = [
        (places[first] - places[second], metres) for first, second, metres in bones if {first, second} <= {*places}
    ]
    return [float(np.hypot(*step)) * _TALL / metres for step, metres in known]


def shoulder_place(keypoints: Floats, skeleton: Skeleton, stature_px: float) -> Floats:
    """(2,) about where the shoulders of (K, 3) keypoints are, by the head or the hips where they are not labelled."""
    labelled = keypoints[:, 2] > 0
    for names, lower in _SHOULDER_CLUES:
        part = labelled & [name.endswith(names) for name in skeleton.keypoints]
        if part.any():
            place: Floats = keypoints[part, :2].mean(0) + np.array([0, lower * stature_px])
            return place
    middle: Floats = keypoints[labelled, :2].mean(0)
    return middle


def _shots(annotations: Path, images: Path, skeleton: Skeleton) -> Iterator[Shot]:
    found = read_annotations(annotations)
    index = skeleton.indices_in(found.skeleton)
    segmentations = read_segmentations(annotations)
    for image in found.images:
        for person in image.people:
            if person.id not in segmentations or person.is_crowd or person.labelled < _LEAST_KEYPOINTS:
                continue
            keypoints = np.where(index[:, None] >= 0, person.keypoints[index], 0.0)
            try:
                shot = _whole_enough(images, image, segmentations[person.id], keypoints, skeleton)
            except AnnotationError as error:
                raise AnnotationError(f"{annotations}: annotation {person.id}: {error}") from error
            if shot and np.isfinite(stature(shot.keypoints, skeleton)):
                yield shot


def _whole_enough(
    images: Path, image: AnnotatedImage, segmentation: Segmentation, keypoints: Floats, skeleton: Skeleton
) -> Shot | None:
    """The shot of a person whose mask covers them, None of any other."""
    mask = segmentation_mask(segmentation, image.size_wh)
    if not mask.any():
        return None
    left, top, right, bottom = extent_xyxy(mask)
    if max(right - left, bottom - top) < _LEAST_SIDE:
        return None
    if left < 2 or top < 2 or right > image.size_wh[0] - 2:
        return None
    labelled = keypoints[:, 2] > 0
    on_mask = labelled & near_mask(mask, keypoints[:, :2], _REACH * max(right - left, bottom - top))
    head, feet = (np.array([name.endswith(ends) for name in skeleton.keypoints]) for ends in (_HEAD, "ankle"))
    if on_mask.sum() < _LEAST_ON_MASK * labelled.sum() or not on_mask[head].any():
        return None
    kept = np.where(on_mask[:, None], keypoints, 0.0)
    whole = bottom <= image.size_wh[1] - 2 and bool(on_mask[feet].any())
    return Shot(images / image.file_name, image.size_wh, segmentation, kept, whole)


def near_mask(mask: Mask, places: Floats, reach_px: float) -> Mask:
    """(N,) whether (N, 2) places, in pixel indices, lie on an (H, W) mask or no farther from it than that."""
    reach = int(np.ceil(reach_px))
    steps = np.arange(-reach, reach + 1)
    around = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    around = around[np.hypot(*around.T) <= max(reach_px, 0.5)]
    x, y = np.moveaxis(np.rint(places)[:, None].astype(int) + around, -1, 0)
    inside = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
    near: Mask = (mask[y.clip(0, mask.shape[0] - 1), x.clip(0, mask.shape[1] - 1)] & inside).any(1)
    return near


def _cut(shot: Shot, side_px: int, skeleton: Skeleton) -> CutOut:
    image = read_image(shot.path)
    if image.shape[1::-1] != shot.size_wh:
        raise AnnotationError(
            f"{shot.path}: is {image.shape[1]}x{image.shape[0]}, annotated as {shot.size_wh[0]}x{shot.size_wh[1]}"
        )
    mask = segmentation_mask(shot.segmentation, shot.size_wh)
    left, top, right, bottom = extent_xyxy(mask)
    around = max(right - left, bottom - top) // 4
    place = image[max(top - around, 0) : bottom + around, max(left - around, 0) : right + around]
    window = np.s_[top:bottom, left:right]
    cut_out = Image.fromarray(
        np.dstack([image[window], soft_alpha(np.pad(mask[window], _RIM))[_RIM:-_RIM, _RIM:-_RIM]])
    )
    shrink = min(side_px / max(cut_out.size), 1.0)
    size_wh = max(round(cut_out.width * shrink), 1), max(round(cut_out.height * shrink), 1)
    if shrink < 1:
        cut_out = cut_out.resize(size_wh, Image.Resampling.BOX)
    scale = np.array(size_wh) / (right - left, bottom - top)
    keypoints = shot.keypoints.copy()
    keypoints[:, :2] = (keypoints[:, :2] + 0.5 - (left, top)) * scale - 0.5
    tall = stature(shot.keypoints, skeleton) * float(scale[1])
    return CutOut(np.asarray(cut_out), keypoints, tall, shot.whole, measure_light(place))
