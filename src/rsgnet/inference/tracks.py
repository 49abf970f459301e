"""People who are followed through a clip: where they are expected, and how alike a found person is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsgnet.geometry import Floats, box_iou
from rsgnet.inference.contests import AREA_OF_BOX
from rsgnet.poses import Poses, oks

_FALLOFF = 2.0  # times the sigmas: limbs swing and networks err, more than annotators do
_FORGET_S = 0.1  # seconds in which what is known of a keypoint loses half its weight
_STEADY = 0.2  # least share of a surprise that corrects the velocity
_NOTHING = 1e-6


def belief(poses: Poses) -> Floats:
    """(N, K) how far keypoints can be believed: `mine`, or the score where poses do not tell whose they are; 0..1."""
    return (poses.scores if poses.mine is None else poses.mine).clip(0, 1).astype(np.float64)


@dataclass(frozen=True, eq=False)
class People:
    """What the association sees of the people of a frame, found or expected.

    Attributes:
        keypoints_xy: (N, K, 2) in image pixels.
        weights: (N, K) how far each can be believed to be this person's, in 0..1.
        boxes_xyxy: (N, 4).
    """

    keypoints_xy: Floats
    weights: Floats
    boxes_xyxy: Floats

    @property
    def areas(self) -> Floats:
        """(N,) squared pixels that the people cover, by their boxes."""
        areas: Floats = (self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]).prod(-1) * AREA_OF_BOX
        return areas

    @classmethod
    def found(cls, poses: Poses, use_keypoints: bool) -> People:
        """The people of a frame."""
        weights = belief(poses) if use_keypoints else np.zeros(poses.scores.shape)
        return cls(poses.keypoints_xy.astype(np.float64), weights, poses.boxes_xyxy.astype(np.float64))


@dataclass
class Track:
    """One person through time.

    Attributes:
        id: Who.
        keypoints_xy: (K, 2) where they were at `time_s`, by all that was found so far.
        weights: (K,) how far that can be believed.
        box_xyxy: (4,) as last found.
        time_s: When they were last found, in seconds.
        velocity: (2,) of the whole person, in pixels a second.
        finds: In how many frames they were found.
    """

    id: int
    keypoints_xy: Floats
    weights: Floats
    box_xyxy: Floats
    time_s: float
    velocity: Floats
    finds: int = 1

    def update(self, keypoints_xy: Floats, weights: Floats, box_xyxy: Floats, time_s: float) -> None:
        """Moves on to what was found at a later time.

        A keypoint goes to where it was found by as much as that is believed more than what is known; the others move
        along with the person.
        """
        waited = time_s - self.time_s
        shift = self.velocity * waited
        expected, known = self.keypoints_xy + shift, self.weights * 0.5 ** (waited / _FORGET_S)
        shared = np.sqrt(weights * known)
        if shared.sum() > _NOTHING:
            surprise: Floats = (shared[:, None] * (keypoints_xy - expected)).sum(0) / shared.sum()
        else:
            surprise = (box_xyxy - self.box_xyxy).reshape(2, 2).mean(0) - shift
        self.velocity = self.velocity + max(_STEADY, 1 / (self.finds + 1)) * surprise / waited
        gain = weights / np.maximum(weights + known, _NOTHING)
        self.keypoints_xy = expected + gain[:, None] * (keypoints_xy - expected)
        self.weights = np.maximum(weights, known)
        self.box_xyxy, self.time_s, self.finds = box_xyxy, time_s, self.finds + 1


def expected(tracks: Sequence[Track], time_s: float, keypoints: int) -> People:
    """Where people are expected at a time, of so many keypoints each."""
    shifts = [track.velocity * (time_s - track.time_s) for track in tracks]
    return People(
        np.array([track.keypoints_xy + shift for track, shift in zip(tracks, shifts, strict=True)]).reshape(
            -1, keypoints, 2
        ),
        np.array([track.weights for track in tracks]).reshape(-1, keypoints),
        np.array([track.box_xyxy + np.tile(shift, 2) for track, shift in zip(tracks, shifts, strict=True)]).reshape(
            -1, 4
        ),
    )


def likeness(expected: People, found: People, sigmas: Sequence[float], box_share: float) -> Floats:
    """How alike people are: the OKS of their keypoints, each weighed by how far it is believed, and their boxes' IoU.

    The box counts as much as keypoints whose weights are `box_share` on average: the less is known of the keypoints,
    the more their box decides.

    Args:
        expected: N people.
        found: M people.
        sigmas: (K,) falloffs of OKS; twice these are used.
        box_share: What boxes weigh.

    Returns:
        (N, M) in 0..1.
    """
    weights = np.sqrt(expected.weights[:, None] * found.weights[None])
    areas = (expected.areas[:, None] + found.areas[None]) / 2
    similarity = oks(expected.keypoints_xy, found.keypoints_xy, areas, _FALLOFF * np.asarray(sigmas), weights)
    share = weights.mean(-1)
    alike: Floats = (share * similarity + box_share * box_iou(expected.boxes_xyxy, found.boxes_xyxy)) / (
        share + box_share
    )
    return alike
