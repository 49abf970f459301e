"""Keypoints that two people of an image claim: who the rival is, and what speaks for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.geometry import Floats
from rsgnet.inference.evidence import CROP_FEATURES, Evidence
from rsgnet.skeletons import Skeleton

NOBODY = -1
CONTEST_SIMILARITY = 0.5  # COCO begins to count a keypoint as found here
TWICE_SIMILARITY = 0.5  # of whole poses: one person found twice
AREA_OF_BOX = 0.53  # what a person covers of their box, as CrowdPose's evaluation has it


@dataclass(frozen=True, eq=False)
class Contests:
    """Who else claims each keypoint.

    Attributes:
        rival: (N, K) the index of the person, -1 where nobody does.
        keypoint: (N, K) which of that person's keypoints lies there: the same, or its mirror image.
    """

    rival: NDArray[np.intp]
    keypoint: NDArray[np.intp]

    def of_rivals(self, values: ArrayLike) -> Floats:
        """(N, K) the rivals' own of some (N, K) values at the contested places; 0 where there is no rival."""
        given = np.asarray(values, np.float64)
        theirs: Floats = np.where(self.rival != NOBODY, given[self.rival, self.keypoint], 0.0) if given.size else given
        return theirs


def find_contests(keypoints_xy: ArrayLike, scores: ArrayLike, boxes_xyxy: ArrayLike, skeleton: Skeleton) -> Contests:
    """Finds the keypoints of one image that two people claim.

    A keypoint is contested by another person whose keypoint of that name, or its mirror image (a left knee for a right
    one), lies so near that the similarity of OKS is 0.5 or more, at the scale of the smaller of the two. Of several
    such people the rival is the one whose heatmap is highest there. Poses that are as near as that on the whole are
    one person found twice, and no rivals.

    Args:
        keypoints_xy: (N, K, 2) in image pixels.
        scores: (N, K) heights of the heatmaps.
        boxes_xyxy: (N, 4) of the people; 0.53 of a box's area sets the scale.
        skeleton: The K keypoints.
    """
    places, heights = np.asarray(keypoints_xy, np.float64), np.asarray(scores, np.float64)
    boxes = np.asarray(boxes_xyxy, np.float64)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1) * AREA_OF_BOX
    people, count = heights.shape
    rival, keypoint = np.full((people, count), NOBODY, np.intp), np.tile(np.arange(count), (people, 1))
    variances = (2 * np.array(skeleton.sigmas)) ** 2
    for person in range(people):
        scale = 2 * (np.minimum(areas, areas[person])[:, None] + np.spacing(1)) * variances
        apart = _similarity(places, person, scale, np.arange(count)).mean(-1) < TWICE_SIMILARITY
        highest = np.full(count, -np.inf)
        for columns in (np.arange(count), skeleton.flip_indices):
            near = (_similarity(places, person, scale, columns) >= CONTEST_SIMILARITY) & apart[:, None]
            claimed = np.where(near, heights[:, columns], -np.inf)
            best, height = claimed.argmax(0), claimed.max(0)
            better = height > highest
            rival[person, better], keypoint[person, better] = best[better], columns[better]
            highest = np.maximum(highest, height)
    return Contests(rival, keypoint)


def _similarity(places: Floats, person: int, scale: Floats, columns: NDArray[np.intp]) -> Floats:
    """(N, K) how near everyone's keypoints, in the order of `columns`, are to a person's; (N, K) `scale` sets how."""
    squared = ((places[:, columns] - places[person]) ** 2).sum(-1)
    similarity: Floats = np.exp(-squared / scale)
    return similarity


def with_contests(evidence: Evidence, contests: Contests) -> Evidence:
    """(N, K, len(FEATURES)) evidence: that of the people's crops, and what speaks for their rivals.

    Args:
        evidence: (N, K, len(CROP_FEATURES)) as `evidence.gather` gives it, of one image's people.
        contests: Who contests what among them.
    """
    contested = (contests.rival != NOBODY).astype(np.float64)
    theirs = [contests.of_rivals(evidence[..., CROP_FEATURES.index(name)]) for name in ("peak", "person", "support")]
    return np.concatenate([evidence, np.stack([contested, *theirs], -1)], axis=-1)
