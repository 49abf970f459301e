"""Compares the evaluation of many detections with three libraries: the time, and the equality of the metrics.

`pip install pycocotools faster-coco-eval; python benchmarks/evaluation_speed.py [--detections 100000]`

The tools have their turns in each of several rounds, and ratios are taken within a round, so that they stay meaningful
on a machine that does other work; the seconds do not.

The data are synthetic: two people per image as in COCO, each predicted ten times with random errors.
"""

import argparse
import contextlib
import io
import json
import tempfile
import time
from importlib import import_module
from pathlib import Path

import numpy as np
from measurement import Measurement, Spread, at_most, make_parser, print_machine, report

from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.average_precision import compute_level_metrics, compute_overall_metrics
from rsgnet.evaluation.intervals import bootstrap_counts, bootstrap_metrics, compute_intervals
from rsgnet.evaluation.protocol import COCO
from rsgnet.evaluation.ranking import rank_by_area
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.evaluation.similarity import compare_poses
from rsgnet.skeletons import COCO17

RESAMPLES = 1000
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


class OurEvaluation:
    """This project, which also validates every entry."""

    name = "ours"

    def read(self, annotations: Path, results: Path) -> None:
        self.truth = read_annotations(annotations)
        self.results = read_keypoint_results(results, self.truth)

    def evaluate(self) -> dict[str, float]:
        self.rankings = rank_by_area(compare_poses(self.truth, self.results, COCO, COCO.part))
        return compute_overall_metrics(self.rankings)

    def evaluate_levels(self) -> None:
        """Computes the metrics by crowd level, which the other tools do not have."""
        compute_level_metrics(self.rankings[""])

    def bootstrap(self) -> None:
        """Computes the intervals of all metrics."""
        counts = bootstrap_counts(len(self.truth.images), RESAMPLES)
        compute_intervals(bootstrap_metrics(self.rankings[""], counts))


class CocoEvaluation:
    """A library with the interface of pycocotools."""

    def __init__(self, name: str, coco: tuple[str, str], evaluator: tuple[str, str]) -> None:
        self.name = name
        self._coco, self._evaluator = (getattr(import_module(path), attribute) for path, attribute in (coco, evaluator))

    def read(self, annotations: Path, results: Path) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = self._coco(str(annotations))
            self.evaluation = self._evaluator(truth, truth.loadRes(str(results)), "keypoints")

    def evaluate(self) -> dict[str, float]:
        with contextlib.redirect_stdout(io.StringIO()):
            self.evaluation.evaluate()
            self.evaluation.accumulate()
            self.evaluation.summarize()
        return dict(zip(METRICS, map(float, self.evaluation.stats), strict=False))


OTHERS = (
    ("pycocotools", ("pycocotools.coco", "COCO"), ("pycocotools.cocoeval", "COCOeval")),
    ("faster-coco-eval", ("faster_coco_eval", "COCO"), ("faster_coco_eval", "COCOeval_faster")),
    ("hotcoco", ("hotcoco", "COCO"), ("hotcoco", "COCOeval")),
)


def main() -> None:
    parser = make_parser(__doc__, threads=1, rounds=3)
    parser.add_argument("--detections", type=int, default=100_000)
    arguments: argparse.Namespace = parser.parse_args()
    print_machine(arguments.threads)
    reading: dict[str, list[float]] = {}
    evaluating: dict[str, list[float]] = {}
    levels, bootstrap, differences = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        paths = write_data_set(arguments.detections // POSES, Path(folder))
        for _ in range(arguments.rounds):
            metrics = {}
            for tool in (own := OurEvaluation(), *(CocoEvaluation(*each) for each in OTHERS)):
                start = time.perf_counter()
                tool.read(*paths)
                read = time.perf_counter()
                metrics[tool.name] = tool.evaluate()
                reading.setdefault(tool.name, []).append(read - start)
                evaluating.setdefault(tool.name, []).append(time.perf_counter() - read)
                print(f"{tool.name}: {reading[tool.name][-1]:.2f} + {evaluating[tool.name][-1]:.2f} s", flush=True)
            start = time.perf_counter()
            own.evaluate_levels()
            levels.append(time.perf_counter() - start)
            start = time.perf_counter()
            own.bootstrap()
            bootstrap.append(time.perf_counter() - start)
            theirs = metrics["pycocotools"]
            differences.append(max(abs(metrics["ours"][name] - theirs[name]) for name in METRICS))
    measurements = compare_tools(f"{arguments.detections:,} detections", reading, evaluating)
    measurements += [
        Measurement("crowd levels, seconds more", Spread.of(*levels)),
        at_most(f"{RESAMPLES} resamples for intervals, seconds more", Spread.of(*bootstrap), 5.0),
        at_most("largest difference of a metric from pycocotools'", Spread.of(*differences), 1e-12),
    ]
    report("evaluation_speed", measurements, arguments)


def compare_tools(
    prefix: str, reading: dict[str, list[float]], evaluating: dict[str, list[float]]
) -> list[Measurement]:
    """Returns the ratio of pycocotools' time to each tool's, from the seconds of each round."""
    both = {name: [sum(round_) for round_ in zip(reading[name], evaluating[name], strict=True)] for name in reading}
    measurements = []
    for name in reading.keys() - {"pycocotools"}:
        for what, seconds in (("reading and evaluating", both), ("evaluating", evaluating)):
            ratios = [one / two for one, two in zip(seconds["pycocotools"], seconds[name], strict=True)]
            measurements.append(Measurement(f"{prefix}, pycocotools' time over {name}: {what}", Spread.of(*ratios)))
    return sorted(measurements, key=lambda measurement: measurement.name)


if __name__ == "__main__":
    main()
