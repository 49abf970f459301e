"""Average precision and recall of poses and boxes, by the rules of COCO's and CrowdPose's own tools."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from faster_coco_eval import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster

from rsgnet.data.annotations import AnnotatedPicture, Annotations, Person, read_annotations
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.results import PERSON_CATEGORY, Results, ResultsSource, read_box_results, read_keypoint_results
from rsgnet.geometry import box_iou, xywh_to_xyxy
from rsgnet.skeletons import CROWDPOSE14

Protocol = Literal["auto", "coco", "crowdpose"]

NOTHING_TO_MEASURE = -1.0  # as pycocotools: no labelled person in that range of sizes or crowding
EASY_BELOW, MEDIUM_BELOW = 0.2, 0.8  # CrowdPose's levels of the crowd index
_CROWDPOSE_BODY = 12  # CrowdPose: the keypoints before head and neck
_OVERLAPPING_IOU = 0.3
_BOXES_PER_PICTURE = 100


def evaluate_keypoints(
    annotations: str | Path, results: ResultsSource, protocol: Protocol = "auto"
) -> dict[str, float]:
    """Scores poses against annotated people.

    Args:
        annotations: COCO-format keypoint file.
        results: COCO keypoint results, a file or a list.
        protocol: "coco": areas as annotated, every labelled person counts. "crowdpose": 0.53 of the box as area, only
            people with one of the first twelve keypoints labelled count. "auto": "crowdpose" for its 14 keypoints.
            Both take the falloffs of the annotations' skeleton.

    Returns:
        AP, AP50, AP75, AR, AR50, AR75 over everyone, APM, APL, ARM, ARL by size, and where pictures have a crowdIndex
        AP_easy (below 0.2), AP_medium (below 0.8), AP_hard (the rest) and AP_medium_hard (both upper levels together).
        Each in 0..1, or -1 where there is no labelled person to measure it on.

    Raises:
        AnnotationError: A file is missing or broken, or an entry of the results does not fit the annotations.
        RSGNetError: There is no such protocol, or "crowdpose" was asked for people with other keypoints.
    """
    truth = read_annotations(annotations)
    crowdpose = _is_crowdpose(truth, protocol)
    evaluator = _evaluator(truth, read_keypoint_results(results, truth), "keypoints", crowdpose)
    everyone = _accumulate(evaluator, truth.pictures)
    figures = {
        "AP": _mean(everyone["precision"][:, :, :, 0]),
        "AP50": _mean(everyone["precision"][0, :, :, 0]),
        "AP75": _mean(everyone["precision"][5, :, :, 0]),
        "AR": _mean(everyone["recall"][:, :, 0]),
        "AR50": _mean(everyone["recall"][0, :, 0]),
        "AR75": _mean(everyone["recall"][5, :, 0]),
        "APM": _mean(everyone["precision"][:, :, :, 1]),
        "APL": _mean(everyone["precision"][:, :, :, 2]),
        "ARM": _mean(everyone["recall"][:, :, 1]),
        "ARL": _mean(everyone["recall"][:, :, 2]),
    }
    for level, pictures in _levels(truth.pictures).items():
        figures[f"AP_{level}"] = _mean(_accumulate(evaluator, pictures)["precision"][:, :, :, 0])
    return figures


def box_average_precision(annotations: str | Path, results: ResultsSource) -> dict[str, float]:
    """Scores person boxes against annotated people, those without keypoint labels included.

    Boxes about groups (`iscrowd`) neither count nor cost. At most the 100 highest-scored boxes of a picture count.

    Args:
        annotations: COCO-format keypoint file.
        results: COCO box results, a file or a list.

    Returns:
        box_AP, box_AP50, box_AP75; box_recall50, the share of people found at IoU 0.5; box_recall50_overlapping, the
        same of people whose box overlaps another person's by IoU over 0.3. Each in 0..1, or -1 without such people.

    Raises:
        AnnotationError: A file is missing or broken, or an entry of the results does not fit the annotations.
    """
    truth = read_annotations(annotations)
    boxes = read_box_results(results, truth)
    everyone = _accumulate(_evaluator(truth, boxes, "bbox"), truth.pictures)
    return {
        "box_AP": _mean(everyone["precision"][:, :, :, 0, -1]),
        "box_AP50": _mean(everyone["precision"][0, :, :, 0, -1]),
        "box_AP75": _mean(everyone["precision"][5, :, :, 0, -1]),
        "box_recall50": _mean(everyone["recall"][0, :, 0, -1]),
        "box_recall50_overlapping": _overlapping_recall(truth, boxes),
    }


def _is_crowdpose(truth: Annotations, protocol: str) -> bool:
    if protocol not in ("auto", "coco", "crowdpose"):
        raise RSGNetError(f"no protocol is named {protocol!r}; there are auto, coco, crowdpose")
    fits = truth.skeleton.name == CROWDPOSE14.name
    if protocol == "crowdpose" and not fits:
        raise RSGNetError(
            f"{truth.path}: the crowdpose protocol is for {CROWDPOSE14.name} people, these are {truth.skeleton.name}; "
            "use --protocol coco"
        )
    return fits and protocol != "coco"


def _levels(pictures: Sequence[AnnotatedPicture]) -> dict[str, list[AnnotatedPicture]]:
    levels: dict[str, list[AnnotatedPicture]] = {"easy": [], "medium": [], "hard": []}
    for picture in pictures:
        if picture.crowd_index is not None:
            below = picture.crowd_index < EASY_BELOW, picture.crowd_index < MEDIUM_BELOW
            levels["easy" if below[0] else "medium" if below[1] else "hard"].append(picture)
    if not any(levels.values()):
        return {}
    return {**levels, "medium_hard": levels["medium"] + levels["hard"]}


def _evaluator(truth: Annotations, results: Results, kind: str, crowdpose: bool = False) -> Any:
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
    seen = person.keypoints[:, 2] > 0
    return {
        "id": index,
        "image_id": image_id,
        "category_id": PERSON_CATEGORY,
        "bbox": person.box_xywh.tolist(),
        "area": 0.53 * float(person.box_xywh[2] * person.box_xywh[3]) if crowdpose else person.area,
        "iscrowd": int(person.is_crowd),
        "keypoints": person.keypoints.ravel().tolist(),
        "num_keypoints": int(seen[:_CROWDPOSE_BODY].sum() if crowdpose else seen.sum()),
    }


def _accumulate(evaluator: Any, pictures: Iterable[AnnotatedPicture]) -> dict[str, Any]:
    """Precision (thresholds, recalls, 1, sizes, limits) and recall (thresholds, 1, sizes, limits) on some pictures."""
    ids = [picture.id for picture in pictures]
    if not ids:
        return {"precision": np.full((10, 101, 1, 4, 1), -1.0), "recall": np.full((10, 1, 4, 1), -1.0)}
    evaluator.params.imgIds = ids
    evaluator.evaluate()
    evaluator.accumulate()
    return {name: np.asarray(evaluator.eval[name]) for name in ("precision", "recall")}


def _mean(values: Any) -> float:
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else NOTHING_TO_MEASURE


def _overlapping_recall(truth: Annotations, results: Results) -> float:
    found = overlapping = 0
    for picture in truth.pictures:
        people = xywh_to_xyxy(np.array([person.box_xywh for person in picture.people if not person.is_crowd]))
        if len(people) < 2:
            continue
        among = box_iou(people, people)
        np.fill_diagonal(among, 0.0)
        counted = (among > _OVERLAPPING_IOU).any(1)
        rows = np.flatnonzero(results.image_ids == picture.id)
        rows = rows[np.argsort(-results.scores[rows], kind="stable")][:_BOXES_PER_PICTURE]
        matched = _greedy_matches(box_iou(xywh_to_xyxy(results.values[rows]), people))
        found += int((matched & counted).sum())
        overlapping += int(counted.sum())
    return found / overlapping if overlapping else NOTHING_TO_MEASURE


def _greedy_matches(iou: Any) -> Any:
    """(M,) which people are matched when each of (N, M) boxes, surest first, takes the likest person still free."""
    matched = np.zeros(iou.shape[1], bool)
    for row in iou:
        free = np.where(matched, -1.0, row)
        likest = int(np.argmax(free))
        matched[likest] |= free[likest] >= 0.5
    return matched
