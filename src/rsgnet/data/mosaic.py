"""Heavier changes to a detector's training images: people pasted into them, and several images in one.

A detector that sees few images learns them by heart; put together anew, they are never the same twice. The first as
in "Simple Copy-Paste" (Ghiasi et al., CVPR 2021), the second as in YOLOv4 (Bochkovskiy et al., 2020).
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

KEPT_SHARE = 0.35  # a person of whom less than this is in view is neither wanted nor punished
_MOST_PASTED = 5
_BESIDE_SOMEBODY = 0.6  # the share of the pasted who are put beside somebody, to overlap them
_LEAST_HEIGHT, _LARGEST_HEIGHT = 20.0, 220.0  # of the others, input pixels
_LARGEST_ZOOM = 1.5
_MIDDLE = (0.3, 0.7)  # where, as a share of the sides, four images meet


@dataclass(frozen=True, eq=False)
class BoxedImage:
    """An image with people's boxes.

    Attributes:
        image: (H, W, 3) RGB.
        wanted: (N, 4) boxes to find, as xyxy in its pixels, edges between pixels.
        ignored: (M, 4) boxes that are neither wanted nor punished.
    """

    image: RGBImage
    wanted: Floats
    ignored: Floats


def four_in_one(
    view: Callable[[tuple[int, int]], BoxedImage], size_wh: tuple[int, int], random: np.random.Generator
) -> BoxedImage:
    """Four images that meet at a point near the middle.

    Args:
        view: Gives an image of that width and height, another at each call.
        size_wh: Width and height of the whole.
        random: Where the randomness comes from.
    """
    across, down = (round(side * random.uniform(*_MIDDLE)) for side in size_wh)
    whole = np.full((size_wh[1], size_wh[0], 3), CANVAS_GREY, np.uint8)
    wanted, ignored = [], []
    for left, right in ((0, across), (across, size_wh[0])):
        for top, bottom in ((0, down), (down, size_wh[1])):
            part, corner = view((right - left, bottom - top)), np.array([left, top, left, top])
            whole[top:bottom, left:right] = part.image
            wanted.append(part.wanted + corner)
            ignored.append(part.ignored + corner)
    return BoxedImage(whole, np.concatenate(wanted), np.concatenate(ignored))


def with_people(boxed: BoxedImage, library: PeopleLibrary, random: np.random.Generator) -> BoxedImage:
    """An image with one to five people pasted into it, most beside somebody, nearer ones (lower feet) in front.

    Boxes shrink to what is still seen of people; whoever is hardly seen is ignored.

    Args:
        boxed: The image.
        library: Whom to paste.
        random: Where the randomness comes from.
    """
    content = boxed.image.max(-1) > 0
    if not content.any():
        return boxed
    light = measure_lighting(boxed.image[content][None])
    extent = np.array(mask_to_xyxy(content), np.float64)  # all but the padding
    drawn = [library.sample(random) for _ in range(int(random.integers(1, _MOST_PASTED + 1)))]
    placed = [
        (_place(cut, boxed.wanted, extent, random), cut)
        for cut in drawn
        if has_compatible_lighting(cut.lighting, light)
    ]
    return _laid(boxed, light, extent, sorted(placed, key=lambda each: _lower_end(*each)))


def _place(cut: CutOut, boxes: Floats, extent: Floats, random: np.random.Generator) -> Floats:
    """(2, 3) from a cut-out to the image: beside one of (N, 4) boxes or anywhere in the (4,) extent; may mirror."""
    height, width = cut.rgba.shape[:2]
    if len(boxes) and random.random() < _BESIDE_SOMEBODY:
        left, top, right, bottom = boxes[random.integers(len(boxes))]
        tall = (bottom - top) * np.exp(random.normal(0, 0.3))
        middle = (left + right) / 2 + random.uniform(-0.9, 0.9) * (right - left)
        feet = bottom + random.normal(0, 0.1) * (bottom - top)
    else:
        tall = np.exp(random.uniform(*np.log([_LEAST_HEIGHT, _LARGEST_HEIGHT])))
        middle = random.uniform(extent[0], extent[2])
        feet = random.uniform(min(extent[1] + tall, extent[3]), extent[3])
    if not cut.is_whole:
        feet = max(feet, extent[3])  # whom the photo's edge cut off is cut off by this one's
    zoom = min(tall / height, _LARGEST_ZOOM)
    across = -zoom if random.random() < 0.5 else zoom
    # Edges lie between pixels, at index - 0.5.
    return np.array([[across, 0, middle - across * (width - 1) / 2], [0, zoom, feet - 0.5 - zoom * (height - 0.5)]])


def _lower_end(to_image: Floats, cut: CutOut) -> float:
    return float(to_image[1, 1] * cut.rgba.shape[0] + to_image[1, 2])


def _laid(boxed: BoxedImage, light: Lighting, extent: Floats, placed: Sequence[tuple[Floats, CutOut]]) -> BoxedImage:
    size_wh = boxed.image.shape[1], boxed.image.shape[0]
    colours = boxed.image.astype(np.float32)
    sight: Opacity = np.ones(boxed.image.shape[:2], np.float32)
    within = _inside(extent, sight.shape)
    pasted: list[tuple[Opacity, float]] = []  # what is seen of each, and the pixels of all of them
    for to_image, cut in placed:
        rgba = warp(cut.rgba, to_image, size_wh)
        opacity = alpha_to_opacity(rgba[..., 3]) * within
        colours = composite(colours, relight(rgba[..., :3].astype(np.float32), cut.lighting, light), opacity)
        pasted = [(seen * (1 - opacity), whole) for seen, whole in pasted]
        pasted.append((opacity, float(cut.rgba[..., 3].sum()) / 255 * to_image[1, 1] ** 2))
        sight = sight * (1 - opacity)
    wanted: list[Floats] = []
    ignored = [*boxed.ignored]
    people = [(seen >= 0.5, whole, extent) for seen, whole in pasted] + [_still(sight, box) for box in boxed.wanted]
    for mask, whole, bounds in people:
        if mask.any():
            low, high = np.split(np.array(mask_to_xyxy(mask), np.float64), 2)
            box = np.concatenate([np.maximum(low, bounds[:2]), np.minimum(high, bounds[2:])])
            (wanted if mask.sum() >= KEPT_SHARE * whole else ignored).append(box)
    return BoxedImage(colours.round().astype(np.uint8), as_boxes(wanted), as_boxes(ignored))


def _still(sight: Opacity, box_xyxy: Floats) -> tuple[Mask, float, Floats]:
    """Which pixels of a box are still seen, how many they were, and the box."""
    inside = _inside(box_xyxy, sight.shape)
    return inside & (sight >= 0.5), float(inside.sum()), box_xyxy


def _inside(box_xyxy: Floats, shape_hw: tuple[int, ...]) -> Mask:
    (left, top), (right, bottom) = np.floor(box_xyxy[:2]).astype(int), np.ceil(box_xyxy[2:]).astype(int)
    inside = np.zeros(shape_hw, np.bool_)
    inside[top:bottom, left:right] = True
    return inside


def as_boxes(boxes: Sequence[Sequence[float] | Floats]) -> Floats:
    """(N, 4) of a list that may be empty."""
    return np.array(boxes, np.float64).reshape(-1, 4)
