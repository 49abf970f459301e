"""The crowd index: how many keypoints of other people fall into a person's box.

It stands with the data, not the evaluation: whoever makes or checks a data set needs it as much as whoever scores one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from rsgnet.data.annotations import Person
from rsgnet.geometry import Floats
from rsgnet.skeletons import CROWDPOSE14, Skeleton

CrowdIndexRule = Literal["crowdpose", "capped"]

_BODY = CROWDPOSE14.keypoints[:12]  # shoulders to ankles, without head and neck
_LEAST_BODY_KEYPOINTS = 4


def crowd_index(people: Sequence[Person], skeleton: Skeleton, rule: CrowdIndexRule = "crowdpose") -> float:
    """The crowd index of one picture (CrowdPose, Eq. 1): the mean over its people of others' to own keypoints.

    Others' are the labelled keypoints of everyone else that lie in the person's box, edges included.

    Args:
        people: Everyone in the picture, groups too.
        skeleton: The keypoints of the people.
        rule: "crowdpose", as its published figures come out (found by trying, they are equal to their two decimals):
            people with at least 4 of the 12 body keypoints labelled, over all their own labelled keypoints; can exceed
            1. "capped": people with any keypoint labelled, groups left out, over their own keypoints inside the box, at
            least 1; no person's share exceeds 1.

    Returns:
        0 (nobody in another's box) and up; 0 where there is nobody to count.
    """
    crowdpose = rule == "crowdpose"
    if not crowdpose:
        people = [person for person in people if not person.is_crowd]
    body = [index for index, name in enumerate(skeleton.keypoints) if name in _BODY]
    shares = []
    for person in people:
        seen = person.keypoints[:, 2] > 0
        if seen[body].sum() < _LEAST_BODY_KEYPOINTS if crowdpose else not seen.any():
            continue
        others = sum(_inside(other, person.box_xywh) for other in people if other is not person)
        own = int(seen.sum()) if crowdpose else max(_inside(person, person.box_xywh), 1)
        shares.append(others / own if crowdpose else min(others / own, 1.0))
    return float(np.mean(shares)) if shares else 0.0


def _inside(person: Person, box_xywh: Floats) -> int:
    """How many labelled keypoints of a person lie in a box."""
    places = person.keypoints[person.keypoints[:, 2] > 0, :2]
    return int(((places >= box_xywh[:2]) & (places <= box_xywh[:2] + box_xywh[2:])).all(-1).sum())
