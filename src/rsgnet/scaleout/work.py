"""Doing shards: what one worker does, wherever it runs."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import pyarrow.parquet as pq

from rsgnet.errors import RSGNetError
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.run_record import RunRecord, record_run
from rsgnet.poses import Poses
from rsgnet.scaleout.manifest import ShardRecord, part_name, record_shard
from rsgnet.scaleout.plan import Plan
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
