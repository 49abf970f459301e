"""Crowds of real people: people cut out of images, pasted into other images whose people are all labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rsgnet.annotations.crowd_index import compute_crowd_index
from rsgnet.annotations.people import Person
from rsgnet.annotations.readers import read_annotations
from rsgnet.crowds.real_people.backgrounds import (
    SHOULDER_HEIGHT,
    Background,
    find_background_sources,
    load_background,
)
from rsgnet.crowds.real_people.blending import has_compatible_lighting
from rsgnet.crowds.real_people.cutouts import CutOut, PeopleLibrary, estimate_shoulder_xy
from rsgnet.crowds.real_people.layers import Layer, build_cutout_layer, compute_truths, render_layers, render_owners
from rsgnet.crowds.scenes import CROWD_INDEX_TOLERANCE, CrowdScene, build_scene, search_crowd
from rsgnet.errors import AnnotationError
from rsgnet.geometry import xyxy_to_xywh
from rsgnet.skeletons import Skeleton

_MAX_ADDED = 12  # people
_ROUNDS = 6  # of adding people and measuring the crowd index
_PROPOSALS = 10  # random people and positions, of which the best is added
_MAX_ZOOM = 1.6
_MIN_VISIBLE_SHARE = 0.15  # of a person's pixels; people who are hidden more are removed
_MIN_HEIGHT = 0.55  # of a cut-out, relative to the stature; people who lie or jump need their own surroundings


class RealCrowds:
    """Composes crowds of the people and images of a COCO-format set.

    Backgrounds are the images in which everyone has keypoints and a mask, so that the labels of the crowd are exact.

    Args:
        annotations: The label file, with `segmentation`.
        images: The folder that its file names are relative to.

    Raises:
        AnnotationError: The file is broken, has no such image, or nobody who can be cut out.
    """

    def __init__(self, annotations: Path, images: Path) -> None:
        self.skeleton: Skeleton = read_annotations(annotations).skeleton
        self._library = PeopleLibrary([(annotations, images)], self.skeleton)
        self._sources = tuple(find_background_sources(annotations, images))
        if not self._sources:
            raise AnnotationError(f"{annotations}: no image in which everyone has keypoints and a mask")

    def __call__(self, seed: int, crowd_index: float, size_wh: tuple[int, int] | None = None) -> CrowdScene:
        """Composes a crowd whose crowd index is within 0.05 of the requested one.

        Args:
            seed: The seed of all randomness; the same arguments give the same bytes.
            crowd_index: The requested crowd index (CrowdPose's rule).
            size_wh: Width and height that the background is scaled and cropped to fill; None keeps its own size.

        Raises:
            RSGNetError: No crowd with that index is found, or an image cannot be read.
        """

        def make(attempt: int, _: float) -> CrowdScene | None:
            random = np.random.default_rng((seed, attempt))
            source = self._sources[int(random.integers(len(self._sources)))]
            background = load_background(source, self.skeleton, random, size_wh)
            return self._compose(random, background, crowd_index, f"crowd_{seed}.png")

        return search_crowd(make, crowd_index)

    def _compose(
        self, random: np.random.Generator, background: Background, crowd_index: float, name: str
    ) -> CrowdScene | None:
        """Adds people to a background and removes some, until the crowd index is reached or the rounds are over.

        Returns:
            The scene; people are rendered only if the crowd index is reached. None where the background itself is too
            crowded or nobody can be added to it.
        """
        layers = [layer for layer in background.people if layer.box_xyxy.any()]
        if self._estimate_crowd_index(layers, background) > crowd_index + CROWD_INDEX_TOLERANCE:
            return None
        target, scene = crowd_index, None
        for _ in range(_ROUNDS):
            layers = _remove_hidden(self._add_people(random, background, layers, target), background.size_wh)
            added = [layer for layer in layers if not layer.is_in_background]
            if not added:
                return scene
            owners = render_owners(layers, background.size_wh)
            scene = build_scene(background.image, owners, compute_truths(layers, owners), self.skeleton, name)
            missing = crowd_index - scene.crowd_index
            if abs(missing) <= CROWD_INDEX_TOLERANCE:
                return replace(scene, image=render_layers(scene.image, layers))
            target = max(self._estimate_crowd_index(layers, background) + missing, 0.0)
            if missing < 0 or len(added) == _MAX_ADDED:
                removed = added[int(random.integers(len(added)))]
                layers = [layer for layer in layers if layer is not removed]
        return scene

    def _add_people(
        self, random: np.random.Generator, background: Background, layers: Sequence[Layer], target: float
    ) -> list[Layer]:
        """Adds people until the crowd index, if nobody were hidden, is near the target; returns all nearest first."""
        layers = list(layers)
        min_added = int(random.integers(1, 5)) if all(layer.is_in_background for layer in layers) else 0
        for added in range(_MAX_ADDED - sum(not layer.is_in_background for layer in layers)):
            proposals = [self._propose(random, background, layers) for _ in range(_PROPOSALS)]
            candidates = [layer for layer in proposals if layer is not None]
            if not candidates:
                continue
            errors = [abs(self._estimate_crowd_index([*layers, layer], background) - target) for layer in candidates]
            current_error = abs(self._estimate_crowd_index(layers, background) - target)
            if added >= min_added and current_error <= min(*errors, 0.04):
                break
            layers.append(candidates[int(np.argmin(errors))])
        return sorted(layers, key=lambda layer: -layer.ground_y)

    def _propose(self, random: np.random.Generator, background: Background, layers: Sequence[Layer]) -> Layer | None:
        """Samples a person and a position, often near another person; returns None where the person does not fit."""
        cutout = self._library.sample(random)
        tallest = max(layer.stature_px for layer in background.people)
        stature_px, centre_x = tallest * random.uniform(0.6, 1.4), random.uniform(0.02, 0.98) * background.size_wh[0]
        if layers and random.random() < 0.6:
            neighbour = layers[int(random.integers(len(layers)))]
            centre_x = float(neighbour.box_xyxy[[0, 2]].mean()) + random.normal(0, 0.4) * neighbour.stature_px
        scale, mirror = stature_px / cutout.stature_px, float(random.choice((-1, 1)))
        height, width = cutout.rgba.shape[:2]
        if (
            not has_compatible_lighting(cutout.lighting, background.lighting)
            or scale > _MAX_ZOOM
            or height < _MIN_HEIGHT * cutout.stature_px
        ):
            return None
        ground_y = background.compute_ground_y(stature_px)
        top = _compute_top_row(cutout, ground_y, scale, self.skeleton)
        reaches_bottom = top + scale * height >= background.size_wh[1] + 1
        if top > 0.85 * background.size_wh[1] or not (cutout.is_whole or reaches_bottom):
            return None
        affine = np.array([[mirror * scale, 0, centre_x - mirror * scale * (width - 1) / 2], [0, scale, top]])
        layer = build_cutout_layer(cutout, affine, ground_y, self.skeleton, background.size_wh)
        visible_wh = layer.box_xyxy[2:] - layer.box_xyxy[:2]
        return layer if visible_wh[0] > 0.6 * scale * width and visible_wh[1] > 0.3 * scale * height else None

    def _estimate_crowd_index(self, layers: Sequence[Layer], background: Background) -> float:
        """Computes the crowd index that the image would have if nobody were hidden."""
        people = []
        for number, layer in enumerate(layers):
            keypoints = layer.keypoints.copy()
            keypoints[((keypoints[:, :2] < 0) | (keypoints[:, :2] > np.array(background.size_wh) - 1)).any(-1)] = 0
            people.append(Person(number, xyxy_to_xywh(layer.box_xyxy), keypoints, 1.0))
        return compute_crowd_index(people, self.skeleton)


def _compute_top_row(cutout: CutOut, ground_y: float, scale: float, skeleton: Skeleton) -> float:
    """Returns the top row of a cut-out that stands on the ground, or would stand there if it were not cut off."""
    if cutout.is_whole:
        return float(ground_y - scale * cutout.rgba.shape[0])
    shoulder_y = float(estimate_shoulder_xy(cutout.keypoints, skeleton, cutout.stature_px)[1])
    return ground_y - scale * (SHOULDER_HEIGHT * cutout.stature_px + shoulder_y)


def _remove_hidden(layers: list[Layer], size_wh: tuple[int, int]) -> list[Layer]:
    """Removes added people of whom too little is visible, most hidden first, until nobody else is."""
    while True:
        pixel_counts = np.bincount(render_owners(layers, size_wh).ravel(), minlength=len(layers) + 1)[1:]
        shares = [
            1.0 if layer.is_in_background else count / max(layer.mask.sum(), 1)
            for layer, count in zip(layers, pixel_counts, strict=True)
        ]
        if not shares or min(shares) >= _MIN_VISIBLE_SHARE:
            return layers
        most_hidden = int(np.argmin(shares))
        layers = [layer for index, layer in enumerate(layers) if index != most_hidden]
