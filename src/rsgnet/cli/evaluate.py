"""`rsgnet evaluate` and `evaluate-tracks`: measure poses, and measure tracks."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from rsgnet.cli.options import (
    Backend,
    BatchSize,
    DetectorLayout,
    Device,
    Flip,
    Network,
    Out,
    Precision,
    Weights,
    name_layout,
    name_network,
)
from rsgnet.cli.terminal import BAD_IMAGES, print_metrics, show_progress
from rsgnet.defaults import DEFAULT_WEIGHTS
from rsgnet.errors import RSGNetError

if TYPE_CHECKING:
    from rsgnet.annotations.people import Annotations
    from rsgnet.evaluation.assessment import Assessment
    from rsgnet.evaluation.results import Results
    from rsgnet.inference.detectors.detector import Detector
    from rsgnet.inference.estimator import PoseEstimator
    from rsgnet.inference.predictions import RunRecord


def evaluate(
    *,
    annotations: Annotated[
        Path, Option(help="Keypoint annotations in COCO's format, the ground truth.", metavar="TRUTH.json")
    ],
    out: Out,
    images: Annotated[Path | None, Option(help="Predict the poses in this folder's images.", metavar="DIR")] = None,
    results: Annotated[
        Path | None, Option(help="Evaluate these results instead of predicting.", metavar="RESULTS.json")
    ] = None,
    weights: Weights = DEFAULT_WEIGHTS,
    network: Network = None,
    boxes: Annotated[
        str | None,
        Option(help="Predict in the true boxes (gt, the default) or in those of COCO results.", metavar="gt|PATH"),
    ] = None,
    detector: Annotated[
        str | None,
        Option(
            help="Predict in detected boxes, and evaluate them: nano, a detector's model directory, onnx:PATH or "
            "torchvision.",
            metavar="DETECTOR",
        ),
    ] = None,
    detector_layout: DetectorLayout = None,
    skeleton: Annotated[
        Path | None,
        Option(
            help="Keypoints and sigmas of the annotations; default: those that the annotations name.",
            metavar="SKELETON.toml",
        ),
    ] = None,
    protocol: Annotated[
        str,
        Option(
            help="The rules: coco, crowdpose, ochuman, wholebody, ex-oks (keypoints outside the box), mpii (PCKh), "
            "posetrack, or auto, which chooses by the keypoints.",
            metavar="PROTOCOL",
        ),
    ] = "auto",
    compare: Annotated[
        Path | None, Option(help="Also compare with these results of the same images.", metavar="OTHER.json")
    ] = None,
    bootstrap: Annotated[
        int, Option(min=1, help="Bootstrap resamples of the images for the 95 % intervals.", metavar="COUNT")
    ] = 1000,
    report: Annotated[bool, Option("--report/--no-report", help="Write report.html.")] = True,
    flip: Flip = None,
    backend: Backend = "auto",
    precision: Precision = "float32",
    device: Device = "auto",
    batch_size: BatchSize = 32,
) -> None:
    """Measure poses by the official rules of a benchmark, and analyse their errors.

    Needs --images, to predict poses first, or --results, which any program may have written. Writes
    [bold]metrics.json[/bold] and [bold]report.html[/bold]: average precision with 95 % intervals, kinds of errors by
    level of crowding, and the calibration of the scores; of mpii and posetrack the figures only. Predicted poses go to
    [bold]poses.json[/bold], detected boxes to [bold]boxes.json[/bold].

    [dim]Examples:[/dim]

      rsgnet evaluate --annotations val.json --images val/ --out out
      rsgnet evaluate --annotations val.json --images val/ --detector nano --out out
      rsgnet evaluate --annotations val.json --results out/poses.json --out out
      rsgnet evaluate --annotations val.json --results mine.json --compare theirs.json --out out
    """
    from rsgnet.annotations.readers import read_annotations
    from rsgnet.evaluation.assessment import assess
    from rsgnet.evaluation.protocol import HEAD_DISTANCE_PROTOCOLS
    from rsgnet.evaluation.report import render_report
    from rsgnet.evaluation.results import read_keypoint_results
    from rsgnet.files import write_text
    from rsgnet.inference.dataset_inference import open_dataset_boxes
    from rsgnet.inference.detectors.open_detector import open_detector
    from rsgnet.inference.estimator import PoseEstimator
    from rsgnet.inference.predictions import read_run_record, record_run
    from rsgnet.inference.runtime.engines import choose_engine
    from rsgnet.skeletons import read_skeleton

    if (results is None) == (images is None):
        raise RSGNetError("evaluate needs either --images DIR, to predict, or --results R.json")
    if boxes is not None and detector is not None:
        raise RSGNetError("--boxes and --detector exclude each other: boxes are given or found")
    weights = name_network(weights, network)
    if detector_layout is not None:
        detector = name_layout(detector or "given boxes", detector_layout)
    truth = read_annotations(annotations, None if skeleton is None else read_skeleton(skeleton))
    _check_protocol(truth, protocol, compare)
    other = None if compare is None else read_keypoint_results(compare, truth)
    box_metrics: dict[str, float] = {}
    has_failures = False
    if images is not None:
        boxes_name, opened_detector = detector or boxes or "gt", None
        if detector is not None:
            # The threshold is low because average precision needs boxes of low scores, too.
            engine = choose_engine(weights, backend, precision, device)
            opened_detector = open_detector(detector, device, threshold=0.05, backend=engine.backend)
            box_metrics = _detect(opened_detector, truth, images, out)
            boxes = str(out / "boxes.json")
        estimator = PoseEstimator(
            weights,
            open_dataset_boxes(truth, boxes or "gt"),
            device=device,
            backend=backend,
            flip_test=flip,
            batch_size=batch_size,
            skeleton=truth.skeleton,
            precision=precision,
        )
        record = record_run(estimator, weights, boxes_name, opened_detector)
        results, has_failures = _predict(estimator, truth, images, out, record)
    assert results is not None
    run = read_run_record(results)
    found = read_keypoint_results(results, truth)
    if protocol in HEAD_DISTANCE_PROTOCOLS:
        _write_head_distances(truth, found, protocol, box_metrics, out)
    else:
        found_by = "" if run is None else f"{run.weights.name}, flip test {run.flip_test}, boxes {run.boxes.name}"
        assessment = assess(truth, found, protocol, other, resamples=bootstrap, found_by=found_by)
        metrics = {**box_metrics, **assessment.to_dict(), "boxes": run and asdict(run.boxes)}
        write_text(out / "metrics.json", json.dumps(metrics, indent=2))
        if report:
            write_text(out / "report.html", render_report(assessment))
        _print_assessment(box_metrics, assessment)
    if has_failures:
        raise typer.Exit(BAD_IMAGES)


def _check_protocol(truth: Annotations, protocol: str, compare: Path | None) -> None:
    """Refuses a protocol that does not fit, before anything is predicted."""
    from rsgnet.evaluation.protocol import HEAD_DISTANCE_PROTOCOLS, choose_protocol, require_skeleton

    if protocol not in HEAD_DISTANCE_PROTOCOLS:
        choose_protocol(truth, protocol)
        return
    require_skeleton(truth, protocol, (HEAD_DISTANCE_PROTOCOLS[protocol],))
    if compare is not None:
        raise RSGNetError(f"--compare needs intervals, which --protocol {protocol} has not; evaluate each by itself")


def _write_head_distances(
    truth: Annotations, found: Results, protocol: str, box_metrics: dict[str, float], out: Path
) -> None:
    from rsgnet.evaluation.head_distance import compute_head_distance_metrics
    from rsgnet.files import write_text

    metrics = box_metrics | compute_head_distance_metrics(truth, found, protocol)
    settings = {"annotations": str(truth.path), "results": found.origin, "protocol": protocol}
    write_text(out / "metrics.json", json.dumps({**metrics, "settings": settings}, indent=2))
    print_metrics(metrics)


def _detect(detector: Detector, truth: Annotations, images: Path, out: Path) -> dict[str, float]:
    """Detects people, writes boxes.json and returns the metrics of the boxes."""
    from rsgnet.evaluation.average_precision import evaluate_boxes
    from rsgnet.files import write_text
    from rsgnet.inference.dataset_inference import detect_dataset

    found = detect_dataset(detector, truth, images)
    write_text(out / "boxes.json", json.dumps(found))
    return evaluate_boxes(truth.path, found)


def _predict(
    estimator: PoseEstimator, truth: Annotations, images: Path, out: Path, record: RunRecord
) -> tuple[Path, bool]:
    """Predicts poses; returns the file of the results and whether images failed."""
    from rsgnet.inference.dataset_inference import list_dataset_images, predict_dataset
    from rsgnet.inference.predictions import RESULTS_FILE, write_predictions

    files = list_dataset_images(truth, images)
    with show_progress(len(files), out) as report:
        done = write_predictions(predict_dataset(estimator, truth, images), out, None, report, record)
    return out / RESULTS_FILE, bool(done.errors)


def _print_assessment(box_metrics: dict[str, float], assessment: Assessment) -> None:
    from rsgnet.evaluation.report import warn_of_few_images

    intervals = assessment.intervals.items()
    columns = {"95 % interval": {name: f"{interval.low:.4f} to {interval.high:.4f}" for name, interval in intervals}}
    comparison = assessment.comparison
    if comparison is not None:
        columns[f"difference to {comparison.results}"] = {
            name: f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
            for name, difference in comparison.differences.items()
        }
    print_metrics(box_metrics | assessment.metrics, columns)
    if warning := warn_of_few_images(assessment):
        typer.echo(f"note: {warning}")
    shares = (f"{share:.1%} {kind}" for kind, share in assessment.errors["all"].keypoint_shares().items())
    typer.echo(f"keypoints: {', '.join(shares)}")
    gains = (
        f"{repaired['AP'] - assessment.metrics['AP']:.3f} {kind}"
        for kind, repaired in assessment.metrics_without_errors.items()
    )
    typer.echo(f"AP lost by each error: {', '.join(gains)}")


def evaluate_tracks(
    *,
    annotations: Annotated[
        Path, Option(help="Annotations with track ids, as `crowds --frames` writes them.", metavar="TRUTH.json")
    ],
    results: Annotated[Path, Option(help="Tracks, as `predict` writes them.", metavar="poses.jsonl")],
) -> None:
    """Measure how well people are tracked: [bold]HOTA[/bold], [bold]IDF1[/bold], identity switches and MOTA.

    Prints a table; writes nothing.

    [dim]Examples:[/dim]

      rsgnet crowds --out walks --scenes 2 --frames 100
      rsgnet predict walks/clips --out out
      rsgnet evaluate-tracks --annotations walks/crowds.json --results out/poses.jsonl
    """
    from rsgnet.evaluation.hota import count_hota
    from rsgnet.evaluation.tracking_metrics import TrackingCounts, count_tracks, read_clips

    clips = read_clips(annotations, results)
    hota = reduce(add, map(count_hota, clips.values()))
    counts = sum((count_tracks(frames) for frames in clips.values()), TrackingCounts())
    print_metrics(
        {
            "HOTA": hota.hota,
            "DetA": hota.detection_accuracy,
            "AssA": hota.association_accuracy,
            "IDF1": counts.idf1,
            "switches": counts.switches,
            "MOTA": counts.mota,
            "people": counts.truths,
            "missed": counts.truths - counts.matched,
            "false": counts.found - counts.matched,
        }
    )
