"""Measures whether the memory of `rsgnet predict clip.mp4` grows with the length of the clip (Linux only).

`python benchmarks/clip_memory.py [--minutes 60] [--rate 2] [--json FILE]`

The clip is a drawn crowd that is shifted from frame to frame, at a low frame rate, so that an hour of it takes less
than an hour. Overlay, poses and tracks are written. Memory is read twice a second; its maximum is taken in tenths of
the run. The first tenth, in which the networks are opened, is ignored.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
from measurement import Measurement, Spread, at_least, at_most, make_parser, print_machine, report

from rsgnet.crowds.simulator.crowd import render_crowd

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.server.process import memory_mb

TENTHS = 10
SIZE_WH = (320, 240)


def draw_clip(path: Path, minutes: float, rate: int) -> int:
    """Writes the clip and returns the number of its frames."""
    crowd = render_crowd(0, 0.5, SIZE_WH).image
    frames = round(60 * minutes * rate)
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE_WH, "yuv420p"
        for index in range(frames):
            shifted = np.ascontiguousarray(np.roll(crowd, index % SIZE_WH[0], axis=1))
            target.mux(stream.encode(av.VideoFrame.from_ndarray(shifted)))
        target.mux(stream.encode())
    return frames


def watch(clip: Path, out: Path) -> list[float]:
    """Returns the memory in MB at every half second of predicting a clip."""
    command = [sys.executable, "-m", "rsgnet", "predict", str(clip), "--out", str(out)]
    memory = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        while running.poll() is None:
            with suppress(IndexError):  # the process has ended
                memory.append(memory_mb(running.pid))
            time.sleep(0.5)
    if running.returncode:
        sys.exit(f"rsgnet predict ended with {running.returncode}")
    return memory


def main() -> None:
    parser = make_parser(__doc__, rounds=1)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=2)
    arguments: argparse.Namespace = parser.parse_args()
    print_machine(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        frames = draw_clip(Path(folder) / "clip.mp4", arguments.minutes, arguments.rate)
        start = time.perf_counter()
        memory = watch(Path(folder) / "clip.mp4", Path(folder) / "out")
        seconds = time.perf_counter() - start
        written = sum(1 for _ in (Path(folder) / "out" / "poses.jsonl").open())
    highest = [max(part) for part in np.array_split(np.array(memory), TENTHS)]
    print(f"{frames} frames, {written} written in {seconds:.0f} s; maximum MB by tenths of the run:")
    print(" ".join(f"{each:.0f}" for each in highest))
    prefix = f"{arguments.minutes:g} minutes of clip, {frames} frames"
    measurements = [
        at_least(f"{prefix}: frames written", Spread.of(float(written)), frames),
        Measurement(f"{prefix}: maximum MB", Spread.of(max(highest))),
        at_most(f"{prefix}: MB in the last tenth over the second", Spread.of(highest[-1] / highest[1]), 1.1),
    ]
    report("clip_memory", measurements, arguments)


if __name__ == "__main__":
    main()
