"""Benchmarks that measure keypoints by their distance in sizes of the head: MPII's PCKh and PoseTrack's AP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.people import Annotations
from rsgnet.errors import AnnotationError
from rsgnet.evaluation.results import Results
from rsgnet.geometry import Floats

_HEAD_SHARE = 0.6  # of the diagonal of the head's box, as a size of the head
_NEAR = 0.5  # a keypoint is correct within half the size of the head
_VERY_NEAR = 0.1
_MPII_GROUPS = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_MPII_TRUNK = ("pelvis", "thorax")  # not in MPII's mean


@dataclass(frozen=True)
class HeadDistanceProtocol:
    """The rules of a benchmark that measures distances in sizes of the head.

    Attributes:
        name: Its name on the command line.
        skeleton: The name of the skeleton that it is for.
        compute: Computes its metrics from annotations and results.
    """

    name: str
    skeleton: str
    compute: Callable[[Annotations, Results], dict[str, float]]


def compute_pckh(truth: Annotations, results: Results) -> dict[str, float]:
    """Computes MPII's PCKh: the share of labelled keypoints whose prediction is within half the size of the head.

    Everyone annotated is predicted once, in the true box, as MPII's single-person benchmark wants it: the results of an
    image are its people in the order of the annotations. People without labelled keypoints may be omitted everywhere.

    Args:
        truth: People with MPII's 16 keypoints and a `bbox_head`.
        results: The predicted poses.

    Returns:
        PCKh and PCKh@0.1 over all keypoints but pelvis and thorax, and PCKh of head, shoulder, elbow, wrist, hip, knee
        and ankle, each the mean of both sides; NaN where none is labelled. The tool of HRNet, from which most published
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
            distance.append(_measure_distance(pose, person, truth)[None])
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
        people = [person for person in image.people if person.keypoints[columns, 2].any()]
        if not image.people:
            continue
        poses = results.values[results.image_ids == image.id][:, columns]
        poses = poses.copy()
        poses[(poses == 0).all(-1), 2] = np.nan
        poses[_find_ignored(image, poses[..., :2]), 2] = np.nan
        labels = np.array([person.keypoints[columns] for person in people]).reshape(-1, len(columns), 3)
        is_labelled = (labels[..., 2] > 0) & ~_find_ignored(image, labels[..., :2])
        kept = is_labelled.any(1)
        people = [person for person, is_kept in zip(people, kept, strict=True) if is_kept]
        labels, is_labelled = labels[kept], is_labelled[kept]
        counts += is_labelled.sum(0)
        poses = poses[~np.isnan(poses[..., 2]).all(1)]
        heads = np.array([_measure_head(person, truth) for person in people])[:, None]
        distance = np.linalg.norm(poses[:, None, :, :2] - labels[None, ..., :2], axis=-1)
        hits = is_labelled & ~np.isnan(poses[:, None, :, 2]) & (distance <= _NEAR * heads)
        scores.append(poses[..., 2])
        correct.append(_assign_poses(hits, is_labelled))
    return _average_precisions(np.concatenate(scores), np.concatenate(correct), counts, truth, columns)
