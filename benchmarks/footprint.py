"""What the light install takes and how soon it answers: disk, time to install, time to start, time for a photo.

`python benchmarks/footprint.py IMAGES_DIR [--no-install]`

The install goes into an environment of its own that is thrown away; how long it takes depends on the network and pip's
cache. Starting is `rsgnet --help` beside a Python that imports nothing. The first photo with five people goes through
the shipped detector and nano, both loaded before.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import measuring

from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.sources import find_images

ROOT = Path(__file__).resolve().parents[1]
PEOPLE = 5
HEAVY = ("torch", "onnxruntime", "openvino", "faster_coco_eval", "PIL", "scipy", "pydantic")


def installed_size(rounds: int) -> list[measuring.Figure]:
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
        measuring.at_most("light install, MB on disk with its environment", measuring.Spread.of(sizes), 400),
        measuring.at_most("light install, seconds with its environment", measuring.Spread.of(seconds), 60),
    ]


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def starting(arguments: argparse.Namespace) -> list[measuring.Figure]:
    rivals = {"bare": lambda: run("-c", "pass"), "help": lambda: run("-m", "rsgnet", "--help")}
    times = measuring.SideBySide(rivals, arguments.rounds, 1.0)
    more = [one - other for one, other in zip(times.seconds["help"], times.seconds["bare"], strict=True)]
    loaded = subprocess.run(
        [sys.executable, "-c", "import rsgnet.cli, sys; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    heavy = len(set(HEAVY) & set(loaded))
    return [
        measuring.at_most("rsgnet --help, seconds beyond a bare Python", measuring.Spread.of(more), 0.5),
        measuring.at_most("heavy libraries imported by rsgnet --help", measuring.Spread.of([heavy]), 0),
    ]


def one_photo(arguments: argparse.Namespace) -> list[measuring.Figure]:
    estimator = PoseEstimator()
    files = find_images([str(arguments.images)])
    found = ((file.path, len(estimator(file.path))) for file in files)
    photo, people = next((path, count) for path, count in found if count >= PEOPLE)
    times = measuring.SideBySide({"photo": lambda: estimator(photo)}, arguments.rounds, 1.0)
    what = f"one photo with {people} people found, nano and the shipped detector, seconds after loading"
    return [measuring.at_most(what, times.spread("photo"), 0.5)]


def main() -> None:
    parser = measuring.arguments_of(__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--no-install", action="store_true", help="leave the install out")
    arguments = parser.parse_args()
    measuring.use_threads(arguments.threads)
    measuring.print_machine(arguments.threads)
    figures = [] if arguments.no_install else installed_size(2)
    figures += starting(arguments) + one_photo(arguments)
    measuring.report("footprint", figures, arguments)


if __name__ == "__main__":
    main()
