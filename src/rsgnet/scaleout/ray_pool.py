"""Processes shards on Ray Data with a pool of actors that survives the loss of workers and nodes.

Each actor has a network of its own. Only numbers of shards and records travel through Ray; images and rows go between
the stores and the actors.
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
from rsgnet.scaleout.shards import Job, ShardFailure, ShardWorker

MAX_ATTEMPTS = 3  # at one shard in a run, so that a shard that kills its workers cannot hold up the run for ever
_CONNECT_TIMEOUT_S = 10
_NO_RAY = "--ray-address {}: no Ray answers there ({}); start one: ray start --head"


@dataclass(frozen=True)
class RayOptions:
    """How to use Ray.

    Attributes:
        address: The cluster: "auto", "HOST:PORT" or "ray://..."; None for RAY_ADDRESS, else one that runs on this
            machine, else one that is started for the run.
        workers: The largest number of actors; None for one per core, or one per GPU.
        gpu: Whether each actor gets a GPU.
    """

    address: str | None = None
    workers: int | None = None
    gpu: bool = False


def process_on_ray(job: Job, shards: Sequence[int], options: RayOptions) -> Iterator[ShardRecord | ShardFailure]:
    """Processes shards in parallel and yields the outcome of each as it is done.

    Raises:
        RSGNetError: The cluster cannot be reached or has no cores or GPUs, or no worker can open the network.
    """
    with _connected(options.address):
        context = ray.data.DataContext.get_current()
        context.max_errored_blocks = -1
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # the caller reports each shard
        numbers = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
        attempts = ray.remote(AttemptCounter).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()
        # The pool may shrink to one actor: one of fixed size would wait for room for the actors of a lost node.
        workers = min(_count_workers(options), len(shards))
        pool = ray.data.ActorPoolStrategy(
            min_size=1, initial_size=workers, max_size=workers, max_tasks_in_flight_per_actor=2
        )
        outcomes = numbers.map_batches(
            ShardActor,
            fn_constructor_args=(job, attempts),
            batch_size=1,
            compute=pool,
            num_cpus=1,
            num_gpus=1 if options.gpu else 0,
        )
        try:
            for row in outcomes.iter_rows():
                failure = row.pop("failure")
                yield ShardFailure(row["shard"], failure) if failure else ShardRecord(**row)
        except ray.exceptions.RayError as error:
            raise RSGNetError(f"Ray: {str(error).strip().splitlines()[-1]}") from error


class AttemptCounter:
    """An actor that counts the attempts at each shard, because Ray Data retries lost work without end."""

    def __init__(self) -> None:
        self._attempts: Counter[int] = Counter()

    def add(self, shard: int) -> int:
        """Counts an attempt at a shard and returns how many there were, this one included."""
        self._attempts[shard] += 1
        return self._attempts[shard]


class ShardActor:
    """A worker with the interface of Ray Data: a dict of columns in, a dict of columns out."""

    def __init__(self, job: Job, attempts: Any) -> None:
        self._worker, self._attempts = ShardWorker(job), attempts

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Processes the shards of a batch. A failure is returned, not raised, so that the other shards continue."""
        rows = [self._process(int(shard)) for shard in batch["shard"]]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _process(self, shard: int) -> dict[str, Any]:
        if ray.get(self._attempts.add.remote(shard)) > MAX_ATTEMPTS:
            return _failure_row(shard, f"its workers died {MAX_ATTEMPTS} times; does one of its images kill them?")
        try:
            return {**asdict(self._worker.process(shard)), "failure": ""}
        except Exception as error:  # such as a full store: the shard has to wait for the next start
            return _failure_row(shard, f"{type(error).__name__}: {error}")


def _failure_row(shard: int, reason: str) -> dict[str, Any]:
    return {**asdict(ShardRecord(shard=shard)), "failure": reason}


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Connects to Ray or starts it, and shuts it down again unless it was connected before."""
    if ray.is_initialized():
        yield
        return
    _check_reachable(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # by default Ray reports its use to its makers
    try:
        ray.init(address, log_to_driver=False, logging_level="warning", include_dashboard=None if address else False)
    except ConnectionError as error:
        raise RSGNetError(_NO_RAY.format(address, error)) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str | None) -> None:
    """Refuses HOST:PORT where nothing listens; Ray would try for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise RSGNetError(_NO_RAY.format(address, error)) from error


def _count_workers(options: RayOptions) -> int:
    if options.workers is not None:
        return options.workers
    kind = "GPU" if options.gpu else "CPU"
    count = int(ray.cluster_resources().get(kind, 0))
    if not count:
        raise RSGNetError(f"this Ray cluster has no {kind}; add nodes, or choose another --device")
    return count
