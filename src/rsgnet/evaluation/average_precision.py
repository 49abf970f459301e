"""Average precision and recall of poses and boxes, equal to the official tools'.

A `Ranking` holds the matching of a data set in a form of which precision and recall are computed for the data set
itself, for some of its images, or for many bootstrap resamples of its images at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.people import Annotations
from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.head_distance import compute_head_distance_metrics
from rsgnet.evaluation.matching import (
    NOBODY,
    Candidates,
    MatchedImage,
    compare_boxes,
    compare_poses,
    join_images,
    match_candidates,
)
from rsgnet.evaluation.protocol import (
    HEAD_DISTANCE_PROTOCOLS,
    NOT_MEASURABLE,
    OksProtocol,
    choose_protocol,
    group_by_level,
)
from rsgnet.evaluation.results import Results, ResultsSource, read_box_results, read_keypoint_results
from rsgnet.geometry import Floats, box_iou, xywh_to_xyxy

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
_AREAS = {"": (0.0, 1e10), "M": (32.0**2, 96.0**2), "L": (96.0**2, 1e10)}  # squared pixels
_OVERLAP_IOU = 0.3  # two people overlap if the IoU of their boxes is higher
_BOXES_PER_IMAGE = 100
_VALUES_PER_CHUNK = 500_000  # of one step over resamples: few enough for the processor's cache


def evaluate_keypoints(annotations: str | Path, results: ResultsSource, protocol: str = "auto") -> dict[str, float]:
    """Evaluates poses against annotated people.

    Args:
        annotations: COCO-format keypoint file.
        results: COCO keypoint results, a file or a list.
        protocol: One of `protocol.PROTOCOL_NAMES`. "coco": areas as annotated, every person with a labelled
            keypoint is evaluated. "crowdpose": 0.53 of the box as area, only people with one of the first twelve
            keypoints labelled are evaluated. "auto": CrowdPose's rules for its 14 keypoints, COCO-WholeBody's for its
            133, else COCO's. All use the falloffs of the annotations' skeleton.

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
        ranking = rank_candidates(compare_poses(truth, results, protocol, part), protocol.skips_empty_images)
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
    precision, recall = _compute_curves(rank_candidates(compare_boxes(truth, boxes, _BOXES_PER_IMAGE)))
    return {
        "box_AP": _mean(precision),
        "box_AP50": _mean(precision[0]),
        "box_AP75": _mean(precision[5]),
        "box_recall50": _mean(recall[0]),
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
class Ranking:
    """All predictions of a data set in order of descending score, with whether each is correct.

    Attributes:
        scores: (N,) scores of the predictions.
        images: (N,) index of each prediction's image.
        correct: (10, N) whether the prediction is matched to an evaluated person, at each of OKS_THRESHOLDS.
        counted: (10, N) whether the prediction is evaluated; those matched to people who are not evaluated are not.
        people: (P,) the number of evaluated people in each image.
        levels: (P,) the crowd level of each image.
    """

    scores: Floats
    images: NDArray[np.intp]
    correct: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    people: NDArray[np.int64]
    levels: tuple[str | None, ...]

    def select_images(self, indices: Sequence[int]) -> Ranking:
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


def rank_candidates(candidates: Candidates, skips_empty_images: bool = False) -> Ranking:
    """Matches the predictions of each image at all OKS_THRESHOLDS and ranks those of all images by score.

    Args:
        candidates: The predictions.
        skips_empty_images: Whether predictions are left out in images where nobody is evaluated.
    """
    return _rank_in_areas(candidates, {"": _AREAS[""]}, skips_empty_images)[""]


def rank_by_area(candidates: Candidates, skips_empty_images: bool = False) -> dict[str, Ranking]:
    """Returns, like `rank_candidates`, the rankings for everyone (""), medium ("M") and large ("L") people.

    People of other areas are not evaluated, nor are predictions of other areas that nobody is matched to.
    """
    return _rank_in_areas(candidates, _AREAS, skips_empty_images)


def rank_poses(images: Sequence[MatchedImage]) -> Ranking:
    """Returns the ranking of the poses of some images."""
    return rank_candidates(join_images(images))


def _rank_in_areas(
    candidates: Candidates, areas: Mapping[str, tuple[float, float]], skips_empty_images: bool
) -> dict[str, Ranking]:
    low, high = np.array([*areas.values()]).T[..., None]
    counted_people = candidates.counted & (candidates.areas >= low) & (candidates.areas <= high)
    matches = match_candidates(candidates, OKS_THRESHOLDS, counted_people)
    in_range = (candidates.sizes >= low) & (candidates.sizes <= high)
    person_image = np.repeat(np.arange(len(candidates.people_of_image)), candidates.people_of_image)
    order = np.argsort(-candidates.scores, kind="stable")
    rankings = {}
    for row, name in enumerate(areas):
        people = np.bincount(person_image[counted_people[row]], minlength=len(candidates.people_of_image))
        correct = np.append(counted_people[row], False)[matches[row]]  # the appended entry is for NOBODY, -1
        counted = correct | ((matches[row] == NOBODY) & in_range[row])
        if skips_empty_images:
            counted &= people[candidates.images] > 0
        images = candidates.images[order]
        rankings[name] = Ranking(
            candidates.scores[order], images, correct[:, order], counted[:, order], people, candidates.levels
        )
    return rankings


def compute_precision_recall(ranking: Ranking, counts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Computes precision and recall of resampled data sets.

    Args:
        ranking: The predictions.
        counts: (B, P) how often each image occurs in each resample; a row of ones is the data set itself.

    Returns:
        (B, 10, 101) the official tools' precision at each OKS threshold and recall of 0, 0.01, ... 1, the mean of which
        is the average precision; and (B, 10) the recall. NaN for resamples without evaluated people.
    """
    sparse = [_Hits.of(correct, counted) for correct, counted in zip(ranking.correct, ranking.counted, strict=True)]
    people = counts @ ranking.people
    precision = np.zeros((len(counts), len(OKS_THRESHOLDS), len(RECALLS)))
    recall = np.zeros((len(counts), len(OKS_THRESHOLDS)))
    step = max(1, _VALUES_PER_CHUNK // max(1, len(ranking.scores)))
    for first in range(0, len(counts), step):
        chunk = slice(first, first + step)
        occurrences = counts[chunk].astype(np.int32).take(ranking.images, 1)
        ranks = np.cumsum(occurrences, 1, np.int32)
        # How many correct predictions each recall needs.
        needed = [np.searchsorted(np.arange(total + 1) / total, RECALLS) if total else None for total in people[chunk]]
        for threshold, hits in enumerate(sparse):
            if not len(hits.correct):
                continue
            correct, envelope = hits.compute_envelope(occurrences, ranks)
            recall[chunk, threshold] = correct[:, -1] / np.maximum(people[chunk], 1)
            for resample, wanted in enumerate(needed):
                if wanted is not None:
                    reached = np.searchsorted(correct[resample], wanted)
                    precision[first + resample, threshold] = envelope[resample, reached]
    precision[people == 0], recall[people == 0] = np.nan, np.nan
    return precision, recall


@dataclass(frozen=True, eq=False)
class _Hits:
    """Where the correct predictions of a ranking are at one threshold; precision has its local maxima there.

    Attributes:
        correct: (H,) the ranks of the correct predictions.
        ignored: (I,) the ranks of the predictions that are not evaluated.
        ignored_before: (H,) the number of the latter before each of the former.
    """

    correct: NDArray[np.intp]
    ignored: NDArray[np.intp]
    ignored_before: NDArray[np.intp]

    @classmethod
    def of(cls, is_correct: NDArray[np.bool_], is_counted: NDArray[np.bool_]) -> _Hits:
        correct, ignored = np.flatnonzero(is_correct), np.flatnonzero(~is_counted)
        return cls(correct, ignored, np.searchsorted(ignored, correct))

    def compute_envelope(
        self, occurrences: NDArray[np.int32], ranks: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], Floats]:
        """Computes the precision that is still reached from each correct prediction on.

        Args:
            occurrences: (B, N) how often each prediction occurs in each resample.
            ranks: (B, N) its cumulative sum.

        Returns:
            (B, H) the cumulative number of correct predictions, and (B, H + 1) the highest precision from each on; the
            last column, for recalls that are not reached, is 0.
        """
        correct = np.cumsum(occurrences.take(self.correct, 1), 1, np.int32)
        counted = ranks.take(self.correct, 1)
        if len(self.ignored):
            ignored = np.cumsum(occurrences.take(self.ignored, 1), 1, np.int32)
            counted -= np.pad(ignored, ((0, 0), (1, 0))).take(self.ignored_before, 1)
        envelope = np.zeros((len(correct), correct.shape[1] + 1))
        np.divide(correct, np.maximum(counted, 1), out=envelope[:, :-1])
        backwards = envelope[:, -2::-1]
        np.maximum.accumulate(backwards, 1, out=backwards)
        return correct, envelope


def best_f1_threshold(ranking: Ranking) -> float:
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
