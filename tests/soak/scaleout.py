"""Runs of a data set that begin in one folder at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from tests.soak.outcome import Outcome

from rsgnet.errors import RSGNetError
from rsgnet.files import escape_name
from rsgnet.inference.predictions import BoxesOrigin, Origin, RunRecord
from rsgnet.scaleout.inputs import InputPart
from rsgnet.scaleout.plan import Manifest, Plan, begin_run, read_manifest
from rsgnet.scaleout.store import Store

RUNS = 4
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
