"""The images in which two results differ most, judged by annotations: keypoints that are right in one of them only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.people import AnnotatedImage, Annotations
from rsgnet.evaluation.error_types import KEYPOINT_KINDS, MATCH_OKS, classify_keypoints
from rsgnet.evaluation.matching import NOBODY, MatchedImage, find_matched_pairs, match_images, match_poses
from rsgnet.evaluation.protocol import choose_protocol
from rsgnet.evaluation.ranking import best_f1_threshold, rank_poses
from rsgnet.evaluation.results import Results
from rsgnet.skeletons import Skeleton

RIGHT_KINDS = ("good", "jitter")  # near enough to the label: similarity of at least 0.5
_NOT_JUDGED = -1
_RIGHT = [KEYPOINT_KINDS.index(kind) for kind in RIGHT_KINDS]
_MISSED = KEYPOINT_KINDS.index("missed")


@dataclass(frozen=True, eq=False)
class JudgedPeople:
    """The people of an image as one result has them.

    Attributes:
        image: The image with the result's poses.
        poses: (M,) index of each annotated person's pose, NOBODY without one.
        kinds: (M, K) index into KEYPOINT_KINDS of each labelled keypoint, "missed" for a person without a pose;
            negative without a label, and for people who are not evaluated.
        false_poses: Indices of the poses of nobody whose score is at least the one at which F1 at OKS 0.5 is highest.
    """

    image: MatchedImage
    poses: NDArray[np.intp]
    kinds: NDArray[np.intp]
    false_poses: tuple[int, ...]

    @property
    def right(self) -> NDArray[np.bool_]:
        """(M, K) whether each keypoint is near its label."""
        right: NDArray[np.bool_] = np.isin(self.kinds, _RIGHT)
        return right


@dataclass(frozen=True, eq=False)
class JudgedImage:
    """The people of an image in two results.

    Attributes:
        annotated: The image.
        first: Its people as the first result has them.
        second: Its people as the second result has them.
    """

    annotated: AnnotatedImage
    first: JudgedPeople
    second: JudgedPeople

    @property
    def differing(self) -> NDArray[np.bool_]:
        """(M, K) whether each keypoint is right in one result only."""
        differing: NDArray[np.bool_] = self.first.right ^ self.second.right
        return differing

    @property
    def right_once(self) -> tuple[int, int]:
        """The numbers of keypoints that are right only in the first result, and only in the second."""
        first, second = self.first.right, self.second.right
        return int((first & ~second).sum()), int((second & ~first).sum())


def judge_results(truth: Annotations, first: Results, second: Results) -> list[JudgedImage]:
    """Judges two results by the kinds of `error_types`.

    All poses are matched, whatever their score, as in average precision.

    Args:
        truth: The annotated people.
        first: One result.
        second: The other result.

    Returns:
        All images, in order of descending number of keypoints that are right in one result only.
    """
    protocol = choose_protocol(truth)
    sides = []
    for results in (first, second):
        matched = match_images(truth, results, protocol)
        min_score = best_f1_threshold(rank_poses(matched))
        matches = match_poses(matched, [MATCH_OKS])
        sides.append(
            [
                _judge_people(image, own[0], truth.skeleton, min_score)
                for image, own in zip(matched, matches, strict=True)
            ]
        )
    annotated = sorted(truth.images, key=lambda image: image.id)  # the order of match_images
    judged = [JudgedImage(*each) for each in zip(annotated, *sides, strict=True)]
    return sorted(judged, key=lambda image: -int(image.differing.sum()))


def _judge_people(image: MatchedImage, matches: NDArray[np.intp], skeleton: Skeleton, min_score: float) -> JudgedPeople:
    poses = np.full(len(image.people), NOBODY, np.intp)
    kinds = np.where((image.people[..., 2] > 0) & image.counted[:, None], _MISSED, _NOT_JUDGED)
    for pose, person in find_matched_pairs(image, matches):
        poses[person] = pose
        labelled = kinds[person] != _NOT_JUDGED
        kinds[person, labelled] = classify_keypoints(image.poses[pose, :, :2], person, image, skeleton)[labelled]
    false_poses = np.flatnonzero((matches == NOBODY) & (image.scores >= min_score)).tolist()
    return JudgedPeople(image, poses, kinds, tuple(false_poses))


def count_kinds(people: Sequence[JudgedPeople]) -> dict[str, int]:
    """Counts the keypoints of each kind, of people with a pose, and "people without a pose"."""
    with_pose = [each.kinds[each.poses != NOBODY] for each in people]
    counts = {
        kind: sum(int((kinds == index).sum()) for kinds in with_pose) for index, kind in enumerate(KEYPOINT_KINDS)
    }
    without_pose = sum(int(((each.poses == NOBODY) & each.image.counted).sum()) for each in people)
    return {**counts, "people without a pose": without_pose}


def list_judged_images(images: Sequence[JudgedImage]) -> list[dict[str, object]]:
    """Returns the file name of each image and its numbers of keypoints right in one result only, as JSON values."""
    return [
        {"file_name": image.annotated.file_name, "right_in_a_only": first, "right_in_b_only": second}
        for image in images
        for first, second in [image.right_once]
    ]
