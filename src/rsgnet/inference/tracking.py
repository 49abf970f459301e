"""Who is who from frame to frame: found people are given to those who are followed, the surest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rsgnet.errors import RSGNetError, VideoError
from rsgnet.geometry import Floats
from rsgnet.inference.detector import Detector
from rsgnet.inference.tracks import People, Track, expected, likeness
from rsgnet.inference.video import Frame
from rsgnet.poses import Poses

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
