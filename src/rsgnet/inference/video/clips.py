"""Poses through clips: an overlay with its sound for each, and one poses.jsonl with a line a frame."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from PIL import Image

from rsgnet.config_files import to_json
from rsgnet.errors import RSGNetError
from rsgnet.files import replacing, write_text
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import RUN_FILE, RunRecord
from rsgnet.inference.sources import ImageFile
from rsgnet.inference.video.reader import Frame, open_clip
from rsgnet.inference.video.smoothing import smoothed
from rsgnet.inference.video.tracking import Tracker, TrackingConfig, tracked
from rsgnet.inference.video.writer import ClipWriter, writing_clip
from rsgnet.poses import Poses

TRACKS_FILE = "poses.jsonl"


@dataclass(frozen=True)
class ClipOptions:
    """What is made of a clip.

    Attributes:
        tracking: How people are followed.
        smooth: Frames before and after over which keypoints are smoothed; results come that many frames later.
        rivals: Whether overlays show who else may own contested keypoints.
    """

    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    smooth: int = 0
    rivals: bool = False


@dataclass
class ClipPredictions:
    """What was written.

    Attributes:
        frames: How many frames, of all clips.
        people: How many people in them, each counted in every frame.
        tracks: How many different people, by their tracks.
        errors: What kept clips from being done, wholly or to their end.
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
    """Finds, follows, draws and writes frame by frame; what is done is kept even if the run is broken off.

    Of a clip that is broken what can be read is done.

    Args:
        estimator: Finds the poses.
        files: Clips, or cameras, which go on until they are broken off.
        out: The folder to write into.
        overlays: Where each clip's overlay goes, None to draw none.
        report: Told of each frame once it is written, and of what is wrong with a clip.
        record: What the poses come from; written to run.json.
        options: What else is wanted.
    """
    done = ClipPredictions()
    try:
        with replacing(out / TRACKS_FILE, keep_partial=True) as beside, beside.open("w", encoding="utf-8") as lines:
            for file in files:
                try:
                    overlay = None if overlays is None else overlays[file]
                    _write_clip(estimator, file, lines, overlay, report, options or ClipOptions(), done)
                except RSGNetError as error:
                    done.errors.append(error)
                    report(file, error)
    finally:
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
    """Writes one clip; raises what kept it, or a frame of it, from being done once the others are."""
    tracker, failed, writer = Tracker(options.tracking), None, None
    with open_clip(file.path, file.file_name, estimator.max_pixels) as clip, ExitStack() as opened:
        for frame, poses in smoothed(tracked(estimator.stream(clip), tracker), options.smooth):
            lines.write(json.dumps(_line(file, frame, poses)) + "\n")
            if isinstance(poses, RSGNetError):
                failed = failed or poses
            else:
                done.people += len(poses)
            if overlay is not None:
                if writer is None:
                    sizes = frame.size_wh, clip.time_base, clip.rate
                    writer = opened.enter_context(writing_clip(overlay, *sizes, clip.path))
                    done.overlays.append(writer.path)
                _draw(writer, frame, poses, options.rivals)
            done.frames += 1
            report(file, frame)
    done.tracks += tracker.begun
    trouble = clip.trouble or failed
    if trouble is not None:
        raise trouble


def _line(file: ImageFile, frame: Frame, poses: Poses | RSGNetError) -> dict[str, Any]:
    """What poses.jsonl says of a frame."""
    line: dict[str, Any] = {"file_name": file.file_name, "frame": frame.index, "time_s": round(float(frame.time), 6)}
    if isinstance(poses, RSGNetError):
        return {**line, "people": [], "error": str(poses)}
    return {**line, "people": poses.to_coco()}


def _draw(writer: ClipWriter, frame: Frame, poses: Poses | RSGNetError, rivals: bool) -> None:
    drawn = Image.fromarray(frame.pixels) if isinstance(poses, RSGNetError) else poses.draw(rivals=rivals)
    writer.write(drawn, frame.time)
