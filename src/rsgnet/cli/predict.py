"""`rsgnet predict`: poses in pictures."""

from __future__ import annotations

from typing import Annotated

import typer

from rsgnet.cli.options import Backend, BatchSize, Device, Flip, MaxPixels, Out, Precision, Weights
from rsgnet.errors import RSGNetError
from rsgnet.terminal import BAD_PICTURES, fail, progress


def predict(
    sources: Annotated[list[str], typer.Argument(help="Pictures: files, folders, patterns.", metavar="SOURCE")],
    *,
    out: Out,
    weights: Weights = "nano",
    detector: Annotated[
        str,
        typer.Option(
            metavar="SPEC",
            help="nano, a trained detector's directory, onnx:PATH, torchvision, boxes:PATH (COCO JSON) or full (the "
            "picture is one person).",
        ),
    ] = "nano",
    box_threshold: Annotated[
        float | None, typer.Option(help="Leave out people whom the detector scores less; default: as suits it.")
    ] = None,
    skeleton: Annotated[
        str | None, typer.Option(help="coco17, crowdpose14 or people19; default: coco17 if the weights know it.")
    ] = None,
    flip: Flip = None,
    overlay: Annotated[bool, typer.Option(help="Draw a picture with the poses over it for each.")] = True,
    rivals: Annotated[
        bool, typer.Option("--rivals", help="Draw a line from each contested keypoint to who else may own it.")
    ] = False,
    backend: Backend = "onnx",
    precision: Precision = "float32",
    device: Device = "auto",
    batch_size: BatchSize = 32,
    max_pixels: MaxPixels = 100_000_000,
) -> None:
    """Find everyone's keypoints in pictures; write overlays and [bold]poses.json[/bold].

    [dim]Examples:[/dim]

      rsgnet predict photo.jpg --out out

      rsgnet predict holiday/ 'party/*.png' --out out --no-overlay

      rsgnet predict val/ --out out --detector boxes:person_keypoints_val2017.json

      rsgnet predict photo.jpg --out out --detector onnx:yolox_nano.onnx

      rsgnet predict photo.jpg --out out --weights runs/mine/model

    poses.json is a COCO results list; each result names its picture's file and its box, and says how likely each
    keypoint is present, visible and the person's own, and who else claims it (docs/ownership.md). run.json names the
    weights and the detector that they came from.

    A picture that cannot be read gets one line, the others are done, the exit code is 1.
    """
    from rsgnet.inference.estimator import PoseEstimator  # noqa: PLC0415
    from rsgnet.inference.predictions import overlay_names, write_predictions  # noqa: PLC0415
    from rsgnet.inference.run_record import record_run  # noqa: PLC0415
    from rsgnet.inference.sources import find_pictures  # noqa: PLC0415

    files = find_pictures(sources, skip=out)
    overlays = overlay_names(files, out) if overlay else None
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
    if rivals and getattr(estimator.runner, "ownership", None) is None:
        raise RSGNetError(f"--rivals: {weights} carries no ownership fit; run: rsgnet calibrate {weights}")
    record = record_run(estimator, weights, detector)
    with progress(len(files), out) as report:
        done = write_predictions(estimator.stream(files), out, overlays, report, record, rivals)
    typer.echo(f"{done.pictures} of {len(files)} pictures, {len(done.results)} people -> {out}", err=True)
    if detector.startswith("boxes:") and done.pictures and not done.results:
        fail(f"{detector.removeprefix('boxes:')}: holds boxes for none of these pictures", BAD_PICTURES)
    if done.errors:
        raise typer.Exit(BAD_PICTURES)
