"""`rsgnet predict` and `rsgnet demo`: find people's keypoints in images and clips, and in a drawn crowd."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from rsgnet.cli.options import (
    Backend,
    BatchSize,
    BoxThreshold,
    Detector,
    DetectorLayout,
    Device,
    Flip,
    MaxPixels,
    Network,
    Out,
    Precision,
    SkeletonName,
    Weights,
    name_layout,
    name_network,
)
from rsgnet.cli.terminal import BAD_IMAGES, exit_with_error, show_progress
from rsgnet.defaults import DEFAULT_DETECTOR, DEFAULT_WEIGHTS
from rsgnet.errors import RSGNetError


def predict(
    sources: Annotated[
        list[str],
        Argument(
            help="Images and clips: files, folders, patterns and https addresses; camera:0 for the first camera.",
            metavar="SOURCE",
        ),
    ],
    *,
    out: Out,
    weights: Weights = DEFAULT_WEIGHTS,
    network: Network = None,
    detector: Detector = DEFAULT_DETECTOR,
    detector_layout: DetectorLayout = None,
    box_threshold: BoxThreshold = None,
    skeleton: SkeletonName = None,
    flip: Flip = None,
    overlay: Annotated[bool, Option(help="Draw the poses over each image and clip.")] = True,
    rivals: Annotated[
        bool, Option("--rivals", help="Draw a dashed line from each disputed keypoint to the other person.")
    ] = False,
    colour_by: Annotated[
        str, Option(help="Colours of the poses: person, side (left and right) or owned.", metavar="WHAT")
    ] = "person",
    labels: Annotated[
        bool, Option("--labels", help="Write people's numbers, which `show --person` takes, and scores.")
    ] = False,
    track_threshold: Annotated[
        float | None,
        Option(
            help="Clips: people whom the detector scores lower start no track; default: the detector's.",
            metavar="SCORE",
        ),
    ] = None,
    smooth: Annotated[
        int,
        Option(
            min=0,
            help="Clips: smooth over this many frames before and after; delays the results by as many.",
            metavar="FRAMES",
        ),
    ] = 0,
    people: Annotated[
        str | None,
        Option(
            help="Clips: keep one person or some: largest, longest (takes twice as long), nearest-centre, tracks "
            "by number such as 3,7, or at:X,Y (whose box holds the point); default: everyone.",
            metavar="WHOM",
        ),
    ] = None,
    backend: Backend = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
    batch_size: BatchSize = 32,
    max_pixels: MaxPixels = 100_000_000,
) -> None:
    """Find everyone's keypoints in images and video clips.

    Writes to DIR the drawn images and clips, [bold]poses.json[/bold] for images, [bold]poses.jsonl[/bold] for clips
    and run.json, which names the weights and the detector. Clips need rsgnet\\[video].

    [dim]Examples:[/dim]

      rsgnet predict photo.jpg --out out
      rsgnet predict holiday/ 'party/*.png' --out out --no-overlay
      rsgnet predict val/ --out out --detector boxes:person_keypoints_val2017.json
      rsgnet predict photo.jpg --out out --detector onnx:yolox_nano.onnx
      rsgnet predict photo.jpg --out out --weights runs/mine/model
      rsgnet predict photo.jpg --out out --weights onnx:vitpose-b.onnx
      rsgnet predict clip.mp4 --out out --smooth 3 --people largest
      rsgnet predict camera:0 --out out --weights nano

    poses.json is a COCO results list, and images.json lists its images: COCO's tools load both. Each result has the
    name of its image and its box, and for each keypoint its confidence, the probabilities that it is present, visible
    and this person's, and who else may own it.

    poses.jsonl has a line per frame; the same track_id is the same person. A camera runs until Ctrl-C.

    An image that cannot be read is reported in one line, the other images are processed, and the exit code is 1.
    """
    from rsgnet.files import get_partial_path
    from rsgnet.inference.estimator import PoseEstimator
    from rsgnet.inference.predictions import RESULTS_FILE, choose_overlay_paths, record_run, write_predictions
    from rsgnet.inference.sources import find_images
    from rsgnet.inference.video.clips import TRACKS_FILE, ClipOptions, write_clips
    from rsgnet.inference.video.people import parse_people
    from rsgnet.inference.video.tracking import TrackingConfig, choose_tracking_config
    from rsgnet.overlays import COLOURS_BY, OverlayStyle

    weights, detector = name_network(weights, network), name_layout(detector, detector_layout)
    choice = None if people is None else parse_people(people)
    if colour_by not in COLOURS_BY:
        raise RSGNetError(f"--colour-by {colour_by}: expected {', '.join(COLOURS_BY)}")
    style = OverlayStyle(rivals=rivals, scores=labels, labels=labels, colour_by=colour_by)
    files = find_images(sources, skip=out, clips=True)
    overlays = choose_overlay_paths(files, out) if overlay else None
    estimator = PoseEstimator(
        weights,
        detector,
        device=device,
        backend=backend,
        flip_test=flip,
        batch_size=batch_size,
        skeleton=skeleton,
        max_pixels=max_pixels,
        box_threshold=box_threshold,
        precision=precision,
    )
    if (rivals or colour_by == "owned") and estimator.network.ownership is None:
        option = "--rivals" if rivals else "--colour-by owned"
        raise RSGNetError(f"{option}: {weights} has no ownership fit; run: rsgnet calibrate {weights}")
    record = record_run(estimator, weights, detector)
    images, clips = ([file for file in files if file.is_clip is is_clip] for is_clip in (False, True))
    errors: list[RSGNetError] = []
    if images:
        with show_progress(len(images), get_partial_path(out / RESULTS_FILE)) as report:
            done = write_predictions(estimator.stream(images), out, overlays, report, record, style)
        typer.echo(f"{done.images} of {len(images)} images, {len(done.results)} people -> {out}", err=True)
        errors += done.errors
    if clips:
        tracking = (
            choose_tracking_config(estimator.detector) if track_threshold is None else TrackingConfig(track_threshold)
        )
        options = ClipOptions(tracking, smooth, style, choice)
        with show_progress(None, get_partial_path(out / TRACKS_FILE), "frames") as report:
            tracked = write_clips(estimator, clips, out, overlays, report, record, options)
        counts = f"{tracked.frames} frames of {len(clips)} clips, {tracked.tracks} people tracked"
        typer.echo(f"{counts} -> {out}", err=True)
        errors += tracked.errors
    if detector.startswith("boxes:") and images and done.images and not done.results:
        exit_with_error(f"{detector.removeprefix('boxes:')}: holds boxes for none of these images", BAD_IMAGES)
    if errors:
        raise typer.Exit(BAD_IMAGES)


def demo(
    photos: Annotated[list[str] | None, Argument(help="Your own photos.", metavar="PHOTO")] = None,
    *,
    out: Out = Path("rsgnet-demo"),
    seed: Annotated[int, Option(help="Each seed draws another crowd.", metavar="NUMBER")] = 0,
) -> None:
    """Draw a crowd and find everyone's keypoints in it, and in your own photos.

    Needs no internet and no GPU. Writes the crowd, its annotations, the images with the poses drawn over them and
    poses.json to DIR.

    [dim]Examples:[/dim]

      rsgnet demo
      rsgnet demo my-photo.jpg --out out
    """
    from rsgnet.files import get_partial_path
    from rsgnet.inference.demo import CROWD_FILE, TRUTH_FILE, run_demo
    from rsgnet.inference.predictions import RESULTS_FILE

    with show_progress(None, get_partial_path(out / RESULTS_FILE)) as report:
        result = run_demo(photos or [], out, report, seed)
    done = result.predictions
    if result.uses_true_boxes:
        typer.echo(
            f"crowd.png: {result.people_posed} poses in the true boxes of the {result.people_drawn} drawn people. "
            f"The detector, trained on photos, found only {result.people_detected} of them by itself."
        )
    else:
        typer.echo(f"crowd.png: {result.people_drawn} drawn people, {result.people_posed} poses.")
    if done.images > 1:
        typer.echo(f"your photos: {done.images - 1}, with {len(done.results) - result.people_posed} people.")
    for path in (*done.overlays, out / "poses.json"):
        typer.echo(f"  {path}")
    program = shlex.quote(sys.argv[0]) if Path(sys.argv[0]).name == "rsgnet" else "rsgnet"
    show, evaluated, crowd, truth = (
        shlex.quote(str(out / name)) for name in ("look", "evaluation", CROWD_FILE, TRUTH_FILE)
    )
    typer.echo(
        "Try next:\n"
        f"  {program} show {crowd} --out {show}\n"
        f"  {program} evaluate --annotations {truth} --images {shlex.quote(str(out))} --out {evaluated}"
    )
    if done.errors:
        raise typer.Exit(BAD_IMAGES)
