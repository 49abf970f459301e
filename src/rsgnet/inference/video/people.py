"""Choosing people in a clip: those that are asked for keep their track, the others are left out of the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from rsgnet.errors import RSGNetError
from rsgnet.inference.video.reader import Frame
from rsgnet.inference.video.tracking import NO_TRACK
from rsgnet.poses import Poses

AnyFrame = TypeVar("AnyFrame", bound=Frame)
_EXPECTED = "largest, longest, nearest-centre, track numbers such as 3,7, or at:X,Y in pixels"


@dataclass(frozen=True)
class PeopleChoice:
    """Which people of a clip are wanted.

    Attributes:
        kind: "largest" (by the box), "nearest-centre" (of the frame) and "at" (whose box holds a point) choose one
            person in the first frame that shows such a tracked person, and keep them. "longest" is who is found in the
            most frames. "ids" are tracks by number.
        ids: The tracks, for "ids".
        point_xy: The point in pixels, for "at".
    """

    kind: Literal["largest", "longest", "nearest-centre", "ids", "at"]
    ids: tuple[int, ...] = ()
    point_xy: tuple[float, float] = (0.0, 0.0)


def parse_people(text: str) -> PeopleChoice:
    """Parses a choice of people: largest, longest, nearest-centre, ID,ID or at:X,Y.

    Raises:
        RSGNetError: It is none of these.
    """
    if text in ("largest", "longest", "nearest-centre"):
        return PeopleChoice(text)  # type: ignore[arg-type]
    is_point, numbers = text.startswith("at:"), text.removeprefix("at:").split(",")
    try:
        if is_point:
            x, y = map(float, numbers)
            return PeopleChoice("at", point_xy=(x, y))
        ids = tuple(int(number) for number in numbers)
    except ValueError:
        ids = ()
    if not ids or min(ids) < 1:
        raise RSGNetError(f"--people {text}: expected {_EXPECTED}")
    return PeopleChoice("ids", ids)


def choose_people(
    outcomes: Iterable[tuple[AnyFrame, Poses | RSGNetError]], choice: PeopleChoice
) -> Iterator[tuple[AnyFrame, Poses | RSGNetError]]:
    """Yields tracked frames with only the people who are wanted; errors are passed on.

    Args:
        outcomes: Frames with their tracked poses or errors, as `track_poses` yields them.
        choice: Whom to keep; "longest" is resolved beforehand, see `find_longest_track`.
    """
    ids = list(choice.ids)
    for frame, poses in outcomes:
        if isinstance(poses, RSGNetError) or poses.track_ids is None:
            yield frame, poses
            continue
        if not ids and len(tracked := np.flatnonzero(poses.track_ids != NO_TRACK)):
            ids = [int(poses.track_ids[person]) for person in _choose(poses, tracked, choice)]
        yield frame, poses[np.isin(poses.track_ids, ids)]


def find_longest_track(outcomes: Iterable[tuple[AnyFrame, Poses | RSGNetError]]) -> int | None:
    """Returns the number of the track with the most frames, the first of several; None where nobody is tracked."""
    counts: Counter[int] = Counter()
    for _, poses in outcomes:
        if not isinstance(poses, RSGNetError) and poses.track_ids is not None:
            counts.update(track for track in poses.track_ids.tolist() if track != NO_TRACK)
    return max(counts, key=lambda track: (counts[track], -track)) if counts else None


def _choose(poses: Poses, tracked: NDArray[np.intp], choice: PeopleChoice) -> list[int]:
    """Returns the index of the person of a frame who is wanted, or none."""
    boxes = poses.boxes_xyxy[tracked].astype(np.float64)
    left_top, right_bottom = boxes[:, :2], boxes[:, 2:]
    if choice.kind == "largest":
        return [int(tracked[(right_bottom - left_top).prod(-1).argmax()])]
    point = np.array(choice.point_xy if choice.kind == "at" else poses.size_wh) / (1 if choice.kind == "at" else 2)
    distances = np.linalg.norm((left_top + right_bottom) / 2 - point, axis=-1)
    if choice.kind == "at":
        holds_point = ((left_top <= point) & (point <= right_bottom)).all(-1)
        distances = np.where(holds_point, distances, np.inf)
    return [int(tracked[distances.argmin()])] if np.isfinite(distances.min()) else []
