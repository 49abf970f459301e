"""Completing labels with a network's results: people and keypoints that the annotators left out (self-training)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsgnet.annotations.people import AREA_SHARE_OF_BOX
from rsgnet.errors import AnnotationError
from rsgnet.geometry import Floats, box_iou, xywh_to_xyxy
from rsgnet.skeletons import SKELETONS, Skeleton

_SAME_PERSON_IOU = 0.5


@dataclass(frozen=True)
class CompletionThresholds:
    """The scores from which results are used.

    Attributes:
        person: From this score on, a person without a label is added.
        doubt: From this score up to `person`, the box is added as a region to ignore (`iscrowd`).
        keypoint: From this score on, a keypoint is labelled.
        correction: 0 keeps existing labels. Otherwise a label at most this far from a keypoint that scores enough, as
            a share of the square root of the person's area, is moved there; labels farther away are removed. For data
            sets whose labels are coarse or follow another convention than the network's.
    """

    person: float = 0.5
    doubt: float = 0.25
    keypoint: float = 0.5
    correction: float = 0.0


def complete_annotations(
    content: Mapping[str, Any],
    skeleton: Skeleton,
    results: Sequence[Mapping[str, Any]],
    thresholds: CompletionThresholds,
    target_skeleton: Skeleton | None = None,
) -> dict[str, Any]:
    """Adds people and keypoints that a network found to COCO annotations.

    A result whose box has an IoU of at least 0.5 with an annotated person's box is that person, and labels their
    unlabelled keypoints. Any other result is a new person or, if its score is low, a region to ignore. Existing labels
    are kept, except for corrections. A new person has `"completed": true`; a person with new keypoints has the indices
    of these keypoints as `"completed"`.

    Args:
        content: The content of a COCO keypoint file; it is not modified.
        skeleton: The keypoints of the content.
        results: COCO results with `bbox`, `score` and optionally `keypoints` of `skeleton` or of a built-in skeleton.
        thresholds: The scores from which results are used.
        target_skeleton: The keypoints of the completed content, matched by name; default: `skeleton`.

    Returns:
        The completed content.

    Raises:
        AnnotationError: A result has a number of keypoints that no such skeleton has.
    """
    target_skeleton = target_skeleton or skeleton
    people: list[dict[str, Any]] = []
    for entry in content["annotations"]:
        keypoints = np.reshape(entry.get("keypoints") or np.zeros(3 * len(skeleton)), (-1, 3))
        people.append({**entry, "keypoints": _convert_keypoints(keypoints, skeleton, target_skeleton).ravel().tolist()})
    by_image: dict[int, list[dict[str, Any]]] = {int(entry["id"]): [] for entry in content["images"]}
    for person in people:
        by_image[int(person["image_id"])].append(person)
    last_id = max((int(person["id"]) for person in people), default=0)
    for result in sorted(results, key=lambda each: -float(each["score"])):
        in_image = by_image.get(int(result["image_id"]))
        if in_image is None or result["score"] < thresholds.doubt:
            continue
        labels = _label_keypoints(result.get("keypoints") or (), skeleton, target_skeleton, thresholds.keypoint)
        match = _find_same_person(result["bbox"], in_image)
        if match is not None:
            _add_keypoints(match, labels, thresholds.correction)
        elif not any(
            person.get("iscrowd") and _is_centre_inside(result["bbox"], person["bbox"]) for person in in_image
        ):
            last_id += 1
            in_image.append(_make_person(last_id, result, labels, ignored=result["score"] < thresholds.person))
            people.append(in_image[-1])
    categories = [{"id": 1, "name": "person", "keypoints": list(target_skeleton.keypoints)}]
    return {**content, "annotations": people, "categories": categories}


def _convert_keypoints(keypoints: Floats, skeleton: Skeleton, target_skeleton: Skeleton) -> Floats:
    """Converts (K, 3) keypoints to another skeleton by name; keypoints that `skeleton` lacks are 0."""
    index = target_skeleton.indices_in(skeleton)
    return np.where(index[:, None] >= 0, keypoints[index], 0.0)


def _label_keypoints(
    values: Sequence[float], skeleton: Skeleton, target_skeleton: Skeleton, threshold: float
) -> list[float]:
    """Returns the 3K numbers of a result's keypoints as labels: visible from the threshold on, 0 below."""
    keypoints = np.reshape(np.asarray(values, float), (-1, 3))
    if len(keypoints):
        matching = [each for each in (skeleton, *SKELETONS.values()) if len(each) == len(keypoints)]
        if not matching:
            raise AnnotationError(
                f"results with {len(keypoints)} keypoints fit neither the annotations nor a built-in skeleton"
            )
        keypoints = _convert_keypoints(keypoints, matching[0], target_skeleton)
    else:
        keypoints = np.zeros((len(target_skeleton), 3))
    visible = np.column_stack([keypoints[:, :2].round(2), np.full(len(keypoints), 2.0)])
    labels: list[float] = np.where(keypoints[:, 2:] >= threshold, visible, 0.0).ravel().tolist()
    return labels


def _find_same_person(box_xywh: Sequence[float], people: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    single = [person for person in people if not person.get("iscrowd")]
    if not single:
        return None
    boxes = xywh_to_xyxy(np.array([person["bbox"] for person in single], float))
    overlap = box_iou(xywh_to_xyxy(np.array([box_xywh], float)), boxes)[0]
    best = int(overlap.argmax())
    return single[best] if overlap[best] >= _SAME_PERSON_IOU else None


def _is_centre_inside(box_xywh: Sequence[float], region_xywh: Sequence[float]) -> bool:
    centre = np.array(box_xywh[:2], float) + np.array(box_xywh[2:], float) / 2
    left_top, region_wh = np.array(region_xywh[:2], float), np.array(region_xywh[2:], float)
    return bool(((centre >= left_top) & (centre <= left_top + region_wh)).all())


def _add_keypoints(person: dict[str, Any], labels: Sequence[float], correction: float) -> None:
    """Adds a result's labels to a person. Only the first result of a person, which has the best score, is used."""
    if person.get("completed"):
        return
    old = np.asarray(person["keypoints"], float).reshape(-1, 3)
    new = np.asarray(labels, float).reshape(-1, 3)
    taken = (old[:, 2] == 0) & (new[:, 2] > 0)
    if correction:
        in_both = (old[:, 2] > 0) & (new[:, 2] > 0)
        distance = np.hypot(*(old - new)[:, :2].T) / max(float(person["area"]), 1.0) ** 0.5
        old[in_both & (distance > correction)] = 0.0
        taken |= in_both & (distance <= correction)
    merged = np.where(taken[:, None], new, old)
    person["keypoints"] = merged.ravel().tolist()
    person["num_keypoints"] = int((merged[:, 2] > 0).sum())
    if taken.any():
        person["completed"] = np.flatnonzero(taken).tolist()


def _make_person(new_id: int, result: Mapping[str, Any], labels: Sequence[float], ignored: bool) -> dict[str, Any]:
    box = [round(float(value), 2) for value in result["bbox"]]
    return {
        "id": new_id,
        "image_id": int(result["image_id"]),
        "category_id": 1,
        "iscrowd": int(ignored),
        "bbox": box,
        "area": round(AREA_SHARE_OF_BOX * box[2] * box[3], 2),
        "keypoints": [0.0] * len(labels) if ignored else list(labels),
        "num_keypoints": 0 if ignored else sum(value > 0 for value in labels[2::3]),
        "completed": True,
    }
