"""Crowds of real people: photos of which everything is known, with people cut out of other photos standing in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rsgnet.annotations.crowd_index import crowd_index as crowd_index_of
from rsgnet.annotations.people import Person
from rsgnet.annotations.readers import read_annotations
from rsgnet.crowds.real_people.backgrounds import SHOULDERS, Stage, set_stage, stage_photos
from rsgnet.crowds.real_people.blending import goes_with
from rsgnet.crowds.real_people.cutouts import CutOut, PeopleLibrary, shoulder_place
from rsgnet.crowds.real_people.layers import Layer, cut_layer, owners_of, paint, truths_of
from rsgnet.crowds.scenes import LEVEL_TOLERANCE, CrowdScene, describe_scene, reach_level
from rsgnet.errors import AnnotationError
from rsgnet.geometry import xyxy_to_xywh
from rsgnet.skeletons import Skeleton

_MOST_ADDED = 12
_ROUNDS = 6  # of adding people and looking at what came out
_PROPOSALS = 10  # people and places looked at for each one who is added
_LARGEST_ZOOM = 1.6
_LEAST_SEEN = 0.15  # of somebody's pixels: whoever is hidden further is not added
_LEAST_UPRIGHT = 0.55  # height of a cut-out over the stature: those who lie or hang in the air need their place


class _Draft(NamedTuple):
    """A crowd before those who are added are painted."""

    scene: CrowdScene
    layers: list[Layer]

    @property
    def crowd_index(self) -> float:
        """CrowdPose's index."""
        return self.scene.crowd_index


class RealCrowds:
    """Composes crowds of the people and photos of a COCO-format set.

    Photos are those in which everyone has keypoints and a mask: so the truth about all who are seen is known.

    Args:
        annotations: The set, with `segmentation`.
        images: The folder that its file names are relative to.

    Raises:
        AnnotationError: The file is broken, or it holds no such photo or nobody who can be cut out.
    """

    def __init__(self, annotations: Path, images: Path) -> None:
        self.skeleton: Skeleton = read_annotations(annotations).skeleton
        self._library = PeopleLibrary.read([(annotations, images)], self.skeleton)
        self._photos = tuple(stage_photos(annotations, images))
        if not self._photos:
            raise AnnotationError(f"{annotations}: no image in which everyone has keypoints and a mask")

    def __call__(self, seed: int, crowd_index: float, size_wh: tuple[int, int] | None = None) -> CrowdScene:
        """A crowd whose crowd index is within 0.05 of that given. The same arguments give the same bytes.

        Args:
            seed: Whatever is random follows from it.
            crowd_index: CrowdPose's index.
            size_wh: Width and height, which the photo is scaled and cut to fill; None keeps the photo's own.

        Raises:
            RSGNetError: No crowd reaches that index, or a photo cannot be read.
        """

        def make(number: int, _: float) -> _Draft | None:
            random = np.random.default_rng((seed, number))
            photo = self._photos[int(random.integers(len(self._photos)))]
            stage = set_stage(photo, self.skeleton, random, size_wh)
            return self._draft(random, stage, crowd_index, f"crowd_{seed}.png")

        draft = reach_level(make, crowd_index)
        return replace(draft.scene, image=paint(draft.scene.image, draft.layers))

    def _draft(self, random: np.random.Generator, stage: Stage, wanted: float, name: str) -> _Draft | None:
        """A crowd on a stage, people added and sent off until its crowd index is right, or None."""
        layers = [layer for layer in stage.people if layer.box_xyxy.any()]
        if self._index(layers, stage) > wanted + LEVEL_TOLERANCE:
            return None
        aim, draft = wanted, None
        for _ in range(_ROUNDS):
            layers = _seen_enough(self._gather(random, stage, layers, aim), stage.size_wh)
            added = [layer for layer in layers if not layer.in_photo]
            if not added:
                return draft
            owners = owners_of(layers, stage.size_wh)
            draft = _Draft(describe_scene(stage.photo, owners, truths_of(layers, owners), self.skeleton, name), layers)
            miss = wanted - draft.crowd_index
            if abs(miss) <= LEVEL_TOLERANCE:
                break
            aim = max(self._index(layers, stage) + miss, 0.0)
            if miss < 0 or len(added) == _MOST_ADDED:
                leaving = added[int(random.integers(len(added)))]
                layers = [layer for layer in layers if layer is not leaving]
        return draft

    def _gather(self, random: np.random.Generator, stage: Stage, layers: Sequence[Layer], aim: float) -> list[Layer]:
        """As many more people as bring the crowd index, if nobody were hidden, to the aim; all come nearest first."""
        layers = list(layers)
        least = int(random.integers(1, 5)) if all(layer.in_photo for layer in layers) else 0
        for added in range(_MOST_ADDED - sum(not layer.in_photo for layer in layers)):
            proposals = [self._propose(random, stage, layers) for _ in range(_PROPOSALS)]
            fitting = [layer for layer in proposals if layer is not None]
            if not fitting:
                continue
            misses = [abs(self._index([*layers, layer], stage) - aim) for layer in fitting]
            now = abs(self._index(layers, stage) - aim)
            if added >= least and now <= min(*misses, 0.04):
                break
            layers.append(fitting[int(np.argmin(misses))])
        return sorted(layers, key=lambda layer: -layer.ground_y)

    def _propose(self, random: np.random.Generator, stage: Stage, layers: Sequence[Layer]) -> Layer | None:
        """Somebody somewhere, anywhere or beside somebody else; None where they would not fit."""
        cut = self._library.draw(random)
        tallest = max(layer.stature_px for layer in stage.people)
        tall, middle = tallest * random.uniform(0.6, 1.4), random.uniform(0.02, 0.98) * stage.size_wh[0]
        if layers and random.random() < 0.6:
            beside = layers[int(random.integers(len(layers)))]
            middle = float(beside.box_xyxy[[0, 2]].mean()) + random.normal(0, 0.4) * beside.stature_px
        scale, mirror = tall / cut.stature_px, float(random.choice((-1, 1)))
        if (
            not goes_with(cut.light, stage.light)
            or scale > _LARGEST_ZOOM
            or cut.rgba.shape[0] < _LEAST_UPRIGHT * cut.stature_px
        ):
            return None
        height, width = cut.rgba.shape[:2]
        top = _top_row(cut, stage.ground_of(tall), scale, self.skeleton)
        if top > 0.85 * stage.size_wh[1] or (not cut.whole and top + scale * height < stage.size_wh[1] + 1):
            return None
        affine = np.array([[mirror * scale, 0, middle - mirror * scale * (width - 1) / 2], [0, scale, top]])
        layer = cut_layer(cut, affine, stage.ground_of(tall), self.skeleton, stage.size_wh)
        seen_wh = layer.box_xyxy[2:] - layer.box_xyxy[:2]
        return layer if seen_wh[0] > 0.6 * scale * width and seen_wh[1] > 0.3 * scale * height else None

    def _index(self, layers: Sequence[Layer], stage: Stage) -> float:
        """The crowd index if nobody were hidden."""
        people = []
        for number, layer in enumerate(layers):
            keypoints = layer.keypoints.copy()
            keypoints[((keypoints[:, :2] < 0) | (keypoints[:, :2] > np.array(stage.size_wh) - 1)).any(-1)] = 0
            people.append(Person(number, xyxy_to_xywh(layer.box_xyxy), keypoints, 1.0))
        return float(crowd_index_of(people, self.skeleton))


def _top_row(cut: CutOut, ground_y: float, scale: float, skeleton: Skeleton) -> float:
    """Where a cut-out begins so that it stands on the ground, or would if it were not cut off."""
    if cut.whole:
        return float(ground_y - scale * cut.rgba.shape[0])
    shoulders = float(shoulder_place(cut.keypoints, skeleton, cut.stature_px)[1])
    return ground_y - scale * (SHOULDERS * cut.stature_px + shoulders)


def _seen_enough(layers: list[Layer], size_wh: tuple[int, int]) -> list[Layer]:
    """The layers without those laid into the photo of whom hardly anything is seen."""
    while True:
        seen = np.bincount(owners_of(layers, size_wh).ravel(), minlength=len(layers) + 1)[1:]
        shares = [
            1.0 if layer.in_photo else pixels / max(layer.pixels.sum(), 1)
            for layer, pixels in zip(layers, seen, strict=True)
        ]
        if not shares or min(shares) >= _LEAST_SEEN:
            return layers
        layers = [layer for rank, layer in enumerate(layers) if rank != int(np.argmin(shares))]
