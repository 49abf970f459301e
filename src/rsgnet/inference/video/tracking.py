"""Tracking people through a clip: each frame's people are assigned to the tracks they are most similar to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rsgnet.errors import RSGNetError, VideoError
from rsgnet.geometry import Floats, box_iou
from rsgnet.inference.detectors.detector import Detector
from rsgnet.inference.ownership import AREA_OF_BOX
from rsgnet.inference.video.reader import Frame
from rsgnet.poses import Poses, oks

NO_TRACK = -1
AnyFrame = TypeVar("AnyFrame", bound=Frame)
_NEW_TRACK_FACTOR = 1.3  # times the threshold of a detector
_SIGMA_FACTOR = 2.0  # limbs move and networks err, both more than the annotators whose errors the sigmas describe
_HALF_LIFE_S = 0.1  # seconds in which what is known of a keypoint loses half its weight
_MIN_VELOCITY_GAIN = 0.2  # the smallest share of a prediction error that corrects the velocity
_EPSILON = 1e-6


@dataclass(frozen=True)
class TrackingConfig:
    """How people are tracked.

    Attributes:
        new_track_threshold: Boxes that score this or more are assigned first, and only they begin a track.
        min_similarity: People who are less similar than this to a track do not belong to it.
        max_gap_s: Seconds after which a track ends that nobody was assigned to.
        use_keypoints: Whether keypoints tell people apart; else their boxes alone do.
        box_weight: The weight of boxes, where that of keypoints of confidence 1 is 1.
    """

    new_track_threshold: float = 0.5
    min_similarity: float = 0.15
    max_gap_s: float = 1.5
    use_keypoints: bool = True
    box_weight: float = 0.6


def choose_tracking_config(detector: Detector) -> TrackingConfig:
    """Returns a config that suits a detector: new tracks need 1.3 times its threshold; the default without one."""
    if detector.threshold is None:
        return TrackingConfig()
    return TrackingConfig(new_track_threshold=_NEW_TRACK_FACTOR * detector.threshold)


def keypoint_confidence(poses: Poses) -> Floats:
    """Returns (N, K) how far keypoints can be trusted, in 0..1: `owned`, or the scores of poses without it."""
    return (poses.scores if poses.owned is None else poses.owned).clip(0, 1).astype(np.float64)


@dataclass(frozen=True, eq=False)
class PeopleState:
    """What the assignment compares of the people of a frame, detected or predicted.

    Attributes:
        keypoints_xy: (N, K, 2) in image pixels.
        weights: (N, K) confidence that each is this person's, in 0..1.
        boxes_xyxy: (N, 4) in image pixels.
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
    def from_poses(cls, poses: Poses, use_keypoints: bool) -> PeopleState:
        """Returns the state of detected people; without `use_keypoints` their weights are 0."""
        weights = keypoint_confidence(poses) if use_keypoints else np.zeros(poses.scores.shape)
        return cls(poses.keypoints_xy.astype(np.float64), weights, poses.boxes_xyxy.astype(np.float64))


@dataclass
class Track:
    """One person through time.

    Attributes:
        id: The number of the person.
        keypoints_xy: (K, 2) estimated locations at `time_s`.
        weights: (K,) confidence of the estimates.
        box_xyxy: (4,) the last detected box.
        time_s: When the person was last detected, in seconds.
        velocity: (2,) of the whole person, in pixels per second.
        detections: In how many frames the person was detected.
    """

    id: int
    keypoints_xy: Floats
    weights: Floats
    box_xyxy: Floats
    time_s: float
    velocity: Floats
    detections: int = 1

    def update(self, keypoints_xy: Floats, weights: Floats, box_xyxy: Floats, time_s: float) -> None:
        """Updates the track with a detection at a later time.

        A keypoint moves towards its detected location by the share that the detection's weight has in the sum of both
        weights; the others move along with the person.
        """
        elapsed_s = time_s - self.time_s
        shift = self.velocity * elapsed_s
        predicted, old_weights = self.keypoints_xy + shift, self.weights * 0.5 ** (elapsed_s / _HALF_LIFE_S)
        shared_weights = np.sqrt(weights * old_weights)
        if shared_weights.sum() > _EPSILON:
            error: Floats = (shared_weights[:, None] * (keypoints_xy - predicted)).sum(0) / shared_weights.sum()
        else:
            error = (box_xyxy - self.box_xyxy).reshape(2, 2).mean(0) - shift
        velocity_gain = max(_MIN_VELOCITY_GAIN, 1 / (self.detections + 1))
        self.velocity = self.velocity + velocity_gain * error / elapsed_s
        gain = weights / np.maximum(weights + old_weights, _EPSILON)
        self.keypoints_xy = predicted + gain[:, None] * (keypoints_xy - predicted)
        self.weights = np.maximum(weights, old_weights)
        self.box_xyxy, self.time_s, self.detections = box_xyxy, time_s, self.detections + 1


def predict_people(tracks: Sequence[Track], time_s: float, keypoints: int) -> PeopleState:
    """Predicts the people of some tracks, of `keypoints` keypoints each, at a time in seconds."""
    shifts = np.array([track.velocity * (time_s - track.time_s) for track in tracks]).reshape(-1, 2)
    keypoints_xy = np.array([track.keypoints_xy for track in tracks]).reshape(-1, keypoints, 2)
    weights = np.array([track.weights for track in tracks]).reshape(-1, keypoints)
    boxes_xyxy = np.array([track.box_xyxy for track in tracks]).reshape(-1, 4)
    return PeopleState(keypoints_xy + shifts[:, None], weights, boxes_xyxy + np.tile(shifts, 2))


def compute_similarity(
    predicted: PeopleState, detected: PeopleState, sigmas: Sequence[float], box_weight: float
) -> Floats:
    """Computes the similarity of people: the mean of the OKS of their keypoints and of the IoU of their boxes.

    Each keypoint counts by its weight. The weight of the OKS in the mean is the mean weight of the keypoints, so that
    the box decides the more, the less is known of the keypoints.

    Args:
        predicted: N people.
        detected: M people.
        sigmas: (K,) of OKS, which are doubled.
        box_weight: The weight of the IoU.

    Returns:
        (N, M) in 0..1.
    """
    weights = np.sqrt(predicted.weights[:, None] * detected.weights[None])
    areas = (predicted.areas[:, None] + detected.areas[None]) / 2
    falloffs = _SIGMA_FACTOR * np.asarray(sigmas)
    keypoint_similarity = oks(predicted.keypoints_xy, detected.keypoints_xy, areas, falloffs, weights)
    box_similarity = box_iou(predicted.boxes_xyxy, detected.boxes_xyxy)
    keypoint_weight = weights.mean(-1)
    weighted = keypoint_weight * keypoint_similarity + box_weight * box_similarity
    similarity: Floats = weighted / (keypoint_weight + box_weight)
    return similarity


class Tracker:
    """Tracks the people of one clip.

    Attributes:
        config: How people are tracked.
        tracks: The people who are tracked now.
        people_count: The number of people so far.

    Raises:
        VideoError: SciPy, which solves the assignment, is not installed.
    """

    def __init__(self, config: TrackingConfig | None = None) -> None:
        try:
            from scipy.optimize import linear_sum_assignment  # noqa: PLC0415
        except ImportError as error:
            raise VideoError("tracking needs SciPy: pip install 'rsgnet[video]'") from error
        self._solve_assignment = linear_sum_assignment
        self.config = config or TrackingConfig()
        self.tracks: list[Track] = []
        self.people_count = 0

    def __call__(self, poses: Poses, time_s: float) -> Poses:
        """Returns the poses of the next frame with `track_ids`.

        Args:
            poses: Everyone who was detected in the frame.
            time_s: When the frame is shown, in seconds, later than the one before.
        """
        people = PeopleState.from_poses(poses, self.config.use_keypoints)
        is_confident = poses.box_scores >= self.config.new_track_threshold
        self.tracks = [track for track in self.tracks if time_s - track.time_s <= self.config.max_gap_s]
        predicted = predict_people(self.tracks, time_s, len(poses.skeleton))
        similarity = compute_similarity(predicted, people, poses.skeleton.sigmas, self.config.box_weight)
        assigned = np.full(len(poses), NO_TRACK, np.intp)  # indices into self.tracks
        for stage in (is_confident, ~is_confident):
            free = np.setdiff1d(np.arange(len(self.tracks)), assigned)
            self._assign(similarity, free, np.flatnonzero(stage), assigned)
        track_ids = np.full(len(poses), NO_TRACK, np.intp)
        for person, index in enumerate(assigned.tolist()):
            row = people.keypoints_xy[person], people.weights[person], people.boxes_xyxy[person]
            if index != NO_TRACK:
                self.tracks[index].update(*row, time_s)
                track_ids[person] = self.tracks[index].id
            elif is_confident[person]:
                self.people_count += 1
                self.tracks.append(Track(self.people_count, *row, time_s, np.zeros(2)))
                track_ids[person] = self.people_count
        return replace(poses, track_ids=track_ids)

    def _assign(
        self, similarity: Floats, tracks: NDArray[np.intp], people: NDArray[np.intp], assigned: NDArray[np.intp]
    ) -> None:
        """Assigns people to tracks so that the sum of the similarities is greatest; writes to `assigned`."""
        chosen = similarity[np.ix_(tracks, people)]
        chosen = np.where(chosen >= self.config.min_similarity, chosen, 0.0)
        for row, column in zip(*self._solve_assignment(chosen, maximize=True), strict=True):
            if chosen[row, column] > 0:
                assigned[people[column]] = tracks[row]


def track_poses(
    outcomes: Iterable[tuple[AnyFrame, Poses | RSGNetError]], tracker: Tracker
) -> Iterator[tuple[AnyFrame, Poses | RSGNetError]]:
    """Yields the outcomes of `PoseEstimator.stream` with everyone's `track_ids`; errors are passed on."""
    for frame, outcome in outcomes:
        yield frame, outcome if isinstance(outcome, RSGNetError) else tracker(outcome, float(frame.time))
