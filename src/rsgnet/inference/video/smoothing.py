"""Smoothing tracked poses over a few frames either side: a stated delay, and no lag behind what moves steadily."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from rsgnet.errors import RSGNetError
from rsgnet.geometry import Floats
from rsgnet.inference.video.reader import Frame
from rsgnet.inference.video.tracking import NOBODY, belief
from rsgnet.poses import Poses

AnyFrame = TypeVar("AnyFrame", bound=Frame)
_LEAST_WEIGHT = 1e-3


def smoothed(
    outcomes: Iterable[tuple[AnyFrame, Poses | RSGNetError]], delay: int
) -> Iterator[tuple[AnyFrame, Poses | RSGNetError]]:
    """Tracked outcomes with keypoints smoothed over `delay` frames before and after, so they come that many later.

    Each keypoint goes to the line through its places about the frame, near and sure ones weighing most. At the ends of
    the clip and of a track there are fewer frames to look at.

    Args:
        outcomes: Frames with their tracked poses or errors; errors pass.
        delay: 0 changes nothing.
    """
    window: deque[tuple[AnyFrame, Poses | RSGNetError]] = deque()
    ready = 0  # the place in the window of the next one to come out
    for outcome in outcomes:
        window.append(outcome)
        if len(window) - 1 - ready < delay:
            continue
        yield _smoothed(window, ready, delay)
        if ready < delay:
            ready += 1
        else:
            window.popleft()
    for place in range(ready, len(window)):
        yield _smoothed(window, place, delay)


def _smoothed(
    window: Sequence[tuple[AnyFrame, Poses | RSGNetError]], place: int, delay: int
) -> tuple[AnyFrame, Poses | RSGNetError]:
    frame, poses = window[place]
    if isinstance(poses, RSGNetError) or poses.track_ids is None or not delay:
        return frame, poses
    keypoints = poses.keypoints_xy.copy()
    for person, track in enumerate(poses.track_ids.tolist()):
        if track == NOBODY:
            continue
        times, places, weights = [], [], []
        for other in range(max(place - delay, 0), min(place + delay + 1, len(window))):
            near, those = window[other]
            if isinstance(those, RSGNetError) or those.track_ids is None or track not in those.track_ids:
                continue
            row = int(np.flatnonzero(those.track_ids == track)[0])
            times.append(float(near.time - frame.time))
            places.append(those.keypoints_xy[row])
            weights.append((1 - abs(other - place) / (delay + 1)) * np.maximum(belief(those)[row], _LEAST_WEIGHT))
        keypoints[person] = _on_line(np.array(times), np.array(places, np.float64), np.array(weights))
    return frame, replace(poses, keypoints_xy=keypoints)


def _on_line(times: Floats, places: Floats, weights: Floats) -> Floats:
    """(K, 2) places at time 0 of the lines that fit (n, K, 2) places at (n,) times best, by (n, K) weights."""
    when = times[:, None]
    total, first, second = weights.sum(0), (weights * when).sum(0), (weights * when**2).sum(0)
    place, moved = ((weights * factor)[..., None] * places for factor in (1.0, when))
    spread = total * second - first**2
    mean = place.sum(0) / total[:, None]
    line = second[:, None] * place.sum(0) - first[:, None] * moved.sum(0)
    steady: Floats = np.where((spread > 1e-9 * total**2)[:, None], line / np.maximum(spread, 1e-300)[:, None], mean)
    return steady
