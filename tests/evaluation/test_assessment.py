import json

import numpy as np
import pytest
from tests.evaluation.conftest import person, random_crowds, result

from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.assessment import assess
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.skeletons import CROWDPOSE14


@pytest.fixture
def crowd(truth):
    """Returns twenty images of two levels, poses in them, and the same poses without every third."""
    crowds, results = random_crowds(np.random.default_rng(6), 20)
    annotations = read_annotations(truth(*crowds, crowd_indices=[0.1, 0.9] * 10))
    fewer = [entry for index, entry in enumerate(results) if index % 3]
    return annotations, read_keypoint_results(results, annotations), read_keypoint_results(fewer, annotations)


def test_metrics_are_official_and_within_their_intervals(crowd):
    truth, results, _ = crowd
    entries = [
        {"image_id": int(image_id), "score": float(score), "keypoints": values.ravel().tolist()}
        for image_id, score, values in zip(results.image_ids, results.scores, results.values, strict=True)
    ]
    assessment = assess(truth, results, resamples=200)
    assert assessment.metrics == evaluate_keypoints(truth.path, entries)
    assert {"AP", "AP50", "AR", "AP_easy", "AP_hard"} <= assessment.intervals.keys()
    for name, interval in assessment.intervals.items():
        assert interval.low <= assessment.metrics[name] <= interval.high
    assert assessment.precision.mean() == pytest.approx(assessment.metrics["AP"])
    assert assessment.comparison is None


def test_errors_of_levels_add_up(crowd):
    truth, results, _ = crowd
    errors = assess(truth, results, resamples=1).errors
    assert errors.keys() == {"all", "easy", "medium", "hard", "medium_hard"}
    assert errors["easy"] + errors["medium"] + errors["hard"] == errors["all"]
    assert errors["hard"] == errors["medium_hard"] and errors["medium"].keypoints == 0 < errors["easy"].keypoints


def test_comparison(crowd):
    truth, results, fewer = crowd
    forward = assess(truth, results, other=fewer, resamples=100)
    backward = assess(truth, fewer, other=results, resamples=100)
    assert forward.comparison.metrics == backward.metrics and forward.comparison.errors == backward.errors["all"]
    for name, difference in forward.comparison.differences.items():
        assert difference.value == pytest.approx(forward.metrics[name] - backward.metrics[name])
        other = backward.comparison.differences[name]
        assert (other.low, other.high, other.better) == pytest.approx(
            (-difference.high, -difference.low, 1 - difference.better)
        )
    assert forward.comparison.differences["AR50"].better == 1.0


def test_equal_seeds_give_equal_results(crowd):
    truth, results, fewer = crowd
    one, same, other = (assess(truth, results, other=fewer, resamples=50, seed=seed).to_dict() for seed in (1, 1, 2))
    assert one == same and one["intervals"] != other["intervals"]


def test_to_dict_is_json(crowd):
    truth, results, fewer = crowd
    assessment = assess(truth, results, other=fewer, resamples=50, found_by="by hand")
    metrics = json.loads(json.dumps(assessment.to_dict(), allow_nan=False))
    assert {name: metrics[name] for name in assessment.metrics} == assessment.metrics
    assert metrics["intervals"]["AP"].keys() == {"low", "high"}
    assert metrics["errors"]["all"]["keypoint_shares"].keys() == {"good", "jitter", "inverted", "swapped", "missed"}
    assert metrics["errors"]["easy"]["people_shares"]["missed_people"] >= 0
    assert metrics["repaired"]["swapped"].keys() == assessment.metrics.keys()
    assert metrics["calibration"]["keypoint_ece"] >= 0 and len(metrics["calibration"]["counts"]) >= 1
    assert np.mean(metrics["precision_at_recall"]["oks50"]) == pytest.approx(metrics["AP50"])
    assert np.mean(metrics["precision_at_recall"]["oks75"]) == pytest.approx(metrics["AP75"])
    assert metrics["comparison"]["differences"]["AP"].keys() == {"value", "low", "high", "better"}
    settings = metrics["settings"]
    assert (settings["found_by"], settings["protocol"], settings["skeleton"]) == ("by hand", "coco", "coco17")
    assert (settings["images"], settings["poses"], settings["resamples"]) == (20, len(results), 50)


@pytest.mark.parametrize("results", [[], [result({}, 0.5)]])
@pytest.mark.parametrize("images", [[[]], [[person({})]], [[person({0: (5, 5)})]]])
def test_no_results_or_no_people(truth, images, results):
    annotations = read_annotations(truth(*images))
    poses = read_keypoint_results(results, annotations)
    metrics = assess(annotations, poses, other=poses, resamples=5).to_dict()
    assert json.dumps(metrics, allow_nan=False)
    assert metrics["AP"] == (0.0 if images[0] and images[0][0]["num_keypoints"] else -1.0)
    assert metrics["intervals"] == metrics["comparison"]["differences"] == {}  # there is only one image
    assert metrics["images_behind"].get("AP", 0) == (metrics["AP"] == 0)


def test_protocol(truth):
    keypoints = np.zeros((14, 3))
    keypoints[10] = 50, 50, 2
    annotations = read_annotations(truth([person(keypoints, area=20.0)], skeleton=CROWDPOSE14))
    results = read_keypoint_results([result({10: (53, 50)}, 0.9, count=14)], annotations)
    good = {name: assess(annotations, results, name, resamples=1).errors["all"].good for name in ("coco", "crowdpose")}
    assert good == {"coco": 0, "crowdpose": 1}


def test_scores_above_one_are_clipped_and_counted(truth):
    annotations = read_annotations(truth([person({0: (5, 5), 1: (9, 9)})]))
    entry = result({0: (5, 5), 1: (9, 9)}, 0.9)
    entry["keypoints"][2] = 7.5
    assessment = assess(annotations, read_keypoint_results([entry], annotations), resamples=1)
    assert assessment.scores_out_of_range == 0.5 and assessment.calibration.probabilities.tolist() == [1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"resamples": 0}, "at least one resample"), ({"protocol": "oks"}, "no protocol is named 'oks'")],
)
def test_invalid_arguments_raise(crowd, options, message):
    with pytest.raises(RSGNetError, match=message):
        assess(crowd[0], crowd[1], **options)


def test_golden_crowdpose(shared):
    annotations = read_annotations(shared("golden/evaluation/crowdpose_gt.json"))
    results = read_keypoint_results(shared("golden/evaluation/crowdpose_results.json"), annotations)
    official = json.loads(shared("golden/evaluation/expected.json").read_text())["crowdpose"]["official"]
    metrics = assess(annotations, results, "crowdpose", resamples=100).to_dict()
    for name in ("AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard"):
        assert metrics[name] == pytest.approx(official[name], abs=5e-5)
        assert metrics["intervals"][name]["low"] < official[name] < metrics["intervals"][name]["high"]
