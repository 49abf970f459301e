"""The rules by which COCO's and CrowdPose's tools evaluate: who counts, the OKS scale, and levels of crowding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from rsgnet.annotations.people import AnnotatedImage, Annotations, Person
from rsgnet.errors import RSGNetError
from rsgnet.skeletons import CROWDPOSE14

Protocol = Literal["auto", "coco", "crowdpose"]

_EASY_BELOW, _MEDIUM_BELOW = 0.2, 0.8  # bounds of the crowd index between CrowdPose's levels
_CROWDPOSE_BODY = 12  # CrowdPose's evaluation ignores the last two keypoints, head and neck, when it selects people


def is_crowdpose(truth: Annotations, protocol: str) -> bool:
    """Returns whether to evaluate by CrowdPose's rules instead of COCO's.

    Args:
        truth: The annotated people.
        protocol: "coco", "crowdpose", or "auto": "crowdpose" for its 14 keypoints, else "coco".

    Raises:
        RSGNetError: There is no such protocol, or "crowdpose" was requested for people with other keypoints.
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
    """Returns the area in squared pixels that sets the OKS scale.

    COCO uses the annotated area, CrowdPose 0.53 of the box.
    """
    return 0.53 * float(person.box_xywh[2] * person.box_xywh[3]) if crowdpose else person.area


def count_evaluated_keypoints(person: Person, crowdpose: bool) -> int:
    """Counts the labelled keypoints that decide whether a person is evaluated; a person with none is ignored."""
    return int(np.count_nonzero(person.keypoints[: _CROWDPOSE_BODY if crowdpose else None, 2] > 0))


def crowd_level(image: AnnotatedImage) -> str | None:
    """Returns "easy" (crowd index below 0.2), "medium" (below 0.8) or "hard"; None without a crowd index."""
    if image.crowd_index is None:
        return None
    return "easy" if image.crowd_index < _EASY_BELOW else "medium" if image.crowd_index < _MEDIUM_BELOW else "hard"


def group_by_level(levels: Sequence[str | None]) -> dict[str, list[int]]:
    """Groups the indices of images into "easy", "medium", "hard" and "medium_hard" (the last two together).

    Args:
        levels: The level of each image, as `crowd_level` returns it.

    Returns:
        Ascending indices by level; an empty dict if no image has a level.
    """
    if not any(levels):
        return {}
    rows = {name: [index for index, level in enumerate(levels) if level == name] for name in ("easy", "medium", "hard")}
    return {**rows, "medium_hard": sorted(rows["medium"] + rows["hard"])}
