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
    labelled = [person.keypoints[:, 2] > 0 for person in people]
    labelled_xy = [person.keypoints[mask, :2] for person, mask in zip(people, labelled, strict=True)]
    xy = np.concatenate([np.zeros((0, 2)), *labelled_xy])
    owners = np.repeat(np.arange(len(people)), [len(each) for each in labelled_xy])
    body = _find_body_keypoints(skeleton)
    ratios = []
    for index, person in enumerate(people):
        if labelled[index][body].sum() < _MIN_BODY_KEYPOINTS if crowdpose else not labelled[index].any():
            continue
        low, high = person.box_xywh[:2], person.box_xywh[:2] + person.box_xywh[2:]
        owners_inside = owners[((xy >= low) & (xy <= high)).all(-1)]
        others = int((owners_inside != index).sum())
        own = int(labelled[index].sum()) if crowdpose else max(len(owners_inside) - others, 1)
        ratios.append(others / own if crowdpose else min(others / own, 1.0))
    return float(np.mean(ratios)) if ratios else 0.0


def choose_crowd_index_rule(skeleton: Skeleton) -> CrowdIndexRule:
    """Returns the rule that is defined for a skeleton: "capped" where it has too few body keypoints for CrowdPose's."""
    return "crowdpose" if len(_find_body_keypoints(skeleton)) >= _MIN_BODY_KEYPOINTS else "capped"


def _find_body_keypoints(skeleton: Skeleton) -> list[int]:
    return [index for index, name in enumerate(skeleton.keypoints) if name in _BODY_KEYPOINTS]
