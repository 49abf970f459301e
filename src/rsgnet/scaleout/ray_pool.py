"""Shards on Ray Data: a pool of actors, each with a network of its own, that survives the loss of workers and nodes.

Only numbers of shards and records travel through Ray; images and rows go between the stores and the actors.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import ray
import ray.data

from rsgnet.errors import RSGNetError
from rsgnet.scaleout.plan import ShardRecord
from rsgnet.scaleout.run import Job, ShardFailure, ShardWorker

TRIES = 3  # of one shard in a run: whatever kills its workers each time shall not do so for ever
_ANSWERS_WITHIN_S = 10
_NO_RAY = "--ray-address {}: no Ray answers there ({}); start one: ray start --head"


class TryCounter:
    """Counts how often shards are begun, as an actor: Ray Data gives a lost one to the next worker without end."""

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()

    def begin(self, shard: int) -> int:
        """How often a shard was begun, this time included."""
        self._begun[shard] += 1
        return self._begun[shard]


class ShardActor:
    """A worker as Ray Data wants it: columns in, columns out."""

    def __init__(self, job: Job, tries: Any) -> None:
        self._worker, self._tries = ShardWorker(job), tries

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Does the shards of a batch; what fails is told, so that the others go on."""
        rows = [self._told(int(shard)) for shard in batch["shard"]]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _told(self, shard: int) -> dict[str, Any]:
        if ray.get(self._tries.begin.remote(shard)) > TRIES:
            return _failed(shard, f"its workers died {TRIES} times; does one of its images kill them?")
        try:
            return {**asdict(self._worker.do(shard)), "failure": ""}
        except Exception as error:  # a store that is full, say: this shard has to wait for the next start
            return _failed(shard, f"{type(error).__name__}: {error}")


def _failed(shard: int, why: str) -> dict[str, Any]:
    return {**asdict(ShardRecord(shard=shard)), "failure": why}


@dataclass(frozen=True)
class RayOptions:
    """How Ray is used.

    Attributes:
        address: Of the cluster ("auto", "HOST:PORT", "ray://..."); None for RAY_ADDRESS, else
            one that runs on this machine, else one that is started for the run.
        workers: Actors at most; None for one a core, or one a GPU.
        gpu: Whether each gets a GPU.
    """

    address: str | None = None
    workers: int | None = None
    gpu: bool = False


def do_on_ray(job: Job, shards: Sequence[int], options: RayOptions) -> Iterator[ShardRecord | ShardFailure]:
    """Does shards, as many at a time as there are workers, and tells of each as it is done or fails.

    Raises:
        RSGNetError: There is no such cluster, it has nothing to work with, or no worker can open the network.
    """
    with _connected(options.address):
        context = ray.data.DataContext.get_current()
        context.max_errored_blocks = -1
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # each shard is reported by us
        numbers = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
        tries = ray.remote(TryCounter).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()
        # All from the start, but one will do: where a node is lost, its actors need not be found a place for.
        workers = min(_workers(options), len(shards))
        pool = ray.data.ActorPoolStrategy(
            min_size=1, initial_size=workers, max_size=workers, max_tasks_in_flight_per_actor=2
        )
        done = numbers.map_batches(
            ShardActor,
            fn_constructor_args=(job, tries),
            batch_size=1,
            compute=pool,
            num_cpus=1,
            num_gpus=1 if options.gpu else 0,
        )
        try:
            for row in done.iter_rows():
                failure = row.pop("failure")
                yield ShardFailure(row["shard"], failure) if failure else ShardRecord(**row)
        except ray.exceptions.RayError as error:
            raise RSGNetError(f"Ray: {str(error).strip().splitlines()[-1]}") from error


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Ray, reached or started, and left again if it was not there before."""
    if ray.is_initialized():
        yield
        return
    _check_answers(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it reports its use to its makers
    try:
        ray.init(address, log_to_driver=False, logging_level="warning", include_dashboard=None if address else False)
    except ConnectionError as error:
        raise RSGNetError(_NO_RAY.format(address, error)) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str | None) -> None:
    """Refuses HOST:PORT where nobody listens: Ray would try for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWERS_WITHIN_S).close()
    except OSError as error:
        raise RSGNetError(_NO_RAY.format(address, error)) from error


def _workers(options: RayOptions) -> int:
    """How many actors there may be."""
    if options.workers is not None:
        return options.workers
    kind = "GPU" if options.gpu else "CPU"
    count = int(ray.cluster_resources().get(kind, 0))
    if not count:
        raise RSGNetError(f"this Ray cluster has no {kind}; give it nodes, or choose another --device")
    return count
