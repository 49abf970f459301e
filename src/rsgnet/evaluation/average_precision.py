"""Average precision and recall of poses and boxes, by the rules of COCO's and CrowdPose's own tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.readers import Annotations, read_annotations
from rsgnet.evaluation.matching import NOBODY, MatchedImage, match
from rsgnet.evaluation.official import EVERY_SIZE, NOTHING_TO_MEASURE, accumulate, mean_measured, official_evaluator
from rsgnet.evaluation.protocol import Protocol, by_level, is_crowdpose, level_of
from rsgnet.evaluation.results import Results, ResultsSource, read_box_results, read_keypoint_results
from rsgnet.geometry import Floats, box_iou, xywh_to_xyxy

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


OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
_AT_ONCE = 2_000_000  # numbers held in memory at once


@dataclass(frozen=True, eq=False)
class Ranking:
    """All poses found in a data set, surest first, and which are right.

    Attributes:
        scores: (N,) how sure each pose is.
        images: (N,) the index of the scene it was found in.
        right: (10, N) whether it is matched to a counted person, at each of the ten OKS thresholds.
        counted: (10, N) whether it counts; poses of people who do not count do not.
        people: (P,) how many people count in each scene.
        levels: (P,) the scene's level of crowding.
    """

    scores: Floats
    images: NDArray[np.intp]
    right: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    people: NDArray[np.int64]
    levels: tuple[str | None, ...]

    def only(self, scenes: Sequence[int]) -> Ranking:
        """The ranking of some of the scenes, given by ascending indices."""
        kept = np.isin(self.images, scenes)
        return replace(
            self,
            scores=self.scores[kept],
            images=np.searchsorted(scenes, self.images[kept]),
            right=self.right[:, kept],
            counted=self.counted[:, kept],
            people=self.people[list(scenes)],
            levels=tuple(self.levels[index] for index in scenes),
        )


def rank(scenes: Sequence[MatchedImage]) -> Ranking:
    """Matches the poses of each scene and ranks them all."""
    right, counted = [np.zeros((len(OKS_THRESHOLDS), 0), bool)], [np.zeros((len(OKS_THRESHOLDS), 0), bool)]
    for scene in scenes:
        matches = match(scene, OKS_THRESHOLDS)
        of_counted = np.append(scene.counted, False)[matches]  # the last is NOBODY's
        right.append(of_counted)
        counted.append(of_counted | (matches == NOBODY))
    scores = np.concatenate([np.zeros(0), *(scene.scores for scene in scenes)])
    order = np.argsort(-scores, kind="stable")
    return Ranking(
        scores=scores[order],
        images=np.repeat(np.arange(len(scenes)), [len(scene.scores) for scene in scenes])[order],
        right=np.concatenate(right, 1)[:, order],
        counted=np.concatenate(counted, 1)[:, order],
        people=np.array([scene.counted.sum() for scene in scenes], np.int64),
        levels=tuple(scene.level for scene in scenes),
    )


def precision_recall(ranking: Ranking, draws: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Precision and recall where each image is taken as often as it was drawn.

    Args:
        ranking: The poses.
        draws: (B, P) how often each image is taken; a row of ones takes the data set as it is.

    Returns:
        (B, 10, 101) the official tools' precision at each OKS threshold and recall of 0, 0.01, ... 1, the mean of which
        is the average precision; and (B, 10) the recall reached. NaN where nobody is drawn.
    """
    step = max(1, _AT_ONCE // max(1, len(ranking.scores)))
    parts = [_some(ranking, draws[first : first + step]) for first in range(0, len(draws), step)]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def best_f1_threshold(ranking: Ranking) -> float:
    """The score from which on poses have the highest F1 at OKS 0.5: a working point that any tool's scores have.

    Returns:
        Of cuts equally good the lowest; infinity where no pose is right.
    """
    told, right = np.cumsum(ranking.counted[0]), np.cumsum(ranking.right[0])
    f1 = 2 * right / np.maximum(told + ranking.people.sum(), 1)
    last_of_score = np.append(np.diff(ranking.scores) != 0, True)[: len(f1)]
    best = np.where(last_of_score, f1, 0.0).max(initial=0.0)
    return float(ranking.scores[last_of_score & (f1 == best)][-1]) if best > 0 else float("inf")


def _some(ranking: Ranking, draws: NDArray[np.int64]) -> tuple[Floats, Floats]:
    people = draws @ ranking.people
    times = draws.astype(np.int32)[:, ranking.images]
    precision = np.zeros((len(draws), len(OKS_THRESHOLDS), len(RECALLS)))
    recall = np.zeros((len(draws), len(OKS_THRESHOLDS)))
    for row, (is_right, is_counted) in enumerate(zip(ranking.right, ranking.counted, strict=True)):
        hits = np.flatnonzero(is_right)  # precision peaks nowhere else
        if not len(hits):
            continue
        right = np.cumsum(times[:, hits], 1, np.int32)
        told = np.cumsum(times * is_counted, 1, np.int32)[:, hits]
        best = np.maximum.accumulate((right / np.maximum(told, 1))[:, ::-1], 1)[:, ::-1]
        best = np.pad(best, ((0, 0), (0, 1)))  # recall that is not reached has precision 0
        for draw in np.flatnonzero(people):
            precision[draw, row] = best[draw, np.searchsorted(right[draw] / people[draw], RECALLS)]
        recall[:, row] = right[:, -1] / np.maximum(people, 1)
    precision[people == 0], recall[people == 0] = np.nan, np.nan
    return precision, recall
