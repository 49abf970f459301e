"""Average precision and recall of poses and boxes.

`evaluate_keypoints` and `evaluate_boxes` return the official tools' metrics. `RankedPoses` holds the same matching in a
form of which precision and recall can be computed for many bootstrap resamples of the images at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.people import Annotations
from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.matching import NOBODY, MatchedImage, match_poses
from rsgnet.evaluation.official import ALL_AREAS, NOT_MEASURABLE, accumulate, build_evaluator, mean_valid
from rsgnet.evaluation.protocol import Protocol, crowd_level, group_by_level, is_crowdpose
from rsgnet.evaluation.results import Results, ResultsSource, read_box_results, read_keypoint_results
from rsgnet.geometry import Floats, box_iou, xywh_to_xyxy

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
_OVERLAP_IOU = 0.3  # two people overlap if the IoU of their boxes is higher
_BOXES_PER_IMAGE = 100
_VALUES_PER_CHUNK = 2_000_000  # bounds the memory of one step over resamples


def evaluate_keypoints(
    annotations: str | Path, results: ResultsSource, protocol: Protocol = "auto"
) -> dict[str, float]:
    """Evaluates poses against annotated people.

    Args:
        annotations: COCO-format keypoint file.
        results: COCO keypoint results, a file or a list.
        protocol: "coco": areas as annotated, every person with a labelled keypoint is evaluated. "crowdpose": 0.53 of
            the box as area, only people with one of the first twelve keypoints labelled are evaluated. "auto":
            "crowdpose" for its 14 keypoints. All use the falloffs of the annotations' skeleton.

    Returns:
        AP, AP50, AP75, AR, AR50, AR75 over everyone, APM, APL, ARM, ARL by area, and where images have a crowd index
        AP_easy (below 0.2), AP_medium (below 0.8), AP_hard (the rest) and AP_medium_hard (medium and hard together).
        Each in 0..1, or -1 where there is no labelled person.

    Raises:
        AnnotationError: A file is missing or broken, or an entry of the results does not fit the annotations.
        RSGNetError: There is no such protocol, or "crowdpose" was requested for people with other keypoints.
    """
    truth = read_annotations(annotations)
    crowdpose = is_crowdpose(truth, protocol)
    poses = read_keypoint_results(results, truth)
    return compute_keypoint_metrics(build_evaluator(truth, poses, "keypoints", crowdpose), truth)


def compute_keypoint_metrics(evaluator: Any, truth: Annotations) -> dict[str, float]:
    """Computes the metrics of `evaluate_keypoints` from a keypoint evaluator."""
    return {**compute_overall_metrics(evaluator, truth), **compute_level_metrics(evaluator, truth)}


def compute_overall_metrics(evaluator: Any, truth: Annotations) -> dict[str, float]:
    """Computes the metrics that COCO's tool prints: AP and AR over everyone and by area."""
    everyone = accumulate(evaluator, truth.images)
    precision, recall = everyone["precision"], everyone["recall"]
    return {
        "AP": mean_valid(precision[:, :, :, 0]),
        "AP50": mean_valid(precision[0, :, :, 0]),
        "AP75": mean_valid(precision[5, :, :, 0]),
        "AR": mean_valid(recall[:, :, 0]),
        "AR50": mean_valid(recall[0, :, 0]),
        "AR75": mean_valid(recall[5, :, 0]),
        "APM": mean_valid(precision[:, :, :, 1]),
        "APL": mean_valid(precision[:, :, :, 2]),
        "ARM": mean_valid(recall[:, :, 1]),
        "ARL": mean_valid(recall[:, :, 2]),
    }


def compute_level_metrics(evaluator: Any, truth: Annotations) -> dict[str, float]:
    """Computes AP_easy, AP_medium, AP_hard and AP_medium_hard; an empty dict where no image has a crowd index."""
    metrics = {}
    for level, rows in group_by_level([crowd_level(image) for image in truth.images]).items():
        images = [truth.images[row] for row in rows]
        metrics[f"AP_{level}"] = mean_valid(accumulate(evaluator, images, ALL_AREAS)["precision"])
    return metrics


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
    everyone = accumulate(build_evaluator(truth, boxes, "bbox"), truth.images)
    return {
        "box_AP": mean_valid(everyone["precision"][:, :, :, 0, -1]),
        "box_AP50": mean_valid(everyone["precision"][0, :, :, 0, -1]),
        "box_AP75": mean_valid(everyone["precision"][5, :, :, 0, -1]),
        "box_recall50": mean_valid(everyone["recall"][0, :, 0, -1]),
        "box_recall50_overlapping": _recall_of_overlapping(truth, boxes),
    }


def _recall_of_overlapping(truth: Annotations, results: Results) -> float:
    found = overlapping = 0
    for image in truth.images:
        people = xywh_to_xyxy(np.array([person.box_xywh for person in image.people if not person.is_crowd]))
        if len(people) < 2:
            continue
        iou = box_iou(people, people)
        np.fill_diagonal(iou, 0.0)
        is_overlapping = (iou > _OVERLAP_IOU).any(1)
        rows = np.flatnonzero(results.image_ids == image.id)
        rows = rows[np.argsort(-results.scores[rows], kind="stable")][:_BOXES_PER_IMAGE]
        is_found = _match_greedily(box_iou(xywh_to_xyxy(results.values[rows]), people))
        found += int((is_found & is_overlapping).sum())
        overlapping += int(is_overlapping.sum())
    return found / overlapping if overlapping else NOT_MEASURABLE


def _match_greedily(iou: Floats) -> NDArray[np.bool_]:
    """Returns which (M,) people are matched if each box takes the free person of highest IoU, at least 0.5.

    Args:
        iou: (N, M) of the boxes, in order of descending score, with the people.
    """
    matched = np.zeros(iou.shape[1], bool)
    for row in iou:
        free = np.where(matched, -1.0, row)
        best = int(np.argmax(free))
        matched[best] |= free[best] >= 0.5
    return matched


@dataclass(frozen=True, eq=False)
class RankedPoses:
    """All predicted poses of a data set in order of descending score, with whether each is correct.

    Attributes:
        scores: (N,) scores of the poses.
        images: (N,) index of each pose's image.
        correct: (10, N) whether the pose is matched to an evaluated person, at each of OKS_THRESHOLDS.
        counted: (10, N) whether the pose is evaluated; poses matched to people who are not evaluated are not.
        people: (P,) the number of evaluated people in each image.
        levels: (P,) the crowd level of each image.
    """

    scores: Floats
    images: NDArray[np.intp]
    correct: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    people: NDArray[np.int64]
    levels: tuple[str | None, ...]

    def select_images(self, indices: Sequence[int]) -> RankedPoses:
        """Returns the ranking of some of the images, given by ascending indices."""
        kept = np.isin(self.images, indices)
        return replace(
            self,
            scores=self.scores[kept],
            images=np.searchsorted(indices, self.images[kept]),
            correct=self.correct[:, kept],
            counted=self.counted[:, kept],
            people=self.people[list(indices)],
            levels=tuple(self.levels[index] for index in indices),
        )


def rank_poses(images: Sequence[MatchedImage]) -> RankedPoses:
    """Matches the poses of each image at all OKS thresholds and ranks the poses of all images by score."""
    correct, counted = [np.zeros((len(OKS_THRESHOLDS), 0), bool)], [np.zeros((len(OKS_THRESHOLDS), 0), bool)]
    for image in images:
        matches = match_poses(image, OKS_THRESHOLDS)
        is_correct = np.append(image.counted, False)[matches]  # the appended entry is for NOBODY, -1
        correct.append(is_correct)
        counted.append(is_correct | (matches == NOBODY))
    scores = np.concatenate([np.zeros(0), *(image.scores for image in images)])
    order = np.argsort(-scores, kind="stable")
    return RankedPoses(
        scores=scores[order],
        images=np.repeat(np.arange(len(images)), [len(image.scores) for image in images])[order],
        correct=np.concatenate(correct, 1)[:, order],
        counted=np.concatenate(counted, 1)[:, order],
        people=np.array([image.counted.sum() for image in images], np.int64),
        levels=tuple(image.level for image in images),
    )


def compute_precision_recall(ranking: RankedPoses, counts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Computes precision and recall of resampled data sets.

    Args:
        ranking: The poses.
        counts: (B, P) how often each image occurs in each resample; a row of ones is the data set itself.

    Returns:
        (B, 10, 101) the official tools' precision at each OKS threshold and recall of 0, 0.01, ... 1, the mean of which
        is the average precision; and (B, 10) the recall. NaN for resamples without evaluated people.
    """
    step = max(1, _VALUES_PER_CHUNK // max(1, len(ranking.scores)))
    chunks = [_precision_recall_of(ranking, counts[first : first + step]) for first in range(0, len(counts), step)]
    return np.concatenate([precision for precision, _ in chunks]), np.concatenate([recall for _, recall in chunks])


def _precision_recall_of(ranking: RankedPoses, counts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    people = counts @ ranking.people
    occurrences = counts.astype(np.int32)[:, ranking.images]
    precision = np.zeros((len(counts), len(OKS_THRESHOLDS), len(RECALLS)))
    recall = np.zeros((len(counts), len(OKS_THRESHOLDS)))
    for row, (is_correct, is_counted) in enumerate(zip(ranking.correct, ranking.counted, strict=True)):
        hits = np.flatnonzero(is_correct)  # precision has its local maxima at correct poses
        if not len(hits):
            continue
        correct = np.cumsum(occurrences[:, hits], 1, np.int32)
        counted = np.cumsum(occurrences * is_counted, 1, np.int32)[:, hits]
        envelope = np.maximum.accumulate((correct / np.maximum(counted, 1))[:, ::-1], 1)[:, ::-1]
        envelope = np.pad(envelope, ((0, 0), (0, 1)))  # precision is 0 at recalls that are not reached
        for resample in np.flatnonzero(people):
            reached = np.searchsorted(correct[resample] / people[resample], RECALLS)
            precision[resample, row] = envelope[resample, reached]
        recall[:, row] = correct[:, -1] / np.maximum(people, 1)
    precision[people == 0], recall[people == 0] = np.nan, np.nan
    return precision, recall


def best_f1_threshold(ranking: RankedPoses) -> float:
    """Returns the score threshold at which poses reach the highest F1 at OKS 0.5.

    It is an operating point that depends on the order of the scores only, and is therefore fair to any tool.

    Returns:
        The lowest of equally good thresholds; infinity where no pose is correct.
    """
    counted, correct = np.cumsum(ranking.counted[0]), np.cumsum(ranking.correct[0])
    f1 = 2 * correct / np.maximum(counted + ranking.people.sum(), 1)
    last_of_score = np.append(np.diff(ranking.scores) != 0, True)[: len(f1)]
    best = np.where(last_of_score, f1, 0.0).max(initial=0.0)
    return float(ranking.scores[last_of_score & (f1 == best)][-1]) if best > 0 else float("inf")
