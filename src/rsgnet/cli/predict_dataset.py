"""`rsgnet predict-dataset`: finds people's keypoints in millions of images, on many machines."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from typer import Argument, Option

from rsgnet.cli.options import (
    Backend,
    BatchSize,
    BoxThreshold,
    Detector,
    DetectorLayout,
    Flip,
    MaxPixels,
    Network,
    Precision,
    SkeletonName,
    Weights,
    name_layout,
    name_network,
    parse_out_store,
)
from rsgnet.cli.terminal import BAD_IMAGES, show_progress
from rsgnet.defaults import DEFAULT_DETECTOR, DEFAULT_WEIGHTS
from rsgnet.errors import RSGNetError, requires_extra


def predict_dataset(
    sources: Annotated[
        list[str],
        Argument(
            help="Images, tar archives and Parquet files: paths or URIs of files, folders and patterns; "
            "FILE.parquet#COLUMN names the column of images.",
            metavar="SOURCE",
        ),
    ],
    *,
    out: Annotated[
        str,
        Option(help="Output folder of this data set alone, a path or URI.", metavar="STORE", parser=parse_out_store),
    ],
    weights: Weights = DEFAULT_WEIGHTS,
    network: Network = None,
    detector: Detector = DEFAULT_DETECTOR,
    detector_layout: DetectorLayout = None,
    box_threshold: BoxThreshold = None,
    skeleton: SkeletonName = None,
    flip: Flip = None,
    backend: Backend = "auto",
    precision: Precision = "auto",
    device: Annotated[str, Option(help="cuda gives each worker a GPU, cpu one core.", metavar="cpu|cuda")] = "cpu",
    batch_size: BatchSize = 32,
    max_pixels: MaxPixels = 100_000_000,
    ray_address: Annotated[
        str | None,
        Option(
            help="Ray cluster; default: RAY_ADDRESS, else one that runs on this machine, else one is started.",
            metavar="ADDRESS",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        Option(min=1, help="Most workers; default: one per core, or per GPU with --device cuda.", metavar="COUNT"),
    ] = None,
    shard_size: Annotated[
        int, Option(min=1, help="Images in a shard, which is processed whole.", metavar="IMAGES")
    ] = 256,
) -> None:
    """Find everyone's keypoints in millions of images with Ray Data, on one machine or many.

    Needs rsgnet\\[ray], and for stores other than local folders their fsspec package, such as s3fs. Writes rows of
    Parquet to STORE, one per image; an image that cannot be read has its error in its row, and the exit code is 1.

    [dim]Examples:[/dim]

      rsgnet predict-dataset photos/ --out poses
      rsgnet predict-dataset s3://bucket/shards --out s3://bucket/poses
      rsgnet predict-dataset 's3://bucket/*.tar' --out s3://poses --ray-address auto --device cuda

    The same command continues a run that was killed. Of the archives and Parquet files
    among the sources each image becomes a row, too.
    """
    with requires_extra("rsgnet predict-dataset", "ray"):
        from rsgnet.scaleout.ray_pool import RayOptions, process_on_ray
        from rsgnet.scaleout.shards import Job, finish_run, plan_run
    from rsgnet.inference.estimator import PoseEstimator
    from rsgnet.inference.predictions import record_run
    from rsgnet.inference.runtime.engines import choose_engine

    weights, detector = name_network(weights, network), name_layout(detector, detector_layout)
    if device not in ("auto", "cpu", "cuda"):
        raise RSGNetError(f"--device {device}: expected auto, cpu or cuda; Ray gives each worker a GPU of its own")
    with_gpu = device == "cuda"
    engine = choose_engine(weights, backend, precision, "cuda" if with_gpu else "cpu")  # the same for all workers
    open_estimator = partial(
        PoseEstimator,
        weights,
        detector,
        backend=engine.backend,
        flip_test=flip,
        batch_size=batch_size,
        skeleton=skeleton,
        max_pixels=max_pixels,
        box_threshold=box_threshold,
        precision=engine.precision,
    )
    estimator = open_estimator(device="cpu")  # to report wrong options before any worker starts, and to record the run
    run = record_run(estimator, weights, detector)
    planned = plan_run(sources, out, estimator, run, shard_size)
    if planned.complete:
        typer.echo(f"{len(planned.complete)} of {planned.manifest.shards} shards are done already", err=True)
    job = Job(planned.store.uri, partial(open_estimator, device="cuda" if with_gpu else "cpu"), run)
    process_shards = partial(process_on_ray, options=RayOptions(ray_address, workers, with_gpu))
    with show_progress(len(planned.missing), out, "shards") as report:
        totals = finish_run(planned, job, process_shards, report)
    images = totals.images - totals.errors
    typer.echo(f"{images} of {totals.images} images, {totals.people} people -> {planned.store.uri}", err=True)
    if totals.errors:
        typer.echo(f"{totals.errors} could not be done: the column `error` says why", err=True)
        raise typer.Exit(BAD_IMAGES)
