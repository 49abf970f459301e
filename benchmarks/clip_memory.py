"""Whether the memory of `rsgnet predict clip.mp4` grows with the clip: a process, watched through a long one.

`python benchmarks/clip_memory.py [--minutes 60] [--rate 2] [--json FILE]`

The clip is a drawn crowd that shifts from frame to frame, with few frames a second, so that an hour of it does not take
one; overlay, poses and tracks are written. Memory is read twice a second (Linux only) and told for tenths of the run.
The first tenth opens the networks and does not count.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import av
import measuring
import numpy as np

from rsgnet.crowds.simulator.crowd import rendered_crowd

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.server.process import memory_mb

TENTHS = 10
SIZE_WH = (320, 240)


def draw_clip(path: Path, minutes: float, rate: int) -> int:
    """Writes the clip; returns its frames."""
    crowd = rendered_crowd(0, 0.5, SIZE_WH).image
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
    """Megabytes at every half second of predicting a clip."""
    command = [sys.executable, "-m", "rsgnet", "predict", str(clip), "--out", str(out)]
    held = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        while running.poll() is None:
            with suppress(IndexError):  # it ended in between
                held.append(memory_mb(running.pid))
            time.sleep(0.5)
    if running.returncode:
        sys.exit(f"rsgnet predict ended with {running.returncode}")
    return held


def main() -> None:
    parser = measuring.arguments_of(__doc__, rounds=1)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=2)
    arguments: argparse.Namespace = parser.parse_args()
    measuring.print_machine(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        frames = draw_clip(Path(folder) / "clip.mp4", arguments.minutes, arguments.rate)
        start = time.perf_counter()
        held = watch(Path(folder) / "clip.mp4", Path(folder) / "out")
        seconds = time.perf_counter() - start
        written = sum(1 for _ in (Path(folder) / "out" / "poses.jsonl").open())
    highest = [max(part) for part in np.array_split(np.array(held), TENTHS)]
    print(f"{frames} frames, {written} written in {seconds:.0f} s; MB at the most, by tenths of the run:")
    print(" ".join(f"{each:.0f}" for each in highest))
    what, of = f"{arguments.minutes:g} minutes of clip, {frames} frames", measuring.Spread.of
    figures = [
        measuring.at_least(f"{what}: frames written", of([float(written)]), frames),
        measuring.Figure(f"{what}: MB at the most", of([max(highest)])),
        measuring.at_most(f"{what}: MB in the last tenth over the second", of([highest[-1] / highest[1]]), 1.1),
    ]
    measuring.report("clip_memory", figures, arguments)


if __name__ == "__main__":
    main()
