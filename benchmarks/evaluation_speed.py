"""Compares the evaluation of many detections with pycocotools: the time, and the equality of the metrics.

`pip install pycocotools; python benchmarks/evaluation_speed.py [--detections 100000]`

The data are synthetic: two people per image as in COCO, each predicted ten times with random errors.
"""

import argparse
import contextlib
import io
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from measurement import Measurement, Spread, at_least, at_most, make_parser, print_machine, report

from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.average_precision import compute_level_metrics, compute_overall_metrics
from rsgnet.evaluation.official import build_evaluator
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.skeletons import COCO17

PEOPLE, POSES = 2, 20  # per image
SIDE = 640
METRICS = ["AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"]  # in pycocotools' order


def write_data_set(images: int, folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """Writes annotations and results of random people."""
    random, count = np.random.default_rng(seed), len(COCO17)
    annotations, results = [], []
    for image_id in range(1, images + 1):
        corners = random.uniform(0, SIDE / 2, (PEOPLE, 2))
        sides = random.uniform(40, SIDE / 2, (PEOPLE, 2))
        keypoints = corners[:, None] + random.uniform(0, 1, (PEOPLE, count, 2)) * sides[:, None]
        for person in range(PEOPLE):
            box = [*corners[person], *sides[person]]
            visible = np.where(random.random((count, 1)) < 0.8, 2.0, 0.0)
            values = np.concatenate([keypoints[person] * (visible > 0), visible], 1)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": box,
                    "area": 0.5 * box[2] * box[3],
                    "keypoints": values.ravel().tolist(),
                    "num_keypoints": int((visible > 0).sum()),
                }
            )
        for index in range(POSES):
            person = index % PEOPLE
            off = random.standard_normal((count, 2)) * random.uniform(0.01, 0.1) * sides[person]
            found = np.concatenate([keypoints[person] + off, np.ones((count, 1))], 1)
            entry = {"image_id": image_id, "category_id": 1, "keypoints": found.ravel().round(2).tolist()}
            results.append({**entry, "score": float(random.random())})
    entries = [
        {"id": index, "file_name": f"{index}.jpg", "width": SIDE, "height": SIDE} for index in range(1, images + 1)
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.keypoints), "skeleton": []}
    paths = folder / "people.json", folder / "results.json"
    paths[0].write_text(json.dumps({"images": entries, "annotations": annotations, "categories": [category]}))
    paths[1].write_text(json.dumps(results))
    return paths


class PycocotoolsEvaluation:
    """Reads and evaluates with pycocotools."""

    def read(self, annotations: Path, results: Path) -> None:
        from pycocotools.coco import COCO  # noqa: PLC0415
        from pycocotools.cocoeval import COCOeval  # noqa: PLC0415

        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(str(annotations))
            self.evaluation = COCOeval(truth, truth.loadRes(str(results)), "keypoints")

    def evaluate(self) -> dict[str, float]:
        with contextlib.redirect_stdout(io.StringIO()):
            self.evaluation.evaluate()
            self.evaluation.accumulate()
            self.evaluation.summarize()
        return dict(zip(METRICS, map(float, self.evaluation.stats), strict=True))


class OurEvaluation:
    """Reads and evaluates with this project, which also validates every entry."""

    def read(self, annotations: Path, results: Path) -> None:
        self.truth = read_annotations(annotations)
        self.results = read_keypoint_results(results, self.truth)

    def evaluate(self) -> dict[str, float]:
        self.evaluation = build_evaluator(self.truth, self.results, "keypoints")
        return compute_overall_metrics(self.evaluation, self.truth)

    def evaluate_levels(self) -> None:
        """Computes the metrics by crowd level, which pycocotools does not have."""
        compute_level_metrics(self.evaluation, self.truth)


def main() -> None:
    parser = make_parser(__doc__, threads=1, rounds=3)
    parser.add_argument("--detections", type=int, default=100_000)
    arguments: argparse.Namespace = parser.parse_args()
    print_machine(arguments.threads)
    evaluating, with_levels, reading, differences = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        paths = write_data_set(arguments.detections // POSES, Path(folder))
        for _ in range(arguments.rounds):
            seconds, metrics = [], []
            for tool in (own := OurEvaluation(), PycocotoolsEvaluation()):
                start = time.perf_counter()
                tool.read(*paths)
                read = time.perf_counter()
                metrics.append(tool.evaluate())
                seconds.append((read - start, time.perf_counter() - read))
            start = time.perf_counter()
            own.evaluate_levels()
            levels = time.perf_counter() - start
            (our_reading, ours), (their_reading, theirs) = seconds
            print(
                f"ours {our_reading:.1f} + {ours:.1f} s, pycocotools {their_reading:.1f} + {theirs:.1f} s", flush=True
            )
            evaluating.append(theirs / ours)
            with_levels.append(theirs / (ours + levels))
            reading.append((their_reading + theirs) / (our_reading + ours))
            differences.append(max(abs(metrics[0][name] - metrics[1][name]) for name in METRICS))
    prefix = f"{arguments.detections:,} detections, pycocotools' time over ours"
    measurements = [
        at_least(f"{prefix}: evaluating", Spread.of(*evaluating), 10.0),
        Measurement(f"{prefix}: evaluating, with crowd levels", Spread.of(*with_levels)),
        Measurement(f"{prefix}: reading and evaluating", Spread.of(*reading)),
        at_most("largest difference of a metric from pycocotools'", Spread.of(*differences), 1e-9),
    ]
    report("evaluation_speed", measurements, arguments)


if __name__ == "__main__":
    main()
