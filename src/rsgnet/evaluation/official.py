"""The official evaluation, run by faster-coco-eval on our truth and results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from faster_coco_eval import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster

from rsgnet.data.annotations import AnnotatedPicture, Annotations, Person
from rsgnet.data.coco import PERSON_CATEGORY
from rsgnet.evaluation.protocol import asked_for, oks_area
from rsgnet.evaluation.results import Results

NOTHING_TO_MEASURE = -1.0  # as pycocotools: no labelled person in that range of sizes or crowding


def official_evaluator(truth: Annotations, results: Results, kind: str, crowdpose: bool = False) -> Any:
    """The official tool, loaded.

    Args:
        truth: The annotated people.
        results: What was found.
        kind: "keypoints" or "bbox".
        crowdpose: Whether CrowdPose's rules hold (`protocol.is_crowdpose`).
    """
    people = [(picture.id, person) for picture in truth.pictures for person in picture.people]
    # Ids are counted anew from 1: the evaluator takes an id of 0 for "not matched".
    truths = [_truth(index, image_id, person, crowdpose) for index, (image_id, person) in enumerate(people, 1)]
    found = [_found(index, results) for index in range(len(results))]
    frame = {"images": [{"id": picture.id} for picture in truth.pictures], "categories": [{"id": PERSON_CATEGORY}]}
    return COCOeval_faster(
        COCO({**frame, "annotations": truths}),
        COCO({**frame, "annotations": found}),
        kind,
        kpt_oks_sigmas=list(truth.skeleton.sigmas),
    )


def accumulate(evaluator: Any, pictures: Iterable[AnnotatedPicture]) -> dict[str, Any]:
    """Precision (thresholds, recalls, 1, sizes, limits) and recall (thresholds, 1, sizes, limits) on some pictures."""
    ids = [picture.id for picture in pictures]
    if not ids:
        return {"precision": np.full((10, 101, 1, 4, 1), -1.0), "recall": np.full((10, 1, 4, 1), -1.0)}
    evaluator.params.imgIds = ids
    evaluator.evaluate()
    evaluator.accumulate()
    return {name: np.asarray(evaluator.eval[name]) for name in ("precision", "recall")}


def mean_measured(values: Any) -> float:
    """The mean of what was measured, or -1 where nothing was."""
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else NOTHING_TO_MEASURE


def _found(index: int, results: Results) -> dict[str, Any]:
    values = results.values[index]
    width_height = np.ptp(values[:, :2], axis=0) if values.ndim == 2 else values[2:]
    return {
        "id": index + 1,
        "image_id": int(results.image_ids[index]),
        "category_id": PERSON_CATEGORY,
        "score": float(results.scores[index]),
        "area": float(width_height.prod()),  # unmatched poses and boxes outside a range of sizes cost nothing in it
        "keypoints" if values.ndim == 2 else "bbox": values.ravel().tolist(),
    }


def _truth(index: int, image_id: int, person: Person, crowdpose: bool) -> dict[str, Any]:
    return {
        "id": index,
        "image_id": image_id,
        "category_id": PERSON_CATEGORY,
        "bbox": person.box_xywh.tolist(),
        "area": oks_area(person, crowdpose),
        "iscrowd": int(person.is_crowd),
        "keypoints": person.keypoints.ravel().tolist(),
        "num_keypoints": asked_for(person, crowdpose),
    }
