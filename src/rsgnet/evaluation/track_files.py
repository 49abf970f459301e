"""Clips with tracks out of files: the truth of `rsgnet crowds --frames` and a poses.jsonl, matched frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsgnet.data.annotations import load_json
from rsgnet.errors import AnnotationError
from rsgnet.evaluation.frames import BROKEN, read_frames
from rsgnet.evaluation.tracking import TrackedFrame
from rsgnet.geometry import Floats, xywh_to_xyxy

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
