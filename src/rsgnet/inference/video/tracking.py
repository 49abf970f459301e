"""People who are followed through a clip: where they are expected, and how alike a found person is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rsgnet.errors import RSGNetError, VideoError
from rsgnet.geometry import Floats, box_iou
from rsgnet.inference.detectors.boxes import Detector
from rsgnet.inference.ownership import AREA_OF_BOX
from rsgnet.inference.video.reader import Frame
from rsgnet.poses import Poses, oks

_FALLOFF = 2.0  # times the sigmas: limbs swing and networks err, more than annotators do
_FORGET_S = 0.1  # seconds in which what is known of a keypoint loses half its weight
_STEADY = 0.2  # least share of a surprise that corrects the velocity
_NOTHING = 1e-6


def belief(poses: Poses) -> Floats:
    """(N, K) how far keypoints can be believed: `owned`, or the score where poses do not tell whose they are; 0..1."""
    return (poses.scores if poses.owned is None else poses.owned).clip(0, 1).astype(np.float64)


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


NOBODY = -1
_SURE = 1.3  # times a detector's threshold
AnyFrame = TypeVar("AnyFrame", bound=Frame)


@dataclass(frozen=True)
class TrackingConfig:
    """How people are followed.

    Attributes:
        sure: Boxes that score this or more are given out first, and only they begin a track.
        least_likeness: Less alike than this is somebody else.
        keep_s: Seconds after which somebody who is not found is forgotten.
        keypoints: Whether keypoints tell people apart; else their boxes alone.
        box_share: What boxes weigh, where keypoints that are wholly believed weigh 1.
    """

    sure: float = 0.5
    least_likeness: float = 0.15
    keep_s: float = 1.5
    keypoints: bool = True
    box_share: float = 0.6


def tracking_for(detector: Detector) -> TrackingConfig:
    """A config whose `sure` suits a detector: 1.3 times the score below which it finds nobody; 0.5 if it has none."""
    threshold: float | None = getattr(detector, "threshold", None)
    return TrackingConfig() if threshold is None else TrackingConfig(sure=_SURE * threshold)


class Tracker:
    """Follows the people of one clip.

    Attributes:
        config: How.
        tracks: Those who are followed now.
        begun: How many people there were so far.

    Raises:
        VideoError: SciPy, which assigns, is not installed.
    """

    def __init__(self, config: TrackingConfig | None = None) -> None:
        try:
            from scipy.optimize import linear_sum_assignment  # noqa: PLC0415
        except ImportError as error:
            raise VideoError("tracking needs SciPy: pip install 'rsgnet[video]'") from error
        self._assign = linear_sum_assignment
        self.config = config or TrackingConfig()
        self.tracks: list[Track] = []
        self.begun = 0

    def __call__(self, poses: Poses, time_s: float) -> Poses:
        """The poses of the next frame with `track_ids`.

        Args:
            poses: Everyone who was found in it.
            time_s: When it is shown, in seconds, later than the one before.
        """
        people = People.found(poses, self.config.keypoints)
        sure = poses.box_scores >= self.config.sure
        self.tracks = [track for track in self.tracks if time_s - track.time_s <= self.config.keep_s]
        alike = likeness(
            expected(self.tracks, time_s, len(poses.skeleton)), people, poses.skeleton.sigmas, self.config.box_share
        )
        owners = np.full(len(poses), NOBODY, np.intp)  # places in self.tracks
        for stage in (sure, ~sure):
            free = np.setdiff1d(np.arange(len(self.tracks)), owners)
            self._give(alike, free, np.flatnonzero(stage), owners)
        track_ids = np.full(len(poses), NOBODY, np.intp)
        for person, owner in enumerate(owners.tolist()):
            row = people.keypoints_xy[person], people.weights[person], people.boxes_xyxy[person]
            if owner != NOBODY:
                self.tracks[owner].update(*row, time_s)
                track_ids[person] = self.tracks[owner].id
            elif sure[person]:
                self.begun += 1
                self.tracks.append(Track(self.begun, *row, time_s, np.zeros(2)))
                track_ids[person] = self.begun
        return replace(poses, track_ids=track_ids)

    def _give(
        self, alike: Floats, tracks: NDArray[np.intp], people: NDArray[np.intp], owners: NDArray[np.intp]
    ) -> None:
        """Assigns people to tracks so that the likeness is greatest in sum; `owners` is written to."""
        possible = alike[np.ix_(tracks, people)]
        possible = np.where(possible >= self.config.least_likeness, possible, 0.0)
        for row, column in zip(*self._assign(possible, maximize=True), strict=True):
            if possible[row, column] > 0:
                owners[people[column]] = tracks[row]


def tracked(
    outcomes: Iterable[tuple[AnyFrame, Poses | RSGNetError]], tracker: Tracker
) -> Iterator[tuple[AnyFrame, Poses | RSGNetError]]:
    """Outcomes of `PoseEstimator.stream` with everyone's `track_ids`; errors pass."""
    for frame, outcome in outcomes:
        yield frame, outcome if isinstance(outcome, RSGNetError) else tracker(outcome, float(frame.time))
