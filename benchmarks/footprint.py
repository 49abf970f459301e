"""Measures the light install: disk space, time to install, time to start, and time for one photo.

`python benchmarks/footprint.py IMAGES_DIR [--no-install]`

The install goes into a temporary environment; its time depends on the internet connection and pip's cache. The start
is `rsgnet --help` compared with a Python that imports nothing. The photo is the first one with five people, and is
predicted with the shipped detector and nano after both are loaded.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from measurement import Measurement, Spread, Timings, at_most, make_parser, report, set_up

from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.sources import find_images

ROOT = Path(__file__).resolve().parents[1]
PEOPLE = 5
HEAVY = ("torch", "onnxruntime", "openvino", "hotcoco", "PIL", "scipy", "pydantic")


def measure_install(rounds: int) -> list[Measurement]:
    seconds, sizes = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            venv.create(folder, with_pip=True)
            command = [Path(folder) / "bin" / "python", "-m", "pip", "install", "--quiet", str(ROOT)]
            subprocess.run(command, check=True)
            seconds.append(time.perf_counter() - start)
            files = [path for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink()]
            sizes.append(sum(path.stat().st_size for path in files) / 1e6)
    return [
        at_most("light install, MB on disk with its environment", Spread.of(*sizes), 400),
        at_most("light install, seconds with its environment", Spread.of(*seconds), 60),
    ]


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def measure_start(arguments: argparse.Namespace) -> list[Measurement]:
    calls = {"bare": lambda: run("-c", "pass"), "help": lambda: run("-m", "rsgnet", "--help")}
    times = Timings(calls, arguments.rounds, 1.0)
    difference = [one - other for one, other in zip(times.seconds["help"], times.seconds["bare"], strict=True)]
    code = "import rsgnet.cli, sys; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    heavy = len(set(HEAVY) & set(modules))
    return [
        at_most("rsgnet --help, seconds beyond a bare Python", Spread.of(*difference), 0.5),
        at_most("heavy libraries imported by rsgnet --help", Spread.of(heavy), 0),
    ]


def measure_photo(arguments: argparse.Namespace) -> Measurement:
    estimator = PoseEstimator("nano")
    files = find_images([str(arguments.images)])
    counts = ((file.path, len(estimator(file.path))) for file in files)
    photo, people = next((path, count) for path, count in counts if count >= PEOPLE)
    times = Timings({"photo": lambda: estimator(photo)}, arguments.rounds, 1.0)
    name = f"one photo with {people} people found, nano and the shipped detector, seconds after loading"
    return at_most(name, times.spread("photo"), 0.5)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--no-install", action="store_true", help="do not measure the install")
    arguments = parser.parse_args()
    set_up(arguments.threads)
    measurements = [] if arguments.no_install else measure_install(2)
    measurements += [*measure_start(arguments), measure_photo(arguments)]
    report("footprint", measurements, arguments)


if __name__ == "__main__":
    main()
