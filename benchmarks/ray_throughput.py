"""Images a second of the Ray engine and of the plain one on the same cores, by their number.

`python benchmarks/ray_throughput.py [--images 200] [--cores 1 2 4] [--shard 10] [--rounds 3] [--weights nano]`

Both get the same drawn crowds in the same archives, and are bound to the same cores (Linux only). The plain engine is
one estimator with a thread a core, and writes nothing; Ray has a worker a core, and writes its rows. Ray itself is
started beforehand; its workers' start and the opening of networks are timed in both, as a run has to pay for them, and
weigh the less the more images there are. Rounds take turns, medians are shown. Run it on a machine that
does nothing else, or believe nothing of it.
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
from PIL import Image

from rsgnet.crowds.simulator.crowd import rendered_crowd
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import record_run
from rsgnet.scaleout.listing import find_pieces
from rsgnet.scaleout.ray_pool import RayOptions, do_on_ray
from rsgnet.scaleout.reading import stored_images
from rsgnet.scaleout.run import Job, finish_run, plan_run

DRAWN = 20  # crowds that are drawn; the rest are these again

OpenEstimator = Callable[[], PoseEstimator]


def draw_archives(folder: Path, images: int, shard: int) -> None:
    """Archives of `shard` images each."""
    contents = [crowd_file(seed) for seed in range(min(DRAWN, images))]
    for start in range(0, images, shard):
        with tarfile.open(folder / f"{start:08}.tar", "w") as tar:
            for number in range(start, min(start + shard, images)):
                content = contents[number % len(contents)]
                about = tarfile.TarInfo(f"{number:08}.jpg")
                about.size = len(content)
                tar.addfile(about, io.BytesIO(content))


def crowd_file(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rendered_crowd(seed, 0.5).image).save(file, "JPEG", quality=90)
    return file.getvalue()


def plain_seconds(open_estimator: OpenEstimator, images: Path) -> float:
    start = time.perf_counter()
    for _ in open_estimator().stream(stored_images(find_pieces([str(images)], 1))):
        pass
    return time.perf_counter() - start


def ray_seconds(open_estimator: OpenEstimator, images: Path, workers: int) -> float:
    """Of a run on a Ray that is already there."""
    estimator = open_estimator()
    run = record_run(estimator, "benchmark", "benchmark")
    with tempfile.TemporaryDirectory() as out:
        planned = plan_run([str(images)], out, estimator, run)
        job, do = Job(planned.store.uri, open_estimator, run), partial(do_on_ray, options=RayOptions(workers=workers))
        start = time.perf_counter()
        finish_run(planned, job, do, lambda *_: None)
        return time.perf_counter() - start


def on_cores(cores: list[int], open_estimator: OpenEstimator, images: Path, rounds: int) -> tuple[float, float]:
    """Median seconds of both engines on these cores."""
    os.sched_setaffinity(0, cores)
    os.environ.pop("OMP_NUM_THREADS", None)  # Ray gives its workers one thread each
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init("local", num_cpus=len(cores), include_dashboard=False, log_to_driver=False, logging_level="error")
    os.environ["OMP_NUM_THREADS"] = str(len(cores))
    try:
        both = [
            (plain_seconds(open_estimator, images), ray_seconds(open_estimator, images, len(cores)))
            for _ in range(rounds)
        ]
    finally:
        ray.shutdown()
    plain, on_ray = (statistics.median(column) for column in zip(*both, strict=True))
    return plain, on_ray


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
    print("| cores | plain, images/s | Ray, images/s | Ray / plain | Ray / Ray of the first row |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        draw_archives(Path(folder), options.images, options.shard)
        first = None
        for count in options.cores:
            seconds = on_cores(allowed[:count], open_estimator, Path(folder), options.rounds)
            plain, on_ray = (options.images / each for each in seconds)
            first = first or on_ray
            print(f"| {count} | {plain:.2f} | {on_ray:.2f} | {on_ray / plain:.2f} | {on_ray / first:.2f} |", flush=True)


if __name__ == "__main__":
    main()
