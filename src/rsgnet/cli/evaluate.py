"""`rsgnet evaluate`: average precision."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsgnet.cli.options import Backend, BatchSize, Device, Flip, Out, Weights
from rsgnet.errors import RSGNetError
from rsgnet.terminal import BAD_PICTURES, print_metrics, progress


def evaluate(
    *,
    annotations: Annotated[Path, typer.Option(help="COCO-format keypoint annotations: the truth.", metavar="GT.json")],
    out: Out,
    images: Annotated[Path | None, typer.Option(help="The annotated pictures' folder.", metavar="DIR")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Evaluate these results instead of predicting.", metavar="R.json")
    ] = None,
    weights: Weights = "nano",
    boxes: Annotated[
        str | None, typer.Option(help="gt (the truth's boxes; the default) or COCO results.", metavar="gt|PATH")
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Find the boxes: nano, onnx:PATH, torchvision.", metavar="SPEC")
    ] = None,
    flip: Flip = None,
    backend: Backend = "onnx",
    device: Device = "auto",
    batch_size: BatchSize = 32,
) -> None:
    """Measure average precision; write [bold]metrics.json[/bold], and [bold]poses.json[/bold] if poses are predicted.

    With --detector its boxes are measured too, and written to [bold]boxes.json[/bold].

    [dim]Examples:[/dim]

      rsgnet evaluate --annotations val.json --images val/ --out out

      rsgnet evaluate --annotations val.json --images val/ --detector nano --out out

      rsgnet evaluate --annotations val.json --results out/poses.json --out out
    """
    import json  # noqa: PLC0415

    from rsgnet.data.annotations import read_annotations  # noqa: PLC0415
    from rsgnet.evaluation.average_precision import box_average_precision, evaluate_keypoints  # noqa: PLC0415
    from rsgnet.files import write_text  # noqa: PLC0415
    from rsgnet.inference.annotated import annotated_files, boxes_for, detect_annotated, predict_annotated  # noqa: PLC0415
    from rsgnet.inference.detector import open_detector  # noqa: PLC0415
    from rsgnet.inference.estimator import PoseEstimator  # noqa: PLC0415
    from rsgnet.inference.predictions import write_predictions  # noqa: PLC0415

    truth = read_annotations(annotations)
    errors: list[RSGNetError] = []
    metrics: dict[str, float] = {}
    if (results is None) == (images is None):
        raise RSGNetError("evaluate needs either --images DIR, to predict, or --results R.json")
    if boxes is not None and detector is not None:
        raise RSGNetError("--boxes and --detector exclude each other: boxes are given or found")
    if results is not None:
        metrics = evaluate_keypoints(annotations, results)
    else:
        assert images is not None
        files = annotated_files(truth, images)
        if detector is not None:
            # Average precision wants the unsure ones too.
            found = detect_annotated(open_detector(detector, device, threshold=0.05), truth, images)
            write_text(out / "boxes.json", json.dumps(found))
            metrics = box_average_precision(annotations, found)
            boxes = str(out / "boxes.json")
        estimator = PoseEstimator(
            weights,
            boxes_for(truth, boxes or "gt"),
            device=device,
            backend=backend,
            flip_test=flip,
            batch_size=batch_size,
            skeleton=truth.skeleton,
        )
        with progress(len(files), out) as report:
            done = write_predictions(predict_annotated(estimator, truth, images), out, None, report)
        metrics, errors = metrics | evaluate_keypoints(annotations, done.results), done.errors
    write_text(out / "metrics.json", json.dumps(metrics, indent=2))
    print_metrics(metrics)
    if errors:
        raise typer.Exit(BAD_PICTURES)
