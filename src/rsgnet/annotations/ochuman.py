"""Reading OCHuman's own JSON: annotations inside the images, 19 keypoints in another order, other visibility codes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import numpy as np

from rsgnet.annotations.findings import FindingHandler, report_entry_errors, validate_file_name
from rsgnet.annotations.people import SIZE_UNKNOWN, AnnotatedImage, Person, estimate_area
from rsgnet.errors import AnnotationError
from rsgnet.geometry import xyxy_to_xywh
from rsgnet.skeletons import PEOPLE19, Skeleton

# The order of the keypoints where the file does not list it.
_KEYPOINTS = (
    "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "head", "neck", "right_ear", "left_ear", "nose", "right_eye", "left_eye",
)  # fmt: skip
# COCO's visibility for OCHuman's codes: missing, visible, self-occluded, occluded by others. Self-occluded keypoints
# count as visible, as in the COCO files that OCHuman's authors published.
_VISIBILITY = np.array([0, 2, 2, 1])


def read_ochuman(content: Mapping[str, Any], on_finding: FindingHandler) -> tuple[Skeleton, list[AnnotatedImage]]:
    """Reads `ochuman.json`.

    The skeleton is PEOPLE19, which has the same keypoints. A person without annotated keypoints has a box only. People
    get new ids from 1 in the order of the file.

    Args:
        content: An object whose `images` have `annotations`.
        on_finding: Called with each problem. Unless it raises, entries that cannot be used are left out.

    Raises:
        AnnotationError: The keypoint names of the file are not those of OCHuman.
    """
    given = content.get("keypoint_names") or list(_KEYPOINTS)
    names = tuple(map(str, given)) if isinstance(given, list) else ()
    if set(names) != set(PEOPLE19.keypoints) or len(names) != len(PEOPLE19):
        raise AnnotationError(f"expected OCHuman's 19 `keypoint_names`, got {', '.join(names)}")
    order = [names.index(name) for name in PEOPLE19.keypoints]
    person_ids = count(1)
    images = []
    for index, raw in enumerate(content["images"]):
        with report_entry_errors(on_finding, f"image entry {index}"):
            people = []
            for person_index, raw_person in enumerate(raw["annotations"]):
                person_id = next(person_ids)
                entry = f"image entry {index} ({raw['file_name']}), annotation entry {person_index}"
                with report_entry_errors(on_finding, entry):
                    people.append(_parse_person(raw_person, order, person_id))
            size_wh = int(raw.get("width") or 0), int(raw.get("height") or 0)
            size_wh = size_wh if min(size_wh) > 0 else SIZE_UNKNOWN
            images.append(AnnotatedImage(index + 1, validate_file_name(raw["file_name"]), size_wh, tuple(people)))
    return PEOPLE19, images


def _parse_person(raw: Mapping[str, Any], order: list[int], person_id: int) -> Person:
    box_xyxy = np.asarray(raw["bbox"], np.float64)
    keypoints = np.asarray(raw.get("keypoints") or [0.0] * 3 * len(order), np.float64)
    if box_xyxy.shape != (4,) or keypoints.shape != (3 * len(order),):
        raise AnnotationError(
            f"expected 4 box and {3 * len(order)} keypoint numbers, got {box_xyxy.size} and {keypoints.size}"
        )
    keypoints = keypoints.reshape(-1, 3)[order]
    if not np.isfinite(box_xyxy).all() or not np.isfinite(keypoints).all():
        raise AnnotationError("box and keypoints must be finite numbers")
    if not np.isin(keypoints[:, 2], range(4)).all():
        raise AnnotationError(f"visibility must be 0, 1, 2 or 3, not {keypoints[:, 2].max()}")
    keypoints[:, 2] = _VISIBILITY[keypoints[:, 2].astype(int)]
    box_xywh = xyxy_to_xywh(box_xyxy)
    return Person(person_id, box_xywh, keypoints, estimate_area(box_xywh))
