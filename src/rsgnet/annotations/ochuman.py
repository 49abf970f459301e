"""OCHuman's own JSON, whose images hold their annotations: 19 keypoints in another order, other visibility codes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import numpy as np

from rsgnet.annotations.findings import Report, entry, inner_path
from rsgnet.annotations.people import SIZE_UNKNOWN, AnnotatedImage, Person, area_of
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import PEOPLE19, Skeleton

# The order of its keypoints, where the file does not list it.
_KEYPOINTS = (
    "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "head", "neck", "right_ear", "left_ear", "nose", "right_eye", "left_eye",
)  # fmt: skip
# Missing, visible, hidden by oneself, hidden by others; as its authors' own conversion to COCO takes them.
_VISIBILITY = np.array([0, 2, 2, 1])


def read_ochuman(content: Mapping[str, Any], report: Report) -> tuple[Skeleton, list[AnnotatedImage]]:
    """Reads `ochuman.json`.

    People come in PEOPLE19, which has the same keypoints. Those whose keypoints are not annotated have a box only, and
    all are numbered anew, from 1 in the order of the file.

    Args:
        content: An object whose `images` have `annotations`.
        report: Told of each entry that is wrong; entries that cannot be used are left out where it returns.

    Raises:
        AnnotationError: The keypoints' names are not its.
    """
    given = content.get("keypoint_names") or list(_KEYPOINTS)
    names = tuple(map(str, given)) if isinstance(given, list) else ()
    if set(names) != set(PEOPLE19.keypoints) or len(names) != len(PEOPLE19):
        raise AnnotationError(f"expected OCHuman's 19 `keypoint_names`, got {', '.join(names)}")
    order = [names.index(name) for name in PEOPLE19.keypoints]
    numbers = count(1)
    images = []
    for index, raw in enumerate(content["images"], 1):
        with entry(report, f"image entry {index - 1}"):
            people = []
            for place, person in enumerate(raw["annotations"]):
                number = next(numbers)
                with entry(report, f"image entry {index - 1} ({raw['file_name']}), annotation entry {place}"):
                    people.append(_person(person, order, number))
            size_wh = int(raw.get("width") or 0), int(raw.get("height") or 0)
            size_wh = size_wh if min(size_wh) > 0 else SIZE_UNKNOWN
            images.append(AnnotatedImage(index, inner_path(raw["file_name"]), size_wh, tuple(people)))
    return PEOPLE19, images


def _person(raw: Mapping[str, Any], order: list[int], number: int) -> Person:
    corners = np.asarray(raw["bbox"], np.float64)
    keypoints = np.asarray(raw.get("keypoints") or [0.0] * 3 * len(order), np.float64)
    if corners.shape != (4,) or keypoints.shape != (3 * len(order),):
        raise AnnotationError(
            f"expected 4 box and {3 * len(order)} keypoint numbers, got {corners.size} and {keypoints.size}"
        )
    keypoints = keypoints.reshape(-1, 3)[order]
    if not np.isfinite(corners).all() or not np.isfinite(keypoints).all():
        raise AnnotationError("box and keypoints must be finite numbers")
    if not np.isin(keypoints[:, 2], range(4)).all():
        raise AnnotationError(f"visibility is 0, 1, 2 or 3, not {keypoints[:, 2].max()}")
    keypoints[:, 2] = _VISIBILITY[keypoints[:, 2].astype(int)]
    box_xywh = np.concatenate([corners[:2], corners[2:] - corners[:2]])
    return Person(number, box_xywh, keypoints, area_of(box_xywh))
