"""Smoothing tracked poses over a few frames on either side: a fixed delay, and no lag behind steady motion."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from rsgnet.errors import RSGNetError
from rsgnet.geometry import Floats
from rsgnet.inference.video.reader import Frame
from rsgnet.inference.video.tracking import NO_TRACK, keypoint_confidence
from rsgnet.poses import Poses

AnyFrame = TypeVar("AnyFrame", bound=Frame)
_MIN_WEIGHT = 1e-3


def smooth_poses(
    outcomes: Iterable[tuple[AnyFrame, Poses | RSGNetError]], delay: int
) -> Iterator[tuple[AnyFrame, Poses | RSGNetError]]:
    """Smooths the keypoints of tracked poses over `delay` frames before and after; results come that many later.

    Each keypoint moves to a straight line fitted to its locations in those frames, near and confident ones weighing
    most. At the ends of the clip and of a track fewer frames are used.

    Args:
        outcomes: Frames with their tracked poses or errors; errors are passed on.
        delay: 0 changes nothing.
    """
    window: deque[tuple[AnyFrame, Poses | RSGNetError]] = deque()
    centre = 0  # the index in the window of the next frame to yield
    for outcome in outcomes:
        window.append(outcome)
        if len(window) - 1 - centre < delay:
            continue
        yield _smooth_frame(window, centre, delay)
        if centre < delay:
            centre += 1
        else:
            window.popleft()
    for index in range(centre, len(window)):
        yield _smooth_frame(window, index, delay)


def _smooth_frame(
    window: Sequence[tuple[AnyFrame, Poses | RSGNetError]], centre: int, delay: int
) -> tuple[AnyFrame, Poses | RSGNetError]:
    frame, poses = window[centre]
    if isinstance(poses, RSGNetError) or poses.track_ids is None or not delay:
        return frame, poses
    keypoints = poses.keypoints_xy.copy()
    for person, track in enumerate(poses.track_ids.tolist()):
        if track == NO_TRACK:
            continue
        times, locations, weights = [], [], []
        for index in range(max(centre - delay, 0), min(centre + delay + 1, len(window))):
            other_frame, other = window[index]
            if isinstance(other, RSGNetError) or other.track_ids is None or track not in other.track_ids:
                continue
            row = int(np.flatnonzero(other.track_ids == track)[0])
            confidence = np.maximum(keypoint_confidence(other)[row], _MIN_WEIGHT)
            times.append(float(other_frame.time - frame.time))
            locations.append(other.keypoints_xy[row])
            weights.append((1 - abs(index - centre) / (delay + 1)) * confidence)
        keypoints[person] = _fit_lines(np.array(times), np.array(locations, np.float64), np.array(weights))
    return frame, replace(poses, keypoints_xy=keypoints)


def _fit_lines(times: Floats, locations: Floats, weights: Floats) -> Floats:
    """Fits a line through time to each keypoint by weighted least squares.

    Args:
        times: (n,) seconds.
        locations: (n, K, 2).
        weights: (n, K).

    Returns:
        (K, 2) the lines at time 0; the weighted mean where the times do not determine a line.
    """
    column = times[:, None]
    total, first, second = weights.sum(0), (weights * column).sum(0), (weights * column**2).sum(0)
    weighted, moments = (((weights * factor)[..., None] * locations).sum(0) for factor in (1.0, column))
    determinant = total * second - first**2
    mean = weighted / total[:, None]
    intercept = (second[:, None] * weighted - first[:, None] * moments) / np.maximum(determinant, 1e-300)[:, None]
    fitted: Floats = np.where((determinant > 1e-9 * total**2)[:, None], intercept, mean)
    return fitted
