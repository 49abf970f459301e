"""Runs over a data set that begin in one folder at once, and that are killed; some names are not UTF-8."""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pyarrow.parquet as pq
from tests.soak.commands import RandomKiller, finish, start_function, write_to_log
from tests.soak.outcome import Outcome

from rsgnet.crowds.data_sets import write_crowds
from rsgnet.errors import RSGNetError
from rsgnet.files import escape_name
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import BoxesOrigin, Origin, RunRecord, record_run
from rsgnet.scaleout.inputs import InputPart
from rsgnet.scaleout.plan import Manifest, Plan, begin_run, read_manifest
from rsgnet.scaleout.shards import Job, ShardWorker, finish_run, plan_run
from rsgnet.scaleout.store import Store

RUNS = 4
_MISNAMED = (b"\xff.png", b"archived-\xff.png")
_REFUSALS = ("another run began there at the same time", "was begun with another sources")
_RUN = RunRecord("1", Origin("nano", "ab"), BoxesOrigin("nano", "cd", 0.3), "coco17", True, "onnx", "float32")


def begin_at_once(folder: Path, short: bool) -> Outcome:
    """Lets several runs begin in one folder at once, each with other images; the plan must be the winner's.

    Some of the images have names that are not UTF-8.
    """
    times = 20 if short else 200
    for number in range(times):
        store = Store(str(folder / f"contested-{number}"))
        with ThreadPoolExecutor(RUNS) as pool:
            barrier = Barrier(RUNS)
            outcomes = pool.map(_begin, [store] * RUNS, range(RUNS), [barrier] * RUNS)
            begun = [each for each in outcomes if each is not None]
        if len(begun) != 1:
            return Outcome("runs that begin at once", number, f"{len(begun)} began")
        run, manifest = begun[0]
        plan = Plan(store, manifest)
        if read_manifest(store) != manifest or [plan[shard] for shard in range(3)] != list(_list_shards(run)):
            return Outcome("runs that begin at once", number, f"the plan in {store.uri}")
    return Outcome(f"{RUNS} runs that begin in one folder at once; one wins, and the plan is its own", times, "")


def run_at_once(folder: Path, short: bool) -> Outcome:
    """Starts two whole runs in one folder at once, over different images; one must finish, with its own rows."""
    times = 1 if short else 3
    sources = [_write_data_set(folder / f"set-{seed}", 2, seed) for seed in range(2)]
    description, log = "two whole runs at once in one folder; one finishes, with rows of its own", folder / "once.log"
    for number in range(times):
        out = folder / f"once-{number}"
        codes = [finish(process) for process in [start_function(_run, source, out, log) for source in sources]]
        if codes.count(0) != 1 or sum(log.read_text().count(each) for each in _REFUSALS) != number + 1:
            return Outcome(description, number, f"exit codes {codes}: {log.read_text()[-300:]}")
        prefix = f"file://{sources[codes.index(0)]}/"
        rows = _read_rows(out)
        if len(rows) != 2 + len(_MISNAMED) or not all(row["source"].startswith(prefix) for row in rows):
            return Outcome(description, number, f"rows in {out}")
    return Outcome(description, times, "")


def kill_data_set(folder: Path, short: bool) -> Outcome:
    """Kills runs at random times and starts them again, until the rows must equal those of an unbroken run."""
    wanted_kills, images = (2, 4) if short else (6, 8)
    source, log = _write_data_set(folder / "killed-set", images, 0), folder / "killed.log"
    finish(start_function(_run, source, folder / "warm", log))  # so that the libraries are imported before
    started = time.monotonic()
    code = finish(start_function(_run, source, folder / "unbroken", log))
    killer, expected = RandomKiller(time.monotonic() - started), _read_rows(folder / "unbroken")
    errors = [row["error"] for row in expected if row["error"]]
    if code or len(expected) != images + len(_MISNAMED) or len(errors) != len(_MISNAMED):
        return Outcome("a run over names that are not UTF-8", 0, f"{len(expected)} rows, {errors}")
    kills, runs = 0, 0
    while kills < wanted_kills:
        out, runs = folder / f"killed-{runs}", runs + 1
        kills += killer.kill_at_random_time(start_function(_run, source, out, log))
        if finish(start_function(_run, source, out, log)) or _read_rows(out) != expected:
            return Outcome("kill -9 of a run over a data set", kills, f"rows in {out}: {log.read_text()[-300:]}")
    description = "kill -9 at random times of a run over names that are not UTF-8; rows equal an unbroken run's"
    return Outcome(description, kills, "")


def _write_data_set(folder: Path, images: int, seed: int) -> Path:
    """Writes drawn crowds, and a file and an archive's member whose names are not UTF-8; returns their folder."""
    source = write_crowds(folder, scenes=images, seed=seed, crowd_index=(0.0, 0.3)).parent / "images"
    content = next(source.iterdir()).read_bytes()
    (source / os.fsdecode(_MISNAMED[0])).write_bytes(content)
    with tarfile.open(source / "archive.tar", "w") as tar:
        header = tarfile.TarInfo(os.fsdecode(_MISNAMED[1]))
        header.size = len(content)
        tar.addfile(header, io.BytesIO(content))
    return source


def _run(source: Path, out: Path, log: Path) -> None:
    """Processes a data set in this process, as a worker on Ray does."""
    write_to_log(log)
    open_estimator = partial(PoseEstimator, "nano", "full")
    estimator = open_estimator()
    run = record_run(estimator, "nano", "full")
    planned = plan_run([str(source)], str(out), estimator, run, shard_size=2)

    def process_shards(job: Job, shards: Sequence[int]) -> Iterable[Any]:
        return map(ShardWorker(job).process, shards)

    finish_run(planned, Job(planned.store.uri, open_estimator, run), process_shards, lambda *_: None)


def _read_rows(out: Path) -> list[dict[str, Any]]:
    paths = sorted((out / "parts").glob("*.parquet"))
    return [row for path in paths for row in pq.ParquetFile(path).read().to_pylist()]


def _begin(store: Store, run: int, barrier: Barrier) -> tuple[int, Manifest] | None:
    asked = Manifest((f"file:///{run}",), 1, 1000, _RUN, ("nose",))

    def list_shards() -> Iterator[list[InputPart]]:
        yield from _list_shards(run)
        barrier.wait()

    try:
        return run, begin_run(store, asked, list_shards())
    except RSGNetError:
        return None


def _list_shards(run: int) -> Iterator[list[InputPart]]:
    for number in range(3):
        name = escape_name(f"{run}-{number}-\udcff.png")
        yield [InputPart("misnamed", f"file:///{name}", name)]
