"""Photos as places for a crowd to stand in: who is there already, and how tall people are on each row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rsgnet.annotations.masks import Mask, Segmentation, extent_xyxy, read_segmentations, segmentation_mask
from rsgnet.annotations.people import AnnotatedImage, Person
from rsgnet.annotations.readers import read_annotations
from rsgnet.crowds.real_people.blending import Light, measure_light
from rsgnet.crowds.real_people.cutouts import shoulder_place, stature
from rsgnet.crowds.real_people.layers import Layer
from rsgnet.geometry import Floats, apply_affine
from rsgnet.images import RGBImage, read_image, warp
from rsgnet.skeletons import Skeleton

SHOULDERS = 0.82  # their height, of the stature
_LEAST_TALL, _MOST_TALL = 0.33, 1.15  # statures over the photo's height that give a place its scale
_CAMERA = (0.9, 1.3)  # heights of a camera, in statures


class AnnotatedScene(NamedTuple):
    """A photo of which everything about everyone is known.

    Attributes:
        path: Its file.
        image: Its annotations.
        segmentations: Everyone's, in the order of the people.
    """

    path: Path
    image: AnnotatedImage
    segmentations: tuple[Segmentation, ...]


@dataclass(frozen=True, eq=False)
class Stage:
    """A place.

    Attributes:
        photo: (H, W, 3) RGB.
        light: Its light.
        people: Who is in it.
        horizon_y: Row on which the ground ends.
        camera_height: Over the ground, in statures.
    """

    photo: RGBImage
    light: Light
    people: tuple[Layer, ...]
    horizon_y: float
    camera_height: float

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.photo.shape[1], self.photo.shape[0]

    def ground_of(self, stature_px: float) -> float:
        """The row that somebody who appears that tall stands on."""
        return self.horizon_y + stature_px * self.camera_height


def stage_photos(annotations: Path, images: Path) -> Iterator[AnnotatedScene]:
    """The photos of a COCO-format set in which everyone has keypoints and a mask, and somebody large has feet in view.

    Those give the place its scale and its ground; and where all are small, more people than are labelled are in view.

    Raises:
        AnnotationError: The file is broken.
    """
    found = read_annotations(annotations)
    segmentations = read_segmentations(annotations)
    for image in found.images:
        people = image.people
        if not people or any(each.is_crowd or not each.labelled or each.id not in segmentations for each in people):
            continue
        if _gives_scale(image, found.skeleton):
            yield AnnotatedScene(images / image.file_name, image, tuple(segmentations[each.id] for each in people))


def set_stage(
    photo: AnnotatedScene, skeleton: Skeleton, random: np.random.Generator, size_wh: tuple[int, int] | None
) -> Stage:
    """A photo as a place, scaled and cut to fill a size, or as it is; the tallest in it stands for the camera's height.

    Raises:
        ImageError: The photo cannot be read.
        AnnotationError: A mask cannot be read.
    """
    image, to_scene = _filling(read_image(photo.path), size_wh)
    people = tuple(
        _layer(person, segmentation_mask(segmentation, photo.image.size_wh), to_scene, image.shape[1::-1], skeleton)
        for person, segmentation in zip(photo.image.people, photo.segmentations, strict=True)
    )
    tallest = max(people, key=lambda each: each.stature_px)
    camera_height = random.uniform(*_CAMERA)
    return Stage(
        image, measure_light(image), people, tallest.ground_y - camera_height * tallest.stature_px, camera_height
    )


def _gives_scale(image: AnnotatedImage, skeleton: Skeleton) -> bool:
    """Whether everyone's stature is known, and the tallest is of a good size and has an ankle labelled."""
    statures = [stature(each.keypoints, skeleton) / max(image.size_wh[1], 1) for each in image.people]
    if not np.isfinite(statures).all() or not _LEAST_TALL <= max(statures) <= _MOST_TALL:
        return False
    tallest = image.people[int(np.argmax(statures))]
    return any(
        name.endswith("ankle") and row[2] for name, row in zip(skeleton.keypoints, tallest.keypoints, strict=True)
    )


def _filling(photo: RGBImage, size_wh: tuple[int, int] | None) -> tuple[RGBImage, Floats]:
    """A photo scaled and cut to fill a size, and (2, 3) the map from its pixels."""
    if size_wh is None:
        return photo, np.eye(2, 3)
    own, wanted = np.array(photo.shape[1::-1]), np.array(size_wh)
    scale = float((wanted / own).max())
    shift = (wanted - own * scale) / 2 + 0.5 * scale - 0.5
    to_scene = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return warp(photo, to_scene, size_wh), to_scene


def _layer(person: Person, mask: Mask, to_scene: Floats, size_wh: tuple[int, int], skeleton: Skeleton) -> Layer:
    opacity = warp(mask.astype(np.uint8) * 255, to_scene, size_wh)
    seen = opacity > 127
    box = np.array(extent_xyxy(seen) if seen.any() else (0, 0, 0, 0), np.float64)
    keypoints = np.column_stack([apply_affine(to_scene, person.keypoints[:, :2]), person.keypoints[:, 2]])
    tall, ground_y = stature(keypoints, skeleton), float(box[3])
    if box[3] > size_wh[1] - 3:  # cut off by the image
        ground_y = max(ground_y, float(shoulder_place(keypoints, skeleton, tall)[1]) + SHOULDERS * tall)
    return Layer(keypoints, box, ground_y, tall, None, np.eye(2, 3), opacity)
