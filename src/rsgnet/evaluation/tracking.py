"""The lines of a poses.jsonl, one a frame of a clip."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.readers import load_json
from rsgnet.errors import AnnotationError, RSGNetError, requires_extra
from rsgnet.files import regular_size
from rsgnet.geometry import Floats, box_iou, xywh_to_xyxy

FRAMES_SUFFIX = ".jsonl"
BROKEN = (KeyError, TypeError, ValueError, OverflowError, AttributeError, RecursionError)  # what odd content raises
_LONGEST_LINE = 1 << 26  # bytes: of a frame with 100,000 people
Told = TypeVar("Told")


def read_frames(path: Path, read: Callable[[Any], Told]) -> list[Told]:
    """What a function makes of each line's content.

    Raises:
        AnnotationError: The file cannot be read; or a line is no JSON, too long, or not what the function asks for: it
            raises one of BROKEN.
    """
    told: list[Told] = []
    try:
        regular_size(path)
        with path.open("rb") as lines:
            while line := lines.readline(_LONGEST_LINE):
                if len(line) == _LONGEST_LINE:
                    raise ValueError(f"over {_LONGEST_LINE} bytes")
                told.append(read(json.loads(line)))
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    except BROKEN as error:
        raise AnnotationError(f"{path}: line {len(told) + 1} is none of a poses.jsonl ({error!r})") from error
    return told


_People = Mapping[int, Sequence[float]]  # the box_xywh of each person or track


def read_clips(truth: Path, results: Path) -> dict[str, list[TrackedFrame]]:
    """The frames of each clip that the truth knows, in their order, by the clip's file name.

    Args:
        truth: COCO annotations with `videos`, a `video_id` and `frame_id` of each image, and `track_id`s.
        results: A poses.jsonl; frames that it has no line of have nobody found. People without a track are left out.

    Raises:
        AnnotationError: A file is missing or broken, or has no tracks; or the results are of none of the clips.
    """
    known = _read_truth(truth)
    found = _read_results(results)
    if not {clip for clip, _ in known} & {clip for clip, _ in found}:
        clips = ", ".join(sorted({clip for clip, _ in known}))
        raise AnnotationError(f"{results}: has no line of {clips}, which {truth} knows")
    clips_of: dict[str, list[TrackedFrame]] = {}
    for clip, frame in sorted(known):
        people, tracks = known[clip, frame], found.get((clip, frame), {})
        try:
            matched = TrackedFrame(
                np.array([*people], np.intp), _boxes(people), np.array([*tracks], np.intp), _boxes(tracks)
            )
        except (ValueError, OverflowError) as error:
            raise AnnotationError(f"{results}: frame {frame} of {clip}: {error}") from error
        clips_of.setdefault(clip, []).append(matched)
    return clips_of


def _boxes(people: _People) -> Floats:
    return xywh_to_xyxy(np.array([*people.values()], np.float64).reshape(-1, 4))


def _read_truth(path: Path) -> dict[tuple[str, int], _People]:
    content = load_json(path)
    try:
        clips = {video["id"]: str(video["file_name"]) for video in content["videos"]}
        places = {image["id"]: (clips[image["video_id"]], int(image["frame_id"])) for image in content["images"]}
        people: dict[tuple[str, int], dict[int, Sequence[float]]] = {place: {} for place in places.values()}
        for each in content["annotations"]:
            people[places[each["image_id"]]][int(each["track_id"])] = each["bbox"]
    except BROKEN as error:
        raise AnnotationError(
            f"{path}: no clips with tracks ({error!r}); expected videos, video_id, frame_id and track_id, as of "
            "rsgnet crowds --frames"
        ) from error
    return dict(people)


def _read_results(path: Path) -> dict[tuple[str, int], _People]:
    return dict(read_frames(path, _tracks_of))


def _tracks_of(content: Any) -> tuple[tuple[str, int], _People]:
    tracks = {int(each["track_id"]): each["bbox"] for each in content["people"] if each["track_id"] >= 0}
    return (str(content["file_name"]), int(content["frame"])), tracks


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
    with requires_extra("measuring tracks", "video"):
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415
    pairs = zip(*(side.tolist() for side in linear_sum_assignment(gains, maximize=True)), strict=True)
    return [(row, column) for row, column in pairs if gains[row, column] > 0]
