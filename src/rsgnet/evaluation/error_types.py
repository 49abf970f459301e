"""Counts errors by type: keypoints that are jittered, inverted, swapped or missed, and people that are missed or false.

Types and thresholds follow Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation"
(ICCV 2017), with two changes for crowds. Similarity always uses the area and sigmas of the matched person, whichever
person the keypoint lies on. A keypoint that is near both its own mirror keypoint and another person is assigned to the
nearer of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.people import Annotations
from rsgnet.evaluation.average_precision import compute_keypoint_metrics
from rsgnet.evaluation.matching import NOBODY, MatchedImage, find_matched_pairs, match_poses
from rsgnet.evaluation.protocol import OksProtocol
from rsgnet.evaluation.results import Results
from rsgnet.evaluation.similarity import keypoint_similarity
from rsgnet.geometry import Floats
from rsgnet.skeletons import Skeleton

KEYPOINT_KINDS = ("good", "jitter", "inverted", "swapped", "missed")
ERROR_KINDS = KEYPOINT_KINDS[1:]
PERSON_ERRORS = ("missed_people", "duplicate_people", "false_people")
MATCH_OKS = 0.1  # low, so that poses with many errors are still matched to their person
DUPLICATE_OKS = 0.5
GOOD_SIMILARITY, NEAR_SIMILARITY = 0.85, 0.5
_GOOD, _JITTER, _INVERTED, _SWAPPED, _MISSED = range(5)


@dataclass(frozen=True)
class ErrorCounts:
    """How often each type of error occurs.

    Each labelled keypoint of a matched person has one of the first five kinds, by its similarity `ks`, a term of OKS.

    Attributes:
        good: ks of at least 0.85.
        jitter: ks from 0.5 to below 0.85.
        inverted: Not the above, and ks of at least 0.5 to the same person's left/right counterpart.
        swapped: Not the above, and ks of at least 0.5 to that keypoint or its counterpart of another person.
        missed: None of the above.
        matched_people: People with a pose.
        missed_people: People without a pose.
        duplicate_people: Unmatched poses with OKS of at least 0.5 to a person whom a pose of higher score has taken.
        false_people: All other unmatched poses.
    """

    good: int = 0
    jitter: int = 0
    inverted: int = 0
    swapped: int = 0
    missed: int = 0
    matched_people: int = 0
    missed_people: int = 0
    duplicate_people: int = 0
    false_people: int = 0

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(*(one + two for one, two in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def keypoints(self) -> int:
        """The number of labelled keypoints of matched people."""
        return self.good + self.jitter + self.inverted + self.swapped + self.missed

    def keypoint_shares(self) -> dict[str, float]:
        """Returns the share of each of KEYPOINT_KINDS among the keypoints; all 0 without keypoints."""
        return {kind: getattr(self, kind) / max(self.keypoints, 1) for kind in KEYPOINT_KINDS}

    def people_shares(self) -> dict[str, float]:
        """Returns each of PERSON_ERRORS divided by the number of annotated people; all 0 without people."""
        people = self.matched_people + self.missed_people
        return {kind: getattr(self, kind) / max(people, 1) for kind in PERSON_ERRORS}


def count_errors(images: Sequence[MatchedImage], skeleton: Skeleton, min_score: float = -np.inf) -> ErrorCounts:
    """Counts the errors in some images by type.

    Poses are matched by `match_poses` at OKS 0.1. People who are not evaluated (without labels, groups) and the poses
    matched to them are ignored; a keypoint that lies on such a person, unless a group, still counts as swapped.

    Args:
        images: The images.
        skeleton: The keypoints of their people.
        min_score: Poses with a lower score are ignored; `best_f1_threshold` returns a value that is fair to any tool's
            scores.
    """
    return sum(count_image_errors(images, skeleton, min_score), ErrorCounts())


def count_image_errors(
    images: Sequence[MatchedImage], skeleton: Skeleton, min_score: float = -np.inf
) -> list[ErrorCounts]:
    """Counts the errors in each image like `count_errors`."""
    images = [image.drop_poses_below(min_score) for image in images]
    matches = match_poses(images, [MATCH_OKS])
    return [_count_errors(image, own[0], skeleton) for image, own in zip(images, matches, strict=True)]


def _count_errors(image: MatchedImage, matches: NDArray[np.intp], skeleton: Skeleton) -> ErrorCounts:
    pairs = find_matched_pairs(image, matches)
    kinds = np.zeros(len(KEYPOINT_KINDS), int)
    for pose, person in pairs:
        labelled = image.people[person, :, 2] > 0
        found = classify_keypoints(image.poses[pose, :, :2], person, image, skeleton)[labelled]
        kinds += np.bincount(found, minlength=len(kinds))
    highest_oks = image.oks[matches == NOBODY][:, image.counted].max(1, initial=0.0)
    duplicates = int((highest_oks >= DUPLICATE_OKS).sum())
    return ErrorCounts(
        **dict(zip(KEYPOINT_KINDS, kinds.tolist(), strict=True)),
        matched_people=len(pairs),
        missed_people=int(image.counted.sum()) - len(pairs),
        duplicate_people=duplicates,
        false_people=len(highest_oks) - duplicates,
    )


def classify_keypoints(pose_xy: Floats, person: int, image: MatchedImage, skeleton: Skeleton) -> NDArray[np.intp]:
    """Returns the (K,) index into KEYPOINT_KINDS of each keypoint of a pose, as if all keypoints were labelled.

    Args:
        pose_xy: (K, 2) the pose, in image pixels.
        person: Index of the person in the image that the pose is matched to.
        image: The image.
        skeleton: The keypoints of its people.
    """
    flip = skeleton.flip_indices
    labelled = (image.people[..., 2] > 0) & ~image.groups[:, None]
    area = float(image.areas[person])
    same = keypoint_similarity(pose_xy, image.people[..., :2], area, skeleton.sigmas) * labelled
    mirrored = keypoint_similarity(pose_xy, image.people[:, flip, :2], area, skeleton.sigmas) * labelled[:, flip]
    inverted = np.where(flip == np.arange(len(flip)), 0.0, mirrored[person])
    swapped = np.delete(np.maximum(same, mirrored), person, axis=0).max(0, initial=0.0)
    return np.select(
        [
            same[person] >= GOOD_SIMILARITY,
            same[person] >= NEAR_SIMILARITY,
            (inverted >= NEAR_SIMILARITY) & (inverted >= swapped),
            swapped >= NEAR_SIMILARITY,
        ],
        [_GOOD, _JITTER, _INVERTED, _SWAPPED],
        _MISSED,
    )


def compute_metrics_without_errors(
    truth: Annotations, images: Sequence[MatchedImage], protocol: OksProtocol
) -> dict[str, dict[str, float]]:
    """Computes, for each of ERROR_KINDS, the metrics that the poses would have without it.

    Args:
        truth: The annotated people.
        images: The same images with the predicted poses.
        protocol: The rules to apply.

    Returns:
        By kind of error, the metrics of `evaluate_keypoints`.
    """
    return {
        kind: compute_keypoint_metrics(truth, poses, protocol)
        for kind, poses in correct_errors(images, truth.skeleton).items()
    }


def correct_errors(images: Sequence[MatchedImage], skeleton: Skeleton) -> dict[str, Results]:
    """Returns, for each of ERROR_KINDS, the poses with the keypoints of that kind moved to their labelled positions.

    Poses are matched as in `count_errors`, whatever their score, because all of them enter the metrics. Scores are not
    changed.

    Args:
        images: The images with the predicted poses.
        skeleton: The keypoints of their people.
    """
    poses = np.concatenate([np.empty((0, len(skeleton), 3)), *(image.poses for image in images)])
    matches = match_poses(images, [MATCH_OKS])
    labels = [_kinds_and_labels(image, own[0], skeleton) for image, own in zip(images, matches, strict=True)]
    kinds = np.concatenate([np.empty((0, len(skeleton)), np.intp), *(kinds for kinds, _ in labels)])
    labels_xy = np.concatenate([np.empty((0, len(skeleton), 2)), *(labels_xy for _, labels_xy in labels)])
    image_ids = np.array([image.image_id for image in images for _ in image.scores], np.int64)
    scores = np.concatenate([np.empty(0), *(image.scores for image in images)])
    results = {}
    for kind in ERROR_KINDS:
        values = poses.copy()
        wrong = kinds == KEYPOINT_KINDS.index(kind)
        values[wrong, :2] = labels_xy[wrong]
        results[kind] = Results(f"without {kind} keypoints", image_ids, scores, values)
    return results


def _kinds_and_labels(
    image: MatchedImage, matches: NDArray[np.intp], skeleton: Skeleton
) -> tuple[NDArray[np.intp], Floats]:
    """Returns the (N, K) kind of each keypoint, -1 without a label, and the (N, K, 2) labelled positions."""
    kinds, labels_xy = np.full(image.poses.shape[:2], -1), image.poses[..., :2].copy()
    for pose, person in find_matched_pairs(image, matches):
        labelled = image.people[person, :, 2] > 0
        kinds[pose, labelled] = classify_keypoints(image.poses[pose, :, :2], person, image, skeleton)[labelled]
        labels_xy[pose] = image.people[person, :, :2]
    return kinds, labels_xy
