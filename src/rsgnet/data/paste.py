"""Crowds for training: other real people, cut out elsewhere, before and behind a crop's person.

Everyone who is labelled becomes a member of a crowd, in the crop's own pixels, so that it costs milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from rsgnet.crowds.real_people.cutouts import CutOut, PeopleLibrary, estimate_shoulder_xy, estimate_stature
from rsgnet.geometry import Floats, apply_affine, compose_affine
from rsgnet.images import RGBImage, warp
from rsgnet.skeletons import Skeleton
from rsgnet.training_config import TrainingConfig

_MOST_PASTED = 4
_MOST_COVERED = 0.5  # the share of the person's keypoints in the crop that others may cover
LEAST_SEEN = 1 / 3  # of another's: whoever is covered further is there no more
_LARGEST_ZOOM = 1.8  # cut-outs larger than they were photographed look like fog
_TRIES = 3  # per person to paste


class _Placed(NamedTuple):
    before: bool  # the crop's person
    nearness: float
    to_crop: Floats
    cut: CutOut


@dataclass(frozen=True, eq=False)
class CropPerson:
    """The person whom a crop is of, among whom others are pasted.

    Attributes:
        keypoints: (K, 3) in image pixels.
        stature_px: How tall they would stand, in image pixels.
        affine: (2, 3) from image to crop pixels.
        opacity: (H, W) of their mask in the crop, 0..1; None where no mask is known: then nobody can be behind them.
    """

    keypoints: Floats
    stature_px: float
    affine: Floats
    opacity: Opacity | None


@dataclass(frozen=True, eq=False)
class CropPeople:
    """People in a crop.

    Attributes:
        keypoints: (P, K, 3) in crop pixels, visibility as in `CutOut`; 0 for whoever is hardly seen.
        boxes_xyxy: (P, 4) in crop pixels; all of a person lies in their box.
    """

    keypoints: Floats
    boxes_xyxy: Floats

    def joined(self, others: CropPeople) -> CropPeople:
        """Returns these people, then the others."""
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
        pasted: Who was pasted.
        sight: (H, W) how much of what stood in the crop before is still seen, 0..1.
    """

    crop: RGBImage
    pasted: CropPeople
    sight: Opacity


class CropCrowds:
    """Makes the crops of some data sets crowded by the people of the same data sets.

    Args:
        sources: The COCO files, each with the folder of its images.
        skeleton: The keypoints wanted.
        training: How often people are pasted, and how many a crop holds at the most.

    Raises:
        AnnotationError: A file is broken, or nobody has a mask that covers them whole.
    """

    def __init__(self, sources: Sequence[tuple[Path, Path]], skeleton: Skeleton, training: TrainingConfig) -> None:
        self.library = PeopleLibrary(sources, skeleton)
        self._segmentations = [read_segmentations(annotations) for annotations, _ in sources]
        self._share, self._most = training.augment.paste, training.max_people

    def add_people(
        self,
        crop: RGBImage,
        people: CropPeople,
        entry: tuple[int, AnnotatedImage, Person],
        own: Floats,
        affine: Floats,
        random: np.random.Generator,
    ) -> tuple[RGBImage, CropPeople]:
        """Pastes people into a crop, or leaves it as it is.

        Args:
            crop: (H, W, 3) RGB.
            people: Everyone in the image, the crop's person first.
            entry: Number of the data set, image and person.
            own: (K, 3) the person's keypoints in image pixels.
            affine: (2, 3) from image to crop pixels.
            random: Where the randomness comes from.

        Returns:
            The (H, W, 3) crop, and its person, those pasted and the others. The others lose their labels where they
            are hardly seen any more.
        """
        if random.random() >= self._share:
            return crop, people
        size_wh = (crop.shape[1], crop.shape[0])
        labelled = people.keypoints[..., 2] > 0
        in_view = int((inside(people.keypoints[..., :2], size_wh) & labelled).any(-1).sum())
        count = min(int(random.integers(1, _MOST_PASTED + 1)), self._most - in_view)
        if count < 1:
            return crop, people
        person = CropPerson(own, self._stature(entry, own), affine, self._opacity(entry, affine, size_wh))
        crowded = paste_people(crop, person, self.library, count, random)
        others = people[1:]
        seen = np.array([seen_share(each, crowded.sight) >= LEAST_SEEN for each in others.keypoints], np.bool_)
        unlabelled = CropPeople(_without_labels(others.keypoints[~seen]), others.boxes_xyxy[~seen])
        return crowded.crop, people[:1].joined(crowded.pasted).joined(others[seen]).joined(unlabelled)

    def _stature(self, entry: tuple[int, AnnotatedImage, Person], own: Floats) -> float:
        least = 0.8 * float(entry[2].box_xywh[2:].max())  # whoever is in view with raised arms is 1.25 times as tall
        return float(np.fmax(estimate_stature(own, self.library.skeleton), least))

    def _opacity(
        self, entry: tuple[int, AnnotatedImage, Person], affine: Floats, size_wh: tuple[int, int]
    ) -> Opacity | None:
        source, image, person = entry
        segmentation = self._segmentations[source].get(person.id)
        if segmentation is None:
            return None
        mask = decode_segmentation(segmentation, image.size_wh).astype(np.uint8) * 255
        return alpha_to_opacity(warp(mask, affine, size_wh))


def paste_people(
    crop: RGBImage, person: CropPerson, library: PeopleLibrary, count: int, random: np.random.Generator
) -> CrowdedCrop:
    """Pastes people into a crop, farther ones first, at least half of its person's keypoints left in sight.

    Args:
        crop: (H, W, 3) RGB.
        person: Whom it is of.
        library: Whom to paste.
        count: How many at the most; there are fewer where no place is found.
        random: Where the randomness comes from.
    """
    placed: list[_Placed] = []
    light = measure_lighting(crop)
    for _ in range(count * _TRIES):
        cut = library.sample(random)
        nearness, to_image = _place(cut, person, library.skeleton, random)
        behind = person.opacity is not None and bool(random.random() < (0.25 if nearness > 1 else 0.75))
        to_crop = compose_affine(person.affine, to_image)
        if has_compatible_lighting(cut.lighting, light) and _fits(cut, to_crop, person, (crop.shape[1], crop.shape[0])):
            placed.append(_Placed(not behind, nearness, to_crop, cut))
        if len(placed) == count:
            break
    placed.sort(key=lambda each: each[:2])
    return _laid(crop, light, person, placed, library.skeleton)


def _place(cut: CutOut, person: CropPerson, skeleton: Skeleton, random: np.random.Generator) -> tuple[float, Floats]:
    """How much nearer than the person someone is put, as a ratio of statures, and (2, 3) from cut-out to image."""
    nearness = float(np.exp(np.clip(random.normal(0, 0.22), -0.5, 0.5)))
    tall = person.stature_px
    scale = nearness * tall / cut.stature_px
    linear = scale * np.array([[1.0, 0.0], [0.0, 1.0]])
    if random.random() < 0.5:
        linear[0] *= -1
    aside = random.choice((-1, 1)) * random.uniform(0.06, 0.36) * tall * max(nearness, 1.0)
    # Seen from a standing person's height heads are level and nearer feet lower; from above heads are lower too.
    lower = (nearness - 1) * random.uniform(0.0, 0.5) * tall + random.normal(0, 0.04) * tall
    start = estimate_shoulder_xy(cut.keypoints, skeleton, cut.stature_px)
    shift = estimate_shoulder_xy(person.keypoints, skeleton, tall) + np.array([aside, lower]) - linear @ start
    return nearness, np.concatenate([linear, shift[:, None]], axis=1)


def _fits(cut: CutOut, to_crop: Floats, person: CropPerson, size_wh: tuple[int, int]) -> bool:
    """Whether someone placed there is not blown up, and ends at the photo's edge only outside of the crop."""
    zoom = np.sqrt(abs(np.linalg.det(to_crop[:, :2])))
    if zoom > max(_LARGEST_ZOOM, 1.3 * np.sqrt(abs(np.linalg.det(person.affine[:, :2])))):
        return False
    height, width = cut.rgba.shape[:2]
    ends = apply_affine(to_crop, [[0, height - 1], [width - 1, height - 1]])
    if not cut.is_whole and ends[:, 1].min() < size_wh[1] - 1:
        return False
    places = apply_affine(to_crop, cut.keypoints[cut.keypoints[:, 2] > 0, :2])
    return bool(inside(places, size_wh).sum() >= 3)


def _laid(
    crop: RGBImage, light: Lighting, person: CropPerson, placed: list[_Placed], skeleton: Skeleton
) -> CrowdedCrop:
    size_wh = (crop.shape[1], crop.shape[0])
    own = np.column_stack([apply_affine(person.affine, person.keypoints[:, :2]), person.keypoints[:, 2]])
    colours = crop.astype(np.float32)
    own_sight: Opacity = np.ones(crop.shape[:2], np.float32)
    sight = own_sight
    pasted: list[tuple[Floats, Floats, Opacity]] = []  # keypoints, box, and how much is seen of each
    for before, _, to_crop, cut in placed:
        rgba = _warped(cut, to_crop, person, size_wh)
        opacity = alpha_to_opacity(rgba[..., 3])
        if before and seen_share(own, own_sight * (1 - opacity)) < 1 - _MOST_COVERED:
            continue
        if before:
            own_sight = own_sight * (1 - opacity)
        elif person.opacity is not None:
            opacity = opacity * (1 - person.opacity)
        colours = composite(colours, relight(rgba[..., :3].astype(np.float32), cut.lighting, light), opacity)
        pasted = [(keypoints, box, seen * (1 - opacity)) for keypoints, box, seen in pasted]
        height, width = cut.rgba.shape[:2]
        box = map_boxes([[0, 0, width - 1, height - 1]], to_crop)[0]
        pasted.append((_moved(cut.keypoints, to_crop, skeleton), box, opacity))
        sight = sight * (1 - opacity)
    people = CropPeople(
        np.array(
            [
                keypoints if seen_share(keypoints, seen) >= LEAST_SEEN else _without_labels(keypoints)
                for keypoints, _, seen in pasted
            ]
        ).reshape(-1, len(skeleton), 3),
        np.array([box for _, box, _ in pasted]).reshape(-1, 4),
    )
    return CrowdedCrop(colours.round().astype(np.uint8), people, sight)


def _without_labels(keypoints: Floats) -> Floats:
    return keypoints * [1.0, 1.0, 0.0]


def map_boxes(boxes_xyxy: ArrayLike, affine: Floats) -> Floats:
    """(P, 4) the upright boxes about (P, 4) boxes moved by a (2, 3) affine map."""
    left, top, right, bottom = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4).T
    corners = np.stack([[left, top], [right, top], [left, bottom], [right, bottom]]).transpose(2, 0, 1)
    moved = apply_affine(affine, corners)
    return np.concatenate([moved.min(1), moved.max(1)], axis=-1)


def _warped(cut: CutOut, to_crop: Floats, person: CropPerson, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 4) a cut-out in the crop, as coarse as the crop's own person is."""
    own, zoom = (np.sqrt(abs(np.linalg.det(affine[:, :2]))) for affine in (person.affine, to_crop))
    factor = round(own / zoom) if own > 1 else 1
    if factor < 2:
        return warp(cut.rgba, to_crop, size_wh)
    coarse = np.asarray(Image.fromarray(cut.rgba).reduce(factor))
    enlarged = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2]])
    return warp(coarse, compose_affine(to_crop, enlarged), size_wh)


def _moved(keypoints: Floats, affine: Floats, skeleton: Skeleton) -> Floats:
    """(K, 3) keypoints through an affine map; left and right are swapped where it mirrors."""
    moved = np.concatenate([apply_affine(affine, keypoints[:, :2]), keypoints[:, 2:]], axis=1)
    return moved[skeleton.flip_indices] if np.linalg.det(affine[:, :2]) < 0 else moved


def seen_share(keypoints: Floats, sight: Opacity) -> float:
    """The share of (K, 3) labelled keypoints in a crop at which (H, W) sight is at least one half; 1 where none is."""
    places = keypoints[keypoints[:, 2] > 0, :2]
    places = places[inside(places, (sight.shape[1], sight.shape[0]))]
    if len(places) == 0:
        return 1.0
    x, y = np.rint(places).astype(int).T
    return float((sight[y, x] >= 0.5).mean())


def inside(places: Floats, size_wh: tuple[int, int]) -> NDArray[np.bool_]:
    """(...) whether (..., 2) places, in pixel indices, lie on an image of that size."""
    within: NDArray[np.bool_] = np.all((places >= 0) & (places <= np.array(size_wh) - 1), axis=-1)
    return within
