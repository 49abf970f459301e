"""`rsgnet predict`: poses in images and clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsgnet.cli.options import (
    BAD_IMAGES,
    Backend,
    BatchSize,
    Device,
    Flip,
    MaxPixels,
    Precision,
    Weights,
    fail,
    progress,
)
from rsgnet.errors import RSGNetError

if TYPE_CHECKING:
    from rsgnet.inference.estimator import PoseEstimator


def predict(
    sources: Annotated[
        list[str], typer.Argument(help="Images, clips: files, folders, patterns; camera:0.", metavar="SOURCE")
    ],
    *,
    out: Annotated[str, typer.Option(help="Folder to write into; made if it is missing. Of ray also a URI.")],
    weights: Weights = "nano",
    detector: Annotated[
        str,
        typer.Option(
            metavar="SPEC",
            help="nano, a trained detector's directory, onnx:PATH, torchvision, boxes:PATH (COCO JSON) or full (the "
            "image is one person).",
        ),
    ] = "nano",
    box_threshold: Annotated[
        float | None, typer.Option(help="Leave out people whom the detector scores less; default: as suits it.")
    ] = None,
    skeleton: Annotated[
        str | None, typer.Option(help="coco17, crowdpose14 or people19; default: coco17 if the weights know it.")
    ] = None,
    flip: Flip = None,
    overlay: Annotated[bool, typer.Option(help="Draw an image with the poses over it for each.")] = True,
    rivals: Annotated[
        bool, typer.Option("--rivals", help="Draw a line from each contested keypoint to who else may own it.")
    ] = False,
    track_threshold: Annotated[
        float | None,
        typer.Option(help="Of clips: people whom the detector scores less begin no track; default: as suits it."),
    ] = None,
    smooth: Annotated[
        int, typer.Option(min=0, help="Of clips: smooth over so many frames before and after; delays results by them.")
    ] = 0,
    backend: Backend = "onnx",
    precision: Precision = "float32",
    device: Device = "auto",
    batch_size: BatchSize = 32,
    max_pixels: MaxPixels = 100_000_000,
    engine: Annotated[
        str, typer.Option(help="plain (this process), or ray: rows of Parquet, on many machines.")
    ] = "plain",
    ray_address: Annotated[
        str | None,
        typer.Option(help="Of ray: its cluster; default: RAY_ADDRESS, else one on this machine.", metavar="ADDRESS"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Of ray: how many at most; default: one a core, or a GPU with --device cuda."),
    ] = None,
    shard_size: Annotated[int, typer.Option(min=1, help="Of ray: images in a shard, which is done whole.")] = 256,
) -> None:
    """Find everyone's keypoints in images and clips; write overlays, [bold]poses.json[/bold] and, of clips,
    [bold]poses.jsonl[/bold].

    [dim]Examples:[/dim]

      rsgnet predict photo.jpg --out out

      rsgnet predict holiday/ 'party/*.png' --out out --no-overlay

      rsgnet predict val/ --out out --detector boxes:person_keypoints_val2017.json

      rsgnet predict photo.jpg --out out --detector onnx:yolox_nano.onnx

      rsgnet predict photo.jpg --out out --weights runs/mine/model

      rsgnet predict clip.mp4 --out out --smooth 3

      rsgnet predict camera:0 --out out

      rsgnet predict s3://bucket/shards --engine ray --out s3://bucket/poses

    poses.json is a COCO results list; each result names its image's file and its box, and says how likely each
    keypoint is present, visible and the person's own, and who else claims it (docs/ownership.md). run.json names the
    weights and the detector that they came from.

    poses.jsonl has a line a frame, with `track_id`s that say who is who (docs/video.md). A camera goes on until Ctrl-C.

    An image that cannot be read gets one line, the others are done, the exit code is 1.

    With --engine ray sources are also tar archives, Parquet and URIs, clips and overlays are not done, and what was
    begun in --out goes on where it stood (docs/scaling.md).
    """
    from rsgnet.inference.estimator import PoseEstimator

    open_estimator = partial(
        PoseEstimator,
        weights,
        detector,
        backend=backend,
        flip_test=flip,
        batch_size=batch_size,
        skeleton=skeleton,
        max_pixels=max_pixels,
        box_threshold=box_threshold,
        precision=precision,
    )
    if engine == "ray":
        from rsgnet.cli.predict_ray import RayChoices, predict_on_ray

        if rivals or smooth or track_threshold is not None:
            raise RSGNetError(
                "--engine ray: draws no overlays and does no clips; leave out --rivals, --track-threshold "
                "and --smooth, or use --engine plain"
            )
        ray = RayChoices(device, ray_address, workers, shard_size)
        predict_on_ray(sources, out, open_estimator, weights, detector, ray)
    elif engine == "plain":
        drawn = _Drawn(overlay, rivals, smooth, track_threshold)
        _predict_here(sources, Path(out), partial(open_estimator, device=device), weights, detector, drawn)
    else:
        raise RSGNetError(f"engine must be plain or ray, not {engine!r}")


@dataclass(frozen=True)
class _Drawn:
    """What overlays show, and how clips are followed."""

    overlay: bool
    rivals: bool
    smooth: int
    track_threshold: float | None


def _predict_here(
    sources: list[str],
    out: Path,
    open_estimator: Callable[[], PoseEstimator],
    weights: str,
    detector: str,
    drawn: _Drawn,
) -> None:
    """Poses in this process: overlays, and files of results."""
    from rsgnet.inference.predictions import (
        overlay_names,
        record_run,
        write_predictions,
    )
    from rsgnet.inference.sources import find_images
    from rsgnet.inference.video.clips import ClipOptions, write_clips
    from rsgnet.inference.video.tracking import TrackingConfig, tracking_for

    files = find_images(sources, skip=out, clips=True)
    overlays = overlay_names(files, out) if drawn.overlay else None
    estimator = open_estimator()  # once it is known that there is something to do
    if drawn.rivals and getattr(estimator.runner, "ownership", None) is None:
        raise RSGNetError(f"--rivals: {weights} carries no ownership fit; run: rsgnet calibrate {weights}")
    record = record_run(estimator, weights, detector)
    images, clips = ([file for file in files if file.is_clip is wanted] for wanted in (False, True))
    errors: list[RSGNetError] = []
    if images:
        with progress(len(images), out) as report:
            done = write_predictions(estimator.stream(images), out, overlays, report, record, drawn.rivals)
        typer.echo(f"{done.images} of {len(images)} images, {len(done.results)} people -> {out}", err=True)
        errors += done.errors
    if clips:
        tracking = (
            tracking_for(estimator.detector) if drawn.track_threshold is None else TrackingConfig(drawn.track_threshold)
        )
        options = ClipOptions(tracking, drawn.smooth, drawn.rivals)
        with progress(None, out, "frames") as report:
            followed = write_clips(estimator, clips, out, overlays, report, record, options)
        told = f"{followed.frames} frames of {len(clips)} clips, {followed.tracks} people followed"
        typer.echo(f"{told} -> {out}", err=True)
        errors += followed.errors
    if detector.startswith("boxes:") and images and done.images and not done.results:
        fail(f"{detector.removeprefix('boxes:')}: holds boxes for none of these images", BAD_IMAGES)
    if errors:
        raise typer.Exit(BAD_IMAGES)
