"""A whole run: list, plan, do what is missing, sum up. Started anew it goes on where it stood."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rsgnet.errors import RSGNetError
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.run_record import RunRecord
from rsgnet.scaleout.listing import find_pieces, full_uri
from rsgnet.scaleout.manifest import (
    Manifest,
    ShardRecord,
    Totals,
    check_same_run,
    complete_shards,
    read_manifest,
    sum_up,
    write_manifest,
)
from rsgnet.scaleout.plan import in_shards, write_plan
from rsgnet.scaleout.store import Store
from rsgnet.scaleout.work import Job, ShardFailure

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
