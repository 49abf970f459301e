"""Images with people's boxes, for training the detector."""

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
from rsgnet.data.mosaic import KEPT_SHARE, BoxedImage, as_boxes, four_in_one, with_people
from rsgnet.errors import AnnotationError
from rsgnet.geometry import Floats, apply_affine, compose_affine, crop_affine, flip_affine, xywh_to_xyxy
from rsgnet.images import CANVAS_GREY, warp
from rsgnet.skeletons import COCO17

_MAX_BOXES = 64


@dataclass(frozen=True)
class DetectionSample(TensorRecord):
    """One image, or a batch of them with a leading dimension B.

    Attributes:
        image: (H, W, 3) RGB, 0..255.
        boxes_xyxy: (M, 4) people's boxes in input pixels; NaN pads the list.
        ignored_xyxy: (M, 4) boxes of groups and of people mostly out of view; NaN pads the list.
    """

    image: UInt8[Tensor, "*batch height width 3"]
    boxes_xyxy: Float[Tensor, "*batch boxes 4"]
    ignored_xyxy: Float[Tensor, "*batch boxes 4"]


class DetectionDataset(Dataset[DetectionSample]):
    """The images of some data sets with everyone's box, whether keypoints are labelled or not.

    Args:
        sources: The data sets; those that do not label everyone are refused.
        config: Input size and augmentation. Where it gives no input size images keep their own.
        augmented: Whether images are scaled, shifted, mirrored and recoloured at random, for training; those that
            keep their size are mirrored and recoloured. Either may have people pasted into them.

    Raises:
        AnnotationError: A file is broken, holds nobody, or does not label everyone; or nobody can be pasted where that
            is asked for.
    """

    def __init__(self, sources: Sequence[DataSource], config: AnyDetectorConfig, augmented: bool) -> None:
        self.config = config
        self.augmented = augmented
        self.entries: list[tuple[DataSource, AnnotatedImage]] = []
        for source in sources:
            if not source.everyone_labelled:
                raise AnnotationError(f"{source.annotations}: a detector cannot learn where not everyone has a box")
            self.entries += [(source, image) for image in read_annotations(source.annotations).images]
        if not self.entries:
            raise AnnotationError("no images to train a detector on")
        self._shares = self.weights / self.weights.sum()
        self._images = ImageCache()
        self._library = None
        if augmented and config.training.augment.paste > 0:
            places = [(source.annotations, source.images) for source in sources]
            self._library = PeopleLibrary(places, COCO17)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def weights(self) -> Floats:
        """(N,) how often each image is drawn, relative to the others."""
        return np.array([source.weight for source, _ in self.entries])

    def __getitem__(self, draw: Draw | int) -> DetectionSample:
        """One image with its boxes; a bare index stands for a seed of 0."""
        index, seed = draw if isinstance(draw, tuple) else (draw, 0)
        random = np.random.default_rng((self.config.training.seed, seed, index))
        augment = self.config.training.augment
        size_wh = self.config.size_wh if isinstance(self.config, DetectorConfig) else None
        if self.augmented and size_wh and random.random() < augment.mosaic:
            boxed = self._mosaic(index, size_wh, random)
        else:
            boxed = self._view(index, size_wh, random)
        if self._library and random.random() < augment.paste:
            boxed = with_people(boxed, self._library, random)
        image = jitter_colour(boxed.image, augment.colour, random) if self.augmented else boxed.image
        return DetectionSample(torch.from_numpy(image.copy()), _padded(boxed.wanted), _padded(boxed.ignored))

    def _mosaic(self, index: int, size_wh: tuple[int, int], random: np.random.Generator) -> BoxedImage:
        """That image and three others, drawn as often as any, in one."""
        chosen = iter(random.permutation([index, *random.choice(len(self), 3, p=self._shares)]))
        return four_in_one(lambda part_wh: self._view(int(next(chosen)), part_wh, random, filled=True), size_wh, random)

    def _view(
        self, index: int, size_wh: tuple[int, int] | None, random: np.random.Generator, filled: bool = False
    ) -> BoxedImage:
        """An image in that size, its own where None, its boxes cut to the view."""
        source, annotated = self.entries[index]
        whole = self._images.read(source.images / annotated.file_name)
        image_wh = whole.shape[1], whole.shape[0]  # labels may say otherwise, or nothing
        size_wh = size_wh or image_wh
        affine = self._affine(image_wh, size_wh, random, filled)
        wanted: list[Floats] = []
        ignored: list[Floats] = []
        for person in annotated.people:
            box, in_view = _box_in_view(person.box_xywh, affine, size_wh)
            if in_view > 0:
                (ignored if person.is_crowd or in_view < KEPT_SHARE else wanted).append(box)
        return BoxedImage(warp(whole, affine, size_wh, fill=CANVAS_GREY), as_boxes(wanted), as_boxes(ignored))

    def _affine(
        self, image_wh: tuple[int, int], size_wh: tuple[int, int], random: np.random.Generator, filled: bool
    ) -> Floats:
        augment = self.config.training.augment
        sides = image_wh[0] / size_wh[0], image_wh[1] / size_wh[1]
        fit = min(sides) if filled else max(sides)  # image pixels per input pixel
        region = np.array(size_wh) * fit
        centre = region / 2
        if self.augmented and isinstance(self.config, DetectorConfig):
            region = region * np.exp(random.uniform(-augment.scale, augment.scale))
            centre = np.array(image_wh) / 2 + random.uniform(-0.5, 0.5, 2) * np.abs(np.array(image_wh) - region)
        affine = crop_affine(centre, region, size_wh, pixel_centre=0.5)
        mirrored = self.augmented and random.random() < augment.flip
        return compose_affine(flip_affine(size_wh[0]), affine) if mirrored else affine


def _box_in_view(box_xywh: Floats, affine: Floats, size_wh: tuple[int, int]) -> tuple[Floats, float]:
    """(4,) a box in input pixels, cut to the view, and the share of it that is in view."""
    # Box edges lie between pixels, at index - 0.5.
    corners = apply_affine(affine, xywh_to_xyxy(box_xywh).reshape(2, 2) - 0.5) + 0.5
    low, high = corners.min(0), corners.max(0)
    seen_low, seen_high = low.clip(0, size_wh), high.clip(0, size_wh)
    area = max(float((high - low).prod()), 1e-9)
    return np.concatenate([seen_low, seen_high]), float((seen_high - seen_low).prod()) / area


def _padded(boxes: Floats) -> Tensor:
    padded = torch.full((_MAX_BOXES, 4), torch.nan)
    padded[: len(boxes)] = torch.from_numpy(boxes[:_MAX_BOXES])
    return padded
