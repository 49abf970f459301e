"""Augmentation of a detector's training images against overfitting: pasted people, and mosaics of four images.

Pasting follows "Simple Copy-Paste" (Ghiasi et al., CVPR 2021), mosaics follow YOLOv4 (Bochkovskiy et al., 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rsgnet.annotations.masks import Mask, mask_to_xyxy
from rsgnet.crowds.real_people.blending import (
    Lighting,
    Opacity,
    alpha_to_opacity,
    composite,
    has_compatible_lighting,
    measure_lighting,
    relight,
)
from rsgnet.crowds.real_people.cutouts import CutOut, PeopleLibrary
from rsgnet.geometry import Floats
from rsgnet.images import CANVAS_GREY, RGBImage, warp

MIN_VISIBLE_SHARE = 0.35  # the box of a person of whom less is visible is ignored in training
_MAX_PASTED = 5
_SHARE_BESIDE_SOMEBODY = 0.6  # of the pasted people, who are placed so that they overlap somebody
_MIN_HEIGHT_PX, _MAX_HEIGHT_PX = 20.0, 220.0  # of the other pasted people, in input pixels
_MAX_ZOOM = 1.5
_MEETING_POINT_RANGE = (0.3, 0.7)  # of the point where the four images meet, as a share of the sides


@dataclass(frozen=True, eq=False)
class BoxedImage:
    """An image with people's boxes.

    Attributes:
        image: (H, W, 3) RGB.
        people: (N, 4) boxes of people, xyxy in pixels of the image, edges between pixels.
        ignored: (M, 4) boxes in which predictions count neither as right nor as wrong.
    """

    image: RGBImage
    people: Floats
    ignored: Floats


def make_mosaic(
    read_next: Callable[[tuple[int, int]], BoxedImage], size_wh: tuple[int, int], random: np.random.Generator
) -> BoxedImage:
    """Joins four images that meet at a random point near the middle.

    Args:
        read_next: Returns an image of a width and height, a new one at each call.
        size_wh: Width and height of the mosaic.
        random: The random generator.
    """
    x, y = (round(side * random.uniform(*_MEETING_POINT_RANGE)) for side in size_wh)
    mosaic = np.full((size_wh[1], size_wh[0], 3), CANVAS_GREY, np.uint8)
    people, ignored = [], []
    for left, right in ((0, x), (x, size_wh[0])):
        for top, bottom in ((0, y), (y, size_wh[1])):
            tile, corner = read_next((right - left, bottom - top)), np.array([left, top, left, top])
            mosaic[top:bottom, left:right] = tile.image
            people.append(tile.people + corner)
            ignored.append(tile.ignored + corner)
    return BoxedImage(mosaic, np.concatenate(people), np.concatenate(ignored))


def paste_into_image(boxed: BoxedImage, library: PeopleLibrary, random: np.random.Generator) -> BoxedImage:
    """Pastes one to five people into an image, most of them beside somebody, those with lower feet in front.

    Boxes shrink to the visible part of people. Boxes of people who are hardly visible become ignored ones.

    Args:
        boxed: The image.
        library: The people to paste.
        random: The random generator.
    """
    is_content = boxed.image.max(-1) > 0
    if not is_content.any():
        return boxed
    light = measure_lighting(boxed.image[is_content][None])
    extent = np.array(mask_to_xyxy(is_content), np.float64)  # without black padding
    cutouts = [library.sample(random) for _ in range(int(random.integers(1, _MAX_PASTED + 1)))]
    placed = [
        (_draw_placement(cutout, boxed.people, extent, random), cutout)
        for cutout in cutouts
        if has_compatible_lighting(cutout.lighting, light)
    ]
    return _paste(boxed, light, extent, sorted(placed, key=lambda placement: _lower_edge(*placement)))


def _draw_placement(cutout: CutOut, boxes: Floats, extent: Floats, random: np.random.Generator) -> Floats:
    """Returns a (2, 3) affine map from cut-out to image pixels, which may mirror.

    Args:
        cutout: The person.
        boxes: (N, 4) boxes of people in the image, xyxy.
        extent: (4,) box of the image's content, xyxy.
        random: The random generator.
    """
    height, width = cutout.rgba.shape[:2]
    if len(boxes) and random.random() < _SHARE_BESIDE_SOMEBODY:
        left, top, right, bottom = boxes[random.integers(len(boxes))]
        person_height = (bottom - top) * np.exp(random.normal(0, 0.3))
        centre_x = (left + right) / 2 + random.uniform(-0.9, 0.9) * (right - left)
        feet_y = bottom + random.normal(0, 0.1) * (bottom - top)
    else:
        person_height = np.exp(random.uniform(*np.log([_MIN_HEIGHT_PX, _MAX_HEIGHT_PX])))
        centre_x = random.uniform(extent[0], extent[2])
        feet_y = random.uniform(min(extent[1] + person_height, extent[3]), extent[3])
    if not cutout.is_whole:
        feet_y = max(feet_y, extent[3])  # whoever has no feet must be cut off by the edge of this image, too
    zoom = min(person_height / height, _MAX_ZOOM)
    zoom_x = -zoom if random.random() < 0.5 else zoom
    # Edges lie between pixels, at index - 0.5.
    return np.array([[zoom_x, 0, centre_x - zoom_x * (width - 1) / 2], [0, zoom, feet_y - 0.5 - zoom * (height - 0.5)]])


def _lower_edge(to_image: Floats, cutout: CutOut) -> float:
    """Returns the y of a cut-out's lower edge in the image."""
    return float(to_image[1, 1] * cutout.rgba.shape[0] + to_image[1, 2])


def _paste(boxed: BoxedImage, light: Lighting, extent: Floats, placed: Sequence[tuple[Floats, CutOut]]) -> BoxedImage:
    """Pastes cut-outs by their affine maps, in order, and computes everyone's boxes anew."""
    size_wh = boxed.image.shape[1], boxed.image.shape[0]
    colours = boxed.image.astype(np.float32)
    uncovered: Opacity = np.ones(boxed.image.shape[:2], np.float32)
    in_extent = _box_mask(extent, uncovered.shape)
    pasted: list[tuple[Opacity, float]] = []  # the visible opacity of each person, and the area of their whole mask
    for to_image, cutout in placed:
        rgba = warp(cutout.rgba, to_image, size_wh)
        opacity = alpha_to_opacity(rgba[..., 3]) * in_extent
        colours = composite(colours, relight(rgba[..., :3].astype(np.float32), cutout.lighting, light), opacity)
        pasted = [(visible * (1 - opacity), area) for visible, area in pasted]
        pasted.append((opacity, float(cutout.rgba[..., 3].sum()) / 255 * to_image[1, 1] ** 2))
        uncovered = uncovered * (1 - opacity)
    people: list[Floats] = []
    ignored = [*boxed.ignored]
    masks = [(visible >= 0.5, area, extent) for visible, area in pasted]
    masks += [_visible_part(uncovered, box) for box in boxed.people]
    for mask, area, bounds in masks:
        if mask.any():
            low, high = np.split(np.array(mask_to_xyxy(mask), np.float64), 2)
            box = np.concatenate([np.maximum(low, bounds[:2]), np.minimum(high, bounds[2:])])
            (people if mask.sum() >= MIN_VISIBLE_SHARE * area else ignored).append(box)
    return BoxedImage(colours.round().astype(np.uint8), to_box_array(people), to_box_array(ignored))


def _visible_part(uncovered: Opacity, box_xyxy: Floats) -> tuple[Mask, float, Floats]:
    """Returns the mask of a box's uncovered pixels, the number of all its pixels, and the box."""
    in_box = _box_mask(box_xyxy, uncovered.shape)
    return in_box & (uncovered >= 0.5), float(in_box.sum()), box_xyxy


def _box_mask(box_xyxy: Floats, shape_hw: tuple[int, ...]) -> Mask:
    """Returns an (H, W) mask of the pixels that a box touches."""
    (left, top), (right, bottom) = np.floor(box_xyxy[:2]).astype(int), np.ceil(box_xyxy[2:]).astype(int)
    mask = np.zeros(shape_hw, np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def to_box_array(boxes: Sequence[Sequence[float] | Floats]) -> Floats:
    """Returns (N, 4) boxes of a list that may be empty."""
    return np.array(boxes, np.float64).reshape(-1, 4)
