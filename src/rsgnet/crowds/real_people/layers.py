"""People as layers of an image, each before those who stand farther away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from rsgnet.crowds.real_people.blending import as_opacity, composite, measure_light, relit
from rsgnet.crowds.real_people.cutouts import CutOut
from rsgnet.crowds.scenes import PersonTruth
from rsgnet.geometry import Floats, apply_affine
from rsgnet.images import RGBImage, warp
from rsgnet.skeletons import Skeleton

_SHADE = 0.5  # how much darker the ground is under somebody


@dataclass(frozen=True, eq=False)
class Layer:
    """Somebody in an image.

    Attributes:
        keypoints: (K, 3) in image pixels, visibility as if nobody stood before them.
        box_xyxy: (4,) about all of them that lies in the image, hidden or not; edges between pixels.
        ground_y: Row where they stand, or would: the larger, the nearer.
        stature_px: How tall they would stand.
        cut: What is laid over the image; None for who is in the photo already.
        affine: (2, 3) from the cut-out's pixels to the image's.
        opacity: (H, W) 0..255 of who is in the photo already; None for a cut-out.
    """

    keypoints: Floats
    box_xyxy: Floats
    ground_y: float
    stature_px: float
    cut: CutOut | None
    affine: Floats
    opacity: NDArray[np.uint8] | None

    @property
    def in_photo(self) -> bool:
        """Whether the person was in the photo before anybody was laid over it."""
        return self.cut is None

    def window(self) -> tuple[slice, slice]:
        """The rows and columns of the image that the layer covers."""
        left, top, right, bottom = self.box_xyxy.astype(int)
        return slice(top, bottom), slice(left, right)

    @cached_property
    def rgba(self) -> NDArray[np.uint8]:
        """(h, w, 4) the layer in its window; black where the photo itself is shown."""
        if self.opacity is not None:
            opacity = self.opacity[self.window()]
            return np.dstack([np.zeros((*opacity.shape, 3), np.uint8), opacity])
        assert self.cut is not None
        size = (self.box_xyxy[2:] - self.box_xyxy[:2]).astype(int)
        shifted = self.affine - np.array([[0, 0, self.box_xyxy[0]], [0, 0, self.box_xyxy[1]]])
        return warp(self.cut.rgba, shifted, (int(size[0]), int(size[1])))

    @cached_property
    def pixels(self) -> NDArray[np.bool_]:
        """(h, w) where the layer is seen in its window, if nobody is before it."""
        pixels: NDArray[np.bool_] = self.rgba[..., 3] > 127
        return pixels


def cut_layer(cut: CutOut, affine: Floats, ground_y: float, skeleton: Skeleton, size_wh: tuple[int, int]) -> Layer:
    """The layer of a cut-out laid into an image of that size."""
    height, width = cut.rgba.shape[:2]
    corners = apply_affine(affine, np.array([[0, 0], [width, 0], [0, height], [width, height]]) - 0.5) + 0.5
    low, high = np.floor(corners.min(0)).clip(0, size_wh), np.ceil(corners.max(0)).clip(0, size_wh)
    keypoints = np.column_stack([apply_affine(affine, cut.keypoints[:, :2]), cut.keypoints[:, 2]])
    if np.linalg.det(affine[:, :2]) < 0:
        keypoints = keypoints[skeleton.flip_indices]
    scale = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    return Layer(keypoints, np.concatenate([low, high]), ground_y, cut.stature_px * scale, cut, affine, None)


def owners_of(layers: Sequence[Layer], size_wh: tuple[int, int]) -> NDArray[np.int32]:
    """(H, W) the number, from 1, of whom one sees at each pixel; layers come nearest first."""
    owners: NDArray[np.int32] = np.zeros(size_wh[::-1], np.int32)
    for number, layer in reversed(list(enumerate(layers, 1))):
        owners[layer.window()][layer.pixels] = number
    return owners


def paint(photo: RGBImage, layers: Sequence[Layer]) -> RGBImage:
    """The photo with everyone in it; layers come nearest first."""
    image = photo.astype(np.float32)
    for layer in reversed(layers):
        window = layer.window()
        colours = photo[window].astype(np.float32)
        if layer.cut is not None:
            if layer.cut.whole:
                _cast_shadow(image, layer)
            light = measure_light(_surroundings(photo, layer))
            colours = relit(layer.rgba[..., :3].astype(np.float32), layer.cut.light, light)
        image[window] = composite(image[window], colours, as_opacity(layer.rgba[..., 3]))
    painted: RGBImage = image.round().astype(np.uint8)
    return painted


def truths_of(layers: Sequence[Layer], owners: NDArray[np.int32]) -> list[PersonTruth]:
    """Who is hidden where and by whom; layers come nearest first, (H, W) owners as numbered by `owners_of`."""
    return [_truth(layers, number, owners) for number in range(1, len(layers) + 1)]


def _truth(layers: Sequence[Layer], number: int, owners: NDArray[np.int32]) -> PersonTruth:
    layer = layers[number - 1]
    keypoints, hidden_by = np.zeros_like(layer.keypoints), np.zeros(len(layer.keypoints), np.int64)
    for row, (x, y, visibility) in enumerate(layer.keypoints):
        if not visibility or not (-0.5 <= x < owners.shape[1] - 0.5 and -0.5 <= y < owners.shape[0] - 0.5):
            continue
        seen = int(owners[round(y), round(x)])
        if 0 < seen < number and not (layer.in_photo and layers[seen - 1].in_photo):
            visibility, hidden_by[row] = 1, seen  # noqa: PLW2901
        elif visibility == 1:  # as labelled: by the body itself, or in the photo by whom or what stood there
            hidden_by[row] = seen if layer.in_photo else number
        keypoints[row] = x, y, visibility
    return PersonTruth(keypoints, hidden_by)


def _surroundings(photo: RGBImage, layer: Layer) -> RGBImage:
    left, top, right, bottom = layer.box_xyxy.astype(int)
    around = max(right - left, bottom - top) // 2
    return photo[max(top - around, 0) : bottom + around, max(left - around, 0) : right + around]


def _cast_shadow(image: NDArray[np.float32], layer: Layer) -> None:
    """Darkens the ground under somebody's feet."""
    left, _, right, _ = layer.box_xyxy
    tall, width = layer.stature_px, min(right - left, 0.45 * layer.stature_px)
    mask = Image.new("L", (image.shape[1], image.shape[0]))
    middle = (left + right) / 2
    ellipse = (middle - width / 2, layer.ground_y - 0.045 * tall, middle + width / 2, layer.ground_y + 0.03 * tall)
    ImageDraw.Draw(mask).ellipse(ellipse, fill=255)
    soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(0.03 * tall)), np.float32) / 255
    image *= 1 - _SHADE * soft[..., None]
