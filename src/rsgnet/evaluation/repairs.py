"""What each kind of mistake costs: the figures as they would be, were every keypoint of that kind at its place.

After Ronchi and Perona (ICCV 2017), as are the kinds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsgnet.data.annotations import Annotations
from rsgnet.evaluation.average_precision import keypoint_figures
from rsgnet.evaluation.error_types import KEYPOINT_KINDS, MATCH_OKS, keypoint_kinds
from rsgnet.evaluation.official import official_evaluator
from rsgnet.evaluation.results import Results
from rsgnet.evaluation.scenes import Scene, match, matched_people
from rsgnet.geometry import Floats
from rsgnet.skeletons import Skeleton

MISTAKES = KEYPOINT_KINDS[1:]


def figures_repaired(truth: Annotations, scenes: Sequence[Scene], crowdpose: bool) -> dict[str, dict[str, float]]:
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


def repaired(scenes: Sequence[Scene], skeleton: Skeleton) -> dict[str, Results]:
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


def _kinds_and_places(scene: Scene, skeleton: Skeleton) -> tuple[NDArray[np.intp], Floats]:
    """(N, K) the kind of each keypoint, -1 where it has no labelled place, and (N, K, 2) that place."""
    kinds, places = np.full(scene.poses.shape[:2], -1), scene.poses[..., :2].copy()
    for pose, person in matched_people(scene, match(scene, [MATCH_OKS])[0]):
        labelled = scene.people[person, :, 2] > 0
        kinds[pose, labelled] = keypoint_kinds(scene.poses[pose, :, :2], person, scene, skeleton)[labelled]
        places[pose] = scene.people[person, :, :2]
    return kinds, places
