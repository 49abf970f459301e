"""HOTA, a tracking metric in which finding people and keeping their tracks count alike (Luiten et al., IJCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsgnet.evaluation.tracking_metrics import TrackedFrame, assign_pairs
from rsgnet.geometry import Floats, box_iou

LEAST_IOUS = np.arange(0.05, 0.99, 0.05)  # the least IoU of a match; the metrics are means over these
_ROUNDING = np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class HotaCounts:
    """What HOTA is computed from, of one clip or, added up, of several.

    Attributes:
        truths: Annotated boxes.
        found: Predicted boxes.
        matched: (19,) pairs of annotated and predicted boxes matched frame by frame, at each of LEAST_IOUS.
        association: (19,) the sum over these pairs of how well the person and the track of the pair fit each other: the
            frames in which they are matched, divided by the frames in which either is present.
    """

    truths: int
    found: int
    matched: Floats
    association: Floats

    def __add__(self, other: HotaCounts) -> HotaCounts:
        return HotaCounts(
            self.truths + other.truths,
            self.found + other.found,
            self.matched + other.matched,
            self.association + other.association,
        )

    @property
    def hota(self) -> float:
        """The geometric mean of detection and association, 0..1."""
        return float(np.sqrt(self._detection() * self._association()).mean())

    @property
    def detection_accuracy(self) -> float:
        """The matched boxes divided by all boxes of either side ("DetA"), 0..1."""
        return float(self._detection().mean())

    @property
    def association_accuracy(self) -> float:
        """The mean of `association` over the matched pairs ("AssA"), 0..1."""
        return float(self._association().mean())

    def _detection(self) -> Floats:
        accuracy: Floats = self.matched / np.maximum(self.truths + self.found - self.matched, 1)
        return accuracy

    def _association(self) -> Floats:
        accuracy: Floats = self.association / np.maximum(self.matched, 1)
        return accuracy


def count_hota(frames: Sequence[TrackedFrame]) -> HotaCounts:
    """Computes what HOTA needs of one clip, as TrackEval does.

    In each frame people and tracks are matched such that the sum of their IoU, times how well their whole tracks fit
    each other, is highest.

    Args:
        frames: The clip's frames in order.
    """
    people = np.unique(np.concatenate([np.zeros(0, np.intp), *(frame.truth_ids for frame in frames)]))
    tracks = np.unique(np.concatenate([np.zeros(0, np.intp), *(frame.found_ids for frame in frames)]))
    shared, located = np.zeros((len(people), len(tracks))), []
    person_frames, track_frames = np.zeros((len(shared), 1)), np.zeros((1, shared.shape[1]))
    for frame in frames:
        rows, columns = np.searchsorted(people, frame.truth_ids), np.searchsorted(tracks, frame.found_ids)
        iou = box_iou(frame.truth_boxes_xyxy, frame.found_boxes_xyxy)
        located.append((rows, columns, iou))
        union = iou.sum(0) + iou.sum(1)[:, None] - iou
        shared[np.ix_(rows, columns)] += np.divide(iou, union, out=np.zeros_like(iou), where=union > _ROUNDING)
        person_frames[rows] += 1
        track_frames[0, columns] += 1
    alignment = shared / np.maximum(person_frames + track_frames - shared, 1)
    matches = np.zeros((len(LEAST_IOUS), *shared.shape))
    for rows, columns, iou in located:
        for row, column in assign_pairs(alignment[np.ix_(rows, columns)] * iou):
            matches[:, rows[row], columns[column]] += iou[row, column] >= LEAST_IOUS - _ROUNDING
    return HotaCounts(
        truths=int(person_frames.sum()),
        found=int(track_frames.sum()),
        matched=matches.sum((1, 2)),
        association=(matches**2 / np.maximum(person_frames + track_frames - matches, 1)).sum((1, 2)),
    )
