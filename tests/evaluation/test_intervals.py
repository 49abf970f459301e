import numpy as np
import pytest
from tests.evaluation.conftest import person, random_crowds, result

from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.evaluation.error_types import count_errors
from rsgnet.evaluation.intervals import (
    Interval,
    PairedDifference,
    bootstrap_counts,
    bootstrap_metrics,
    bootstrap_run_metrics,
    bootstrap_seed_weights,
    compute_differences,
    compute_intervals,
    compute_paired_differences,
    compute_seed_means,
)
from rsgnet.evaluation.matching import match_images
from rsgnet.evaluation.protocol import COCO
from rsgnet.evaluation.ranking import best_f1_threshold, rank_poses
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.skeletons import COCO17

PERSON, CORRECT, WRONG = person({5: (50, 50)}), {5: (50, 50)}, {5: (600, 400)}
LEFT = person({5: (50, 50), 6: (30, 50)})
RIGHT = person({5: (250, 50), 6: (230, 50)}, (200, 0, 100, 100))
SWAPPED = {5: (50, 50), 6: (230, 50)}  # the left person's pose with one shoulder on the right person


def test_bootstrap_counts():
    counts = bootstrap_counts(5, 200, seed=3)
    assert counts.shape == (200, 5) and (counts.sum(1) == 5).all()
    assert counts.mean(0) == pytest.approx(np.ones(5), abs=0.25)
    np.testing.assert_array_equal(counts, bootstrap_counts(5, 200, seed=3))
    assert (counts != bootstrap_counts(5, 200, seed=4)).any()
    assert bootstrap_counts(0, 3).shape == (3, 0)


def test_bootstrap_metrics_of_two_images(match):
    """An easy and a hard image; only the easy one's person is found, so that recall is the share of the easy image."""
    images = match([[PERSON], [PERSON]], [result(CORRECT, 0.9, 1)], crowd_indices=[0.1, 0.9])
    metrics = bootstrap_metrics(rank_poses(images), np.array([[1, 1], [2, 0], [0, 2]]))
    assert metrics["AR"].tolist() == metrics["AR50"].tolist() == [0.5, 1.0, 0.0]
    assert metrics["AP"] == pytest.approx([51 / 101, 1.0, 0.0])
    np.testing.assert_array_equal(metrics["AP_easy"], [1.0, 1.0, np.nan])
    np.testing.assert_array_equal(metrics["AP_medium"], [np.nan] * 3)
    np.testing.assert_array_equal(metrics["AP_medium_hard"], [0.0, np.nan, 0.0])


def test_intervals_are_the_central_95_percent_without_nan():
    values = np.append(np.arange(201) / 200, np.nan)
    assert compute_intervals({"AP": values, "AP_hard": np.full(3, np.nan)}) == {
        "AP": Interval(pytest.approx(0.025), pytest.approx(0.975))
    }


def test_recall_has_a_binomial_interval(match):
    """One person in each of 100 images, every second one found: recall is distributed as 100 coin flips."""
    images = match([[PERSON]] * 100, [result(CORRECT, 0.9, image_id) for image_id in range(1, 101, 2)])
    interval = compute_intervals(bootstrap_metrics(rank_poses(images), bootstrap_counts(100, 4000)))["AR50"]
    assert (interval.low, interval.high) == pytest.approx((0.40, 0.60), abs=0.011)


def test_differences_of_two_images(match):
    images = [[PERSON], [PERSON]]
    both = rank_poses(match(images, [result(CORRECT, 0.9, 1), result(CORRECT, 0.9, 2)]))
    one = rank_poses(match(images, [result(CORRECT, 0.9, 1), result(WRONG, 0.8, 2)]))
    difference = compute_differences(both, one, np.array([[2, 0], [1, 1], [0, 2], [0, 2]]))["AR50"]
    assert (difference.value, difference.better) == (0.5, pytest.approx(0.875))
    assert (difference.low, difference.high) == pytest.approx((0.0375, 1.0))
    reverse = compute_differences(one, both, np.array([[2, 0], [1, 1], [0, 2], [0, 2]]))["AR50"]
    assert (reverse.value, reverse.better) == (-0.5, pytest.approx(0.125))


def test_differences_of_a_result_to_itself(match):
    ranking = rank_poses(match(*random_crowds(np.random.default_rng(0), 10), crowd_indices=[0.1, 0.9] * 5))
    difference = compute_differences(ranking, ranking, bootstrap_counts(10, 50))
    assert {"AP", "AP_easy", "AP_hard"} <= difference.keys() and "AP_medium" not in difference
    assert all((one.value, one.low, one.high, one.better) == (0, 0, 0, 0.5) for one in difference.values())


def test_paired_differences_are_clear_where_single_intervals_overlap(match):
    """Some images are better and none worse: the metrics' intervals overlap, but the difference excludes 0."""
    images = [[PERSON, person({5: (300, 50)}, (250, 0, 100, 100))]] * 40
    worse = [result(CORRECT, 0.9, image_id) for image_id in range(1, 41, 2)]
    better = [*worse, *(result({5: (300, 50)}, 0.8, image_id) for image_id in range(1, 41, 4))]
    first, second = (rank_poses(match(images, results)) for results in (better, worse))
    counts = bootstrap_counts(40, 300)
    difference = compute_differences(first, second, counts)["AR50"]
    ranges = [compute_intervals(bootstrap_metrics(ranking, counts))["AR50"] for ranking in (first, second)]
    assert difference.low > 0.05 and difference.better == 1.0 and ranges[0].low < ranges[1].high


def test_bootstrap_seed_weights():
    weights = bootstrap_seed_weights(3, 500, seed=1)
    assert weights.shape == (500, 3) and set(weights.ravel()) == {0.0, 0.5, 1.0}
    np.testing.assert_array_equal(weights.sum(1), 1)
    np.testing.assert_array_equal(weights, bootstrap_seed_weights(3, 500, seed=1))
    np.testing.assert_array_equal(bootstrap_seed_weights(1, 4), np.ones((4, 1)))


@pytest.mark.parametrize("values", [(0.50, 0.56), (0.50, 0.53, 0.62), (0.1, 0.2, 0.2, 0.4, 0.9)])
def test_variance_of_resampled_seed_means(values):
    """The variance is s^2 / n, with s^2 the unbiased variance of the seeds."""
    means = bootstrap_seed_weights(len(values), 200_000) @ np.array(values)
    assert means.mean() == pytest.approx(np.mean(values), abs=0.002)
    assert means.var() == pytest.approx(np.var(values, ddof=1) / len(values), rel=0.02)


def test_seed_mean_of_three_resamples():
    """Two seeds, three resamples: both seeds, the first, the second."""
    runs = [{"AP": np.array([0.4, 0.3, 0.5, 0.7])}, {"AP": np.array([0.6, 0.5, 0.9, 0.1])}]
    weights = np.array([[0.5, 0.5], [1, 0], [0, 1]])
    mean = compute_seed_means(runs, weights)["AP"]
    assert (mean.value, mean.seeds) == (0.5, (0.4, 0.6))
    assert (mean.low, mean.high) == pytest.approx(np.percentile([0.4, 0.5, 0.1], [2.5, 97.5]))


def test_variation_shared_by_both_networks_cancels():
    """Images and seeds change both networks strongly and equally; their difference is always 0.02."""
    random = np.random.default_rng(0)
    shared = [0.5 + random.normal(0, 0.1) + random.normal(0, 0.05, 301) for _ in range(3)]
    plain, better = [{"AP": values} for values in shared], [{"AP": values + 0.02} for values in shared]
    weights = bootstrap_seed_weights(3, 300)
    difference = compute_paired_differences(better, plain, weights)["AP"]
    assert (difference.value, difference.low, difference.high) == pytest.approx((0.02, 0.02, 0.02))
    assert difference.seeds == pytest.approx((0.02, 0.02, 0.02)) and difference.is_clear
    alone = compute_seed_means(better, weights)["AP"]
    assert alone.high - alone.low > 0.1


def test_is_clear_needs_the_interval_and_every_seed():
    assert PairedDifference(0.02, 0.01, 0.03, (0.01, 0.03)).is_clear
    assert PairedDifference(-0.02, -0.03, -0.01, (-0.01, -0.03)).is_clear
    assert not PairedDifference(0.02, -0.01, 0.03, (0.01, 0.03)).is_clear
    assert not PairedDifference(0.02, 0.01, 0.03, (-0.01, 0.05)).is_clear
    assert not PairedDifference(0.02, 0.01, 0.03, (0.02,)).is_clear
    assert not PairedDifference(0.0, 0.0, 0.0, (0.0, 0.0)).is_clear


def test_unknown_metrics_are_omitted():
    unknown = {"AP_hard": np.full(4, np.nan), "AP_easy": np.array([0.5, np.nan, 0.4, 0.4])}
    weights = bootstrap_seed_weights(2, 3)
    assert compute_seed_means([unknown, unknown], weights).keys() == {"AP_easy"}
    assert compute_paired_differences([unknown] * 2, [unknown] * 2, weights).keys() == {"AP_easy"}


def test_swapped_shares(match):
    """Two images of two people; in the hard one, one of the left person's two keypoints lies on the right person."""
    good = [result({5: (250, 50), 6: (230, 50)}, 0.9, image_id) for image_id in (1, 2)]
    results = [*good, result({5: (50, 50), 6: (30, 50)}, 0.9, 1), result(SWAPPED, 0.9, 2)]
    images = match([[LEFT, RIGHT]] * 2, results, crowd_indices=[0.1, 0.9])
    metrics = bootstrap_run_metrics(images, COCO17, np.array([[2, 0], [0, 2]]))
    assert metrics["swapped"] == pytest.approx([1 / 8, 0, 2 / 8])
    np.testing.assert_allclose(metrics["swapped_hard"], [1 / 4, np.nan, 1 / 4])
    np.testing.assert_allclose(metrics["swapped_easy"], [0, 0, np.nan])
    assert metrics["inverted"].tolist() == metrics["missed"].tolist() == [0, 0, 0]


def test_run_metrics_of_the_original_images(truth):
    crowds, results = random_crowds(np.random.default_rng(2), 30)
    path = truth(*crowds)
    annotations = read_annotations(path)
    images = match_images(annotations, read_keypoint_results(results, annotations), COCO)
    metrics = bootstrap_run_metrics(images, COCO17, bootstrap_counts(30, 3))
    official = evaluate_keypoints(path, results)
    assert metrics["AP"][0] == pytest.approx(official["AP"])
    assert metrics["AR50"][0] == pytest.approx(official["AR50"])
    shares = count_errors(images, COCO17, best_f1_threshold(rank_poses(images))).keypoint_shares()
    for kind in ("swapped", "inverted", "missed"):
        assert metrics[kind][0] == pytest.approx(shares[kind])
