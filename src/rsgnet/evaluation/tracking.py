"""How well people are followed: IDF1, identity switches and MOTA, of boxes matched at an IoU of 0.5."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from rsgnet.errors import RSGNetError, needing
from rsgnet.geometry import Floats, box_iou

MATCH_IOU = 0.5
_NO_TRACK = -1


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """Who is where in one frame, in truth and as found. No id may come twice.

    Attributes:
        truth_ids: (G,) people's ids.
        truth_boxes_xyxy: (G, 4) in image pixels.
        found_ids: (F,) tracks' ids; people without a track are left out.
        found_boxes_xyxy: (F, 4) in image pixels.
    """

    truth_ids: NDArray[np.intp]
    truth_boxes_xyxy: Floats
    found_ids: NDArray[np.intp]
    found_boxes_xyxy: Floats

    def __post_init__(self) -> None:
        for ids, boxes in ((self.truth_ids, self.truth_boxes_xyxy), (self.found_ids, self.found_boxes_xyxy)):
            if boxes.shape != (len(ids), 4) or len(set(ids.tolist())) != len(ids):
                raise RSGNetError(f"a frame has different ids and a box each, not ids {ids} and boxes {boxes.shape}")


@dataclass(frozen=True)
class TrackingCounts:
    """What was counted; counts of several clips add up.

    Attributes:
        truths: People, each counted in every frame.
        found: Boxes of tracks.
        matched: Pairs of both, matched frame by frame (CLEAR MOT).
        switches: How often a person's track was another than when they were matched last.
        identified: Pairs of both if each person may have one track, and each track one person, through the clip.
    """

    truths: int = 0
    found: int = 0
    matched: int = 0
    switches: int = 0
    identified: int = 0

    def __add__(self, other: TrackingCounts) -> TrackingCounts:
        return TrackingCounts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def mota(self) -> float:
        """1 less misses, false boxes and switches, over the people (Bernardin and Stiefelhagen 2008); 1 is best."""
        wrong = (self.truths - self.matched) + (self.found - self.matched) + self.switches
        return 1 - wrong / self.truths if self.truths else float("nan")

    @property
    def idf1(self) -> float:
        """The F1 of identified boxes (Ristani et al. 2016), 0..1."""
        boxes = self.truths + self.found
        return 2 * self.identified / boxes if boxes else float("nan")


def count_tracks(frames: Iterable[TrackedFrame]) -> TrackingCounts:
    """Counts one clip.

    Frame by frame a person keeps their last track where it still fits, the others are matched so that as many as
    possible are, and of these the nearest (CLEAR MOT). IDF1 matches whole tracks with whole people.

    Args:
        frames: Its frames in their order.
    """
    truths = found = matched = switches = 0
    last: dict[int, int] = {}  # each person's track when they were matched last
    together: dict[tuple[int, int], int] = {}  # in how many frames a person and a track fit each other
    for frame in frames:
        iou = box_iou(frame.truth_boxes_xyxy, frame.found_boxes_xyxy)
        people, tracks = frame.truth_ids.tolist(), frame.found_ids.tolist()
        for row, column in np.argwhere(iou >= MATCH_IOU).tolist():
            pair = people[row], tracks[column]
            together[pair] = together.get(pair, 0) + 1
        pairs = _match(iou, people, tracks, last)
        switches += sum(last.get(person, track) != track for person, track in pairs.items())
        last.update(pairs)
        truths, found, matched = truths + len(people), found + len(tracks), matched + len(pairs)
    return TrackingCounts(truths, found, matched, switches, _identified(together))


def _match(iou: Floats, people: Sequence[int], tracks: Sequence[int], last: dict[int, int]) -> dict[int, int]:
    """The track of each person who has one in a frame."""
    pairs: dict[int, int] = {}
    for row, person in enumerate(people):
        track = last.get(person, _NO_TRACK)
        if track in tracks and track not in pairs.values() and iou[row, tracks.index(track)] >= MATCH_IOU:
            pairs[person] = track
    rows = [row for row, person in enumerate(people) if person not in pairs]
    columns = [column for column, track in enumerate(tracks) if track not in pairs.values()]
    fitting = iou[np.ix_(rows, columns)]
    for row, column in _assign(np.where(fitting >= MATCH_IOU, 1 + fitting / (1 + len(rows)), 0.0)):
        pairs[people[rows[row]]] = tracks[columns[column]]
    return pairs


def _identified(together: dict[tuple[int, int], int]) -> int:
    people = {person: row for row, person in enumerate(sorted({person for person, _ in together}))}
    tracks = {track: column for column, track in enumerate(sorted({track for _, track in together}))}
    frames = np.zeros((len(people), len(tracks)))
    for (person, track), count in together.items():
        frames[people[person], tracks[track]] = count
    return int(sum(frames[row, column] for row, column in _assign(frames)))


def _assign(gains: Floats) -> list[tuple[int, int]]:
    """The pairs of rows and columns that gain most in sum, none without a gain."""
    with needing("measuring tracks", "video"):
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415
    pairs = zip(*(side.tolist() for side in linear_sum_assignment(gains, maximize=True)), strict=True)
    return [(row, column) for row, column in pairs if gains[row, column] > 0]
