"""Training and validation crops out of annotated images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from rsgnet.annotations.people import AnnotatedImage, Annotations, Person
from rsgnet.annotations.readers import read_annotations
from rsgnet.config import PoseConfig
from rsgnet.data.augment import jitter_colour, quick_warp, training_affine
from rsgnet.data.batches import Draw, ImageCache, TensorRecord
from rsgnet.data.paste import CropCrowds, CropPeople, map_boxes
from rsgnet.data.teacher import Teacher, TeacherHeatmaps, compute_teacher_heatmaps
from rsgnet.errors import AnnotationError
from rsgnet.geometry import Floats, apply_affine, compose_affine, crop_affine, crop_region, xywh_to_xyxy
from rsgnet.heatmaps import heatmap_affine
from rsgnet.images import RGBImage
from rsgnet.skeletons import Skeleton, get_skeleton


@dataclass(frozen=True)
class DataSource:
    """A data set to train on or to validate with.

    Attributes:
        annotations: The annotation file.
        images: The folder that its file names are relative to.
        weight: How often each of its people is drawn, relative to the other sources.
        everyone_labelled: Whether people that it does not label are absent; where not, crops teach no background to the
            candidate heatmaps.
    """

    annotations: Path
    images: Path
    weight: float = 1.0
    everyone_labelled: bool = True


@dataclass(frozen=True)
class Sample(TensorRecord):
    """One crop, or a batch of them with a leading dimension B.

    Attributes:
        crop: (H, W, 3) RGB, 0..255.
        keypoints_xy: (P, K, 2) in heatmap pixels; person 0 is the box's own, the rest stand in the crop as well.
        labelled: (P, K) whether each keypoint is labelled; false for people that pad the list.
        background: (K, h, w) where each candidate heatmap may be taught that nobody has that keypoint.
        box_area: () area of the box's person in squared heatmap pixels, which sets the OKS scale.
        teacher_heatmaps: (K, h, w) a teacher's, NaN where it says nothing; (0,) without a teacher.
    """

    crop: UInt8[Tensor, "*batch height width 3"]
    keypoints_xy: Float[Tensor, "*batch people keypoints 2"]
    labelled: Bool[Tensor, "*batch people keypoints"]
    background: Bool[Tensor, "*batch keypoints h w"]
    box_area: Float[Tensor, "*batch"]
    teacher_heatmaps: Float[Tensor, "*batch _"] | Float[Tensor, "*batch keypoints h w"] = field(
        default_factory=lambda: torch.zeros(0)
    )


class _Entry(NamedTuple):
    source: int
    image: AnnotatedImage
    person: Person


class PoseDataset(Dataset[Sample]):
    """Every labelled person of some data sets, as crops.

    Args:
        sources: The data sets; their skeletons may differ, each keypoint is matched by name.
        config: Crop, skeleton, augmentation and limits.
        augmented: Whether crops are changed at random, for training.

    Raises:
        AnnotationError: A file is broken, there is nobody to train on, or nobody to paste where that is asked for.
    """

    def __init__(self, sources: Sequence[DataSource], config: PoseConfig, augmented: bool) -> None:
        self.sources = tuple(sources)
        self.config = config
        self.augmented = augmented
        self.skeleton: Skeleton = get_skeleton(config.model.skeleton)
        annotations = [read_annotations(source.annotations, self.skeleton) for source in self.sources]
        self._index = [self.skeleton.indices_in(each.skeleton) for each in annotations]
        self.entries = [
            _Entry(source, image, person)
            for source, each in enumerate(annotations)
            for image, person in _trainable(each, max(config.training.min_keypoints, 1))
        ]
        if not self.entries:
            names = ", ".join(str(source.annotations) for source in self.sources)
            raise AnnotationError(f"{names}: nobody has {config.training.min_keypoints} labelled keypoints or more")
        self._images = ImageCache()
        self._teacher: TeacherHeatmaps | None = None
        self._crowds = None
        if augmented and config.training.augment.paste > 0:
            places = [(source.annotations, source.images) for source in self.sources]
            self._crowds = CropCrowds(places, self.skeleton, config.training)

    def learn_from(self, teacher: Teacher, folder: Path) -> None:
        """Adds a teacher's heatmaps to every crop.

        Args:
            teacher: The network; it looks at everyone unless the folder holds what it saw.
            folder: Where what it sees is kept.
        """
        people = [(entry.person.box_xywh, partial(self._read, entry)) for entry in self.entries]
        network = teacher.open()
        path = compute_teacher_heatmaps(teacher, network, people, folder)
        self._teacher = TeacherHeatmaps(path, network.config, max(teacher.paddings), self.config)

    def _read(self, entry: _Entry) -> RGBImage:
        return self._images.read(self.sources[entry.source].images / entry.image.file_name)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def weights(self) -> Floats:
        """(N,) how often each person is drawn, relative to the others."""
        return np.array([self.sources[entry.source].weight for entry in self.entries])

    def __getitem__(self, draw: Draw | int) -> Sample:
        """The crop of one person; a bare index stands for a seed of 0."""
        index, seed = draw if isinstance(draw, tuple) else (draw, 0)
        entry = self.entries[index]
        random = np.random.default_rng((self.config.training.seed, seed, index))
        in_image = self._people(entry)
        own = in_image.keypoints[0]
        affine, flip = self._affine(entry, own, random)
        crop = quick_warp(self._read(entry), affine, self.config.crop.size_wh)
        people = _move_people(in_image, affine, self.skeleton if flip else None)
        if self._crowds:
            crop, people = self._crowds.add_people(crop, people, entry, own, affine, random)
        to_heatmap = heatmap_affine(self.config.crop.stride, self.config.crop.pixel_centre)
        to_map = compose_affine(to_heatmap, affine)
        if self.augmented:
            crop = jitter_colour(crop, self.config.training.augment.colour, random)
        keypoints = np.zeros((self.config.training.max_people, len(self.skeleton), 3))
        keypoints[: len(people.keypoints)] = people.keypoints[: len(keypoints)]
        shrink = abs(np.linalg.det(to_map[:, :2]))
        return Sample(
            crop=torch.from_numpy(crop.copy()),
            keypoints_xy=torch.from_numpy(apply_affine(to_heatmap, keypoints[..., :2]).astype(np.float32)),
            labelled=torch.from_numpy(keypoints[..., 2] > 0),
            background=torch.from_numpy(self._background(entry, people)),
            box_area=torch.tensor(max(entry.person.area, 1.0) * shrink, dtype=torch.float32),
            teacher_heatmaps=(
                self._teacher.crop(index, entry.person.box_xywh, affine, flip) if self._teacher else torch.zeros(0)
            ),
        )

    def _affine(self, entry: _Entry, keypoints: Floats, random: np.random.Generator) -> tuple[Floats, bool]:
        crop = self.config.crop
        if self.augmented:
            augment = self.config.training.augment
            return training_affine(entry.person.box_xywh, keypoints, self.skeleton, crop, augment, random)
        centre, region = crop_region(entry.person.box_xywh, crop.size_wh, crop.padding)
        return crop_affine(centre, region, crop.size_wh, pixel_centre=crop.pixel_centre), False

    def _people(self, entry: _Entry) -> CropPeople:
        """Everyone in the image, in its pixels: the box's person first, then the labelled others, nearest first."""
        middle = _middle(entry.person)
        others = [each for each in entry.image.people if each is not entry.person]
        others.sort(key=lambda each: (not each.num_labelled, float(np.square(_middle(each) - middle).sum())))
        everyone = (entry.person, *others)
        index = self._index[entry.source]
        keypoints = np.stack([person.keypoints[index] for person in everyone])
        boxes = xywh_to_xyxy([person.box_xywh for person in everyone])
        return CropPeople(np.where(index[:, None] >= 0, keypoints, 0.0), boxes)

    def _background(self, entry: _Entry, people: CropPeople) -> NDArray[np.bool_]:
        """(K, h, w) where nobody has that keypoint: not where somebody stands for whom it is not labelled.

        A keypoint that the whole data set lacks has no background. People beyond `max_people` count as unlabelled.
        """
        crop, shape = self.config.crop, (len(self.skeleton), *self.config.crop.heatmap_shape_hw)
        if not self.sources[entry.source].everyone_labelled:
            return np.zeros(shape, np.bool_)
        background = np.ones(shape, np.bool_)
        background[self._index[entry.source] < 0] = False
        boxes = map_boxes(people.boxes_xyxy, heatmap_affine(crop.stride, crop.pixel_centre))
        low, high = np.floor(boxes[:, :2]).clip(0).astype(int), np.ceil(boxes[:, 2:] + 1).clip(0).astype(int)
        for person, (left, top), (right, bottom) in zip(range(len(boxes)), low, high, strict=True):
            labelled = (people.keypoints[person, :, 2] > 0) & (person < self.config.training.max_people)
            background[~labelled, top:bottom, left:right] = False
        return background


def _move_people(people: CropPeople, affine: Floats, mirrored: Skeleton | None) -> CropPeople:
    """People through an affine map, whose left and right keypoints are swapped if it mirrors them."""
    places = np.concatenate([apply_affine(affine, people.keypoints[..., :2]), people.keypoints[..., 2:]], axis=-1)
    if mirrored is not None:
        places = places[:, mirrored.flip_indices]
    return CropPeople(places, map_boxes(people.boxes_xyxy, affine))


def _trainable(annotations: Annotations, at_least: int) -> Iterator[tuple[AnnotatedImage, Person]]:
    for image in annotations.images:
        for person in image.people:
            if not person.is_crowd and person.num_labelled >= at_least and (person.box_xywh[2:] > 1).all():
                yield image, person


def _middle(person: Person) -> Floats:
    middle: Floats = person.box_xywh[:2] + person.box_xywh[2:] / 2
    return middle
