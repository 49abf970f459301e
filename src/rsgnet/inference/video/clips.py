"""Poses through clips: an overlay with sound for each clip, and one poses.jsonl with a line for each frame."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from PIL import Image

from rsgnet.config_files import to_json
from rsgnet.errors import RSGNetError, VideoError
from rsgnet.files import replace_atomically, write_text
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import RUN_FILE, RunRecord
from rsgnet.inference.sources import ImageFile
from rsgnet.inference.video.people import PeopleChoice, choose_people, find_longest_track
from rsgnet.inference.video.reader import Frame, is_camera, open_clip
from rsgnet.inference.video.smoothing import smooth_poses
from rsgnet.inference.video.tracking import Tracker, TrackingConfig, track_poses
from rsgnet.inference.video.writer import ClipWriter, open_clip_writer
from rsgnet.overlays import OverlayStyle
from rsgnet.poses import Poses

TRACKS_FILE = "poses.jsonl"


@dataclass(frozen=True)
class ClipOptions:
    """How clips are processed.

    Attributes:
        tracking: How people are tracked.
        smooth: Frames before and after over which keypoints are smoothed; results come that many frames later.
        style: How overlays are drawn.
        people: Whom results and overlays show; everyone where None.
    """

    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    smooth: int = 0
    style: OverlayStyle = field(default_factory=OverlayStyle)
    people: PeopleChoice | None = None


@dataclass
class ClipPredictions:
    """What was written.

    Attributes:
        frames: The number of frames, of all clips.
        people: The number of people, each counted in every frame.
        tracks: The number of different people, by their tracks.
        errors: Why clips were not processed, wholly or to their end.
        overlays: The clips that were drawn.
    """

    frames: int = 0
    people: int = 0
    tracks: int = 0
    errors: list[RSGNetError] = field(default_factory=list)
    overlays: list[Path] = field(default_factory=list)


def write_clips(
    estimator: PoseEstimator,
    files: Sequence[ImageFile],
    out: Path,
    overlays: dict[ImageFile, Path] | None,
    report: Callable[[ImageFile, object], None],
    record: RunRecord,
    options: ClipOptions | None = None,
) -> ClipPredictions:
    """Estimates, tracks, draws and writes poses frame by frame.

    Of a broken clip the part that can be read is processed. An interrupted run replaces no file; what it has done is in
    poses.partial.jsonl and NAME.partial.mp4.

    Args:
        estimator: The pipeline.
        files: Clips, or cameras, each of which an interruption ends as its last frame would.
        out: The folder to write into.
        overlays: The path of each clip's overlay, None to draw none.
        report: Called with each frame once it is written, and with the error of a clip.
        record: What the run uses; written to run.json.
        options: How clips are processed; the defaults where None.
    """
    done = ClipPredictions()
    with (
        replace_atomically(out / TRACKS_FILE, keep_partial=True) as beside,
        beside.open("w", encoding="utf-8") as lines,
    ):
        for file in files:
            try:
                overlay = None if overlays is None else overlays[file]
                _write_clip(estimator, file, lines, overlay, report, options or ClipOptions(), done)
            except RSGNetError as error:
                done.errors.append(error)
                report(file, error)
    write_text(out / RUN_FILE, to_json(record))
    return done


def _write_clip(
    estimator: PoseEstimator,
    file: ImageFile,
    lines: TextIO,
    overlay: Path | None,
    report: Callable[[ImageFile, object], None],
    options: ClipOptions,
    done: ClipPredictions,
) -> None:
    """Writes one clip to its end, then raises the error of the clip or of its first frame that has one."""
    tracker, frame_error, writer = Tracker(options.tracking), None, None
    people, shown = _resolve_people(estimator, file, options), set[int]()
    end_of_camera = suppress(KeyboardInterrupt) if is_camera(file.path) else nullcontext()
    with open_clip(file.path, file.file_name, estimator.max_pixels) as clip, ExitStack() as opened, end_of_camera:
        outcomes = track_poses(estimator.stream(clip), tracker)
        chosen = outcomes if people is None else choose_people(outcomes, people)
        for frame, poses in smooth_poses(chosen, options.smooth):
            lines.write(json.dumps(_frame_record(file, frame, poses)) + "\n")
            if isinstance(poses, RSGNetError):
                frame_error = frame_error or poses
            else:
                done.people += len(poses)
                shown.update([] if poses.track_ids is None else poses.track_ids.tolist())
            if overlay is not None:
                if writer is None:
                    writer = opened.enter_context(
                        open_clip_writer(overlay, frame.size_wh, clip.time_base, clip.rate, clip.path)
                    )
                    done.overlays.append(writer.path)
                _draw_frame(writer, frame, poses, options.style)
            done.frames += 1
            report(file, frame)
    done.tracks += tracker.people_count if people is None else len(shown)
    error = clip.error or frame_error
    if error is None and people is not None and not shown:
        error = VideoError(f"{file.file_name}: shows nobody of those that --people asks for")
    if error is not None:
        raise error


def _resolve_people(estimator: PoseEstimator, file: ImageFile, options: ClipOptions) -> PeopleChoice | None:
    """Returns the choice of people; for "longest" by going through the whole clip once before.

    Raises:
        VideoError: The longest track of a camera is asked for.
    """
    people = options.people
    if people is None or people.kind != "longest":
        return people
    if is_camera(file.path):
        raise VideoError(f"{file.file_name}: --people longest needs a clip that ends")
    with open_clip(file.path, file.file_name, estimator.max_pixels) as clip:
        longest = find_longest_track(track_poses(estimator.stream(clip), Tracker(options.tracking)))
    return replace(people, kind="ids", ids=(-1 if longest is None else longest,))


def _frame_record(file: ImageFile, frame: Frame, poses: Poses | RSGNetError) -> dict[str, Any]:
    """Returns the line of poses.jsonl for a frame."""
    record: dict[str, Any] = {"file_name": file.file_name, "frame": frame.index, "time_s": round(float(frame.time), 6)}
    if isinstance(poses, RSGNetError):
        return {**record, "people": [], "error": str(poses)}
    return {**record, "people": poses.to_coco()}


def _draw_frame(writer: ClipWriter, frame: Frame, poses: Poses | RSGNetError, style: OverlayStyle) -> None:
    drawing = Image.fromarray(frame.pixels) if isinstance(poses, RSGNetError) else poses.draw(**vars(style))
    writer.write(drawing, frame.time)
