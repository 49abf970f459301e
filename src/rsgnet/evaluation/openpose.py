"""Writing OpenPose's JSON, one file a frame, as Pose2Sim reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.evaluation.results import FRAMES_SUFFIX, read_frames
from rsgnet.files import write_text

_VERSION = 1.3
_EMPTY_PARTS = tuple(f"{part}_keypoints_{d}d" for d in (2, 3) for part in ("face", "hand_left", "hand_right"))


def write_openpose(frames: Sequence[tuple[str, Sequence[dict[str, Any]]]], out: Path) -> int:
    """Writes one file for each frame, also for frames without people.

    Keypoints are in the order of their own skeleton. Their confidence is `owned`, the probability that a keypoint is
    right and this person's, where the results have it, and else the score. The track is `person_id`, or else -1.

    Args:
        frames: The name of each file below the folder, and its people as `Poses.to_coco` gives them.
        out: The folder to write into.

    Returns:
        The number of people written.

    Raises:
        AnnotationError: A person has no keypoints.
        RSGNetError: A folder to write into holds files of another run already.
    """
    folders = {(out / name).parent for name, _ in frames}
    for folder in sorted(folders):
        if any(folder.glob("*.json")):
            raise RSGNetError(f"{folder}: holds JSON files already, which would be read as frames; choose another OUT")
    for name, people in frames:
        content = {"version": _VERSION, "people": [_person(person, name) for person in people]}
        write_text(out / name, json.dumps(content))
    return sum(len(people) for _, people in frames)


def read_frames_to_name(source: Path, entries: Any) -> list[tuple[str, list[dict[str, Any]]]]:
    """Returns the frames of a poses.jsonl, or the images of a results list, with the names of their files.

    Frame 12 of `walks/clip.mp4` becomes `walks/clip_json/clip_000012.json`, as Pose2Sim names its own; an image
    `a/photo.jpg` becomes `a/photo_keypoints.json`.

    Args:
        source: The poses.jsonl, or the file of the results list.
        entries: The results list; not read for a poses.jsonl.

    Raises:
        AnnotationError: The file is broken, or its results do not name their images.
    """
    if source.suffix.lower() == FRAMES_SUFFIX:
        return read_frames(source, _clip_frame)
    images: dict[str, list[dict[str, Any]]] = {}
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or not entry.get("file_name"):
            raise AnnotationError(f"{source}: entry {index}: has no file_name; OpenPose's files are named by images")
        images.setdefault(_below(str(entry["file_name"])), []).append(entry)
    return [
        (PurePosixPath(name).with_name(f"{PurePosixPath(name).stem}_keypoints.json").as_posix(), people)
        for name, people in images.items()
    ]


def _clip_frame(content: Any) -> tuple[str, list[dict[str, Any]]]:
    clip = PurePosixPath(_below(content["file_name"]))
    name = clip.parent / f"{clip.stem}_json" / f"{clip.stem}_{int(content['frame']):06d}.json"
    return name.as_posix(), list(content["people"])


def _below(name: str) -> str:
    """Returns a file name without what would lead out of the folder that it is put in."""
    return PurePosixPath(*(part for part in PurePosixPath(name).parts if part not in ("/", "..", "."))).as_posix()


def _person(person: dict[str, Any], name: str) -> dict[str, Any]:
    return {
        "person_id": [int(person.get("track_id", -1))],
        "pose_keypoints_2d": list(_triples(person, name)),
        **{part: [] for part in _EMPTY_PARTS},
    }


def _triples(person: dict[str, Any], name: str) -> Iterator[float]:
    keypoints = person.get("keypoints")
    if not isinstance(keypoints, list) or not keypoints or len(keypoints) % 3:
        raise AnnotationError(f"{name}: a person has no keypoints of x, y and score")
    confidences = person.get("owned") or keypoints[2::3]
    if len(confidences) != len(keypoints) // 3:
        raise AnnotationError(f"{name}: a person has {len(keypoints) // 3} keypoints and {len(confidences)} of `owned`")
    for x, y, confidence in zip(keypoints[::3], keypoints[1::3], confidences, strict=True):
        yield from (x, y, confidence)
