"""Average precision and recall of poses and boxes, by the rules of COCO's and CrowdPose's own tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rsgnet.data.annotations import Annotations, read_annotations
from rsgnet.evaluation.official import EVERY_SIZE, NOTHING_TO_MEASURE, accumulate, mean_measured, official_evaluator
from rsgnet.evaluation.protocol import Protocol, by_level, is_crowdpose, level_of
from rsgnet.evaluation.results import Results, ResultsSource, read_box_results, read_keypoint_results
from rsgnet.geometry import box_iou, xywh_to_xyxy

_OVERLAPPING_IOU = 0.3
_BOXES_PER_IMAGE = 100


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
        AP, AP50, AP75, AR, AR50, AR75 over everyone, APM, APL, ARM, ARL by size, and where images have a crowdIndex
        AP_easy (below 0.2), AP_medium (below 0.8), AP_hard (the rest) and AP_medium_hard (both upper levels together).
        Each in 0..1, or -1 where there is no labelled person to measure it on.

    Raises:
        AnnotationError: A file is missing or broken, or an entry of the results does not fit the annotations.
        RSGNetError: There is no such protocol, or "crowdpose" was asked for people with other keypoints.
    """
    truth = read_annotations(annotations)
    crowdpose = is_crowdpose(truth, protocol)
    found = read_keypoint_results(results, truth)
    return keypoint_figures(official_evaluator(truth, found, "keypoints", crowdpose), truth)


def keypoint_figures(evaluator: Any, truth: Annotations) -> dict[str, float]:
    """The figures of `evaluate_keypoints`, from an evaluator of keypoints."""
    return {**overall_figures(evaluator, truth), **figures_by_level(evaluator, truth)}


def overall_figures(evaluator: Any, truth: Annotations) -> dict[str, float]:
    """Of these those that COCO's own tool gives: over everyone and by size."""
    everyone = accumulate(evaluator, truth.images)
    return {
        "AP": mean_measured(everyone["precision"][:, :, :, 0]),
        "AP50": mean_measured(everyone["precision"][0, :, :, 0]),
        "AP75": mean_measured(everyone["precision"][5, :, :, 0]),
        "AR": mean_measured(everyone["recall"][:, :, 0]),
        "AR50": mean_measured(everyone["recall"][0, :, 0]),
        "AR75": mean_measured(everyone["recall"][5, :, 0]),
        "APM": mean_measured(everyone["precision"][:, :, :, 1]),
        "APL": mean_measured(everyone["precision"][:, :, :, 2]),
        "ARM": mean_measured(everyone["recall"][:, :, 1]),
        "ARL": mean_measured(everyone["recall"][:, :, 2]),
    }


def figures_by_level(evaluator: Any, truth: Annotations) -> dict[str, float]:
    """Of these those by level of crowding."""
    figures = {}
    for level, rows in by_level([level_of(image) for image in truth.images]).items():
        images = [truth.images[row] for row in rows]
        figures[f"AP_{level}"] = mean_measured(accumulate(evaluator, images, EVERY_SIZE)["precision"])
    return figures


def box_average_precision(annotations: str | Path, results: ResultsSource) -> dict[str, float]:
    """Scores person boxes against annotated people, those without keypoint labels included.

    Boxes about groups (`iscrowd`) neither count nor cost. At most the 100 highest-scored boxes of an image count.

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
    everyone = accumulate(official_evaluator(truth, boxes, "bbox"), truth.images)
    return {
        "box_AP": mean_measured(everyone["precision"][:, :, :, 0, -1]),
        "box_AP50": mean_measured(everyone["precision"][0, :, :, 0, -1]),
        "box_AP75": mean_measured(everyone["precision"][5, :, :, 0, -1]),
        "box_recall50": mean_measured(everyone["recall"][0, :, 0, -1]),
        "box_recall50_overlapping": _overlapping_recall(truth, boxes),
    }


def _overlapping_recall(truth: Annotations, results: Results) -> float:
    found = overlapping = 0
    for image in truth.images:
        people = xywh_to_xyxy(np.array([person.box_xywh for person in image.people if not person.is_crowd]))
        if len(people) < 2:
            continue
        among = box_iou(people, people)
        np.fill_diagonal(among, 0.0)
        counted = (among > _OVERLAPPING_IOU).any(1)
        rows = np.flatnonzero(results.image_ids == image.id)
        rows = rows[np.argsort(-results.scores[rows], kind="stable")][:_BOXES_PER_IMAGE]
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
