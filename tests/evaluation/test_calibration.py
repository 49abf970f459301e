import numpy as np
import pytest
from tests.evaluation.conftest import distance_at, person, result

from rsgnet.errors import RSGNetError
from rsgnet.evaluation.calibration import collect_keypoint_scores, compute_auc, compute_reliability
from rsgnet.skeletons import COCO17


def test_two_bins():
    curve = compute_reliability([0.9, 0.1, 0.3, 0.7], [True, False, True, True], bins=2)
    assert curve.probabilities == pytest.approx([0.2, 0.8]) and curve.frequencies.tolist() == [0.5, 1.0]
    assert curve.counts.tolist() == [2, 2]
    assert curve.expected_calibration_error == pytest.approx((0.3 + 0.2) / 2)


def test_bins_are_weighted_by_their_counts():
    curve = compute_reliability([0.2] * 3 + [1.0], [False] * 4, bins=2)
    assert curve.counts.tolist() == [3, 1]
    assert curve.expected_calibration_error == pytest.approx((3 * 0.2 + 1.0) / 4)


@pytest.mark.parametrize(("predicted", "bins"), [([0.5] * 7, 1), ([0.0] * 3 + [1.0] * 3, 2), (np.arange(8) / 8, 4)])
def test_equal_probabilities_share_a_bin(predicted, bins):
    curve = compute_reliability(predicted, np.zeros(len(predicted)), bins=4)
    assert len(curve.counts) == bins and curve.counts.sum() == len(predicted)
    assert (np.diff(curve.probabilities) > 0).all()


def test_true_probabilities_are_calibrated_and_rounded_ones_are_not():
    random = np.random.default_rng(0)
    probabilities = random.random(20_000)
    outcomes = random.random(20_000) < probabilities
    assert compute_reliability(probabilities, outcomes).expected_calibration_error < 0.015
    rounded = compute_reliability(np.where(probabilities > 0.5, 1.0, 0.0), outcomes)
    assert rounded.expected_calibration_error == pytest.approx(0.25, abs=0.01)


def test_order_does_not_matter():
    random = np.random.default_rng(1)
    probabilities, outcomes = random.random(100).round(1), random.random(100) < 0.5
    order = random.permutation(100)
    curve = compute_reliability(probabilities, outcomes)
    shuffled = compute_reliability(probabilities[order], outcomes[order])
    np.testing.assert_allclose(curve.frequencies, shuffled.frequencies)


def test_no_samples():
    curve = compute_reliability([], [])
    assert curve.counts.shape == (0,) and curve.expected_calibration_error == 0.0


@pytest.mark.parametrize(
    ("probabilities", "outcomes", "bins"),
    [([0.1, 0.2], [True], 5), ([[0.1]], [[True]], 5), ([1.2], [True], 5), ([np.nan], [True], 5), ([0.2], [True], 0)],
)
def test_invalid_arguments_raise(probabilities, outcomes, bins):
    with pytest.raises(RSGNetError, match="expected"):
        compute_reliability(probabilities, outcomes, bins)


def test_collect_keypoint_scores(match):
    """Only labelled keypoints of matched people are collected; a similarity of 0.5 is correct."""
    people = [person({5: (50, 50), 6: (90, 50), 7: (50, 90)}), person({5: (300, 50)}, (250, 0, 100, 100))]
    pose = result({5: (50, 50), 6: (90, 50), 7: (50 + distance_at(0.4, 1e4, COCO17.sigmas[7]), 90)}, 0.2)
    pose["keypoints"][3 * 5 + 2 : 3 * 8 : 3] = 0.9, 1.4, 0.3
    scores, correct = collect_keypoint_scores(match([people], [pose, result({5: (600, 400)}, 0.9)]), COCO17)
    assert scores.tolist() == [0.9, 1.4, 0.3] and correct.tolist() == [True, True, False]


def test_without_matches_nothing_is_collected(match):
    scores, correct = collect_keypoint_scores(match([[]], [result({}, 0.5)]), COCO17)
    assert scores.shape == correct.shape == (0,)


@pytest.mark.parametrize(
    ("scores", "outcomes", "auc"),
    [
        ([1, 2, 3, 4], [0, 0, 1, 1], 1.0),
        ([1, 2, 3, 4], [1, 1, 0, 0], 0.0),
        ([5, 5, 5], [0, 1, 0], 0.5),
        ([1], [1], np.nan),
    ],
)
def test_auc_of_small_samples(scores, outcomes, auc):
    np.testing.assert_equal(compute_auc(scores, outcomes), auc)


def test_auc_is_the_share_of_pairs_in_order():
    random = np.random.default_rng(0)
    scores, outcomes = random.integers(0, 20, 300), random.random(300) < 0.4
    above = scores[outcomes][:, None] - scores[~outcomes]
    assert compute_auc(scores, outcomes) == pytest.approx(((above > 0) + (above == 0) / 2).mean())
