"""How long the evaluation of many detections takes, beside pycocotools: the same files, and the same figures.

`pip install pycocotools; python benchmarks/evaluation_speed.py [--detections 100000]`

The people are made up: two in an image as in COCO, each found ten times with keypoints somewhat off, so that there is
something to match.
"""

import argparse
import contextlib
import io
import json
import tempfile
import time
from pathlib import Path

import measuring
import numpy as np

from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.average_precision import figures_by_level, overall_figures
from rsgnet.evaluation.official import official_evaluator
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.skeletons import COCO17

PEOPLE, FOUND = 2, 20  # in an image
SIDE = 640
NAMES = ["AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"]  # as pycocotools lists them


def write_set(images: int, folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """Annotations and results of made-up people."""
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
        for index in range(FOUND):
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


class Theirs:
    """pycocotools, which reads files and evaluates."""

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
        return dict(zip(NAMES, map(float, self.evaluation.stats), strict=True))


class Ours:
    """The same in this project, which checks every entry while it reads."""

    def read(self, annotations: Path, results: Path) -> None:
        self.truth = read_annotations(annotations)
        self.found = read_keypoint_results(results, self.truth)

    def evaluate(self) -> dict[str, float]:
        self.evaluation = official_evaluator(self.truth, self.found, "keypoints")
        return overall_figures(self.evaluation, self.truth)

    def evaluate_levels(self) -> None:
        """The figures by level of crowding, which pycocotools does not give."""
        figures_by_level(self.evaluation, self.truth)


def main() -> None:
    parser = measuring.arguments_of(__doc__, threads=1, rounds=3)
    parser.add_argument("--detections", type=int, default=100_000)
    arguments: argparse.Namespace = parser.parse_args()
    measuring.print_machine(arguments.threads)
    evaluating, with_levels, reading, apart = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        paths = write_set(arguments.detections // FOUND, Path(folder))
        for _ in range(arguments.rounds):
            seconds, figures = [], []
            for tool in (own := Ours(), Theirs()):
                start = time.perf_counter()
                tool.read(*paths)
                read = time.perf_counter()
                figures.append(tool.evaluate())
                seconds.append((read - start, time.perf_counter() - read))
            start = time.perf_counter()
            own.evaluate_levels()
            levels = time.perf_counter() - start
            (read_ours, ours), (read_theirs, theirs) = seconds
            print(f"ours {read_ours:.1f} + {ours:.1f} s, pycocotools {read_theirs:.1f} + {theirs:.1f} s", flush=True)
            evaluating.append(theirs / ours)
            with_levels.append(theirs / (ours + levels))
            reading.append((read_theirs + theirs) / (read_ours + ours))
            apart.append(max(abs(figures[0][name] - figures[1][name]) for name in NAMES))
    what = f"{arguments.detections:,} detections, pycocotools' time over ours"
    found = [
        measuring.at_least(f"{what}: evaluating", measuring.Spread.of(evaluating), 10.0),
        measuring.Figure(f"{what}: evaluating, and by level of crowding", measuring.Spread.of(with_levels)),
        measuring.Figure(f"{what}: reading the JSON, too", measuring.Spread.of(reading)),
        measuring.at_most("largest difference of a figure to pycocotools'", measuring.Spread.of(apart), 1e-9),
    ]
    measuring.report("evaluation_speed", found, arguments)


if __name__ == "__main__":
    main()
