"""The crowd index of CrowdPose: how many keypoints of other people lie in a person's box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from rsgnet.annotations.people import Person
from rsgnet.skeletons import CROWDPOSE14, Skeleton

CrowdIndexRule = Literal["crowdpose", "capped"]

_BODY_KEYPOINTS = CROWDPOSE14.keypoints[:12]  # shoulders to ankles, without head and neck
_MIN_BODY_KEYPOINTS = 4


def compute_crowd_index(people: Sequence[Person], skeleton: Skeleton, rule: CrowdIndexRule = "crowdpose") -> float:
    """Computes the crowd index of one image (CrowdPose, Eq. 1).

    It is the mean over the people of the ratio of other people's keypoints to their own. Other people's keypoints are
    those labelled keypoints of everyone else that lie in the person's box, edges included.

    Args:
        people: Everyone in the image, groups included.
        skeleton: The keypoints of the people.
        rule: "crowdpose" averages over people with at least 4 of the 12 body keypoints labelled and divides by the
            number of all their labelled keypoints; a ratio can exceed 1. The rule was found by experiment; it
            reproduces the published indices to their two decimals. "capped" leaves out groups, averages over people
            with any labelled keypoint and divides by the number of their keypoints inside the box, at least 1; a ratio
            is at most 1.

    Returns:
        The crowd index, at least 0; 0 where no person counts.
    """
    crowdpose = rule == "crowdpose"
    if not crowdpose:
        people = [person for person in people if not person.is_crowd]
    if not people:
        return 0.0
    x, y, visibility = np.array([person.keypoints for person in people]).transpose(2, 0, 1)
    labelled = visibility > 0
    counts = labelled.sum(1)
    left, top, width, height = np.array([person.box_xywh for person in people]).T
    x, y = np.where(labelled, x, np.nan), np.where(labelled, y, np.nan)  # what is not labelled is in no box
    ratios = []
    is_averaged = labelled[:, _find_body_keypoints(skeleton)].sum(1) >= _MIN_BODY_KEYPOINTS if crowdpose else counts > 0
    for index in np.flatnonzero(is_averaged).tolist():
        in_x = (x >= left[index]) & (x <= left[index] + width[index])
        inside = in_x & (y >= top[index]) & (y <= top[index] + height[index])
        own_inside = int(np.count_nonzero(inside[index]))
        others = int(np.count_nonzero(inside)) - own_inside
        own = int(counts[index]) if crowdpose else max(own_inside, 1)
        ratios.append(others / own if crowdpose else min(others / own, 1.0))
    return sum(ratios) / len(ratios) if ratios else 0.0


def choose_crowd_index_rule(skeleton: Skeleton) -> CrowdIndexRule:
    """Returns the rule that is defined for a skeleton: "capped" where it has too few body keypoints for CrowdPose's."""
    return "crowdpose" if len(_find_body_keypoints(skeleton)) >= _MIN_BODY_KEYPOINTS else "capped"


def _find_body_keypoints(skeleton: Skeleton) -> list[int]:
    return [index for index, name in enumerate(skeleton.keypoints) if name in _BODY_KEYPOINTS]
