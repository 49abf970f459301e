"""`rsgnet predict --engine ray`: poses in millions of images, on many machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import typer

from rsgnet.cli.options import BAD_IMAGES, progress
from rsgnet.errors import requires_extra
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import record_run


@dataclass(frozen=True)
class RayChoices:
    """What a user says of Ray.

    Attributes:
        device: "cuda" for a worker a GPU, else one a core.
        address: Of the cluster; None for RAY_ADDRESS, else one that runs here or is started.
        workers: How many there are at most; None for as many as fit.
        shard_size: Images in a shard.
    """

    device: str
    address: str | None
    workers: int | None
    shard_size: int


def predict_on_ray(
    sources: Sequence[str],
    out: str,
    open_estimator: Callable[..., PoseEstimator],
    weights: str,
    detector: str,
    choices: RayChoices,
) -> None:
    """Writes rows of Parquet for the images of any stores.

    Args:
        sources: Files, folders, patterns, archives and Parquet, by path or URI.
        out: A folder, by path or URI.
        open_estimator: Opens what finds the poses on a `device`.
        weights: What its weights were asked for by.
        detector: What its detector was asked for by.
        choices: How it is done.
    """
    with requires_extra("--engine ray", "ray"):
        from rsgnet.scaleout.ray_pool import RayOptions, do_on_ray
        from rsgnet.scaleout.run import (
            Job,
            finish_run,
            plan_run,
        )
    gpu = choices.device == "cuda"
    estimator = open_estimator(device="cpu")  # here only to say what it is, and to fail early
    run = record_run(estimator, weights, detector)
    planned = plan_run(sources, out, estimator, run, choices.shard_size)
    if planned.complete:
        typer.echo(f"{len(planned.complete)} of {planned.manifest.shards} shards are done already", err=True)
    job = Job(planned.store.uri, partial(open_estimator, device="cuda" if gpu else "cpu"), run)
    do = partial(do_on_ray, options=RayOptions(choices.address, choices.workers, gpu))
    with progress(len(planned.missing), out, "shards") as report:
        totals = finish_run(planned, job, do, report)
    done = totals.images - totals.errors
    typer.echo(f"{done} of {totals.images} images, {totals.people} people -> {planned.store.uri}", err=True)
    if totals.errors:
        typer.echo(f"{totals.errors} could not be done: the column `error` says why", err=True)
        raise typer.Exit(BAD_IMAGES)
