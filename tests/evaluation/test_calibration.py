import numpy as np
import pytest
from tests.evaluation.conftest import found, off_by, person

from rsgnet.errors import RSGNetError
from rsgnet.evaluation.calibration import keypoint_claims, reliability
from rsgnet.skeletons import COCO17


def test_by_hand():
    curve = reliability([0.9, 0.1, 0.3, 0.7], [True, False, True, True], bins=2)
    assert curve.probabilities == pytest.approx([0.2, 0.8]) and curve.frequencies.tolist() == [0.5, 1.0]
    assert curve.counts.tolist() == [2, 2]
    assert curve.expected_calibration_error == pytest.approx((0.3 + 0.2) / 2)


def test_bins_weigh_by_their_counts():
    curve = reliability([0.2] * 3 + [1.0], [False] * 4, bins=2)
    assert curve.counts.tolist() == [3, 1]
    assert curve.expected_calibration_error == pytest.approx((3 * 0.2 + 1.0) / 4)


@pytest.mark.parametrize(("claims", "bins"), [([0.5] * 7, 1), ([0.0] * 3 + [1.0] * 3, 2), (np.arange(8) / 8, 4)])
def test_equal_claims_share_a_bin(claims, bins):
    curve = reliability(claims, np.zeros(len(claims)), bins=4)
    assert len(curve.counts) == bins and curve.counts.sum() == len(claims) and (np.diff(curve.probabilities) > 0).all()


def test_true_probabilities_are_calibrated_and_bold_ones_are_not():
    random = np.random.default_rng(0)
    claims = random.random(20_000)
    outcomes = random.random(20_000) < claims
    assert reliability(claims, outcomes).expected_calibration_error < 0.015
    bold = reliability(np.where(claims > 0.5, 1.0, 0.0), outcomes)
    assert bold.expected_calibration_error == pytest.approx(0.25, abs=0.01)


def test_the_order_does_not_matter():
    random = np.random.default_rng(1)
    claims, outcomes = random.random(100).round(1), random.random(100) < 0.5
    order = random.permutation(100)
    one, other = reliability(claims, outcomes), reliability(claims[order], outcomes[order])
    np.testing.assert_allclose(one.frequencies, other.frequencies)


def test_no_claims():
    curve = reliability([], [])
    assert curve.counts.shape == (0,) and curve.expected_calibration_error == 0.0


@pytest.mark.parametrize(
    ("claims", "outcomes", "bins"),
    [([0.1, 0.2], [True], 5), ([[0.1]], [[True]], 5), ([1.2], [True], 5), ([np.nan], [True], 5), ([0.2], [True], 0)],
)
def test_what_cannot_be_calibrated(claims, outcomes, bins):
    with pytest.raises(RSGNetError, match="expected"):
        reliability(claims, outcomes, bins)


def test_claims_of_keypoints(scenes):
    """Scores of labelled keypoints of matched people; right is a similarity of a half."""
    people = [person({5: (50, 50), 6: (90, 50), 7: (50, 90)}), person({5: (300, 50)}, (250, 0, 100, 100))]
    pose = found({5: (50, 50), 6: (90, 50), 7: (50 + off_by(0.4, 1e4, COCO17.sigmas[7]), 90)}, 0.2)
    pose["keypoints"][3 * 5 + 2 : 3 * 8 : 3] = 0.9, 1.4, 0.3
    scores, right = keypoint_claims(scenes([people], [pose, found({5: (600, 400)}, 0.9)]), COCO17)
    assert scores.tolist() == [0.9, 1.4, 0.3] and right.tolist() == [True, True, False]


def test_nobody_matched_claims_nothing(scenes):
    scores, right = keypoint_claims(scenes([[]], [found({}, 0.5)]), COCO17)
    assert scores.shape == right.shape == (0,)
