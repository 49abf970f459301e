"""Pictures with people's boxes, for training the detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from rsgnet.data.annotations import AnnotatedPicture, read_annotations
from rsgnet.data.augment import jitter_colour
from rsgnet.data.batches import Draw, PictureCache, TensorRecord
from rsgnet.data.dataset import DataSource
from rsgnet.detector_config import AnyDetectorConfig, DetectorConfig
from rsgnet.errors import AnnotationError
from rsgnet.geometry import Floats, apply_affine, compose_affine, crop_affine, flip_affine, xywh_to_xyxy
from rsgnet.pictures import warp

_MAX_BOXES = 64
_KEPT_SHARE = 0.35  # a person of whom less than this is in view is neither wanted nor punished


@dataclass(frozen=True)
class DetectionSample(TensorRecord):
    """One picture, or a batch of them with a leading dimension B.

    Attributes:
        picture: (H, W, 3) RGB, 0..255.
        boxes_xyxy: (M, 4) people's boxes in input pixels; NaN pads the list.
        ignored_xyxy: (M, 4) boxes of groups and of people mostly out of view; NaN pads the list.
    """

    picture: UInt8[Tensor, "*batch height width 3"]
    boxes_xyxy: Float[Tensor, "*batch boxes 4"]
    ignored_xyxy: Float[Tensor, "*batch boxes 4"]


class DetectionDataset(Dataset[DetectionSample]):
    """The pictures of some data sets with everyone's box, whether keypoints are labelled or not.

    Args:
        sources: The data sets; those that do not label everyone are refused.
        config: Input size and augmentation. Where it gives no input size pictures keep their own.
        augmented: Whether pictures are scaled, shifted, mirrored and recoloured at random, for training; those that
            keep their size are mirrored and recoloured.

    Raises:
        AnnotationError: A file is broken, holds nobody, or does not label everyone.
    """

    def __init__(self, sources: Sequence[DataSource], config: AnyDetectorConfig, augmented: bool) -> None:
        self.config = config
        self.augmented = augmented
        self.entries: list[tuple[DataSource, AnnotatedPicture]] = []
        for source in sources:
            if not source.everyone_labelled:
                raise AnnotationError(f"{source.annotations}: a detector cannot learn where not everyone has a box")
            self.entries += [(source, picture) for picture in read_annotations(source.annotations).pictures]
        if not self.entries:
            raise AnnotationError("no pictures to train a detector on")
        self._pictures = PictureCache()

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def weights(self) -> Floats:
        """(N,) how often each picture is drawn, relative to the others."""
        return np.array([source.weight for source, _ in self.entries])

    def __getitem__(self, draw: Draw | int) -> DetectionSample:
        """One picture with its boxes; a bare index stands for a seed of 0."""
        index, seed = draw if isinstance(draw, tuple) else (draw, 0)
        source, annotated = self.entries[index]
        random = np.random.default_rng((self.config.training.seed, seed, index))
        whole = self._pictures.read(source.pictures / annotated.file_name)
        picture_wh = whole.shape[1], whole.shape[0]  # labels may say otherwise, or nothing
        size_wh = self.config.size_wh if isinstance(self.config, DetectorConfig) else picture_wh
        affine = self._affine(picture_wh, size_wh, random)
        picture = warp(whole, affine, size_wh)
        if self.augmented:
            picture = jitter_colour(picture, self.config.training.augment.colour, random)
        wanted: list[Floats] = []
        ignored: list[Floats] = []
        for person in annotated.people:
            box, in_view = _box_in_view(person.box_xywh, affine, size_wh)
            (ignored if person.is_crowd or in_view < _KEPT_SHARE else wanted).append(box)
        return DetectionSample(torch.from_numpy(picture.copy()), _padded(wanted), _padded(ignored))

    def _affine(self, picture_wh: tuple[int, int], size_wh: tuple[int, int], random: np.random.Generator) -> Floats:
        augment = self.config.training.augment
        fit = max(picture_wh[0] / size_wh[0], picture_wh[1] / size_wh[1])  # picture pixels per input pixel
        region = np.array(size_wh) * fit
        centre = region / 2
        if self.augmented and isinstance(self.config, DetectorConfig):
            region = region * np.exp(random.uniform(-augment.scale, augment.scale))
            centre = np.array(picture_wh) / 2 + random.uniform(-0.5, 0.5, 2) * np.abs(np.array(picture_wh) - region)
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


def _padded(boxes: list[Floats]) -> Tensor:
    padded = torch.full((_MAX_BOXES, 4), torch.nan)
    for row, box in enumerate(boxes[:_MAX_BOXES]):
        padded[row] = torch.from_numpy(box)
    return padded
