"""Tracking metrics, MOTA and IDF1, and the reading of annotated and predicted tracks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.readers import load_json
from rsgnet.errors import AnnotationError, RSGNetError, requires_extra
from rsgnet.evaluation.results import MALFORMED, read_frames
from rsgnet.geometry import Floats, box_iou, xywh_to_xyxy

MATCH_IOU = 0.5
_NO_TRACK = -1
_Boxes = Mapping[int, Sequence[float]]  # box_xywh by the id of a person or track


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """Annotated and predicted boxes of one frame. Ids are unique.

    Attributes:
        truth_ids: (G,) ids of the annotated people.
        truth_boxes_xyxy: (G, 4) in image pixels.
        found_ids: (F,) ids of the predicted tracks; people without a track are omitted.
        found_boxes_xyxy: (F, 4) in image pixels.

    Raises:
        RSGNetError: An id occurs twice, or the numbers of ids and boxes differ.
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
    """Counts of one clip or, added up, of several.

    Attributes:
        truths: Annotated boxes.
        found: Predicted boxes.
        matched: Pairs of annotated and predicted boxes matched frame by frame (CLEAR MOT).
        switches: How often a person's track differs from the track of their previous match.
        identified: Pairs of boxes if each person is assigned one track, and each track one person, for the whole clip.
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
        """1 - (misses + false boxes + switches) / annotated boxes (Bernardin and Stiefelhagen 2008); 1 is best."""
        errors = (self.truths - self.matched) + (self.found - self.matched) + self.switches
        return 1 - errors / self.truths if self.truths else float("nan")

    @property
    def idf1(self) -> float:
        """The F1 of identified boxes (Ristani et al. 2016), 0..1."""
        boxes = self.truths + self.found
        return 2 * self.identified / boxes if boxes else float("nan")


def read_clips(truth: str | Path, results: str | Path) -> dict[str, list[TrackedFrame]]:
    """Reads the frames of each annotated clip, in order, by the clip's file name.

    Args:
        truth: COCO annotations with `videos`, `track_id`s, and a `video_id` and `frame_id` of each image.
        results: A poses.jsonl. Frames without a line have no predictions; people without a track are ignored.

    Raises:
        AnnotationError: A file is missing or broken, the annotations have no tracks, or the results contain none of the
            clips.
    """
    truth = Path(truth)
    results = Path(results)
    annotated = _read_annotated_boxes(truth)
    predicted = dict(read_frames(results, _parse_predicted_boxes))
    if not {clip for clip, _ in annotated} & {clip for clip, _ in predicted}:
        clips = ", ".join(sorted({clip for clip, _ in annotated}))
        raise AnnotationError(f"{results}: has no line of {clips}, the clips of {truth}")
    frames_by_clip: dict[str, list[TrackedFrame]] = {}
    for clip, number in sorted(annotated):
        people, tracks = annotated[clip, number], predicted.get((clip, number), {})
        try:
            frame = TrackedFrame(
                np.array([*people], np.intp), _to_xyxy(people), np.array([*tracks], np.intp), _to_xyxy(tracks)
            )
        except (ValueError, OverflowError) as error:
            raise AnnotationError(f"{results}: frame {number} of {clip}: {error}") from error
        frames_by_clip.setdefault(clip, []).append(frame)
    return frames_by_clip


def _read_annotated_boxes(path: Path) -> dict[tuple[str, int], _Boxes]:
    """Returns the annotated boxes by clip and frame number."""
    content = load_json(path)
    try:
        clips = {video["id"]: str(video["file_name"]) for video in content["videos"]}
        frames = {image["id"]: (clips[image["video_id"]], int(image["frame_id"])) for image in content["images"]}
        boxes: dict[tuple[str, int], dict[int, Sequence[float]]] = {frame: {} for frame in frames.values()}
        for person in content["annotations"]:
            boxes[frames[person["image_id"]]][int(person["track_id"])] = person["bbox"]
    except MALFORMED as error:
        raise AnnotationError(
            f"{path}: no clips with tracks ({error!r}); expected videos, video_id, frame_id and track_id, as "
            "rsgnet crowds --frames writes them"
        ) from error
    return dict(boxes)


def _parse_predicted_boxes(content: Any) -> tuple[tuple[str, int], _Boxes]:
    tracks = {int(person["track_id"]): person["bbox"] for person in content["people"] if person["track_id"] >= 0}
    return (str(content["file_name"]), int(content["frame"])), tracks


def _to_xyxy(boxes: _Boxes) -> Floats:
    return xywh_to_xyxy(np.array([*boxes.values()], np.float64).reshape(-1, 4))


def count_tracks(frames: Iterable[TrackedFrame]) -> TrackingCounts:
    """Counts the matches, switches and identified boxes of one clip.

    Frame by frame a person keeps their previous track while it overlaps them. The other people and tracks are matched
    such that as many as possible are matched, and among those matchings the IoU is highest (CLEAR MOT). For IDF1 whole
    tracks are matched with whole people.

    Args:
        frames: The clip's frames in order.
    """
    truths = found = matched = switches = 0
    last_track: dict[int, int] = {}  # each person's track in their previous match
    overlaps: dict[tuple[int, int], int] = {}  # number of frames in which a person and a track overlap
    for frame in frames:
        iou = box_iou(frame.truth_boxes_xyxy, frame.found_boxes_xyxy)
        people, tracks = frame.truth_ids.tolist(), frame.found_ids.tolist()
        for row, column in np.argwhere(iou >= MATCH_IOU).tolist():
            pair = people[row], tracks[column]
            overlaps[pair] = overlaps.get(pair, 0) + 1
        pairs = _match_frame(iou, people, tracks, last_track)
        switches += sum(last_track.get(person, track) != track for person, track in pairs.items())
        last_track.update(pairs)
        truths, found, matched = truths + len(people), found + len(tracks), matched + len(pairs)
    return TrackingCounts(truths, found, matched, switches, _count_identified(overlaps))


def _match_frame(
    iou: Floats, people: Sequence[int], tracks: Sequence[int], last_track: dict[int, int]
) -> dict[int, int]:
    """Returns the track of each matched person of a frame."""
    pairs: dict[int, int] = {}
    for row, person in enumerate(people):
        track = last_track.get(person, _NO_TRACK)
        if track in tracks and track not in pairs.values() and iou[row, tracks.index(track)] >= MATCH_IOU:
            pairs[person] = track
    rows = [row for row, person in enumerate(people) if person not in pairs]
    columns = [column for column, track in enumerate(tracks) if track not in pairs.values()]
    remaining = iou[np.ix_(rows, columns)]
    # With 1 per match plus less than 1 in all for the IoU, the number of matches is maximised first.
    for row, column in assign_pairs(np.where(remaining >= MATCH_IOU, 1 + remaining / (1 + len(rows)), 0.0)):
        pairs[people[rows[row]]] = tracks[columns[column]]
    return pairs


def _count_identified(overlaps: dict[tuple[int, int], int]) -> int:
    people = {person: row for row, person in enumerate(sorted({person for person, _ in overlaps}))}
    tracks = {track: column for column, track in enumerate(sorted({track for _, track in overlaps}))}
    frames = np.zeros((len(people), len(tracks)))
    for (person, track), count in overlaps.items():
        frames[people[person], tracks[track]] = count
    return int(sum(frames[row, column] for row, column in assign_pairs(frames)))


def assign_pairs(gains: Floats) -> list[tuple[int, int]]:
    """Returns the one-to-one pairs of rows and columns with the largest total gain, without pairs that gain nothing."""
    with requires_extra("measuring tracks", "video"):
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415
    pairs = zip(*(side.tolist() for side in linear_sum_assignment(gains, maximize=True)), strict=True)
    return [(row, column) for row, column in pairs if gains[row, column] > 0]
