"""`rsgnet evaluate`: official figures, how sure they are, and what stands behind them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsgnet.cli.options import (
    BAD_IMAGES,
    Backend,
    BatchSize,
    Device,
    Flip,
    Out,
    Precision,
    Weights,
    print_metrics,
    progress,
)
from rsgnet.errors import RSGNetError

if TYPE_CHECKING:
    from rsgnet.annotations.readers import Annotations
    from rsgnet.evaluation.assessment import Assessment
    from rsgnet.inference.detectors.boxes import Detector
    from rsgnet.inference.estimator import PoseEstimator
    from rsgnet.inference.predictions import RunRecord


def evaluate(
    *,
    annotations: Annotated[Path, typer.Option(help="COCO-format keypoint annotations: the truth.", metavar="GT.json")],
    out: Out,
    images: Annotated[Path | None, typer.Option(help="The annotated images' folder.", metavar="DIR")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Evaluate these results instead of predicting.", metavar="R.json")
    ] = None,
    weights: Weights = "nano",
    boxes: Annotated[
        str | None, typer.Option(help="gt (the truth's boxes; the default) or COCO results.", metavar="gt|PATH")
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Find the boxes: nano, DIR, onnx:PATH, torchvision.", metavar="SPEC")
    ] = None,
    skeleton: Annotated[
        Path | None,
        typer.Option(help="The labels' own keypoints and sigmas; default: as they say.", metavar="SKELETON.toml"),
    ] = None,
    protocol: Annotated[str, typer.Option(help="Whose rules: auto (by the keypoints), coco, crowdpose.")] = "auto",
    compare: Annotated[
        Path | None, typer.Option(help="Other results on the same images, to compare with.", metavar="OTHER.json")
    ] = None,
    bootstrap: Annotated[int, typer.Option(min=1, help="Draws of the images behind the 95 % intervals.")] = 1000,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html.")] = True,
    flip: Flip = None,
    backend: Backend = "onnx",
    precision: Precision = "float32",
    device: Device = "auto",
    batch_size: BatchSize = 32,
) -> None:
    """Measure poses by COCO's or CrowdPose's official rules, whoever found them, and say what went wrong.

    Writes [bold]metrics.json[/bold] and [bold]report.html[/bold]: average precision with its 95 % intervals, kinds of
    errors by level of crowding, calibration of the scores. Poses that are predicted go to [bold]poses.json[/bold]; with
    --detector its boxes are measured too, and written to [bold]boxes.json[/bold].

    [dim]Examples:[/dim]

      rsgnet evaluate --annotations val.json --images val/ --out out

      rsgnet evaluate --annotations val.json --images val/ --detector nano --out out

      rsgnet evaluate --annotations val.json --results out/poses.json --out out

      rsgnet evaluate --annotations val.json --results mine.json --compare theirs.json --out out
    """
    import json
    from dataclasses import asdict

    from rsgnet.annotations.readers import read_annotations
    from rsgnet.evaluation.assessment import assess
    from rsgnet.evaluation.protocol import is_crowdpose
    from rsgnet.evaluation.report import report_html
    from rsgnet.evaluation.results import read_keypoint_results
    from rsgnet.files import write_text
    from rsgnet.inference.annotated import boxes_for
    from rsgnet.inference.detectors.detector import open_detector
    from rsgnet.inference.estimator import PoseEstimator
    from rsgnet.inference.predictions import record_run, run_beside
    from rsgnet.skeletons import read_skeleton

    if (results is None) == (images is None):
        raise RSGNetError("evaluate needs either --images DIR, to predict, or --results R.json")
    if boxes is not None and detector is not None:
        raise RSGNetError("--boxes and --detector exclude each other: boxes are given or found")
    truth = read_annotations(annotations, None if skeleton is None else read_skeleton(skeleton))
    is_crowdpose(truth, protocol)  # what cannot be evaluated is told before anything is predicted
    other = None if compare is None else read_keypoint_results(compare, truth)
    box_figures: dict[str, float] = {}
    failed = False
    if images is not None:
        boxes_asked, finder = detector or boxes or "gt", None
        if detector is not None:
            # Average precision wants the unsure ones too.
            finder = open_detector(detector, device, threshold=0.05, backend=backend)
            box_figures = _detect(finder, truth, images, out)
            boxes = str(out / "boxes.json")
        estimator = PoseEstimator(
            weights,
            boxes_for(truth, boxes or "gt"),
            device=device,
            backend=backend,
            flip_test=flip,
            batch_size=batch_size,
            skeleton=truth.skeleton,
            precision=precision,
        )
        record = record_run(estimator, weights, boxes_asked, finder)
        results, failed = _predict(estimator, truth, images, out, record)
    assert results is not None
    run = run_beside(results)
    found_by = "" if run is None else f"{run.weights.name}, flip test {run.flip_test}, boxes {run.boxes.name}"
    found = read_keypoint_results(results, truth)
    assessment = assess(truth, found, protocol, other, resamples=bootstrap, found_by=found_by)
    metrics = {**box_figures, **assessment.metrics(), "boxes": run and asdict(run.boxes)}
    write_text(out / "metrics.json", json.dumps(metrics, indent=2))
    if report:
        write_text(out / "report.html", report_html(assessment))
    _print(box_figures, assessment)
    if failed:
        raise typer.Exit(BAD_IMAGES)


def _detect(detector: Detector, truth: Annotations, images: Path, out: Path) -> dict[str, float]:
    """Finds boxes, writes boxes.json; gives the boxes' figures."""
    import json

    from rsgnet.evaluation.average_precision import box_average_precision
    from rsgnet.files import write_text
    from rsgnet.inference.annotated import detect_annotated

    found = detect_annotated(detector, truth, images)
    write_text(out / "boxes.json", json.dumps(found))
    return box_average_precision(truth.path, found)


def _predict(
    estimator: PoseEstimator, truth: Annotations, images: Path, out: Path, record: RunRecord
) -> tuple[Path, bool]:
    """Finds poses; gives the file they are written to, and whether images failed."""
    from rsgnet.inference.annotated import annotated_files, predict_annotated
    from rsgnet.inference.predictions import (
        RESULTS_FILE,
        write_predictions,
    )

    files = annotated_files(truth, images)
    with progress(len(files), out) as report:
        done = write_predictions(predict_annotated(estimator, truth, images), out, None, report, record)
    return out / RESULTS_FILE, bool(done.errors)


def _print(box_figures: dict[str, float], assessment: Assessment) -> None:
    columns = {"95 % interval": {name: f"{at.low:.4f} to {at.high:.4f}" for name, at in assessment.intervals.items()}}
    other = assessment.comparison
    if other is not None:
        columns[f"less {other.results}"] = {
            name: f"{apart.value:+.4f} ({apart.low:+.4f} to {apart.high:+.4f})"
            for name, apart in other.differences.items()
        }
    print_metrics(box_figures | assessment.figures, columns)
    shares = (f"{share:.1%} {kind}" for kind, share in assessment.errors["all"].keypoint_shares().items())
    typer.echo(f"keypoints: {', '.join(shares)}")
    gains = (
        f"{repaired['AP'] - assessment.figures['AP']:.3f} {kind}" for kind, repaired in assessment.repaired.items()
    )
    typer.echo(f"AP that they cost: {', '.join(gains)}")
