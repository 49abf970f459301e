"""The similarity of predictions to the annotated people of their images: OKS of poses, IoU of boxes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.annotations.people import AnnotatedImage, Annotations
from rsgnet.evaluation.protocol import COCO, OksProtocol, OutsideRule, Part, crowd_level
from rsgnet.evaluation.results import Results
from rsgnet.geometry import Floats

_MAX_POSES = 20  # the official tools evaluate this many of the highest-scored poses of an image
_PAIRS_PER_CHUNK = 4_000  # few enough that a chunk's arrays stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Similarities:
    """The predictions of a data set with their similarity to the people of their images, in flat arrays.

    Attributes:
        image_ids: (P,) the ids of the images.
        levels: The crowd level of each image.
        rows: (N,) the index in the results of each prediction, image by image in order of descending score.
        images: (N,) the index of each prediction's image.
        scores: (N,) the scores of the predictions.
        sizes: (N,) the areas in squared pixels of the predictions.
        people_of_image: (P,) how many people are annotated in each image.
        areas: (M,) the areas in squared pixels of the people, image by image, which set the OKS scale.
        counted: (M,) whether a person is evaluated; other people add neither correct nor false predictions.
        groups: (M,) whether the annotation is a box around a group, to which any number of predictions may be matched.
        similarity: The similarity of each prediction to each person of its image, prediction by prediction.
    """

    image_ids: NDArray[np.int64]
    levels: tuple[str | None, ...]
    rows: NDArray[np.intp]
    images: NDArray[np.intp]
    scores: Floats
    sizes: Floats
    people_of_image: NDArray[np.intp]
    areas: Floats
    counted: NDArray[np.bool_]
    groups: NDArray[np.bool_]
    similarity: Floats

    @property
    def first_person(self) -> NDArray[np.intp]:
        """(P,) the index of the first person of each image."""
        return np.cumsum(self.people_of_image) - self.people_of_image


def compare_poses(truth: Annotations, results: Results, protocol: OksProtocol, part: Part) -> Similarities:
    """Computes the OKS of the highest-scored poses of each image with everyone annotated in it.

    For a person of whom nothing is labelled, the distance of a pose's keypoints to the box enlarged to three times its
    sides counts instead, as in COCO's tools, or to the crop of `protocol.outside`.

    Args:
        truth: The annotated people.
        results: The predicted poses.
        protocol: The rules to apply.
        part: The keypoints to compare.
    """
    scored = results.values[:, part.keypoints, 2]
    usable = np.flatnonzero((scored > 0).any(1)) if protocol.skips_empty_poses else np.arange(len(results))
    people = _PeopleArrays.from_annotations(truth, protocol, part)
    rows, images = _rank_within_images(truth, results, usable, _MAX_POSES)
    # Coordinates are the first axis and poses the last, over which NumPy is fastest.
    sized_xy = np.ascontiguousarray(results.values[:, : protocol.size_keypoints, :2].transpose(2, 1, 0))
    poses = np.ascontiguousarray(results.values[:, part.keypoints].transpose(2, 0, 1))
    pose, owner = pair_with_people(images, people.of_image)
    falloff = 2 * np.square(2 * np.asarray(truth.skeleton.sigmas)[part.keypoints])
    similarity = np.empty(len(pose))
    for start in range(0, len(pose), _PAIRS_PER_CHUNK):
        chunk = slice(start, start + _PAIRS_PER_CHUNK)
        similarity[chunk] = _compute_oks(poses[:, rows[pose[chunk]]], people, owner[chunk], falloff, protocol.outside)
    return _make_similarities(truth, results, people, rows, images, np.ptp(sized_xy, axis=1).prod(0)[rows], similarity)


def compare_boxes(truth: Annotations, results: Results, max_boxes: int) -> Similarities:
    """Computes the IoU of the highest-scored boxes of each image with the boxes of everyone annotated in it.

    The overlap with a group is divided by the area of the predicted box alone, as in COCO's tools.

    Args:
        truth: The annotated people, all of whom are evaluated except groups.
        results: The predicted boxes.
        max_boxes: How many boxes of an image are used.
    """
    people = _PeopleArrays.from_annotations(truth, COCO, COCO.part)
    people = replace(people, counted=~people.groups)
    rows, images = _rank_within_images(truth, results, np.arange(len(results)), max_boxes)
    box, owner = pair_with_people(images, people.of_image)
    left, top, width, height = results.values[rows[box]].T
    their_left, their_top, their_width, their_height = people.boxes_xywh[owner].T
    overlap_w = np.minimum(left + width, their_left + their_width) - np.maximum(left, their_left)
    overlap_h = np.minimum(top + height, their_top + their_height) - np.maximum(top, their_top)
    overlap = overlap_w.clip(min=0) * overlap_h.clip(min=0)
    own = width * height
    union = np.where(people.groups[owner], own, own + their_width * their_height - overlap)
    iou = np.divide(overlap, union, out=np.zeros(len(overlap)), where=union > 0)
    return _make_similarities(truth, results, people, rows, images, results.values[rows, 2:].prod(1), iou)


def keypoint_similarity(pose_xy: ArrayLike, people_xy: ArrayLike, area: float, sigmas: ArrayLike) -> Floats:
    """Computes the similarity of single keypoints, the terms of which OKS is the mean.

    Args:
        pose_xy: (K, 2) keypoints in image pixels.
        people_xy: (..., K, 2) keypoints in image pixels.
        area: Area in squared pixels that sets the scale.
        sigmas: (K,) of OKS.

    Returns:
        (..., K) in 0..1; 1 for equal positions.
    """
    squared = ((np.asarray(people_xy, np.float64) - np.asarray(pose_xy, np.float64)) ** 2).sum(-1)
    similarity: Floats = np.exp(-squared / (2 * (area + np.spacing(1)) * (2 * np.asarray(sigmas)) ** 2))
    return similarity


def sort_images(truth: Annotations) -> list[AnnotatedImage]:
    """Returns the images in order of ascending id."""
    return sorted(truth.images, key=lambda image: image.id)


def _rank_within_images(
    truth: Annotations, results: Results, usable: NDArray[np.intp], limit: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns the indices of the highest-scored predictions, image by image in order of score, and their images."""
    ids = np.array([image.id for image in sort_images(truth)], np.int64)
    images = np.searchsorted(ids, results.image_ids[usable])
    order = np.lexsort((-results.scores[usable], images))
    rows, images = usable[order], images[order]
    kept = np.arange(len(rows)) - np.searchsorted(images, images) < limit
    return rows[kept], images[kept]


def pair_with_people(
    images: NDArray[np.intp], people_of_image: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns the indices of prediction and person of each pair of the two in one image, prediction by prediction."""
    if not len(images):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    counts = people_of_image[images]
    prediction = np.repeat(np.arange(len(images)), counts)
    first_person, first_pair = np.cumsum(people_of_image) - people_of_image, np.cumsum(counts) - counts
    return prediction, np.arange(len(prediction)) + np.repeat(first_person[images] - first_pair, counts)


def _make_similarities(
    truth: Annotations,
    results: Results,
    people: _PeopleArrays,
    rows: NDArray[np.intp],
    images: NDArray[np.intp],
    sizes: Floats,
    similarity: Floats,
) -> Similarities:
    annotated = sort_images(truth)
    return Similarities(
        image_ids=np.array([image.id for image in annotated], np.int64),
        levels=tuple(crowd_level(image) for image in annotated),
        rows=rows,
        images=images,
        scores=results.scores[rows],
        sizes=sizes,
        people_of_image=people.of_image,
        areas=people.areas,
        counted=people.counted,
        groups=people.groups,
        similarity=similarity,
    )


@dataclass(frozen=True, eq=False)
class _PeopleArrays:
    """All annotated people of a data set, in order of their images' ids, as arrays with one row each."""

    of_image: NDArray[np.intp]  # (P,) the number of people of each image
    xy: Floats  # (2, M, K)
    labelled: Floats  # (M, K) 0 or 1
    outside: NDArray[np.bool_]  # (M, K) whether a keypoint is labelled as outside the crop
    counted: NDArray[np.bool_]
    groups: NDArray[np.bool_]
    boxes_xywh: Floats
    areas: Floats

    @classmethod
    def from_annotations(cls, truth: Annotations, protocol: OksProtocol, part: Part) -> _PeopleArrays:
        images = sort_images(truth)
        people = [person for image in images for person in image.people]
        keypoints = np.array([person.keypoints for person in people]).reshape(-1, len(truth.skeleton), 3)
        keypoints = keypoints[:, part.keypoints]
        labelled = part.find_labelled(keypoints[..., 2])
        groups = np.array([person.is_crowd for person in people], bool)
        return cls(
            of_image=np.array([len(image.people) for image in images], np.intp),
            xy=np.ascontiguousarray(keypoints[..., :2].transpose(2, 0, 1)),
            labelled=labelled.astype(np.float64),
            outside=keypoints[..., 2] == (protocol.outside.visibility if protocol.outside else np.inf),
            counted=labelled[:, : protocol.deciding_keypoints].any(1) & ~groups,
            groups=groups,
            boxes_xywh=np.array([person.box_xywh for person in people]).reshape(-1, 4),
            areas=np.array([protocol.area(person) for person in people]),
        )


def _compute_oks(
    poses: Floats, people: _PeopleArrays, owner: NDArray[np.intp], falloff: Floats, outside: OutsideRule | None
) -> Floats:
    """Returns the (N,) OKS of (3, N, K) predicted keypoints with the people of the (N,) indices `owner`."""
    labelled = people.labelled[owner]
    dx, dy = poses[0] - people.xy[0, owner], poses[1] - people.xy[1, owner]
    squared = dx * dx + dy * dy
    boxes = people.boxes_xywh[owner]
    if outside is not None:
        _compare_outside(squared, poses, people, owner, outside)
    unlabelled = np.flatnonzero(~labelled.any(1))
    if len(unlabelled):
        low, high = _find_surroundings(boxes[unlabelled], outside)
        distances = [
            _distance_outside(values[unlabelled], low[:, axis, None], high[:, axis, None])
            for axis, values in enumerate(poses[:2])
        ]
        squared[unlabelled] = distances[0] ** 2 + distances[1] ** 2
        labelled[unlabelled] = 1
    similarity = np.exp(squared / (-falloff * (people.areas[owner] + np.spacing(1))[:, None]))
    mean: Floats = np.einsum("nk,nk->n", similarity, labelled) / labelled.sum(1)
    return mean


def _compare_outside(
    squared: Floats, poses: Floats, people: _PeopleArrays, owner: NDArray[np.intp], rule: OutsideRule
) -> None:
    """Replaces the (N, K) squared distances of keypoints that are labelled or predicted to be outside the crop."""
    low, high = _find_surroundings(people.boxes_xywh[owner], rule)

    def to_border(xy: Floats) -> Floats:
        nearest = np.minimum(xy - low.T[:, :, None], high.T[:, :, None] - xy)
        squared_distance: Floats = nearest[0] ** 2 + nearest[1] ** 2
        return squared_distance

    is_outside, is_predicted_outside = people.outside[owner], poses[2] < rule.min_score
    both = is_outside & is_predicted_outside
    squared[:] = np.where(is_outside, to_border(poses[:2]), squared)
    squared[:] = np.where(is_predicted_outside, to_border(people.xy[:, owner]), squared)
    squared[both] = 0


def _find_surroundings(boxes_xywh: Floats, outside: OutsideRule | None) -> tuple[Floats, Floats]:
    """Returns the (N, 2) left top and right bottom of the boxes enlarged threefold, or of the crops of a rule."""
    if outside is None:
        return boxes_xywh[:, :2] - boxes_xywh[:, 2:], boxes_xywh[:, :2] + 2 * boxes_xywh[:, 2:]
    width, height = boxes_xywh[:, 2], boxes_xywh[:, 3]
    extended = np.maximum(width, height * outside.aspect_ratio), np.maximum(height, width / outside.aspect_ratio)
    half = np.stack(extended, 1) * outside.padding / 2
    centres = boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2
    return centres - half, centres + half


def _distance_outside(values: Floats, low: Floats, high: Floats) -> Floats:
    """Returns how far values lie outside the interval from low to high, 0 inside."""
    distance: Floats = np.maximum(0, low - values) + np.maximum(0, values - high)
    return distance
