"""Average precision and recall of poses and boxes, equal to the official tools'."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.people import AnnotatedImage, Annotations
from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.head_distance import compute_head_distance_metrics
from rsgnet.evaluation.matching import match_people
from rsgnet.evaluation.protocol import (
    HEAD_DISTANCE_PROTOCOLS,
    NOT_MEASURABLE,
    OksProtocol,
    choose_protocol,
    group_by_level,
)
from rsgnet.evaluation.ranking import (
    OKS_THRESHOLDS,
    Ranking,
    compute_precision_recall,
    rank_by_area,
    rank_predictions,
)
from rsgnet.evaluation.results import Results, ResultsSource, read_box_results, read_keypoint_results
from rsgnet.evaluation.similarity import Similarities, compare_boxes, compare_poses, sort_images
from rsgnet.geometry import Floats, box_iou, xywh_to_xyxy

_OVERLAP_IOU = 0.3  # two people overlap if the IoU of their boxes is higher
_BOXES_PER_IMAGE = 100


def evaluate_keypoints(annotations: str | Path, results: ResultsSource, protocol: str = "auto") -> dict[str, float]:
    """Evaluates poses against annotated people.

    Args:
        annotations: COCO-format keypoint file.
        results: COCO keypoint results, a file or a list.
        protocol: One of `protocol.PROTOCOL_NAMES`. "coco": areas as annotated, every person with a labelled
            keypoint is evaluated. "crowdpose": 0.53 of the box as area, only people with one of the first twelve
            keypoints labelled are evaluated. "auto": CrowdPose's rules for its 14 keypoints, COCO-WholeBody's for its
            133, else COCO's. All use the sigmas of the annotations' skeleton.

    Returns:
        AP, AP50, AP75, AR, AR50, AR75 over everyone, APM, APL, ARM, ARL by area, and where images have a crowd index
        AP_easy (below 0.2), AP_medium (below 0.8), AP_hard (the rest) and AP_medium_hard (medium and hard together);
        AP and AR of the protocol's further parts, such as AP_foot and AR_foot. Each in 0..1, or -1 where there is no
        labelled person. "mpii" and "posetrack" have the metrics of `head_distance`.

    Raises:
        AnnotationError: A file is missing or broken, or an entry of the results does not fit the annotations.
        RSGNetError: There is no such protocol, or it is for people with other keypoints.
    """
    truth = read_annotations(annotations)
    if protocol in HEAD_DISTANCE_PROTOCOLS:
        return compute_head_distance_metrics(truth, read_keypoint_results(results, truth), protocol)
    rules = choose_protocol(truth, protocol)
    return compute_keypoint_metrics(truth, read_keypoint_results(results, truth), rules)


def compute_keypoint_metrics(truth: Annotations, results: Results, protocol: OksProtocol) -> dict[str, float]:
    """Computes the metrics of `evaluate_keypoints`."""
    rankings = rank_by_area(compare_poses(truth, results, protocol, protocol.part), protocol.skips_empty_images)
    return {
        **compute_overall_metrics(rankings),
        **compute_level_metrics(rankings[""]),
        **compute_part_metrics(truth, results, protocol),
    }


def compute_overall_metrics(rankings: Mapping[str, Ranking]) -> dict[str, float]:
    """Computes the metrics that COCO's tool prints from rankings by area: AP and AR over everyone and by area."""
    curves = {area: _compute_curves(ranking) for area, ranking in rankings.items()}
    precision, recall = curves[""]
    return {
        "AP": _mean(precision),
        "AP50": _mean(precision[0]),
        "AP75": _mean(precision[5]),
        "AR": _mean(recall),
        "AR50": _mean(recall[0]),
        "AR75": _mean(recall[5]),
        "APM": _mean(curves["M"][0]),
        "APL": _mean(curves["L"][0]),
        "ARM": _mean(curves["M"][1]),
        "ARL": _mean(curves["L"][1]),
    }


def compute_level_metrics(ranking: Ranking) -> dict[str, float]:
    """Computes AP_easy, AP_medium, AP_hard and AP_medium_hard; an empty dict where no image has a crowd index."""
    return {
        f"AP_{level}": _mean(_compute_curves(ranking.select_images(rows))[0])
        for level, rows in group_by_level(ranking.levels).items()
    }


def compute_part_metrics(truth: Annotations, results: Results, protocol: OksProtocol) -> dict[str, float]:
    """Computes AP and AR of each further part of the protocol."""
    metrics: dict[str, float] = {}
    for name, part in protocol.further_parts:
        ranking = rank_predictions(compare_poses(truth, results, protocol, part), protocol.skips_empty_images)
        precision, recall = _compute_curves(ranking)
        metrics |= {f"AP_{name}": _mean(precision), f"AR_{name}": _mean(recall)}
    return metrics


def _compute_curves(ranking: Ranking) -> tuple[Floats, Floats]:
    """Returns the (10, 101) precision and the (10,) recall of all images, each once."""
    precision, recall = compute_precision_recall(ranking, np.ones((1, len(ranking.people)), np.int64))
    return precision[0], recall[0]


def _mean(values: Floats) -> float:
    mean = float(np.mean(values))
    return NOT_MEASURABLE if np.isnan(mean) else mean


def evaluate_boxes(annotations: str | Path, results: ResultsSource) -> dict[str, float]:
    """Evaluates person boxes against annotated people, including those without keypoint labels.

    Boxes around groups (`iscrowd`) are ignored. At most the 100 highest-scored boxes of an image are evaluated.

    Args:
        annotations: COCO-format keypoint file.
        results: COCO box results, a file or a list.

    Returns:
        box_AP, box_AP50, box_AP75; box_recall50, the share of people found at IoU 0.5; box_recall50_overlapping, the
        same for people whose box overlaps another person's with an IoU above 0.3. Each in 0..1, or -1 without such
        people.

    Raises:
        AnnotationError: A file is missing or broken, or an entry of the results does not fit the annotations.
    """
    truth = read_annotations(annotations)
    boxes = read_box_results(results, truth)
    similarities = compare_boxes(truth, boxes, _BOXES_PER_IMAGE)
    precision, recall = _compute_curves(rank_predictions(similarities))
    return {
        "box_AP": _mean(precision),
        "box_AP50": _mean(precision[0]),
        "box_AP75": _mean(precision[5]),
        "box_recall50": _mean(recall[0]),
        "box_recall50_overlapping": _recall_of_overlapping(truth, similarities),
    }


def _recall_of_overlapping(truth: Annotations, similarities: Similarities) -> float:
    """Returns the share of people found at IoU 0.5 among those whose box overlaps another person's."""
    matches = match_people(similarities, [OKS_THRESHOLDS[0]], similarities.counted[None])[0, 0]
    is_found = np.isin(np.arange(len(similarities.areas)), matches)
    overlapping = np.concatenate([np.zeros(0, bool), *(_find_overlapping(image) for image in sort_images(truth))])
    return float(is_found[overlapping].mean()) if overlapping.any() else NOT_MEASURABLE


def _find_overlapping(image: AnnotatedImage) -> NDArray[np.bool_]:
    """Returns (M,) whether each person's box overlaps another's; groups overlap nobody."""
    boxes = xywh_to_xyxy(np.array([person.box_xywh for person in image.people]).reshape(-1, 4))
    is_person = np.array([not person.is_crowd for person in image.people], bool)
    iou = box_iou(boxes, boxes)
    np.fill_diagonal(iou, 0.0)
    overlapping: NDArray[np.bool_] = is_person & ((iou > _OVERLAP_IOU) & is_person).any(1)
    return overlapping
