"""Measures images per second of the Ray engine and of the local engine on the same cores, by the number of cores.

`python benchmarks/ray_throughput.py [--images 200] [--cores 1 2 4] [--shard 10] [--rounds 3] [--weights nano]`

Both engines read the same drawn crowds from the same archives and are bound to the same cores (Linux only). The local
engine is one estimator with one thread per core and writes nothing; Ray has one worker per core and writes its rows.
Ray is started before the measurement; the start of its workers and the opening of networks are included for both
engines, so that many images are needed. The engines take turns, medians are shown. The machine must be idle.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import ray
from service_load import draw_crowd

from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import record_run
from rsgnet.scaleout.image_reading import iterate_images
from rsgnet.scaleout.inputs import list_inputs
from rsgnet.scaleout.ray_pool import RayOptions, process_on_ray
from rsgnet.scaleout.shards import Job, finish_run, plan_run

DRAWN = 20  # different crowds, which are repeated

OpenEstimator = Callable[[], PoseEstimator]


def draw_archives(folder: Path, images: int, shard: int) -> None:
    """Writes archives of `shard` images each."""
    contents = [draw_crowd(seed) for seed in range(min(DRAWN, images))]
    for start in range(0, images, shard):
        with tarfile.open(folder / f"{start:08}.tar", "w") as tar:
            for number in range(start, min(start + shard, images)):
                content = contents[number % len(contents)]
                member = tarfile.TarInfo(f"{number:08}.jpg")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def time_local(open_estimator: OpenEstimator, images: Path) -> float:
    start = time.perf_counter()
    for _ in open_estimator().stream(iterate_images(list_inputs([str(images)], 1))):
        pass
    return time.perf_counter() - start


def time_ray(open_estimator: OpenEstimator, images: Path, workers: int) -> float:
    """Returns the seconds of a run on a Ray that is already started."""
    estimator = open_estimator()
    run = record_run(estimator, "benchmark", "benchmark")
    with tempfile.TemporaryDirectory() as out:
        planned = plan_run([str(images)], out, estimator, run)
        job = Job(planned.store.uri, open_estimator, run)
        process = partial(process_on_ray, options=RayOptions(workers=workers))
        start = time.perf_counter()
        finish_run(planned, job, process, lambda *_: None)
        return time.perf_counter() - start


def time_on_cores(cores: list[int], open_estimator: OpenEstimator, images: Path, rounds: int) -> tuple[float, float]:
    """Returns the median seconds of the local engine and of Ray on some cores."""
    os.sched_setaffinity(0, cores)
    os.environ.pop("OMP_NUM_THREADS", None)  # Ray gives its workers one thread each
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init("local", num_cpus=len(cores), include_dashboard=False, log_to_driver=False, logging_level="error")
    os.environ["OMP_NUM_THREADS"] = str(len(cores))
    try:
        seconds = [
            (time_local(open_estimator, images), time_ray(open_estimator, images, len(cores))) for _ in range(rounds)
        ]
    finally:
        ray.shutdown()
    local, on_ray = (statistics.median(column) for column in zip(*seconds, strict=True))
    return local, on_ray


def main() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--shard", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, nargs="+", default=[2**n for n in range(10) if 2**n <= len(allowed)])
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--detector", default="nano")
    options = parser.parse_args()
    open_estimator = partial(PoseEstimator, options.weights, options.detector, device="cpu")
    print(f"{platform.machine()}, {len(allowed)} cores, load {os.getloadavg()[0]:.1f} at the start")
    print(f"{options.images} images of 640x480 in shards of {options.shard}, {options.rounds} rounds\n")
    print("| cores | local, images/s | Ray, images/s | Ray / local | Ray / Ray of the first row |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        draw_archives(Path(folder), options.images, options.shard)
        first = None
        for count in options.cores:
            seconds = time_on_cores(allowed[:count], open_estimator, Path(folder), options.rounds)
            local, on_ray = (options.images / each for each in seconds)
            first = first or on_ray
            print(f"| {count} | {local:.2f} | {on_ray:.2f} | {on_ray / local:.2f} | {on_ray / first:.2f} |", flush=True)


if __name__ == "__main__":
    main()
