"""The similarity of found keypoints and annotated people (OKS), of a whole data set at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.annotations.readers import AnnotatedImage, Annotations
from rsgnet.evaluation.protocol import asked_for, level_of, oks_area
from rsgnet.evaluation.results import Results
from rsgnet.geometry import Floats

_AT_ONCE = 4_000  # pairs worked on at once: few enough to stay in a cache


@dataclass(frozen=True, eq=False)
class _People:
    """Everyone who is annotated, image by image, as arrays of rows."""

    x: Floats
    y: Floats
    labelled: Floats
    boxes_xywh: Floats
    areas: Floats

    @classmethod
    def of(cls, truth: Annotations, crowdpose: bool) -> _People:
        people = [person for image in truth.images for person in image.people]
        keypoints = np.array([person.keypoints for person in people]).reshape(-1, len(truth.skeleton), 3)
        x, y, visibility = np.ascontiguousarray(keypoints.transpose(2, 0, 1))
        boxes = np.array([person.box_xywh for person in people]).reshape(-1, 4)
        areas = np.array([oks_area(person, crowdpose) for person in people])
        return cls(x, y, (visibility > 0).astype(np.float64), boxes, areas)


def similarities(truth: Annotations, results: Results, crowdpose: bool, most: int) -> dict[int, Floats]:
    """OKS of found with annotated people, as COCO's tools define it, by the ids of images that have both.

    Args:
        truth: The annotated people.
        results: What was found.
        crowdpose: Whether CrowdPose's rules hold (`protocol.is_crowdpose`).
        most: How many of those found in an image count.

    Returns:
        For each image (D, G): found people, surest first and of equal ones the first, with annotated ones in their
        order. For somebody without labelled keypoints it says how far found keypoints lie off twice the box.
    """
    rows = {image.id: row for row, image in enumerate(truth.images)}
    images = np.array([rows[image_id] for image_id in results.image_ids.tolist()], np.intp)
    order = np.lexsort((-results.scores, images))
    images = images[order]
    place = np.arange(len(order)) - np.searchsorted(images, images)
    order, images = order[place < most], images[place < most]
    counts = np.array([len(image.people) for image in truth.images], np.intp)
    pairs_of_found = counts[images] if len(images) else np.zeros(0, np.intp)
    found = np.repeat(order, pairs_of_found)
    first = np.cumsum(counts) - counts
    ends = np.cumsum(pairs_of_found)
    owner = np.arange(len(found)) - np.repeat(ends - pairs_of_found, pairs_of_found)
    owner += np.repeat(first[images], pairs_of_found) if len(images) else 0
    people, falloff = _People.of(truth, crowdpose), 2 * np.square(2 * np.asarray(truth.skeleton.sigmas))
    values = np.empty(len(found))
    for start in range(0, len(found), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        values[part] = _oks(results.values[found[part], :, :2], people, owner[part], falloff)
    told, begins = np.unique(images, return_index=True)
    sizes = np.diff(np.append(begins, len(images)))
    split = np.split(values, np.cumsum(sizes * counts[told])[:-1]) if len(told) else []
    return {
        truth.images[row].id: own.reshape(size, counts[row])
        for row, size, own in zip(told, sizes, split, strict=True)
        if counts[row]
    }


def _oks(places: Floats, people: _People, owner: NDArray[np.intp], falloff: Floats) -> Floats:
    """(N,) OKS of (N, K, 2) found keypoints with the people of these indices."""
    labelled = people.labelled[owner]
    off_x, off_y = places[..., 0] - people.x[owner], places[..., 1] - people.y[owner]
    unlabelled = np.flatnonzero(~labelled.any(1))
    if len(unlabelled):
        left, top, width, height = people.boxes_xywh[owner[unlabelled], :, None].transpose(1, 0, 2)
        off_x[unlabelled] = _beyond(places[unlabelled, :, 0], left - width, left + 2 * width)
        off_y[unlabelled] = _beyond(places[unlabelled, :, 1], top - height, top + 2 * height)
        labelled[unlabelled] = 1
    scale = people.areas[owner] + np.spacing(1)
    alike = np.exp(-(off_x**2 + off_y**2) / (falloff * scale[:, None]))
    mean: Floats = np.einsum("nk,nk->n", alike, labelled) / labelled.sum(1)
    return mean


def _beyond(places: Floats, low: Floats, high: Floats) -> Floats:
    """How far places lie off a span."""
    beyond: Floats = np.maximum(0, low - places) + np.maximum(0, places - high)
    return beyond


NOBODY = -1
_POSES_PER_IMAGE = 20  # as the official tools: the surest of each image


@dataclass(frozen=True, eq=False)
class MatchedImage:
    """One image: who was found, who is there, and how alike they are.

    Attributes:
        image_id: The image's id.
        level: easy, medium or hard by its crowd index, None without one.
        poses: (N, K, 3) the 20 surest poses found, surest first: x, y in image pixels, score.
        scores: (N,) how sure each is.
        people: (M, K, 3) the annotated people: x, y, visibility (0 not labelled).
        areas: (M,) areas in squared pixels that set the OKS scale.
        counted: (M,) whether the person counts; the others neither count nor cost.
        groups: (M,) whether the box is drawn about a group, which any number of poses may be matched to.
        oks: (N, M) object keypoint similarity, as the official tool gives it.
    """

    image_id: int
    level: str | None
    poses: Floats
    scores: Floats
    people: Floats
    areas: Floats
    counted: NDArray[np.bool_]
    groups: NDArray[np.bool_]
    oks: Floats

    def above(self, score: float) -> MatchedImage:
        """The same image without the poses that score less."""
        kept = self.scores >= score
        return replace(self, poses=self.poses[kept], scores=self.scores[kept], oks=self.oks[kept])


def read_scenes(truth: Annotations, results: Results, crowdpose: bool) -> tuple[MatchedImage, ...]:
    """One scene an image, by ascending image id.

    Args:
        truth: The annotated people.
        results: The poses found.
        crowdpose: Whether CrowdPose's rules hold (`protocol.is_crowdpose`).
    """
    oks = similarities(truth, results, crowdpose, _POSES_PER_IMAGE)
    images = sorted(truth.images, key=lambda image: image.id)
    return tuple(_scene(image, results, oks.get(image.id, []), crowdpose) for image in images)


def match(scene: MatchedImage, thresholds: ArrayLike) -> NDArray[np.intp]:
    """Matches poses to people as the official tools do.

    Each pose, surest first, takes the likest person whom no surer one has taken, a counted one before any other.

    Args:
        scene: The image.
        thresholds: (T,) the OKS that a match needs at least.

    Returns:
        (T, N) the index of each pose's person, -1 for none.
    """
    least = np.minimum(np.asarray(thresholds, np.float64), 1 - 1e-10)[:, None]
    matches = np.full((len(least), len(scene.scores)), NOBODY)
    if not len(scene.people):
        return matches
    free = np.ones((len(least), len(scene.people)), bool)
    for pose, alike in enumerate(scene.oks):
        candidates = (free | scene.groups) & (alike >= least)
        counted = candidates & scene.counted
        candidates = np.where(counted.any(1, keepdims=True), counted, candidates)
        # Of people equally alike the official tools take the last.
        likest = len(alike) - 1 - np.argmax(np.where(candidates, alike, -1.0)[:, ::-1], axis=1)
        rows = np.flatnonzero(candidates.any(1))
        matches[rows, pose] = likest[rows]
        free[rows, likest[rows]] = False
    return matches


def matched_people(scene: MatchedImage, matches: NDArray[np.intp]) -> list[tuple[int, int]]:
    """The poses matched to people who count, each with its person.

    Args:
        scene: The image.
        matches: (N,) the index of each pose's person at one threshold, as `match` gives it.
    """
    found = [(pose, int(person)) for pose, person in enumerate(matches) if person != NOBODY]
    return [(pose, person) for pose, person in found if scene.counted[person]]


def keypoint_similarity(pose_xy: ArrayLike, places_xy: ArrayLike, area: float, sigmas: ArrayLike) -> Floats:
    """How near keypoints are to their places: the terms that OKS is the mean of.

    Args:
        pose_xy: (K, 2) keypoints in image pixels.
        places_xy: (..., K, 2) places in image pixels.
        area: Area in squared pixels that sets the scale.
        sigmas: (K,) falloffs.

    Returns:
        (..., K) in 0..1, 1 at the place itself.
    """
    squared = ((np.asarray(places_xy, np.float64) - np.asarray(pose_xy, np.float64)) ** 2).sum(-1)
    similarity: Floats = np.exp(-squared / (2 * (area + np.spacing(1)) * (2 * np.asarray(sigmas)) ** 2))
    return similarity


def _scene(image: AnnotatedImage, results: Results, oks: ArrayLike, crowdpose: bool) -> MatchedImage:
    rows = np.flatnonzero(results.image_ids == image.id)
    rows = rows[np.argsort(-results.scores[rows], kind="stable")][:_POSES_PER_IMAGE]
    people = image.people
    groups = np.array([person.is_crowd for person in people], bool)
    return MatchedImage(
        image_id=image.id,
        level=level_of(image),
        poses=results.values[rows],
        scores=results.scores[rows],
        people=np.array([person.keypoints for person in people]).reshape(-1, *results.values.shape[1:]),
        areas=np.array([oks_area(person, crowdpose) for person in people], np.float64),
        counted=np.array([asked_for(person, crowdpose) > 0 for person in people], bool) & ~groups,
        groups=groups,
        oks=np.reshape(oks, (len(rows), len(people))),
    )
