"""Plans a run, processes its shards in a worker, and finishes the run."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import pyarrow.parquet as pq

from rsgnet.errors import RSGNetError
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import RunRecord, record_run
from rsgnet.poses import Poses
from rsgnet.scaleout.image_reading import iterate_images
from rsgnet.scaleout.inputs import absolute_uri, list_inputs
from rsgnet.scaleout.plan import (
    Manifest,
    Plan,
    ShardRecord,
    Totals,
    add_totals,
    begin_run,
    check_same_run,
    group_into_shards,
    read_complete_shards,
    read_manifest,
    rows_file,
    write_manifest,
    write_shard_record,
)
from rsgnet.scaleout.rows import ImageResult, build_table, result_schema
from rsgnet.scaleout.store import Store

_ROWS_PER_GROUP = 1024  # in a row group of the results, and so in memory


@dataclass(frozen=True)
class Job:
    """What a worker needs to process shards.

    Attributes:
        out: The URI of the output folder, which holds the plan.
        open_estimator: Opens the estimator.
        run: The network and the detector that the estimator must have.
        folder: The folder from which relative paths of weights count.
    """

    out: str
    open_estimator: Callable[[], PoseEstimator]
    run: RunRecord
    folder: str = field(default_factory=os.getcwd)


@dataclass(frozen=True)
class ShardFailure:
    """A shard that could not be processed, though its images may be fine.

    Attributes:
        shard: Its number.
        reason: What went wrong.
    """

    shard: int
    reason: str


ProcessShards = Callable[[Job, Sequence[int]], Iterable[ShardRecord | ShardFailure]]
Report = Callable[[object, object], None]


@dataclass(frozen=True)
class PlannedRun:
    """A run whose plan is written.

    Attributes:
        store: The output folder.
        manifest: The settings of the run.
        complete: The records of the shards that are done, by number.
    """

    store: Store
    manifest: Manifest
    complete: dict[int, ShardRecord]

    @property
    def missing(self) -> list[int]:
        """The numbers of the shards that are still to be processed."""
        return [shard for shard in range(self.manifest.shards) if shard not in self.complete]


def plan_run(
    sources: Sequence[str], out: str, estimator: PoseEstimator, run: RunRecord, shard_size: int = 256
) -> PlannedRun:
    """Lists the sources and writes the plan, or reads the plan and the complete shards of an earlier start.

    Args:
        sources: Paths and URIs of images, archives, Parquet files and folders, and patterns; see `list_inputs`.
        out: The output folder of this run alone, a path or URI.
        estimator: An estimator like those of the workers.
        run: The network and the detector of the estimator.
        shard_size: Image files in a shard, and the least rows of Parquet; an archive is always one shard.

    Raises:
        RSGNetError: A source cannot be listed, or `out` holds another run.
    """
    if shard_size < 1:
        raise RSGNetError(f"shards hold 1 image or more, not {shard_size}")
    store, uris = Store(out), tuple(map(absolute_uri, sources))
    asked = Manifest(uris, shard_size, estimator.max_pixels, run, estimator.skeleton.keypoints)
    begun = read_manifest(store)
    if begun is not None:
        check_same_run(begun, asked, store.uri)
        Plan(store, begun)
        complete = {number: record for number, record in read_complete_shards(store).items() if number < begun.shards}
        return PlannedRun(store, begun, complete)
    parts = list_inputs(sources, min_rows=shard_size, skip=store.uri)
    return PlannedRun(store, begin_run(store, asked, group_into_shards(parts, shard_size)), {})


class ShardWorker:
    """Processes shards of a job one after the other.

    Args:
        job: The job.

    Raises:
        RSGNetError: The weights cannot be opened on this machine, or differ from those of the job; or this machine does
            not see the run's folder.
    """

    def __init__(self, job: Job) -> None:
        with suppress(FileNotFoundError):
            os.chdir(job.folder)
        self._estimator = job.open_estimator()
        found = record_run(self._estimator, job.run.weights.name, job.run.boxes.name)
        if found != job.run:
            raise RSGNetError(f"{platform.node()}: runs {found}, not {job.run}; install the same everywhere")
        self._store = Store(job.out)
        manifest = read_manifest(self._store)
        if manifest is None:
            raise RSGNetError(f"{job.out}: holds no run; is it the same folder on {platform.node()}?")
        self._plan, self._schema = Plan(self._store, manifest), result_schema(self._estimator.skeleton)

    def process(self, shard: int) -> ShardRecord:
        """Writes the rows of a shard, and then its record, which it returns."""
        images = people = errors = 0
        with (
            self._store.replace_file(rows_file(shard)) as file,
            pq.ParquetWriter(file, self._schema, compression="zstd") as writer,
        ):
            results = self._predict(shard)
            while group := list(islice(results, _ROWS_PER_GROUP)):
                writer.write_table(build_table(self._schema, shard, images, group))
                images += len(group)
                people += sum(len(result.outcome) for result in group if isinstance(result.outcome, Poses))
                errors += sum(isinstance(result.outcome, RSGNetError) for result in group)
        record = ShardRecord(images, people, errors, shard, self._store.size(rows_file(shard)))
        write_shard_record(self._store, record)
        return record

    def _predict(self, shard: int) -> Iterator[ImageResult]:
        for image, outcome in self._estimator.stream(iterate_images(self._plan[shard])):
            # Drops pixels and candidates, which the rows do not have.
            kept: Any = replace(outcome, image=None, candidates=None) if isinstance(outcome, Poses) else outcome
            yield ImageResult(image.source, image.file_name, kept)


def finish_run(planned: PlannedRun, job: Job, process_shards: ProcessShards, report: Report) -> Totals:
    """Processes the missing shards.

    Args:
        planned: The run.
        job: What the workers need.
        process_shards: Processes shards in any order and place, and yields the outcome of each.
        report: Called with each shard's number and outcome.

    Returns:
        The counts of all shards, earlier ones included.

    Raises:
        RSGNetError: Some shards could not be processed; the others are kept.
    """
    complete, failures = dict(planned.complete), list[ShardFailure]()
    for outcome in process_shards(job, planned.missing) if planned.missing else ():
        if isinstance(outcome, ShardFailure):
            failures.append(outcome)
        else:
            complete[outcome.shard] = outcome
        report(outcome.shard, outcome)
    missing = planned.manifest.shards - len(complete)
    if missing:
        reason = f"shard {failures[0].shard}: {failures[0].reason}" if failures else "their workers died"
        raise RSGNetError(f"{planned.store.uri}: {missing} shards could not be done; {reason}; start again to do them")
    totals = add_totals(complete.values())
    write_manifest(planned.store, replace(planned.manifest, complete=True, totals=totals))
    planned.store.remove_partial_files()
    return totals
