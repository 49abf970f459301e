"""Benchmarks that measure keypoints by their distance in sizes of the head: MPII's PCKh and PoseTrack's AP."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.people import AnnotatedImage, Annotations, Person
from rsgnet.errors import AnnotationError
from rsgnet.evaluation.protocol import HEAD_DISTANCE_PROTOCOLS, NOT_MEASURABLE, require_skeleton
from rsgnet.evaluation.results import Results
from rsgnet.geometry import Floats

_HEAD_SHARE = 0.6  # of the diagonal of the head's box, as a size of the head
_NEAR = 0.5  # a keypoint is correct within half the size of the head
_VERY_NEAR = 0.1
_MPII_GROUPS = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_MPII_TRUNK = ("pelvis", "thorax")  # not in MPII's mean


def compute_pckh(truth: Annotations, results: Results) -> dict[str, float]:
    """Computes MPII's PCKh: the share of labelled keypoints whose prediction is within half the size of the head.

    Everyone annotated is predicted once, in the true box, as MPII's single-person benchmark wants it: the results of an
    image are its people in the order of the annotations. People without labelled keypoints may be omitted everywhere.

    Args:
        truth: People with MPII's 16 keypoints and a `bbox_head`.
        results: The predicted poses.

    Returns:
        PCKh and PCKh@0.1 over all keypoints but pelvis and thorax, and PCKh of head, shoulder, elbow, wrist, hip, knee
        and ankle, each the mean of both sides; NaN where one has no label. The tool of HRNet, from which most published
        figures are, takes 0.11 for 0.1.

    Raises:
        AnnotationError: Someone has no `bbox_head`, or an image has another number of poses than people.
    """
    skeleton = truth.skeleton
    labelled, distance = [np.zeros((0, len(skeleton)), bool)], [np.zeros((0, len(skeleton)))]
    for image in truth.images:
        people = [person for person in image.people if person.num_labelled]
        poses = results.values[results.image_ids == image.id, :, :2]
        if len(poses) == len(image.people):
            poses = poses[[person.num_labelled > 0 for person in image.people]]
        if len(poses) != len(people):
            raise AnnotationError(
                f"{results.origin}: image {image.id} ({image.file_name}) has {len(poses)} poses and {len(people)} "
                "people; PCKh needs one pose for each, in the order of the annotations"
            )
        for person, pose in zip(people, poses, strict=True):
            labelled.append(person.keypoints[None, :, 2] > 0)
            offsets = pose - person.keypoints[:, :2]
            distance.append(np.hypot(offsets[:, 0], offsets[:, 1])[None] / _measure_head(person, labelled[-1], truth))
    is_labelled, distances = np.concatenate(labelled), np.concatenate(distance)
    near, counts = (is_labelled & (distances <= _NEAR)).sum(0), is_labelled.sum(0)
    very_near = (is_labelled & (distances <= _VERY_NEAR)).sum(0)
    meant = np.array([name not in _MPII_TRUNK for name in skeleton.keypoints])
    metrics = {"PCKh": _share(near[meant].sum(), counts[meant].sum())}
    metrics["PCKh@0.1"] = _share(very_near[meant].sum(), counts[meant].sum())
    for group in _MPII_GROUPS:
        columns = [index for index, name in enumerate(skeleton.keypoints) if name.split("_")[-1] == group]
        metrics[f"PCKh_{group}"] = float(np.mean([_share(near[column], counts[column]) for column in columns]))
    return metrics


def compute_posetrack_ap(truth: Annotations, results: Results) -> dict[str, float]:
    """Computes PoseTrack's average precision of multi-person poses (poseval).

    In each frame with people, each pose is assigned to the person of whom it hits most keypoints, and each person to
    the pose that hits most among those. Each predicted keypoint, ranked by its own score, is correct if it hits the
    keypoint of the pose's person. Keypoints in `ignore_regions` are left out.

    Args:
        truth: People with PoseTrack's keypoints and a `bbox_head`; both ears are not evaluated.
        results: The predicted poses; a keypoint at exactly (0, 0) with a score of 0 is none.

    Returns:
        AP, precision and recall ("AP", "precision", "recall"), the means over the 15 keypoints, and `AP_<keypoint>` of
        each, in 0..1; NaN for keypoints that nobody has.

    Raises:
        AnnotationError: Someone has no `bbox_head`.
    """
    columns = [index for index, name in enumerate(truth.skeleton.keypoints) if not name.endswith("ear")]
    scores: list[Floats] = [np.zeros((0, len(columns)))]
    correct: list[NDArray[np.bool_]] = [np.zeros((0, len(columns)), bool)]
    counts = np.zeros(len(columns), np.int64)
    for image in truth.images:
        if not image.people:
            continue
        labels = np.array([person.keypoints[columns] for person in image.people])
        poses = results.values[results.image_ids == image.id][:, columns]
        is_labelled, is_predicted = ((each != 0).any(-1) & ~_find_ignored(image, each) for each in (labels, poses))
        counts += is_labelled.sum(0)
        sizes = [_measure_head(*each, truth) for each in zip(image.people, is_labelled, strict=True)]
        distance = np.linalg.norm(poses[:, None, :, :2] - labels[None, ..., :2], axis=-1) / np.array(sizes)[:, None]
        hits = is_labelled & is_predicted[:, None] & (distance <= _NEAR)
        scores.append(np.where(is_predicted, poses[..., 2], np.nan))
        correct.append(_assign_poses(hits, is_labelled))
    ranked = zip(np.concatenate(scores).T, np.concatenate(correct).T, counts.tolist(), strict=True)
    curves = np.array([_compute_average_precision(*each) for each in ranked])
    average, precision, recall = (_mean_known(each) for each in curves.T)
    names = [truth.skeleton.keypoints[column] for column in columns]
    return {
        "AP": average,
        "precision": precision,
        "recall": recall,
        **{f"AP_{name}": float(value) for name, value in zip(names, curves[:, 0], strict=True)},
    }


def _assign_poses(hits: NDArray[np.bool_], is_labelled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns the (N, K) keypoints that are right of (N, M, K) hits of poses and people, after their assignment."""
    correct = np.zeros((hits.shape[0], hits.shape[2]), bool)
    if not len(hits):
        return correct
    shares = hits.sum(2) / np.maximum(is_labelled.sum(1), 1)
    shares[np.arange(hits.shape[1]) != shares.argmax(1)[:, None]] = 0
    for person, pose in enumerate(shares.argmax(0)):
        if shares[pose, person] > 0:
            correct[pose] = hits[pose, person]
    return correct


def _compute_average_precision(scores: Floats, is_correct: NDArray[np.bool_], count: int) -> tuple[float, float, float]:
    """Returns the average precision of one keypoint, and the precision and recall of all its predictions.

    Args:
        scores: (N,) the score of each prediction; NaN for poses without the keypoint.
        is_correct: (N,) whether the prediction is correct.
        count: The number of labelled keypoints.
    """
    found = ~np.isnan(scores)
    if not found.any():
        return 0.0, 0.0, 0.0
    correct = np.cumsum(is_correct[found][np.argsort(-scores[found], kind="stable")])
    precision = correct / np.arange(1, len(correct) + 1)
    if not count:
        return np.nan, float(precision[-1]), np.nan
    recall = correct / count
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    average = float((np.diff(recall, prepend=0.0) * envelope).sum())
    return average, float(precision[-1]), float(recall[-1])


def _find_ignored(image: AnnotatedImage, keypoints: Floats) -> NDArray[np.bool_]:
    """Returns which of (N, K, 3) keypoints lie in the image's ignored regions."""
    x, y = keypoints[..., 0], keypoints[..., 1]
    ignored = np.zeros(x.shape, bool)
    for region in image.ignored_regions:
        inside = np.zeros(x.shape, bool)
        for (x0, y0), (x1, y1) in zip(region, np.roll(region, -1, axis=0), strict=True):
            crosses = (y0 > y) != (y1 > y)
            inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0 if y1 != y0 else 1.0))
        ignored |= inside
    return ignored


def _measure_head(person: Person, is_labelled: NDArray[np.bool_], truth: Annotations) -> float:
    """Returns the size of a person's head in pixels; 1 for people of whom nothing is labelled.

    Raises:
        AnnotationError: The person has no box of the head.
    """
    if not is_labelled.any():
        return 1.0
    if person.head_box_xywh is None:
        raise AnnotationError(f"{truth.path}: annotation {person.id} has no bbox_head, by which distances are measured")
    return _HEAD_SHARE * float(np.hypot(*person.head_box_xywh[2:]))


def _mean_known(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")


_METRICS: dict[str, Callable[[Annotations, Results], dict[str, float]]] = {
    "mpii": compute_pckh,
    "posetrack": compute_posetrack_ap,
}


def compute_head_distance_metrics(truth: Annotations, results: Results, protocol: str) -> dict[str, float]:
    """Computes the metrics of one of `protocol.HEAD_DISTANCE_PROTOCOLS`, with -1 instead of NaN.

    Raises:
        AnnotationError: As the functions above.
        RSGNetError: The protocol is for people with other keypoints.
    """
    require_skeleton(truth, protocol, (HEAD_DISTANCE_PROTOCOLS[protocol],))
    metrics = _METRICS[protocol](truth, results)
    return {name: NOT_MEASURABLE if np.isnan(value) else value for name, value in metrics.items()}
