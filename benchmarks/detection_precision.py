"""Counts what a detector takes for people at each threshold of the score, to choose its `box_threshold`.

`python benchmarks/detection_precision.py ANNOTATIONS.json IMAGES_DIR [--detector nano] [--precision 0.9]`

A box is right where its IoU with a person who has no better box is at least 0.5. Boxes mostly inside a group
(`iscrowd`) count neither way. Choose on images that test nothing, and write the threshold into the detector's config.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsgnet.annotations.people import Annotations
from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.ranking import rank_predictions
from rsgnet.evaluation.results import read_box_results
from rsgnet.evaluation.similarity import compare_boxes
from rsgnet.geometry import Floats
from rsgnet.inference.dataset_inference import detect_dataset
from rsgnet.inference.detectors.open_detector import open_detector

_AT_IOU_50 = 0  # of the thresholds at which predictions are ranked
_MAX_BOXES = 1000  # of an image; more than detectors give
THRESHOLDS = np.arange(0.1, 0.85, 0.05)


@dataclass(frozen=True)
class Counts:
    """The boxes of some images.

    Attributes:
        scores: (N,) of the boxes that count.
        is_right: (N,) whether they are people.
        people: The number of people who are not in groups.
        images: The number of images.
    """

    scores: Floats
    is_right: Floats
    people: int
    images: int

    def at(self, threshold: float) -> tuple[float, float, float]:
        """Returns precision, recall and wrong boxes per image."""
        kept = self.scores >= threshold
        right = float(self.is_right[kept].sum())
        return right / max(kept.sum(), 1), right / max(self.people, 1), (kept.sum() - right) / self.images


def count_boxes(annotations: Annotations, found: list[dict[str, object]]) -> Counts:
    """Matches COCO box results with annotated people as average precision does, highest scores first."""
    similarities = compare_boxes(annotations, read_box_results(found, annotations), _MAX_BOXES)
    ranking = rank_predictions(similarities)
    counted = ranking.counted[_AT_IOU_50]
    right = ranking.correct[_AT_IOU_50][counted].astype(float)
    return Counts(ranking.scores[counted], right, int(ranking.people.sum()), len(annotations.images))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--detector", default="nano", help="as `rsgnet predict --detector`")
    parser.add_argument("--precision", type=float, default=0.9, help="propose the lowest threshold that reaches it")
    arguments = parser.parse_args()
    annotations = read_annotations(arguments.annotations)
    detector = open_detector(arguments.detector, "cpu", threshold=float(THRESHOLDS[0]))
    counts = count_boxes(annotations, detect_dataset(detector, annotations, arguments.images))
    print("threshold  precision  recall  F1     wrong boxes per image")
    for threshold in THRESHOLDS:
        precision, recall, wrong = counts.at(threshold)
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        print(f"{threshold:.2f}       {precision:.3f}      {recall:.3f}   {f1:.3f}  {wrong:.2f}")
    reached = [threshold for threshold in np.arange(0.1, 1, 0.01) if counts.at(threshold)[0] >= arguments.precision]
    print(f"precision {arguments.precision}: " + (f"from {min(reached):.2f} on" if reached else "at no threshold"))


if __name__ == "__main__":
    main()
