"""The crowd index: how many keypoints of other people fall into a person's box.

It stands with the data, not the evaluation: whoever makes or checks a data set needs it as much as whoever scores one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from rsgnet.annotations.people import Person
from rsgnet.skeletons import CROWDPOSE14, Skeleton

CrowdIndexRule = Literal["crowdpose", "capped"]

_BODY = CROWDPOSE14.keypoints[:12]  # shoulders to ankles, without head and neck
_LEAST_BODY_KEYPOINTS = 4


def crowd_index(people: Sequence[Person], skeleton: Skeleton, rule: CrowdIndexRule = "crowdpose") -> float:
    """The crowd index of one image (CrowdPose, Eq. 1): the mean over its people of others' to own keypoints.

    Others' are the labelled keypoints of everyone else that lie in the person's box, edges included.

    Args:
        people: Everyone in the image, groups too.
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
    seen = [person.keypoints[:, 2] > 0 for person in people]
    places = np.concatenate(
        [np.zeros((0, 2)), *(each.keypoints[on, :2] for each, on in zip(people, seen, strict=True))]
    )
    owners = np.repeat(np.arange(len(people)), [int(mask.sum()) for mask in seen])
    body = _body_of(skeleton)
    shares = []
    for index, person in enumerate(people):
        if seen[index][body].sum() < _LEAST_BODY_KEYPOINTS if crowdpose else not seen[index].any():
            continue
        low, high = person.box_xywh[:2], person.box_xywh[:2] + person.box_xywh[2:]
        inside = owners[((places >= low) & (places <= high)).all(-1)]
        others = int((inside != index).sum())
        own = int(seen[index].sum()) if crowdpose else max(len(inside) - others, 1)
        shares.append(others / own if crowdpose else min(others / own, 1.0))
    return float(np.mean(shares)) if shares else 0.0


def rule_for(skeleton: Skeleton) -> CrowdIndexRule:
    """The rule that makes sense of a skeleton: "capped" where there is too little of a body for CrowdPose's own."""
    return "crowdpose" if len(_body_of(skeleton)) >= _LEAST_BODY_KEYPOINTS else "capped"


def _body_of(skeleton: Skeleton) -> list[int]:
    return [index for index, name in enumerate(skeleton.keypoints) if name in _BODY]
