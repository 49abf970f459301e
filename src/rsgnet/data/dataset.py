"""Training and validation crops from annotated images."""

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
from rsgnet.data.augment import fast_warp, jitter_colour, training_affine
from rsgnet.data.batches import Draw, ImageCache, TensorRecord
from rsgnet.data.paste import CropCrowds, CropPeople, map_boxes, pasting_as_far_as_possible
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
        images: The folder to which its file names are relative.
        weight: How often each of its people is drawn, relative to other sources.
        everyone_labelled: Whether everyone in the images is labelled. If not, the candidate heatmaps of its crops are
            not trained on the background.
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
        keypoints_xy: (P, K, 2) in heatmap pixels. Person 0 is the target, the box's person; the others follow.
        labelled: (P, K) whether each keypoint is labelled; False for people who pad the list.
        background: (K, h, w) True where pixels without labels show nobody's keypoint of that kind, so that its
            candidate heatmap is trained there.
        box_area: () area of the target in squared heatmap pixels, for the scale of the OKS.
        teacher_heatmaps: (K, h, w) heatmaps of a teacher, NaN where they are unknown; (0,) without a teacher.
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
    """A person to cut crops of: index of the source, image and person."""

    source: int
    image: AnnotatedImage
    person: Person


class PoseDataset(Dataset[Sample]):
    """Crops of all labelled people of some data sets.

    Args:
        sources: The data sets. Their skeletons may differ; keypoints are matched by name.
        config: Crop, skeleton and augmentation.
        augmented: Whether crops are augmented, as for training.

    Raises:
        AnnotationError: A file is broken, nobody has enough labelled keypoints, or people are to be pasted and none
            can be cut out.
    """

    def __init__(self, sources: Sequence[DataSource], config: PoseConfig, augmented: bool) -> None:
        self.sources = tuple(sources)
        self.config = config
        self.augmented = augmented
        self.skeleton: Skeleton = get_skeleton(config.model.skeleton)
        data_sets = [read_annotations(source.annotations, self.skeleton) for source in self.sources]
        self._indices = [self.skeleton.indices_in(annotations.skeleton) for annotations in data_sets]
        self.entries = [
            _Entry(source, image, person)
            for source, annotations in enumerate(data_sets)
            for image, person in _select_people(annotations, max(config.training.min_keypoints, 1))
        ]
        if not self.entries:
            names = ", ".join(str(source.annotations) for source in self.sources)
            raise AnnotationError(f"{names}: nobody has {config.training.min_keypoints} labelled keypoints or more")
        self._images = ImageCache()
        self._teacher: TeacherHeatmaps | None = None
        self._crowds: CropCrowds | None = None
        if augmented and config.training.augment.paste > 0:
            files = [(source.annotations, source.images) for source in self.sources]
            with pasting_as_far_as_possible():
                self._crowds = CropCrowds(files, self.skeleton, config.training)

    def add_teacher_heatmaps(self, teacher: Teacher, folder: Path) -> None:
        """Adds a teacher's heatmaps to every crop.

        Args:
            teacher: The teacher.
            folder: The folder in which its heatmaps are stored; they are computed if they are not there already.
        """
        people = [(entry.person.box_xywh, partial(self._read_image, entry)) for entry in self.entries]
        network = teacher.open()
        path = compute_teacher_heatmaps(teacher, network, people, folder)
        self._teacher = TeacherHeatmaps(path, network.config, max(teacher.paddings), self.config)

    def _read_image(self, entry: _Entry) -> RGBImage:
        return self._images.read(self.sources[entry.source].images / entry.image.file_name)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def weights(self) -> Floats:
        """(N,) how often each person is drawn relative to the others."""
        return np.array([self.sources[entry.source].weight for entry in self.entries])

    def __getitem__(self, draw: Draw | int) -> Sample:
        """Returns the crop of one person; an index without a seed has the seed 0."""
        index, seed = draw if isinstance(draw, tuple) else (draw, 0)
        entry = self.entries[index]
        random = np.random.default_rng((self.config.training.seed, seed, index))
        in_image = self._read_people(entry)
        target = in_image.keypoints[0]
        affine, flip = self._draw_affine(entry, target, random)
        crop = fast_warp(self._read_image(entry), affine, self.config.crop.size_wh)
        people = _transform_people(in_image, affine, self.skeleton if flip else None)
        if self._crowds:
            crop, people = self._crowds.add_people(crop, people, entry, target, affine, random)
        to_heatmap = heatmap_affine(self.config.crop.stride, self.config.crop.pixel_centre)
        if self.augmented:
            crop = jitter_colour(crop, self.config.training.augment.colour, random)
        keypoints = np.zeros((self.config.training.max_people, len(self.skeleton), 3))
        keypoints[: len(people.keypoints)] = people.keypoints[: len(keypoints)]
        area_scale = abs(np.linalg.det(compose_affine(to_heatmap, affine)[:, :2]))
        return Sample(
            crop=torch.from_numpy(crop.copy()),
            keypoints_xy=torch.from_numpy(apply_affine(to_heatmap, keypoints[..., :2]).astype(np.float32)),
            labelled=torch.from_numpy(keypoints[..., 2] > 0),
            background=torch.from_numpy(self._find_background(entry, people)),
            box_area=torch.tensor(max(entry.person.area, 1.0) * area_scale, dtype=torch.float32),
            teacher_heatmaps=(
                self._teacher.crop(index, entry.person.box_xywh, affine, flip) if self._teacher else torch.zeros(0)
            ),
        )

    def _draw_affine(self, entry: _Entry, keypoints: Floats, random: np.random.Generator) -> tuple[Floats, bool]:
        """Returns the (2, 3) affine map from image to crop pixels, and whether it mirrors."""
        crop = self.config.crop
        if self.augmented:
            augment = self.config.training.augment
            return training_affine(entry.person.box_xywh, keypoints, self.skeleton, crop, augment, random)
        centre, region = crop_region(entry.person.box_xywh, crop.size_wh, crop.padding)
        return crop_affine(centre, region, crop.size_wh, pixel_centre=crop.pixel_centre), False

    def _read_people(self, entry: _Entry) -> CropPeople:
        """Returns everyone in the image, in image pixels: the box's person, labelled others by distance, the rest."""
        centre = _box_centre(entry.person)
        others = [person for person in entry.image.people if person is not entry.person]
        others.sort(key=lambda person: (not person.num_labelled, float(np.square(_box_centre(person) - centre).sum())))
        everyone = (entry.person, *others)
        indices = self._indices[entry.source]
        keypoints = np.stack([person.keypoints[indices] for person in everyone])
        boxes = xywh_to_xyxy([person.box_xywh for person in everyone])
        return CropPeople(np.where(indices[:, None] >= 0, keypoints, 0.0), boxes)

    def _find_background(self, entry: _Entry, people: CropPeople) -> NDArray[np.bool_]:
        """Returns a (K, h, w) map for each keypoint, False in the boxes of people for whom it is not labelled.

        It is False everywhere for a keypoint that the data set lacks, and if the data set does not label everyone.
        People beyond `max_people` count as unlabelled.
        """
        crop, shape = self.config.crop, (len(self.skeleton), *self.config.crop.heatmap_shape_hw)
        if not self.sources[entry.source].everyone_labelled:
            return np.zeros(shape, np.bool_)
        background = np.ones(shape, np.bool_)
        background[self._indices[entry.source] < 0] = False
        boxes = map_boxes(people.boxes_xyxy, heatmap_affine(crop.stride, crop.pixel_centre))
        low, high = np.floor(boxes[:, :2]).clip(0).astype(int), np.ceil(boxes[:, 2:] + 1).clip(0).astype(int)
        for person, (left, top), (right, bottom) in zip(range(len(boxes)), low, high, strict=True):
            labelled = (people.keypoints[person, :, 2] > 0) & (person < self.config.training.max_people)
            background[~labelled, top:bottom, left:right] = False
        return background


def _transform_people(people: CropPeople, affine: Floats, mirrored: Skeleton | None) -> CropPeople:
    """Returns people after a (2, 3) affine map, with left and right keypoints of a skeleton swapped if one is given."""
    keypoints = np.concatenate([apply_affine(affine, people.keypoints[..., :2]), people.keypoints[..., 2:]], axis=-1)
    if mirrored is not None:
        keypoints = keypoints[:, mirrored.flip_indices]
    return CropPeople(keypoints, map_boxes(people.boxes_xyxy, affine))


def _select_people(annotations: Annotations, min_keypoints: int) -> Iterator[tuple[AnnotatedImage, Person]]:
    """Yields the people to train on: single people with enough labelled keypoints and a box larger than a pixel."""
    for image in annotations.images:
        for person in image.people:
            if not person.is_crowd and person.num_labelled >= min_keypoints and (person.box_xywh[2:] > 1).all():
                yield image, person


def _box_centre(person: Person) -> Floats:
    centre: Floats = person.box_xywh[:2] + person.box_xywh[2:] / 2
    return centre
