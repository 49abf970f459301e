"""Labels that a data set lacks, taken from what a network found: self-training and distillation through plain files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsgnet.errors import AnnotationError
from rsgnet.geometry import Floats, box_iou, xywh_to_xyxy
from rsgnet.skeletons import SKELETONS, Skeleton

_SAME_PERSON_IOU = 0.5
_BODY_SHARE = 0.53  # of a box that its person covers, as CrowdPose counts


@dataclass(frozen=True)
class Trust:
    """How high a result must score to be believed.

    Attributes:
        person: From this score on an unlabelled person is added.
        doubt: From this score up to `person` the box is added as a region to ignore (`iscrowd`).
        keypoint: From this score on a keypoint is labelled.
        correction: Labels no farther than this (as a share of the square root of the person's area) from where a
            believed keypoint lies are moved there, those farther off are dropped; 0 leaves labels alone. For sets whose
            labels are coarse, or follow another convention than the network's.
    """

    person: float = 0.5
    doubt: float = 0.25
    keypoint: float = 0.5
    correction: float = 0.0


def complete(
    content: Mapping[str, Any],
    skeleton: Skeleton,
    results: Sequence[Mapping[str, Any]],
    trust: Trust,
    into: Skeleton | None = None,
) -> dict[str, Any]:
    """COCO annotations with the people and keypoints added that nobody labelled but a network found.

    What is labelled is not changed, unless corrections are asked for. A result whose box overlaps an annotated
    person's by half (IoU) is that person: it labels their unlabelled keypoints. Any other is a new person, or in doubt
    a region to ignore. What was added carries `"completed": true`, on a person or, where only keypoints were added, as
    the list of their indices.

    Args:
        content: A COCO keypoint file's content.
        skeleton: Its keypoints.
        results: COCO results with `bbox`, `score` and, if there are, `keypoints` of `skeleton` or a built-in one.
        trust: What is believed.
        into: The keypoints that the completed content has, matched by name; those of `content` where None.

    Returns:
        The completed content; `content` itself is left alone.

    Raises:
        AnnotationError: A result's keypoints are as many as no such skeleton's.
    """
    into = into or skeleton
    people = [_person_of(entry, skeleton, into) for entry in content["annotations"]]
    by_image: dict[int, list[dict[str, Any]]] = {int(entry["id"]): [] for entry in content["images"]}
    for person in people:
        by_image[int(person["image_id"])].append(person)
    last = max((int(person["id"]) for person in people), default=0)
    for result in sorted(results, key=lambda each: -float(each["score"])):
        found = by_image.get(int(result["image_id"]))
        if found is None or result["score"] < trust.doubt:
            continue
        keypoints = _believed(result.get("keypoints") or (), skeleton, into, trust.keypoint)
        same = _same_person(result["bbox"], found)
        if same is not None:
            _fill(same, keypoints, trust.correction)
        elif not any(person.get("iscrowd") and _inside(result["bbox"], person["bbox"]) for person in found):
            last += 1
            found.append(_new_person(last, result, keypoints, unsure=result["score"] < trust.person))
            people.append(found[-1])
    categories = [{"id": 1, "name": "person", "keypoints": list(into.keypoints)}]
    return {**content, "annotations": people, "categories": categories}


def _person_of(entry: Mapping[str, Any], skeleton: Skeleton, into: Skeleton) -> dict[str, Any]:
    given = np.reshape(entry.get("keypoints") or np.zeros(3 * len(skeleton)), (-1, 3))
    return {**entry, "keypoints": _renamed(given, skeleton, into).ravel().tolist()}


def _renamed(keypoints: Floats, skeleton: Skeleton, into: Skeleton) -> Floats:
    """(len(into), 3) of (len(skeleton), 3), matched by name; 0 where there is none."""
    index = into.indices_in(skeleton)
    return np.where(index[:, None] >= 0, keypoints[index], 0.0)


def _believed(keypoints: Sequence[float], skeleton: Skeleton, into: Skeleton, threshold: float) -> list[float]:
    triples = np.reshape(np.asarray(keypoints, float), (-1, 3))
    if len(triples):
        fitting = [each for each in (skeleton, *SKELETONS.values()) if len(each) == len(triples)]
        if not fitting:
            raise AnnotationError(
                f"results with {len(triples)} keypoints fit neither the annotations nor a built-in skeleton"
            )
        triples = _renamed(triples, fitting[0], into)
    else:
        triples = np.zeros((len(into), 3))
    seen = triples[:, 2] >= threshold
    values: list[float] = np.where(
        seen[:, None], np.column_stack([triples[:, :2].round(2), np.full(len(triples), 2.0)]), 0.0
    ).ravel().tolist()  # fmt: skip
    return values


def _same_person(box_xywh: Sequence[float], people: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    single = [person for person in people if not person.get("iscrowd")]
    if not single:
        return None
    boxes = xywh_to_xyxy(np.array([person["bbox"] for person in single], float))
    overlap = box_iou(xywh_to_xyxy(np.array([box_xywh], float)), boxes)[0]
    best = int(overlap.argmax())
    return single[best] if overlap[best] >= _SAME_PERSON_IOU else None


def _inside(box_xywh: Sequence[float], region_xywh: Sequence[float]) -> bool:
    """Whether a box's middle lies in a region."""
    middle = np.array(box_xywh[:2], float) + np.array(box_xywh[2:], float) / 2
    corner, size = np.array(region_xywh[:2], float), np.array(region_xywh[2:], float)
    return bool(((middle >= corner) & (middle <= corner + size)).all())


def _fill(person: dict[str, Any], keypoints: Sequence[float], correction: float) -> None:
    """Adds what is not labelled yet, from the first result only: the best-scored comes first."""
    if person.get("completed"):
        return
    known = np.asarray(person["keypoints"], float).reshape(-1, 3)
    found = np.asarray(keypoints, float).reshape(-1, 3)
    taken = (known[:, 2] == 0) & (found[:, 2] > 0)
    if correction:
        contested = (known[:, 2] > 0) & (found[:, 2] > 0)
        apart = np.hypot(*(known - found)[:, :2].T) / max(float(person["area"]), 1.0) ** 0.5
        known[contested & (apart > correction)] = 0.0
        taken |= contested & (apart <= correction)
    filled = np.where(taken[:, None], found, known)
    person["keypoints"] = filled.ravel().tolist()
    person["num_keypoints"] = int((filled[:, 2] > 0).sum())
    if taken.any():
        person["completed"] = np.flatnonzero(taken).tolist()


def _new_person(new_id: int, result: Mapping[str, Any], keypoints: Sequence[float], unsure: bool) -> dict[str, Any]:
    box = [round(float(value), 2) for value in result["bbox"]]
    return {
        "id": new_id,
        "image_id": int(result["image_id"]),
        "category_id": 1,
        "iscrowd": int(unsure),
        "bbox": box,
        "area": round(_BODY_SHARE * box[2] * box[3], 2),
        "keypoints": [0.0] * len(keypoints) if unsure else list(keypoints),
        "num_keypoints": 0 if unsure else sum(value > 0 for value in keypoints[2::3]),
        "completed": True,
    }
