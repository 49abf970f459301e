"""Augmentation of training crops with crowds: other people, cut out of the data sets, before and behind the target.

Pasting into the crop instead of the whole image takes only milliseconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from rsgnet.annotations.masks import decode_segmentation, read_segmentations
from rsgnet.annotations.people import AnnotatedImage, Person
from rsgnet.crowds.real_people.blending import (
    Lighting,
    Opacity,
    alpha_to_opacity,
    composite,
    has_compatible_lighting,
    measure_lighting,
    relight,
)
from rsgnet.crowds.real_people.cutouts import (
    CutOut,
    NobodyToCutOutError,
    PeopleLibrary,
    estimate_shoulder_xy,
    estimate_stature,
)
from rsgnet.errors import RSGNetWarning
from rsgnet.geometry import Floats, apply_affine, compose_affine
from rsgnet.images import RGBImage, warp
from rsgnet.skeletons import Skeleton
from rsgnet.training_config import TrainingConfig

_MAX_PASTED = 4
_MAX_COVERED_SHARE = 0.5  # of the target's keypoints in the crop
_MIN_VISIBLE_SHARE = 1 / 3  # of another person's keypoints in the crop; people of whom less is visible are not labelled
_MAX_ZOOM = 1.8  # cut-outs that are enlarged further are blurred
_TRIES_PER_PERSON = 3


class _Placement(NamedTuple):
    """Where a cut-out is pasted. Placements sort from back to front.

    Attributes:
        is_before: Whether it is in front of the target.
        nearness: The person's height in pixels relative to the target's; nearer people are higher.
        to_crop: (2, 3) affine map from cut-out to crop pixels.
        cutout: The person.
    """

    is_before: bool
    nearness: float
    to_crop: Floats
    cutout: CutOut


@dataclass(frozen=True, eq=False)
class CropPerson:
    """The target of a crop into which people are pasted.

    Attributes:
        keypoints: (K, 3) x, y in image pixels, and visibility.
        stature_px: Height of the person when standing upright, in image pixels.
        affine: (2, 3) affine map from image to crop pixels.
        opacity: (H, W) the person's mask in the crop, 0..1. If None, because there is no mask, nobody is pasted behind.
    """

    keypoints: Floats
    stature_px: float
    affine: Floats
    opacity: Opacity | None


@dataclass(frozen=True, eq=False)
class CropPeople:
    """People in a crop.

    Attributes:
        keypoints: (P, K, 3) x, y in crop pixels, and visibility as in `CutOut`; 0 for people whom pasted people hide
            almost wholly.
        boxes_xyxy: (P, 4) boxes around the whole people, in crop pixels.
    """

    keypoints: Floats
    boxes_xyxy: Floats

    def join(self, others: CropPeople) -> CropPeople:
        """Returns these people followed by others."""
        return CropPeople(
            np.concatenate([self.keypoints, others.keypoints]), np.concatenate([self.boxes_xyxy, others.boxes_xyxy])
        )

    def __getitem__(self, index: slice | NDArray[np.bool_] | NDArray[np.intp]) -> CropPeople:
        return CropPeople(self.keypoints[index], self.boxes_xyxy[index])


@dataclass(frozen=True, eq=False)
class CrowdedCrop:
    """A crop with people pasted into it.

    Attributes:
        crop: (H, W, 3) RGB.
        pasted: The pasted people.
        uncovered: (H, W) share of each pixel of the original crop that is still visible, 0..1.
    """

    crop: RGBImage
    pasted: CropPeople
    uncovered: Opacity


@contextmanager
def pasting_as_far_as_possible() -> Iterator[None]:
    """Warns where nobody can be cut out: training then goes on without pasted people."""
    try:
        yield
    except NobodyToCutOutError as error:
        warnings.warn(f"{error}; training goes on without pasted people", RSGNetWarning, stacklevel=3)


class CropCrowds:
    """Pastes people of some data sets into crops of the same data sets.

    Args:
        sources: The COCO files, each with the folder of its images.
        skeleton: The skeleton of the keypoints.
        training: The probability of pasting, and the highest number of people in a crop.

    Raises:
        AnnotationError: A file is broken, or nobody has a mask that covers the whole person.
    """

    def __init__(self, sources: Sequence[tuple[Path, Path]], skeleton: Skeleton, training: TrainingConfig) -> None:
        self.library = PeopleLibrary(sources, skeleton)
        self._segmentations = [read_segmentations(annotations) for annotations, _ in sources]
        self._probability, self._max_people = training.augment.paste, training.max_people

    def add_people(
        self,
        crop: RGBImage,
        people: CropPeople,
        entry: tuple[int, AnnotatedImage, Person],
        target: Floats,
        affine: Floats,
        random: np.random.Generator,
    ) -> tuple[RGBImage, CropPeople]:
        """Pastes people into a crop with the configured probability.

        Args:
            crop: (H, W, 3) RGB.
            people: Everyone in the image, the target first.
            entry: Index of the data set, image and target.
            target: (K, 3) the target's keypoints in image pixels.
            affine: (2, 3) affine map from image to crop pixels.
            random: The random generator.

        Returns:
            The (H, W, 3) crop and the people: the target, the pasted people and the others. Others of whom hardly
            anything is visible lose their labels and come last.
        """
        if random.random() >= self._probability:
            return crop, people
        size_wh = (crop.shape[1], crop.shape[0])
        labelled = people.keypoints[..., 2] > 0
        in_crop = int((is_inside(people.keypoints[..., :2], size_wh) & labelled).any(-1).sum())
        count = min(int(random.integers(1, _MAX_PASTED + 1)), self._max_people - in_crop)
        if count < 1:
            return crop, people
        person = CropPerson(
            target, self._estimate_stature(entry, target), affine, self._warp_mask(entry, affine, size_wh)
        )
        crowded = paste_people(crop, person, self.library, count, random)
        others = people[1:]
        visible = np.array(
            [visible_share(each, crowded.uncovered) >= _MIN_VISIBLE_SHARE for each in others.keypoints], np.bool_
        )
        unlabelled = CropPeople(_remove_labels(others.keypoints[~visible]), others.boxes_xyxy[~visible])
        return crowded.crop, people[:1].join(crowded.pasted).join(others[visible]).join(unlabelled)

    def _estimate_stature(self, entry: tuple[int, AnnotatedImage, Person], target: Floats) -> float:
        """Returns the target's height in image pixels when standing upright."""
        # A person with raised arms is as high as 1.25 times the stature, so that the box gives a lower bound.
        lower_bound = 0.8 * float(entry[2].box_xywh[2:].max())
        return float(np.fmax(estimate_stature(target, self.library.skeleton), lower_bound))

    def _warp_mask(
        self, entry: tuple[int, AnnotatedImage, Person], affine: Floats, size_wh: tuple[int, int]
    ) -> Opacity | None:
        """Returns the (H, W) opacity of the target's mask in the crop; None without a mask."""
        source, image, person = entry
        segmentation = self._segmentations[source].get(person.id)
        if segmentation is None:
            return None
        mask = decode_segmentation(segmentation, image.size_wh).astype(np.uint8) * 255
        return alpha_to_opacity(warp(mask, affine, size_wh))


def paste_people(
    crop: RGBImage, person: CropPerson, library: PeopleLibrary, count: int, random: np.random.Generator
) -> CrowdedCrop:
    """Pastes people into a crop, from back to front; at least half of the target's keypoints stay visible.

    Args:
        crop: (H, W, 3) RGB.
        person: The target.
        library: The people to paste.
        count: The highest number of people to paste; fewer are pasted if no position is found for some.
        random: The random generator.
    """
    placements: list[_Placement] = []
    light = measure_lighting(crop)
    size_wh = (crop.shape[1], crop.shape[0])
    for _ in range(count * _TRIES_PER_PERSON):
        cutout = library.sample(random)
        nearness, to_image = _draw_placement(cutout, person, library.skeleton, random)
        is_behind = person.opacity is not None and bool(random.random() < (0.25 if nearness > 1 else 0.75))
        to_crop = compose_affine(person.affine, to_image)
        if has_compatible_lighting(cutout.lighting, light) and _fits(cutout, to_crop, person, size_wh):
            placements.append(_Placement(not is_behind, nearness, to_crop, cutout))
        if len(placements) == count:
            break
    placements.sort(key=lambda placement: placement[:2])
    return _paste(crop, light, person, placements, library.skeleton)


def _draw_placement(
    cutout: CutOut, person: CropPerson, skeleton: Skeleton, random: np.random.Generator
) -> tuple[float, Floats]:
    """Returns the nearness, as a ratio of heights to the target's, and the (2, 3) affine map from cut-out to image."""
    nearness = float(np.exp(np.clip(random.normal(0, 0.22), -0.5, 0.5)))
    stature = person.stature_px
    scale = nearness * stature / cutout.stature_px
    linear = scale * np.array([[1.0, 0.0], [0.0, 1.0]])
    if random.random() < 0.5:
        linear[0] *= -1
    offset_x = random.choice((-1, 1)) * random.uniform(0.06, 0.36) * stature * max(nearness, 1.0)
    # Seen from eye level, heads are at one height and the feet of nearer people are lower; seen from above, the heads
    # of nearer people are lower, too.
    offset_y = (nearness - 1) * random.uniform(0.0, 0.5) * stature + random.normal(0, 0.04) * stature
    shoulder = estimate_shoulder_xy(cutout.keypoints, skeleton, cutout.stature_px)
    target_shoulder = estimate_shoulder_xy(person.keypoints, skeleton, stature)
    shift = target_shoulder + np.array([offset_x, offset_y]) - linear @ shoulder
    return nearness, np.concatenate([linear, shift[:, None]], axis=1)


def _fits(cutout: CutOut, to_crop: Floats, person: CropPerson, size_wh: tuple[int, int]) -> bool:
    """Returns whether a cut-out can be pasted at a position.

    It must not be enlarged too much, at least 3 of its keypoints must lie in the crop, and the lower edge of a person
    who is cut off must lie outside the crop.
    """
    zoom = np.sqrt(abs(np.linalg.det(to_crop[:, :2])))
    if zoom > max(_MAX_ZOOM, 1.3 * np.sqrt(abs(np.linalg.det(person.affine[:, :2])))):
        return False
    height, width = cutout.rgba.shape[:2]
    lower_corners = apply_affine(to_crop, [[0, height - 1], [width - 1, height - 1]])
    if not cutout.is_whole and lower_corners[:, 1].min() < size_wh[1] - 1:
        return False
    keypoints_xy = apply_affine(to_crop, cutout.keypoints[cutout.keypoints[:, 2] > 0, :2])
    return bool(is_inside(keypoints_xy, size_wh).sum() >= 3)


def _paste(
    crop: RGBImage, light: Lighting, person: CropPerson, placements: list[_Placement], skeleton: Skeleton
) -> CrowdedCrop:
    """Pastes cut-outs from back to front, without those that would cover too much of the target."""
    size_wh = (crop.shape[1], crop.shape[0])
    target = np.column_stack([apply_affine(person.affine, person.keypoints[:, :2]), person.keypoints[:, 2]])
    colours = crop.astype(np.float32)
    target_uncovered: Opacity = np.ones(crop.shape[:2], np.float32)
    uncovered = target_uncovered
    pasted: list[tuple[Floats, Floats, Opacity]] = []  # keypoints, box and visible opacity of each person
    for is_before, _, to_crop, cutout in placements:
        rgba = _warp_cutout(cutout, to_crop, person, size_wh)
        opacity = alpha_to_opacity(rgba[..., 3])
        if is_before and visible_share(target, target_uncovered * (1 - opacity)) < 1 - _MAX_COVERED_SHARE:
            continue
        if is_before:
            target_uncovered = target_uncovered * (1 - opacity)
        elif person.opacity is not None:
            opacity = opacity * (1 - person.opacity)
        colours = composite(colours, relight(rgba[..., :3].astype(np.float32), cutout.lighting, light), opacity)
        pasted = [(keypoints, box, visible * (1 - opacity)) for keypoints, box, visible in pasted]
        height, width = cutout.rgba.shape[:2]
        box = map_boxes([[0, 0, width - 1, height - 1]], to_crop)[0]
        pasted.append((_transform_keypoints(cutout.keypoints, to_crop, skeleton), box, opacity))
        uncovered = uncovered * (1 - opacity)
    people = CropPeople(
        np.array(
            [
                keypoints if visible_share(keypoints, visible) >= _MIN_VISIBLE_SHARE else _remove_labels(keypoints)
                for keypoints, _, visible in pasted
            ]
        ).reshape(-1, len(skeleton), 3),
        np.array([box for _, box, _ in pasted]).reshape(-1, 4),
    )
    return CrowdedCrop(colours.round().astype(np.uint8), people, uncovered)


def _remove_labels(keypoints: Floats) -> Floats:
    """Returns (..., 3) keypoints with a visibility of 0."""
    return keypoints * [1.0, 1.0, 0.0]


def map_boxes(boxes_xyxy: ArrayLike, affine: Floats) -> Floats:
    """Returns (P, 4) the upright boxes around (P, 4) boxes after a (2, 3) affine map."""
    left, top, right, bottom = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4).T
    corners = np.stack([[left, top], [right, top], [left, bottom], [right, bottom]]).transpose(2, 0, 1)
    mapped = apply_affine(affine, corners)
    return np.concatenate([mapped.min(1), mapped.max(1)], axis=-1)


def _warp_cutout(cutout: CutOut, to_crop: Floats, person: CropPerson, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Returns the (H, W, 4) cut-out in the crop, at the resolution of the target: coarse if the target is enlarged."""
    target_zoom, zoom = (np.sqrt(abs(np.linalg.det(affine[:, :2]))) for affine in (person.affine, to_crop))
    factor = round(target_zoom / zoom) if target_zoom > 1 else 1
    if factor < 2:
        return warp(cutout.rgba, to_crop, size_wh)
    coarse = np.asarray(Image.fromarray(cutout.rgba).reduce(factor))
    to_cutout = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2]])
    return warp(coarse, compose_affine(to_crop, to_cutout), size_wh)


def _transform_keypoints(keypoints: Floats, affine: Floats, skeleton: Skeleton) -> Floats:
    """Returns (K, 3) keypoints after an affine map, with left and right swapped if it mirrors."""
    transformed = np.concatenate([apply_affine(affine, keypoints[:, :2]), keypoints[:, 2:]], axis=1)
    return transformed[skeleton.flip_indices] if np.linalg.det(affine[:, :2]) < 0 else transformed


def visible_share(keypoints: Floats, visible: Opacity) -> float:
    """Returns the share of a person's labelled keypoints in a crop that are visible.

    Args:
        keypoints: (K, 3) x, y in crop pixels, and visibility, 0 for unlabelled ones.
        visible: (H, W) how far each pixel of the person is visible, 0..1. A keypoint is visible from one half.

    Returns:
        The share; 1 if no labelled keypoint lies in the crop.
    """
    keypoints_xy = keypoints[keypoints[:, 2] > 0, :2]
    keypoints_xy = keypoints_xy[is_inside(keypoints_xy, (visible.shape[1], visible.shape[0]))]
    if len(keypoints_xy) == 0:
        return 1.0
    x, y = np.rint(keypoints_xy).astype(int).T
    return float((visible[y, x] >= 0.5).mean())


def is_inside(keypoints_xy: Floats, size_wh: tuple[int, int]) -> NDArray[np.bool_]:
    """Returns (...) whether (..., 2) keypoints, in pixel indices, lie in an image of a size."""
    inside: NDArray[np.bool_] = np.all((keypoints_xy >= 0) & (keypoints_xy <= np.array(size_wh) - 1), axis=-1)
    return inside
