"""Background images for crowds of real people: who is in them, and how tall people appear on each row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rsgnet.annotations.masks import Mask, Segmentation, decode_segmentation, mask_to_xyxy, read_segmentations
from rsgnet.annotations.people import AnnotatedImage, Person
from rsgnet.annotations.readers import read_annotations
from rsgnet.crowds.real_people.blending import Lighting, measure_lighting
from rsgnet.crowds.real_people.cutouts import estimate_shoulder_xy, estimate_stature
from rsgnet.crowds.real_people.layers import Layer
from rsgnet.geometry import Floats, apply_affine
from rsgnet.images import RGBImage, read_image, warp
from rsgnet.skeletons import Skeleton

SHOULDER_HEIGHT = 0.82  # of a standing person, as a share of the stature
# The range that the largest stature in an image must have, relative to the image's height, to give it its scale.
_MIN_STATURE_SHARE, _MAX_STATURE_SHARE = 0.33, 1.15
_CAMERA_HEIGHTS = (0.9, 1.3)  # the range of heights of a camera, in statures


class BackgroundSource(NamedTuple):
    """An image with complete annotations that can serve as a background.

    Attributes:
        path: The image file.
        image: The annotations.
        segmentations: The segmentations of the people, in their order.
    """

    path: Path
    image: AnnotatedImage
    segmentations: tuple[Segmentation, ...]


@dataclass(frozen=True, eq=False)
class Background:
    """A background image with its perspective.

    Attributes:
        image: (H, W, 3) RGB.
        lighting: Its lighting.
        people: The people in it.
        horizon_y: Row of the horizon.
        camera_height: Height of the camera over the ground, in statures.
    """

    image: RGBImage
    lighting: Lighting
    people: tuple[Layer, ...]
    horizon_y: float
    camera_height: float

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]

    def compute_ground_y(self, stature_px: float) -> float:
        """Returns the row of the ground on which a person stands who appears that tall."""
        return self.horizon_y + stature_px * self.camera_height


def find_background_sources(annotations: Path, images: Path) -> Iterator[BackgroundSource]:
    """Yields the images of a COCO-format set that can serve as backgrounds.

    Everyone in them has keypoints and a mask, and the tallest person is large and has an ankle labelled: that person
    gives the image its scale and its ground, and images with only small people often show more people than are
    labelled.

    Raises:
        AnnotationError: The file is broken.
    """
    data_set = read_annotations(annotations)
    segmentations = read_segmentations(annotations)
    for image in data_set.images:
        people = image.people
        if not people or any(each.is_crowd or not each.num_labelled or each.id not in segmentations for each in people):
            continue
        if _has_scale(image, data_set.skeleton):
            yield BackgroundSource(images / image.file_name, image, tuple(segmentations[each.id] for each in people))


def load_background(
    source: BackgroundSource, skeleton: Skeleton, random: np.random.Generator, size_wh: tuple[int, int] | None
) -> Background:
    """Loads a background; its tallest person determines the perspective for a random height of the camera.

    Args:
        source: The image and its annotations.
        skeleton: The keypoints of its people.
        random: The source of randomness.
        size_wh: Width and height that the image is scaled and cropped to fill; None keeps its own size.

    Raises:
        ImageError: The image cannot be read.
        AnnotationError: A mask cannot be read.
    """
    image, affine = _scale_to_fill(read_image(source.path), size_wh)
    people = tuple(
        _build_layer(person, decode_segmentation(segmentation, source.image.size_wh), affine, image, skeleton)
        for person, segmentation in zip(source.image.people, source.segmentations, strict=True)
    )
    tallest = max(people, key=lambda each: each.stature_px)
    camera_height = random.uniform(*_CAMERA_HEIGHTS)
    horizon_y = tallest.ground_y - camera_height * tallest.stature_px
    return Background(image, measure_lighting(image), people, horizon_y, camera_height)


def _has_scale(image: AnnotatedImage, skeleton: Skeleton) -> bool:
    """Whether all statures are known, and the tallest person has a suitable size and an ankle labelled."""
    shares = [estimate_stature(each.keypoints, skeleton) / max(image.size_wh[1], 1) for each in image.people]
    if not np.isfinite(shares).all() or not _MIN_STATURE_SHARE <= max(shares) <= _MAX_STATURE_SHARE:
        return False
    tallest = image.people[int(np.argmax(shares))]
    return any(
        name.endswith("ankle") and row[2] for name, row in zip(skeleton.keypoints, tallest.keypoints, strict=True)
    )


def _scale_to_fill(image: RGBImage, size_wh: tuple[int, int] | None) -> tuple[RGBImage, Floats]:
    """Scales and crops an image to fill a size; returns it with the (2, 3) map from the old pixels to the new ones."""
    if size_wh is None:
        return image, np.eye(2, 3)
    old_wh, new_wh = np.array(image.shape[1::-1]), np.array(size_wh)
    scale = float((new_wh / old_wh).max())
    shift = (new_wh - old_wh * scale) / 2 + 0.5 * scale - 0.5
    affine = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return warp(image, affine, size_wh), affine


def _build_layer(person: Person, mask: Mask, affine: Floats, image: RGBImage, skeleton: Skeleton) -> Layer:
    """Builds the layer of a person of the background, whose annotations `affine` maps to the image."""
    height, width = image.shape[:2]
    opacity = warp(mask.astype(np.uint8) * 255, affine, (width, height))
    is_visible = opacity > 127
    box_xyxy = np.array(mask_to_xyxy(is_visible) if is_visible.any() else (0, 0, 0, 0), np.float64)
    keypoints = np.column_stack([apply_affine(affine, person.keypoints[:, :2]), person.keypoints[:, 2]])
    stature_px, ground_y = estimate_stature(keypoints, skeleton), float(box_xyxy[3])
    if box_xyxy[3] > height - 3:  # the lower edge of the image cuts the person off
        shoulder_y = float(estimate_shoulder_xy(keypoints, skeleton, stature_px)[1])
        ground_y = max(ground_y, shoulder_y + SHOULDER_HEIGHT * stature_px)
    return Layer(keypoints, box_xyxy, ground_y, stature_px, None, np.eye(2, 3), opacity)
