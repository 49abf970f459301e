"""People as layers of an image, each in front of those who stand farther away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from rsgnet.crowds.real_people.blending import alpha_to_opacity, composite, measure_lighting, relight
from rsgnet.crowds.real_people.cutouts import CutOut
from rsgnet.crowds.scenes import PersonTruth
from rsgnet.geometry import Floats, apply_affine
from rsgnet.images import RGBImage, warp
from rsgnet.skeletons import Skeleton

_SHADOW_STRENGTH = 0.5  # the share by which the ground under a person is darkened


@dataclass(frozen=True, eq=False)
class Layer:
    """A person in an image: in the background image from the start, or a cut-out pasted into it.

    Attributes:
        keypoints: (K, 3) in image pixels, with the visibility they would have if nobody stood in front.
        box_xyxy: (4,) the bounding box of the person's part inside the image, hidden or not; edges between pixels.
        ground_y: Row of the ground on which they stand; persons with a larger one are nearer.
        stature_px: The person's height if they stood upright, in image pixels.
        cutout: The pasted cut-out; None for a person of the background image.
        affine: (2, 3) from the pixels of the cut-out to those of the image.
        opacity: (H, W) 0..255 of a person of the background image; None for a cut-out.
    """

    keypoints: Floats
    box_xyxy: Floats
    ground_y: float
    stature_px: float
    cutout: CutOut | None
    affine: Floats
    opacity: NDArray[np.uint8] | None

    @property
    def is_in_background(self) -> bool:
        """Whether the person belongs to the background image."""
        return self.cutout is None

    def get_window(self) -> tuple[slice, slice]:
        """Returns the rows and columns of the image that the layer covers."""
        left, top, right, bottom = self.box_xyxy.astype(int)
        return slice(top, bottom), slice(left, right)

    @cached_property
    def rgba(self) -> NDArray[np.uint8]:
        """(h, w, 4) the layer in its window; black colours for a person of the background image."""
        if self.opacity is not None:
            opacity = self.opacity[self.get_window()]
            return np.dstack([np.zeros((*opacity.shape, 3), np.uint8), opacity])
        assert self.cutout is not None
        size = (self.box_xyxy[2:] - self.box_xyxy[:2]).astype(int)
        to_window = self.affine - np.array([[0, 0, self.box_xyxy[0]], [0, 0, self.box_xyxy[1]]])
        return warp(self.cutout.rgba, to_window, (int(size[0]), int(size[1])))

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(h, w) the layer's pixels in its window, if nobody stood in front."""
        mask: NDArray[np.bool_] = self.rgba[..., 3] > 127
        return mask


def build_cutout_layer(
    cutout: CutOut, affine: Floats, ground_y: float, skeleton: Skeleton, size_wh: tuple[int, int]
) -> Layer:
    """Builds the layer of a cut-out that an affine map places into an image of that size."""
    height, width = cutout.rgba.shape[:2]
    corners = apply_affine(affine, np.array([[0, 0], [width, 0], [0, height], [width, height]]) - 0.5) + 0.5
    low, high = np.floor(corners.min(0)).clip(0, size_wh), np.ceil(corners.max(0)).clip(0, size_wh)
    keypoints = np.column_stack([apply_affine(affine, cutout.keypoints[:, :2]), cutout.keypoints[:, 2]])
    determinant = np.linalg.det(affine[:, :2])
    if determinant < 0:
        keypoints = keypoints[skeleton.flip_indices]
    stature_px = cutout.stature_px * float(np.sqrt(abs(determinant)))
    return Layer(keypoints, np.concatenate([low, high]), ground_y, stature_px, cutout, affine, None)


def render_owners(layers: Sequence[Layer], size_wh: tuple[int, int]) -> NDArray[np.int32]:
    """Returns (H, W) the number, from 1, of the layer visible at each pixel; layers come nearest first."""
    owners: NDArray[np.int32] = np.zeros(size_wh[::-1], np.int32)
    for number, layer in reversed(list(enumerate(layers, 1))):
        owners[layer.get_window()][layer.mask] = number
    return owners


def render_layers(background: RGBImage, layers: Sequence[Layer]) -> RGBImage:
    """Draws everyone into a background image; layers come nearest first."""
    image = background.astype(np.float32)
    for layer in reversed(layers):
        window = layer.get_window()
        colours = background[window].astype(np.float32)
        if layer.cutout is not None:
            if layer.cutout.is_whole:
                _draw_shadow(image, layer)
            lighting = measure_lighting(_cut_surroundings(background, layer))
            colours = relight(layer.rgba[..., :3].astype(np.float32), layer.cutout.lighting, lighting)
        image[window] = composite(image[window], colours, alpha_to_opacity(layer.rgba[..., 3]))
    rendered: RGBImage = image.round().astype(np.uint8)
    return rendered


def compute_truths(layers: Sequence[Layer], owners: NDArray[np.int32]) -> list[PersonTruth]:
    """Computes the ground truth of everyone; layers come nearest first, `owners` is from `render_owners`."""
    return [_compute_truth(layers, number, owners) for number in range(1, len(layers) + 1)]


def _compute_truth(layers: Sequence[Layer], number: int, owners: NDArray[np.int32]) -> PersonTruth:
    layer = layers[number - 1]
    keypoints, hidden_by = np.zeros_like(layer.keypoints), np.zeros(len(layer.keypoints), np.int64)
    for row, (x, y, labelled_visibility) in enumerate(layer.keypoints):
        in_image = -0.5 <= x < owners.shape[1] - 0.5 and -0.5 <= y < owners.shape[0] - 0.5
        if not labelled_visibility or not in_image:
            continue
        visibility, owner = labelled_visibility, int(owners[round(y), round(x)])
        both_in_background = layer.is_in_background and layers[owner - 1].is_in_background
        if 0 < owner < number and not both_in_background:
            visibility, hidden_by[row] = 1, owner
        elif visibility == 1:  # labelled as hidden: by the person's own body or, in the background, by anyone there
            hidden_by[row] = owner if layer.is_in_background else number
        keypoints[row] = x, y, visibility
    return PersonTruth(keypoints, hidden_by)


def _cut_surroundings(background: RGBImage, layer: Layer) -> RGBImage:
    left, top, right, bottom = layer.box_xyxy.astype(int)
    margin = max(right - left, bottom - top) // 2
    return background[max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin]


def _draw_shadow(image: NDArray[np.float32], layer: Layer) -> None:
    """Darkens the ground under a person's feet, in place."""
    left, _, right, _ = layer.box_xyxy
    height, width = layer.stature_px, min(right - left, 0.45 * layer.stature_px)
    mask = Image.new("L", (image.shape[1], image.shape[0]))
    centre = (left + right) / 2
    ellipse = (centre - width / 2, layer.ground_y - 0.045 * height, centre + width / 2, layer.ground_y + 0.03 * height)
    ImageDraw.Draw(mask).ellipse(ellipse, fill=255)
    soft_mask = np.asarray(mask.filter(ImageFilter.GaussianBlur(0.03 * height)), np.float32) / 255
    image *= 1 - _SHADOW_STRENGTH * soft_mask[..., None]
