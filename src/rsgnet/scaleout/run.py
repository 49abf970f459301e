"""Doing shards: what one worker does, wherever it runs."""

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
from rsgnet.scaleout.listing import find_pieces, full_uri
from rsgnet.scaleout.plan import (
    Manifest,
    Plan,
    ShardRecord,
    Totals,
    check_same_run,
    complete_shards,
    in_shards,
    part_name,
    read_manifest,
    record_shard,
    sum_up,
    write_manifest,
    write_plan,
)
from rsgnet.scaleout.reading import stored_images
from rsgnet.scaleout.rows import ImageResult, rows_table, schema_of
from rsgnet.scaleout.store import Store

ROWS_AT_ONCE = 1024  # held in memory, and in a row group


@dataclass(frozen=True)
class Job:
    """What every worker is told.

    Attributes:
        out: The store of plan and results.
        open_estimator: Opens what finds the poses.
        run: What it must be.
        folder: Where relative paths of weights begin.
    """

    out: str
    open_estimator: Callable[[], PoseEstimator]
    run: RunRecord
    folder: str = field(default_factory=os.getcwd)


@dataclass(frozen=True)
class ShardFailure:
    """A shard that could not be done, though its images may be fine.

    Attributes:
        shard: Its number.
        reason: What went wrong.
    """

    shard: int
    reason: str


class ShardWorker:
    """Does shards of a job, one after the other.

    Args:
        job: What it is told.

    Raises:
        RSGNetError: The weights cannot be opened here, or are not the ones of the job.
    """

    def __init__(self, job: Job) -> None:
        with suppress(FileNotFoundError):
            os.chdir(job.folder)
        self._estimator = job.open_estimator()
        found = record_run(self._estimator, job.run.weights.name, job.run.boxes.name)
        if found != job.run:
            raise RSGNetError(f"{platform.node()}: runs {found}, not {job.run}; install the same everywhere")
        self._store = Store(job.out)
        self._plan, self._schema = Plan(self._store), schema_of(self._estimator.skeleton)

    def do(self, shard: int) -> ShardRecord:
        """Writes the rows of a shard, and then that it is complete."""
        images = people = errors = 0
        with (
            self._store.writing(part_name(shard)) as file,
            pq.ParquetWriter(file, self._schema, compression="zstd") as writer,
        ):
            results = self._results(shard)
            while batch := list(islice(results, ROWS_AT_ONCE)):
                writer.write_table(rows_table(self._schema, shard, images, batch))
                images += len(batch)
                people += sum(len(each.outcome) for each in batch if isinstance(each.outcome, Poses))
                errors += sum(isinstance(each.outcome, RSGNetError) for each in batch)
        record = ShardRecord(images, people, errors, shard, self._store.size(part_name(shard)))
        record_shard(self._store, record)
        return record

    def _results(self, shard: int) -> Iterator[ImageResult]:
        for image, outcome in self._estimator.stream(stored_images(self._plan[shard])):
            kept: Any = replace(outcome, image=None, candidates=None) if isinstance(outcome, Poses) else outcome
            yield ImageResult(image.source, image.file_name, kept)


DoShards = Callable[[Job, Sequence[int]], Iterable[ShardRecord | ShardFailure]]
Report = Callable[[object, object], None]


@dataclass(frozen=True)
class ScaledRun:
    """A run that is planned.

    Attributes:
        store: Where to.
        manifest: What it is.
        complete: The shards that are done, by number.
    """

    store: Store
    manifest: Manifest
    complete: dict[int, ShardRecord]

    @property
    def missing(self) -> list[int]:
        """The shards that are still to be done."""
        return [shard for shard in range(self.manifest.shards) if shard not in self.complete]


def plan_run(
    sources: Sequence[str], out: str, estimator: PoseEstimator, run: RunRecord, shard_size: int = 256
) -> ScaledRun:
    """Lists the sources and writes the plan, or finds what was planned and done in `out` before.

    Args:
        sources: As of `find_pieces`.
        out: A folder, by path or URI, of this run alone.
        estimator: Like those that will find the poses.
        run: What it runs with.
        shard_size: Image files in a shard, and rows of Parquet at least; an archive is always one.

    Raises:
        RSGNetError: A source cannot be listed, or `out` holds another run.
    """
    if shard_size < 1:
        raise RSGNetError(f"shards hold 1 image or more, not {shard_size}")
    store, uris = Store(out), tuple(map(full_uri, sources))
    asked = Manifest(uris, shard_size, estimator.max_pixels, run, estimator.skeleton.keypoints)
    begun = read_manifest(store)
    if begun is not None:
        check_same_run(begun, asked, store.uri)
        return ScaledRun(store, begun, complete_shards(store))
    shards = write_plan(store, in_shards(find_pieces(sources, shard_size, store.uri), shard_size))
    manifest = replace(asked, shards=shards)
    write_manifest(store, manifest)
    return ScaledRun(store, manifest, {})


def finish_run(planned: ScaledRun, job: Job, do: DoShards, report: Report) -> Totals:
    """Does the shards that are missing.

    Args:
        planned: The run.
        job: What workers are told.
        do: Does shards, in any order and anywhere.
        report: Told of each shard and of what came of it.

    Returns:
        The totals of all shards, those done before included.

    Raises:
        RSGNetError: Some shards could not be done; those that could are kept.
    """
    complete, failures = dict(planned.complete), list[ShardFailure]()
    for told in do(job, planned.missing) if planned.missing else ():
        if isinstance(told, ShardFailure):
            failures.append(told)
        else:
            complete[told.shard] = told
        report(told.shard, told)
    left = planned.manifest.shards - len(complete)
    if left:
        why = f"; shard {failures[0].shard}: {failures[0].reason}" if failures else "; their workers died"
        raise RSGNetError(f"{planned.store.uri}: {left} shards could not be done{why}; start again to do them")
    totals = sum_up(complete.values())
    write_manifest(planned.store, replace(planned.manifest, complete=True, totals=totals))
    planned.store.remove_partial()
    return totals
