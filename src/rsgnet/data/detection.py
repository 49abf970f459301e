"""Images with people's boxes, for training detectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from rsgnet.annotations.people import AnnotatedImage
from rsgnet.annotations.readers import read_annotations
from rsgnet.config import AnyDetectorConfig, DetectorConfig
from rsgnet.crowds.real_people.cutouts import PeopleLibrary
from rsgnet.data.augment import jitter_colour
from rsgnet.data.batches import Draw, ImageCache, TensorRecord
from rsgnet.data.dataset import DataSource
from rsgnet.data.mosaic import MIN_VISIBLE_SHARE, BoxedImage, make_mosaic, paste_into_image, to_box_array
from rsgnet.data.paste import pasting_as_far_as_possible
from rsgnet.errors import AnnotationError
from rsgnet.geometry import Floats, apply_affine, compose_affine, crop_affine, flip_affine, xywh_to_xyxy
from rsgnet.images import CANVAS_GREY, warp
from rsgnet.skeletons import COCO17

_MAX_BOXES = 64  # of a sample, people and ignored boxes each


@dataclass(frozen=True)
class DetectionSample(TensorRecord):
    """One image, or a batch of them with a leading dimension B.

    Attributes:
        image: (H, W, 3) RGB, 0..255.
        boxes_xyxy: (M, 4) people's boxes in input pixels, padded with NaN.
        ignored_xyxy: (M, 4) boxes of groups and of people mostly out of view, padded with NaN.
    """

    image: UInt8[Tensor, "*batch height width 3"]
    boxes_xyxy: Float[Tensor, "*batch boxes 4"]
    ignored_xyxy: Float[Tensor, "*batch boxes 4"]


class DetectionDataset(Dataset[DetectionSample]):
    """The images of some data sets with everyone's box, with or without labelled keypoints.

    Args:
        sources: The data sets, which must label everyone.
        config: Input size and augmentation. Images for Faster R-CNN keep their size.
        augmented: Whether images are augmented, as for training: scaled and shifted (only for RTMDet), mirrored,
            recoloured, joined to mosaics (only for RTMDet), and people pasted into them.

    Raises:
        AnnotationError: A file is broken, there are no images, or a data set does not label everyone; or people are to
            be pasted and none can be cut out.
    """

    def __init__(self, sources: Sequence[DataSource], config: AnyDetectorConfig, augmented: bool) -> None:
        self.config = config
        self.augmented = augmented
        self.entries: list[tuple[DataSource, AnnotatedImage]] = []
        for source in sources:
            if not source.everyone_labelled:
                raise AnnotationError(
                    f"{source.annotations}: a detector cannot learn from images in which not everyone has a box; "
                    "leave out ,partial if everyone has one"
                )
            self.entries += [(source, image) for image in read_annotations(source.annotations).images]
        if not self.entries:
            raise AnnotationError("no images to train a detector on")
        self._shares = self.weights / self.weights.sum()
        self._images = ImageCache()
        self._library: PeopleLibrary | None = None
        if augmented and config.training.augment.paste > 0:
            files = [(source.annotations, source.images) for source in sources]
            with pasting_as_far_as_possible():
                self._library = PeopleLibrary(files, COCO17)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def weights(self) -> Floats:
        """(N,) how often each image is drawn relative to the others."""
        return np.array([source.weight for source, _ in self.entries])

    def __getitem__(self, draw: Draw | int) -> DetectionSample:
        """Returns one image with its boxes; an index without a seed has the seed 0."""
        index, seed = draw if isinstance(draw, tuple) else (draw, 0)
        random = np.random.default_rng((self.config.training.seed, seed, index))
        augment = self.config.training.augment
        size_wh = self.config.size_wh if isinstance(self.config, DetectorConfig) else None
        if self.augmented and size_wh and random.random() < augment.mosaic:
            boxed = self._mosaic(index, size_wh, random)
        else:
            boxed = self._read_view(index, size_wh, random)
        if self._library and random.random() < augment.paste:
            boxed = paste_into_image(boxed, self._library, random)
        image = jitter_colour(boxed.image, augment.colour, random) if self.augmented else boxed.image
        return DetectionSample(torch.from_numpy(image.copy()), _pad(boxed.people), _pad(boxed.ignored))

    def _mosaic(self, index: int, size_wh: tuple[int, int], random: np.random.Generator) -> BoxedImage:
        """Returns a mosaic of an image and three others."""
        indices = iter(random.permutation([index, *random.choice(len(self), 3, p=self._shares)]))

        def read_next(tile_wh: tuple[int, int]) -> BoxedImage:
            return self._read_view(int(next(indices)), tile_wh, random, is_filled=True)

        return make_mosaic(read_next, size_wh, random)

    def _read_view(
        self, index: int, size_wh: tuple[int, int] | None, random: np.random.Generator, is_filled: bool = False
    ) -> BoxedImage:
        """Reads an image and its boxes and warps both into a view.

        Args:
            index: Index of the image.
            size_wh: Width and height of the view; None for those of the image.
            random: The random generator.
            is_filled: Whether the image fills the view and is cut off, or fits into the view and is padded.
        """
        source, annotated = self.entries[index]
        image = self._images.read(source.images / annotated.file_name)
        image_wh = image.shape[1], image.shape[0]  # not from the labels, which may have another size or none
        size_wh = size_wh or image_wh
        affine = self._draw_affine(image_wh, size_wh, random, is_filled)
        people: list[Floats] = []
        ignored: list[Floats] = []
        for person in annotated.people:
            box, share = _clip_box(person.box_xywh, affine, size_wh)
            if share > 0:
                (ignored if person.is_crowd or share < MIN_VISIBLE_SHARE else people).append(box)
        return BoxedImage(warp(image, affine, size_wh, fill=CANVAS_GREY), to_box_array(people), to_box_array(ignored))

    def _draw_affine(
        self, image_wh: tuple[int, int], size_wh: tuple[int, int], random: np.random.Generator, is_filled: bool
    ) -> Floats:
        """Returns the (2, 3) affine map from image to view pixels."""
        augment = self.config.training.augment
        sides = image_wh[0] / size_wh[0], image_wh[1] / size_wh[1]
        scale = min(sides) if is_filled else max(sides)  # image pixels per input pixel
        region = np.array(size_wh) * scale
        centre = region / 2
        if self.augmented and isinstance(self.config, DetectorConfig):
            region = region * np.exp(random.uniform(-augment.scale, augment.scale))
            centre = np.array(image_wh) / 2 + random.uniform(-0.5, 0.5, 2) * np.abs(np.array(image_wh) - region)
        affine = crop_affine(centre, region, size_wh, pixel_centre=0.5)
        is_mirrored = self.augmented and random.random() < augment.flip
        return compose_affine(flip_affine(size_wh[0]), affine) if is_mirrored else affine


def _clip_box(box_xywh: Floats, affine: Floats, size_wh: tuple[int, int]) -> tuple[Floats, float]:
    """Returns the (4,) xyxy box in view pixels, clipped to the view, and the share of its area in the view."""
    # Box edges lie between pixels, at index - 0.5.
    corners = apply_affine(affine, xywh_to_xyxy(box_xywh).reshape(2, 2) - 0.5) + 0.5
    low, high = corners.min(0), corners.max(0)
    clipped_low, clipped_high = low.clip(0, size_wh), high.clip(0, size_wh)
    area = max(float((high - low).prod()), 1e-9)
    return np.concatenate([clipped_low, clipped_high]), float((clipped_high - clipped_low).prod()) / area


def _pad(boxes: Floats) -> Tensor:
    """Returns (_MAX_BOXES, 4) boxes; NaN stands for no box."""
    padded = torch.full((_MAX_BOXES, 4), torch.nan)
    padded[: len(boxes)] = torch.from_numpy(boxes[:_MAX_BOXES])
    return padded
