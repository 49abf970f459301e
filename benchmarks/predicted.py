"""The poses of everyone in a data set, in their true boxes, to be judged."""

import tempfile
from pathlib import Path

from rsgnet.annotations.readers import Annotations
from rsgnet.evaluation.results import Results, read_keypoint_results
from rsgnet.inference.annotated import boxes_for, predict_annotated
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import RESULTS_FILE, record_run, write_predictions
from rsgnet.inference.runtime.network import AnyRunner


def poses_of(runner: AnyRunner, truth: Annotations, images: Path, weights: str, flip: bool) -> Results:
    """The poses that a network gives.

    Args:
        runner: The network.
        truth: The data set.
        images: The folder of its images.
        weights: What the network is called in the record.
        flip: Whether heatmaps are averaged with those of the mirrored crops.
    """
    estimator = PoseEstimator(runner, boxes_for(truth, "gt"), flip_test=flip, skeleton=truth.skeleton)
    with tempfile.TemporaryDirectory() as folder:
        poses = predict_annotated(estimator, truth, images)
        write_predictions(poses, Path(folder), None, lambda *_: None, record_run(estimator, weights, "gt"))
        return read_keypoint_results(Path(folder) / RESULTS_FILE, truth)
