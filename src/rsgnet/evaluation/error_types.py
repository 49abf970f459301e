"""What kind of mistakes were made: keypoints on another person, on the other side, off, or nowhere; people too.

After Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation" (ICCV 2017), with their
thresholds. Two choices are for crowds: scale and falloff are always those of the matched person, so that a keypoint is
as far off whoever it lies on, and a keypoint near both its own mirror image and somebody else is charged to the nearer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.readers import Annotations
from rsgnet.evaluation.average_precision import keypoint_figures
from rsgnet.evaluation.matching import NOBODY, MatchedImage, keypoint_similarity, match, matched_people
from rsgnet.evaluation.official import official_evaluator
from rsgnet.evaluation.results import Results
from rsgnet.geometry import Floats
from rsgnet.skeletons import Skeleton

KEYPOINT_KINDS = ("good", "jitter", "inverted", "swapped", "missed")
PERSON_KINDS = ("missed_people", "duplicate_people", "false_people")
MATCH_OKS = 0.1  # the least that joins a pose to a person, to look at what is wrong with it
DUPLICATE_OKS = 0.5
GOOD_SIMILARITY, NEAR_SIMILARITY = 0.85, 0.5
_GOOD, _JITTER, _INVERTED, _SWAPPED, _MISSED = range(5)


@dataclass(frozen=True)
class ErrorCounts:
    """How often each mistake was made.

    Each labelled keypoint of a matched person is one of the first five, by its similarity `ks` (a term of OKS):

    Attributes:
        good: ks of at least 0.85.
        jitter: At its place but not well: ks from 0.5 to below 0.85.
        inverted: Else, ks of at least 0.5 to the same person's left/right counterpart.
        swapped: Else, ks of at least 0.5 to that keypoint of another person, or to its counterpart.
        missed: Near none of these.
        matched_people: People with a pose.
        missed_people: People without one.
        duplicate_people: Unmatched poses with OKS of at least 0.5 to a person whom a surer pose has taken.
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
        return ErrorCounts(*(one + two for one, two in zip(astuple(self), astuple(other), strict=True)))

    @property
    def keypoints(self) -> int:
        """How many keypoints were looked at."""
        return self.good + self.jitter + self.inverted + self.swapped + self.missed

    def keypoint_shares(self) -> dict[str, float]:
        """The share of good, jitter, inverted, swapped and missed ones among the keypoints; all 0 without any."""
        return {kind: getattr(self, kind) / max(self.keypoints, 1) for kind in KEYPOINT_KINDS}

    def people_shares(self) -> dict[str, float]:
        """Missed, duplicate and false people, each per annotated person; all 0 without any."""
        people = self.matched_people + self.missed_people
        return {kind: getattr(self, kind) / max(people, 1) for kind in PERSON_KINDS}


def count_errors(scenes: Sequence[MatchedImage], skeleton: Skeleton, least_score: float = -np.inf) -> ErrorCounts:
    """Counts mistakes by kind.

    Poses are matched by `scenes.match` at OKS 0.1: each, surest first, to the likest person not yet taken. People who
    do not count (no labels, groups) are not looked at, nor are the poses matched to them; somebody's keypoint may still
    have been put on them, groups excepted.

    Args:
        scenes: The images.
        skeleton: The keypoints of their people.
        least_score: Poses that score less are left out as not meant; `best_f1_threshold` gives one that is fair to any
            tool's scores. All of them count by default.
    """
    return sum((_in_scene(scene.above(least_score), skeleton) for scene in scenes), ErrorCounts())


def keypoint_kinds(pose_xy: Floats, person: int, scene: MatchedImage, skeleton: Skeleton) -> NDArray[np.intp]:
    """(K,) which of KEYPOINT_KINDS each keypoint is, were it labelled.

    Args:
        pose_xy: (K, 2) the pose, in image pixels.
        person: Index of the person in the scene that the pose is matched to.
        scene: The image.
        skeleton: The keypoints of its people.
    """
    flip = skeleton.flip_indices
    there = (scene.people[..., 2] > 0) & ~scene.groups[:, None]
    area = float(scene.areas[person])
    same = keypoint_similarity(pose_xy, scene.people[..., :2], area, skeleton.sigmas) * there
    mirrored = keypoint_similarity(pose_xy, scene.people[:, flip, :2], area, skeleton.sigmas) * there[:, flip]
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


def _in_scene(scene: MatchedImage, skeleton: Skeleton) -> ErrorCounts:
    matches = match(scene, [MATCH_OKS])[0]
    matched = matched_people(scene, matches)
    kinds = np.zeros(len(KEYPOINT_KINDS), int)
    for pose, person in matched:
        labelled = scene.people[person, :, 2] > 0
        found = keypoint_kinds(scene.poses[pose, :, :2], person, scene, skeleton)[labelled]
        kinds += np.bincount(found, minlength=len(kinds))
    spare = scene.oks[matches == NOBODY][:, scene.counted].max(1, initial=0.0)
    duplicates = int((spare >= DUPLICATE_OKS).sum())
    return ErrorCounts(
        **dict(zip(KEYPOINT_KINDS, kinds.tolist(), strict=True)),
        matched_people=len(matched),
        missed_people=int(scene.counted.sum()) - len(matched),
        duplicate_people=duplicates,
        false_people=len(spare) - duplicates,
    )


MISTAKES = KEYPOINT_KINDS[1:]


def figures_repaired(
    truth: Annotations, scenes: Sequence[MatchedImage], crowdpose: bool
) -> dict[str, dict[str, float]]:
    """By kind of mistake, the figures without it, as `evaluate_keypoints` names them.

    Args:
        truth: The annotated people.
        scenes: The same images with the poses found.
        crowdpose: Whether CrowdPose's rules hold (`protocol.is_crowdpose`).
    """
    return {
        kind: keypoint_figures(official_evaluator(truth, poses, "keypoints", crowdpose), truth)
        for kind, poses in repaired(scenes, truth.skeleton).items()
    }


def repaired(scenes: Sequence[MatchedImage], skeleton: Skeleton) -> dict[str, Results]:
    """By kind of mistake, the poses with its labelled keypoints put to their places, scores as they were.

    Poses are matched to people as by `count_errors`, whatever they score: all of them take part in the figures.

    Args:
        scenes: The images with the poses found.
        skeleton: The keypoints of their people.
    """
    poses = np.concatenate([np.empty((0, len(skeleton), 3)), *(scene.poses for scene in scenes)])
    judged = [_kinds_and_places(scene, skeleton) for scene in scenes]
    kinds = np.concatenate([np.empty((0, len(skeleton)), np.intp), *(kinds for kinds, _ in judged)])
    places = np.concatenate([np.empty((0, len(skeleton), 2)), *(places for _, places in judged)])
    image_ids = np.array([scene.image_id for scene in scenes for _ in scene.scores], np.int64)
    scores = np.concatenate([np.empty(0), *(scene.scores for scene in scenes)])
    results = {}
    for kind in MISTAKES:
        values = poses.copy()
        wrong = kinds == KEYPOINT_KINDS.index(kind)
        values[wrong, :2] = places[wrong]
        results[kind] = Results(f"without {kind} keypoints", image_ids, scores, values)
    return results


def _kinds_and_places(scene: MatchedImage, skeleton: Skeleton) -> tuple[NDArray[np.intp], Floats]:
    """(N, K) the kind of each keypoint, -1 where it has no labelled place, and (N, K, 2) that place."""
    kinds, places = np.full(scene.poses.shape[:2], -1), scene.poses[..., :2].copy()
    for pose, person in matched_people(scene, match(scene, [MATCH_OKS])[0]):
        labelled = scene.people[person, :, 2] > 0
        kinds[pose, labelled] = keypoint_kinds(scene.poses[pose, :, :2], person, scene, skeleton)[labelled]
        places[pose] = scene.people[person, :, :2]
    return kinds, places
