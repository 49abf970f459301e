"""What COCO's and CrowdPose's own tools count: whose poses, at what scale, and how crowded an image is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from rsgnet.annotations.readers import AnnotatedImage, Annotations, Person
from rsgnet.errors import RSGNetError
from rsgnet.skeletons import CROWDPOSE14

Protocol = Literal["auto", "coco", "crowdpose"]


EASY_BELOW, MEDIUM_BELOW = 0.2, 0.8  # CrowdPose's levels of the crowd index


_CROWDPOSE_BODY = 12  # CrowdPose: the keypoints before head and neck


def is_crowdpose(truth: Annotations, protocol: str) -> bool:
    """Whether people are counted by CrowdPose's rules.

    Args:
        truth: The annotated people.
        protocol: "coco", "crowdpose", or "auto": "crowdpose" for its 14 keypoints, else "coco".

    Raises:
        RSGNetError: There is no such protocol, or "crowdpose" was asked for people with other keypoints.
    """
    if protocol not in ("auto", "coco", "crowdpose"):
        raise RSGNetError(f"no protocol is named {protocol!r}; there are auto, coco, crowdpose")
    fits = truth.skeleton.name == CROWDPOSE14.name
    if protocol == "crowdpose" and not fits:
        raise RSGNetError(
            f"{truth.path}: the crowdpose protocol is for {CROWDPOSE14.name} people, these are {truth.skeleton.name}; "
            "use --protocol coco"
        )
    return fits and protocol != "coco"


def oks_area(person: Person, crowdpose: bool) -> float:
    """The area in squared pixels that sets the OKS scale: as annotated, or 0.53 of the box by CrowdPose's rules."""
    return 0.53 * float(person.box_xywh[2] * person.box_xywh[3]) if crowdpose else person.area


def asked_for(person: Person, crowdpose: bool) -> int:
    """How many labelled keypoints make a person count; whoever has 0 neither counts nor costs."""
    return int(np.count_nonzero(person.keypoints[: _CROWDPOSE_BODY if crowdpose else None, 2] > 0))


def level_of(image: AnnotatedImage) -> str | None:
    """easy (crowd index below 0.2), medium (below 0.8), hard (the rest), or None without a crowd index."""
    if image.crowd_index is None:
        return None
    return "easy" if image.crowd_index < EASY_BELOW else "medium" if image.crowd_index < MEDIUM_BELOW else "hard"


def by_level(levels: Sequence[str | None]) -> dict[str, list[int]]:
    """Which images are easy, medium, hard and medium_hard (both upper levels together); empty where none has a level.

    Args:
        levels: The level of each image, as `level_of` gives it.
    """
    if not any(levels):
        return {}
    at = {name: [index for index, level in enumerate(levels) if level == name] for name in ("easy", "medium", "hard")}
    return {**at, "medium_hard": sorted(at["medium"] + at["hard"])}
