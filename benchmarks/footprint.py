"""Measures the light install: disk space, time to install, time to start, and time and memory for one photo.

`python benchmarks/footprint.py IMAGES_DIR [--no-install]`

The install goes into a temporary environment; its time depends on the internet connection and pip's cache. The start
is `import rsgnet`, and `rsgnet --help`, compared with a Python that imports nothing. The photo is the first one with
five people, and is predicted with the shipped detector and nano: after both are loaded, and by `rsgnet predict` from
the start of the process to the written files.
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
# The command line, and then the process's own peak: of a child the system reports the parent's where that is higher.
_PEAK_MEMORY = """
from pathlib import Path
from rsgnet.cli import main
try:
    main()
finally:
    print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""
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


def run(*arguments: str) -> str:
    """Runs Python and returns what it prints."""
    process = subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return process.stdout


def measure_start(arguments: argparse.Namespace) -> list[Measurement]:
    calls = {
        "bare": lambda: run("-c", "pass"),
        "import": lambda: run("-c", "import rsgnet"),
        "help": lambda: run("-m", "rsgnet", "--help"),
    }
    times = Timings(calls, arguments.rounds, 1.0)
    beyond = {
        name: Spread.of(*(one - other for one, other in zip(times.seconds[name], times.seconds["bare"], strict=True)))
        for name in ("import", "help")
    }
    code = "import rsgnet.cli, sys; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    heavy = len(set(HEAVY) & set(modules))
    return [
        at_most("import rsgnet, seconds beyond a bare Python", beyond["import"], 0.05),
        at_most("rsgnet --help, seconds beyond a bare Python", beyond["help"], 0.5),
        at_most("heavy libraries imported by rsgnet --help", Spread.of(heavy), 0),
    ]


def measure_photo(arguments: argparse.Namespace) -> list[Measurement]:
    estimator = PoseEstimator("nano")
    files = find_images([str(arguments.images)])
    counts = ((file.path, len(estimator(file.path))) for file in files)
    photo, people = next((path, count) for path, count in counts if count >= PEOPLE)
    with tempfile.TemporaryDirectory() as out:
        command = ("-m", "rsgnet", "predict", str(photo), "--out", out, "--weights", "nano")
        times = Timings({"loaded": lambda: estimator(photo), "command": lambda: run(*command)}, arguments.rounds, 1.0)
        megabytes = int(run("-c", _PEAK_MEMORY, *command[2:]).split()[-2]) / 1000
    name = f"one photo with {people} people found, nano and the shipped detector"
    return [
        at_most(f"{name}, seconds after loading", times.spread("loaded"), 0.5),
        at_most(f"{name}, seconds of rsgnet predict", times.spread("command"), 1.0),
        at_most(f"{name}, maximum MB of rsgnet predict", Spread.of(megabytes), 400),
    ]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--no-install", action="store_true", help="do not measure the install")
    arguments = parser.parse_args()
    set_up(arguments.threads)
    measurements = [*measure_start(arguments), *measure_photo(arguments)]
    measurements += [] if arguments.no_install else measure_install(2)
    report("footprint", measurements, arguments)


if __name__ == "__main__":
    main()
