"""Compares the accuracy of the ways to decode keypoints from heatmaps, for one network and annotated boxes.

`python benchmarks/decoding_accuracy.py ANNOTATIONS.json IMAGES_DIR [--weights nano] [--flip] [--resamples 1000]`

The refinements are those of `rsgnet.heatmaps.decode`; differences are to "quarter". Poses are ranked as the weights
rank them or, with `--heights`, by the heights of heatmaps only.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from rsgnet.annotations.people import Annotations
from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.assessment import assess
from rsgnet.evaluation.results import Results, read_keypoint_results
from rsgnet.inference.dataset_inference import open_dataset_boxes, predict_dataset
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import RESULTS_FILE, record_run, write_predictions
from rsgnet.inference.runtime.network import PoseNetwork
from rsgnet.inference.runtime.open_network import open_network

REFINEMENTS = ("quarter", "none", "taylor", "udp", "expected_oks")


def predict_results(network: PoseNetwork, truth: Annotations, images: Path, weights: str, flip: bool) -> Results:
    """Predicts the poses of all people of a data set in their annotated boxes.

    Args:
        network: The network.
        truth: The data set.
        images: The folder of its images.
        weights: The name of the network in the record.
        flip: Whether to average with the mirrored crops.
    """
    estimator = PoseEstimator(network, open_dataset_boxes(truth, "gt"), flip_test=flip, skeleton=truth.skeleton)
    with tempfile.TemporaryDirectory() as folder:
        poses = predict_dataset(estimator, truth, images)
        write_predictions(poses, Path(folder), None, lambda *_: None, record_run(estimator, weights, "gt"))
        return read_keypoint_results(Path(folder) / RESULTS_FILE, truth)


def predict_with(refinement: str, truth: Annotations, arguments: argparse.Namespace) -> Results:
    network = open_network(arguments.weights, ownership=not arguments.heights)
    crop, decode = network.config.crop, network.config.decode
    network.config = replace(
        network.config,
        crop=replace(crop, padding=arguments.padding or crop.padding),
        decode=replace(decode, refinement=refinement),
    )
    return predict_results(network, truth, arguments.images, str(arguments.weights), arguments.flip)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--flip", action="store_true", help="average with the mirrored crop's heatmaps")
    parser.add_argument("--heights", action="store_true", help="rank poses by the heights of heatmaps only")
    parser.add_argument("--padding", type=float, help="size of crops relative to boxes; default: as the weights say")
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    truth = read_annotations(arguments.annotations)
    print(f"{arguments.weights}, {truth.path.name}, flip test {arguments.flip}")
    baseline = predict_with(REFINEMENTS[0], truth, arguments)
    for refinement in REFINEMENTS:
        results = baseline if refinement == REFINEMENTS[0] else predict_with(refinement, truth, arguments)
        other = None if results is baseline else baseline
        assessment = assess(truth, results, "auto", other, resamples=arguments.resamples)
        metrics = (f"{name} {assessment.metrics[name]:.4f}" for name in ("AP", "AP50", "AP75"))
        line = " ".join((f"{refinement:12}", *metrics))
        if assessment.comparison is not None:
            difference = assessment.comparison.differences["AP"]
            line += f"   AP {difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
        print(line, flush=True)


if __name__ == "__main__":
    main()
