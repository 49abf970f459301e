"""What each kind of mistake costs: the figures as they would be, were every keypoint of that kind at its place.

After Ronchi and Perona (ICCV 2017), as are the kinds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rsgnet.data.annotations import Annotations
from rsgnet.evaluation.average_precision import keypoint_figures
from rsgnet.evaluation.error_types import KEYPOINT_KINDS, MATCH_OKS, keypoint_kinds
from rsgnet.evaluation.official import official_evaluator
from rsgnet.evaluation.results import Results
from rsgnet.evaluation.scenes import NOBODY, Scene, match
from rsgnet.geometry import Floats
from rsgnet.skeletons import Skeleton

MISTAKES = KEYPOINT_KINDS[1:]


def figures_repaired(truth: Annotations, scenes: Sequence[Scene], crowdpose: bool) -> dict[str, dict[str, float]]:
    """By kind of mistake, the figures without it, as `evaluate_keypoints` names them.

    Args:
        truth: The annotated people.
        scenes: The same pictures with the poses found.
        crowdpose: Whether CrowdPose's rules hold (`protocol.is_crowdpose`).
    """
    return {
        kind: keypoint_figures(
            official_evaluator(truth, repaired(scenes, kind, truth.skeleton), "keypoints", crowdpose), truth
        )
        for kind in MISTAKES
    }


def repaired(scenes: Sequence[Scene], kind: str, skeleton: Skeleton) -> Results:
    """The poses with the labelled keypoints of one kind of mistake put to their places, scores as they were.

    Poses are matched to people as by `count_errors`, whatever they score: all of them take part in the figures.

    Args:
        scenes: The pictures with the poses found.
        kind: One of MISTAKES.
        skeleton: The keypoints of their people.
    """
    values = [_repaired(scene, KEYPOINT_KINDS.index(kind), skeleton) for scene in scenes]
    image_ids = [scene.image_id for scene in scenes for _ in scene.scores]
    return Results(
        origin=f"without {kind} keypoints",
        image_ids=np.array(image_ids, np.int64),
        scores=np.concatenate([np.empty(0), *(scene.scores for scene in scenes)]),
        values=np.concatenate([np.empty((0, len(skeleton), 3)), *values]),
    )


def _repaired(scene: Scene, kind: int, skeleton: Skeleton) -> Floats:
    poses: Floats = scene.poses.copy()
    for pose, person in zip(poses, match(scene, [MATCH_OKS])[0], strict=True):
        if person != NOBODY and scene.counted[person]:
            wrong = keypoint_kinds(pose[:, :2], person, scene, skeleton) == kind
            wrong &= scene.people[person, :, 2] > 0
            pose[wrong, :2] = scene.people[person, wrong, :2]
    return poses
