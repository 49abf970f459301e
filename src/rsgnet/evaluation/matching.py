"""Object keypoint similarity (OKS) of predicted and annotated people, and their matching by the official rules."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.annotations.people import AnnotatedImage, Annotations
from rsgnet.evaluation.protocol import count_evaluated_keypoints, crowd_level, oks_area
from rsgnet.evaluation.results import Results
from rsgnet.geometry import Floats

NOBODY = -1
_MAX_POSES = 20  # the official tools evaluate this many of the highest-scored poses of an image
_PAIRS_PER_CHUNK = 4_000  # few enough that a chunk's arrays stay in the processor's cache


@dataclass(frozen=True, eq=False)
class MatchedImage:
    """One image with its predicted poses, its annotated people and their OKS.

    Attributes:
        image_id: The image's id.
        level: "easy", "medium" or "hard" by its crowd index, None without one.
        poses: (N, K, 3) the 20 highest-scored predicted poses, in order of descending score: x, y in image pixels,
            score.
        scores: (N,) scores of the poses.
        people: (M, K, 3) the annotated people: x, y, visibility (0 for not labelled).
        areas: (M,) areas in squared pixels that set the OKS scale.
        counted: (M,) whether the person is evaluated; other people add neither correct nor false poses.
        groups: (M,) whether the annotation is a box around a group, to which any number of poses may be matched.
        oks: (N, M) object keypoint similarity, equal to the official tool's.
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

    def drop_poses_below(self, min_score: float) -> MatchedImage:
        """Returns the same image without the poses of a lower score."""
        kept = self.scores >= min_score
        return replace(self, poses=self.poses[kept], scores=self.scores[kept], oks=self.oks[kept])


def match_images(truth: Annotations, results: Results, crowdpose: bool) -> tuple[MatchedImage, ...]:
    """Combines annotations and predicted poses image by image, in order of ascending image id.

    Args:
        truth: The annotated people.
        results: The predicted poses.
        crowdpose: Whether to apply CrowdPose's rules (`protocol.is_crowdpose`).
    """
    oks = compute_oks(truth, results, crowdpose, _MAX_POSES)
    images = sorted(truth.images, key=lambda image: image.id)
    return tuple(_match_image(image, results, oks.get(image.id, []), crowdpose) for image in images)


def _match_image(image: AnnotatedImage, results: Results, oks: ArrayLike, crowdpose: bool) -> MatchedImage:
    rows = np.flatnonzero(results.image_ids == image.id)
    rows = rows[np.argsort(-results.scores[rows], kind="stable")][:_MAX_POSES]
    people = image.people
    groups = np.array([person.is_crowd for person in people], bool)
    return MatchedImage(
        image_id=image.id,
        level=crowd_level(image),
        poses=results.values[rows],
        scores=results.scores[rows],
        people=np.array([person.keypoints for person in people]).reshape(-1, *results.values.shape[1:]),
        areas=np.array([oks_area(person, crowdpose) for person in people], np.float64),
        counted=np.array([count_evaluated_keypoints(person, crowdpose) > 0 for person in people], bool) & ~groups,
        groups=groups,
        oks=np.reshape(oks, (len(rows), len(people))),
    )


def match_poses(image: MatchedImage, thresholds: ArrayLike) -> NDArray[np.intp]:
    """Assigns poses to people as the official tools do.

    In order of descending score, each pose takes the person with the highest OKS who is not taken yet; people who are
    evaluated go before those who are not.

    Args:
        image: The image.
        thresholds: (T,) the minimum OKS of a match.

    Returns:
        (T, N) the index of each pose's person, NOBODY where it has none.
    """
    min_oks = np.minimum(np.asarray(thresholds, np.float64), 1 - 1e-10)[:, None]
    matches = np.full((len(min_oks), len(image.scores)), NOBODY)
    if not len(image.people):
        return matches
    free = np.ones((len(min_oks), len(image.people)), bool)
    for pose, oks in enumerate(image.oks):
        candidates = (free | image.groups) & (oks >= min_oks)
        counted = candidates & image.counted
        candidates = np.where(counted.any(1, keepdims=True), counted, candidates)
        # Of several people with the same OKS the official tools take the last.
        best = len(oks) - 1 - np.argmax(np.where(candidates, oks, -1.0)[:, ::-1], axis=1)
        rows = np.flatnonzero(candidates.any(1))
        matches[rows, pose] = best[rows]
        free[rows, best[rows]] = False
    return matches


def find_matched_pairs(image: MatchedImage, matches: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Returns the indices of each pose and person that are matched, for people who are evaluated.

    Args:
        image: The image.
        matches: (N,) the index of each pose's person at one threshold, as `match_poses` returns it.
    """
    pairs = [(pose, int(person)) for pose, person in enumerate(matches) if person != NOBODY]
    return [(pose, person) for pose, person in pairs if image.counted[person]]


def keypoint_similarity(pose_xy: ArrayLike, people_xy: ArrayLike, area: float, sigmas: ArrayLike) -> Floats:
    """Computes the similarity of single keypoints, the terms of which OKS is the mean.

    Args:
        pose_xy: (K, 2) keypoints in image pixels.
        people_xy: (..., K, 2) keypoints in image pixels.
        area: Area in squared pixels that sets the scale.
        sigmas: (K,) falloffs.

    Returns:
        (..., K) in 0..1; 1 for equal positions.
    """
    squared = ((np.asarray(people_xy, np.float64) - np.asarray(pose_xy, np.float64)) ** 2).sum(-1)
    similarity: Floats = np.exp(-squared / (2 * (area + np.spacing(1)) * (2 * np.asarray(sigmas)) ** 2))
    return similarity


def compute_oks(truth: Annotations, results: Results, crowdpose: bool, max_poses: int) -> dict[int, Floats]:
    """Computes the OKS of all predicted poses with all annotated people of their image, as COCO's tools define it.

    Args:
        truth: The annotated people.
        results: The predicted poses.
        crowdpose: Whether to apply CrowdPose's rules (`protocol.is_crowdpose`).
        max_poses: How many of the highest-scored poses of an image to use.

    Returns:
        By the id of each image that has both, (N, M) OKS of the poses, in order of descending score and, for equal
        scores, of the results, with the annotated people in their order. For a person without labelled keypoints the
        distance of a pose's keypoints to the box enlarged to three times its sides is used, as in COCO's tools.
    """
    row_of_image = {image.id: row for row, image in enumerate(truth.images)}
    images = np.array([row_of_image[image_id] for image_id in results.image_ids.tolist()], np.intp)
    order = np.lexsort((-results.scores, images))
    images = images[order]
    rank = np.arange(len(order)) - np.searchsorted(images, images)
    order, images = order[rank < max_poses], images[rank < max_poses]
    counts = np.array([len(image.people) for image in truth.images], np.intp)
    # One entry per pair of a pose and a person of its image: `pose` indexes the results, `owner` all people.
    pairs_per_pose = counts[images] if len(images) else np.zeros(0, np.intp)
    pose = np.repeat(order, pairs_per_pose)
    first_person = np.cumsum(counts) - counts
    ends = np.cumsum(pairs_per_pose)
    owner = np.arange(len(pose)) - np.repeat(ends - pairs_per_pose, pairs_per_pose)
    owner += np.repeat(first_person[images], pairs_per_pose) if len(images) else 0
    people = _PeopleArrays.from_annotations(truth, crowdpose)
    falloff = 2 * np.square(2 * np.asarray(truth.skeleton.sigmas))
    values = np.empty(len(pose))
    for start in range(0, len(pose), _PAIRS_PER_CHUNK):
        chunk = slice(start, start + _PAIRS_PER_CHUNK)
        values[chunk] = _oks_of_pairs(results.values[pose[chunk], :, :2], people, owner[chunk], falloff)
    image_rows, starts = np.unique(images, return_index=True)
    poses_per_image = np.diff(np.append(starts, len(images)))
    parts = np.split(values, np.cumsum(poses_per_image * counts[image_rows])[:-1]) if len(image_rows) else []
    return {
        truth.images[row].id: part.reshape(poses, counts[row])
        for row, poses, part in zip(image_rows, poses_per_image, parts, strict=True)
        if counts[row]
    }


@dataclass(frozen=True, eq=False)
class _PeopleArrays:
    """All annotated people of a data set, image by image, as arrays with one row each."""

    x: Floats
    y: Floats
    labelled: Floats
    boxes_xywh: Floats
    areas: Floats

    @classmethod
    def from_annotations(cls, truth: Annotations, crowdpose: bool) -> _PeopleArrays:
        people = [person for image in truth.images for person in image.people]
        keypoints = np.array([person.keypoints for person in people]).reshape(-1, len(truth.skeleton), 3)
        x, y, visibility = np.ascontiguousarray(keypoints.transpose(2, 0, 1))
        boxes = np.array([person.box_xywh for person in people]).reshape(-1, 4)
        areas = np.array([oks_area(person, crowdpose) for person in people])
        return cls(x, y, (visibility > 0).astype(np.float64), boxes, areas)


def _oks_of_pairs(poses_xy: Floats, people: _PeopleArrays, owner: NDArray[np.intp], falloff: Floats) -> Floats:
    """Returns the (N,) OKS of (N, K, 2) predicted keypoints with the people of the (N,) indices `owner`."""
    labelled = people.labelled[owner]
    dx, dy = poses_xy[..., 0] - people.x[owner], poses_xy[..., 1] - people.y[owner]
    unlabelled = np.flatnonzero(~labelled.any(1))
    if len(unlabelled):
        left, top, width, height = people.boxes_xywh[owner[unlabelled], :, None].transpose(1, 0, 2)
        dx[unlabelled] = _distance_outside(poses_xy[unlabelled, :, 0], left - width, left + 2 * width)
        dy[unlabelled] = _distance_outside(poses_xy[unlabelled, :, 1], top - height, top + 2 * height)
        labelled[unlabelled] = 1
    scale = people.areas[owner] + np.spacing(1)
    similarity = np.exp(-(dx**2 + dy**2) / (falloff * scale[:, None]))
    mean: Floats = np.einsum("nk,nk->n", similarity, labelled) / labelled.sum(1)
    return mean


def _distance_outside(values: Floats, low: Floats, high: Floats) -> Floats:
    """Returns how far values lie outside the interval from low to high, 0 inside."""
    distance: Floats = np.maximum(0, low - values) + np.maximum(0, values - high)
    return distance
