import numpy as np
import pytest
from tests.evaluation.conftest import found, person, random_crowds

from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.average_precision import best_f1_threshold, evaluate_keypoints, rank
from rsgnet.evaluation.error_types import count_errors
from rsgnet.evaluation.intervals import (
    Interval,
    PairedDifference,
    bootstrap_indices,
    differences,
    draw_seeds,
    drawn_figures,
    intervals,
    paired_differences,
    run_figures,
    seed_means,
)
from rsgnet.evaluation.matching import read_scenes
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.skeletons import COCO17

SOMEONE, RIGHT, WRONG = person({5: (50, 50)}), {5: (50, 50)}, {5: (600, 400)}


def test_draws():
    draws = bootstrap_indices(5, 200, seed=3)
    assert draws.shape == (200, 5) and (draws.sum(1) == 5).all()
    assert draws.mean(0) == pytest.approx(np.ones(5), abs=0.25)
    np.testing.assert_array_equal(draws, bootstrap_indices(5, 200, seed=3))
    assert (draws != bootstrap_indices(5, 200, seed=4)).any()
    assert bootstrap_indices(0, 3).shape == (3, 0)


def test_figures_of_a_draw_by_hand(scenes):
    """Two images, easy and hard: the one person found in the first only. Recall is the share of draws of it."""
    read = scenes([[SOMEONE], [SOMEONE]], [found(RIGHT, 0.9, 1)], crowd_indices=[0.1, 0.9])
    figures = drawn_figures(rank(read), np.array([[1, 1], [2, 0], [0, 2]]))
    assert figures["AR"].tolist() == figures["AR50"].tolist() == [0.5, 1.0, 0.0]
    assert figures["AP"] == pytest.approx([51 / 101, 1.0, 0.0])
    np.testing.assert_array_equal(figures["AP_easy"], [1.0, 1.0, np.nan])
    np.testing.assert_array_equal(figures["AP_medium"], [np.nan] * 3)
    np.testing.assert_array_equal(figures["AP_medium_hard"], [0.0, np.nan, 0.0])


def test_an_interval_is_the_middle_95_percent_of_what_was_measured():
    values = np.append(np.arange(201) / 200, np.nan)
    assert intervals({"AP": values, "AP_hard": np.full(3, np.nan)}) == {
        "AP": Interval(pytest.approx(0.025), pytest.approx(0.975))
    }


def test_recall_has_the_binomials_interval(scenes):
    """One person in each of 100 images, every second one found: recall varies as a share of 100 coin flips."""
    read = scenes([[SOMEONE]] * 100, [found(RIGHT, 0.9, image_id) for image_id in range(1, 101, 2)])
    interval = intervals(drawn_figures(rank(read), bootstrap_indices(100, 4000)))["AR50"]
    assert (interval.low, interval.high) == pytest.approx((0.40, 0.60), abs=0.011)


def test_differences_by_hand(scenes):
    images = [[SOMEONE], [SOMEONE]]
    both = rank(scenes(images, [found(RIGHT, 0.9, 1), found(RIGHT, 0.9, 2)]))
    one = rank(scenes(images, [found(RIGHT, 0.9, 1), found(WRONG, 0.8, 2)]))
    apart = differences(both, one, np.array([[2, 0], [1, 1], [0, 2], [0, 2]]))["AR50"]
    assert (apart.value, apart.better) == (0.5, pytest.approx(0.875))
    assert (apart.low, apart.high) == pytest.approx((0.0375, 1.0))
    back = differences(one, both, np.array([[2, 0], [1, 1], [0, 2], [0, 2]]))["AR50"]
    assert (back.value, back.better) == (-0.5, pytest.approx(0.125))


def test_nothing_differs_from_itself(scenes):
    ranking = rank(scenes(*random_crowds(np.random.default_rng(0), 10), crowd_indices=[0.1, 0.9] * 5))
    apart = differences(ranking, ranking, bootstrap_indices(10, 50))
    assert {"AP", "AP_easy", "AP_hard"} <= apart.keys() and "AP_medium" not in apart
    assert all((one.value, one.low, one.high, one.better) == (0, 0, 0, 0.5) for one in apart.values())


def test_pairing_sees_what_single_intervals_do_not(scenes):
    """Every image is a little better: the figures' intervals overlap, the difference's is far from 0."""
    images = [[SOMEONE, person({5: (300, 50)}, (250, 0, 100, 100))]] * 40
    worse = [found(RIGHT, 0.9, image_id) for image_id in range(1, 41, 2)]
    better = [*worse, *(found({5: (300, 50)}, 0.8, image_id) for image_id in range(1, 41, 4))]
    first, second = (rank(scenes(images, results)) for results in (better, worse))
    draws = bootstrap_indices(40, 300)
    apart = differences(first, second, draws)["AR50"]
    ranges = [intervals(drawn_figures(ranking, draws))["AR50"] for ranking in (first, second)]
    assert apart.low > 0.05 and apart.better == 1.0 and ranges[0].low < ranges[1].high


def test_seeds_are_drawn_all_but_one_and_weigh_one_together():
    weights = draw_seeds(3, 500, seed=1)
    assert weights.shape == (500, 3) and set(weights.ravel()) == {0.0, 0.5, 1.0}
    np.testing.assert_array_equal(weights.sum(1), 1)
    np.testing.assert_array_equal(weights, draw_seeds(3, 500, seed=1))
    np.testing.assert_array_equal(draw_seeds(1, 4), np.ones((4, 1)))


@pytest.mark.parametrize("values", [(0.50, 0.56), (0.50, 0.53, 0.62), (0.1, 0.2, 0.2, 0.4, 0.9)])
def test_drawn_means_vary_as_the_mean_does(values):
    """Their variance is s^2 / n with s^2 the unbiased variance of the seeds."""
    drawn = draw_seeds(len(values), 200_000) @ np.array(values)
    assert drawn.mean() == pytest.approx(np.mean(values), abs=0.002)
    assert drawn.var() == pytest.approx(np.var(values, ddof=1) / len(values), rel=0.02)


def test_a_mean_by_hand():
    """Two seeds, three draws: of both, of the first, of the second."""
    runs = [{"AP": np.array([0.4, 0.3, 0.5, 0.7])}, {"AP": np.array([0.6, 0.5, 0.9, 0.1])}]
    weights = np.array([[0.5, 0.5], [1, 0], [0, 1]])
    mean = seed_means(runs, weights)["AP"]
    assert (mean.value, mean.seeds) == (0.5, (0.4, 0.6))
    assert (mean.low, mean.high) == pytest.approx(np.percentile([0.4, 0.5, 0.1], [2.5, 97.5]))


def test_what_both_arms_share_cancels():
    """Images and seeds move both variants by much, and the same; only the variants' difference of 0.02 stays."""
    random = np.random.default_rng(0)
    shared = [0.5 + random.normal(0, 0.1) + random.normal(0, 0.05, 301) for _ in range(3)]
    plain, better = [{"AP": values} for values in shared], [{"AP": values + 0.02} for values in shared]
    weights = draw_seeds(3, 300)
    apart = paired_differences(better, plain, weights)["AP"]
    assert (apart.value, apart.low, apart.high) == pytest.approx((0.02, 0.02, 0.02))
    assert apart.seeds == pytest.approx((0.02, 0.02, 0.02)) and apart.is_clear
    alone = seed_means(better, weights)["AP"]
    assert alone.high - alone.low > 0.1


def test_clear_of_zero_needs_the_interval_and_every_seed():
    assert PairedDifference(0.02, 0.01, 0.03, (0.01, 0.03)).is_clear
    assert PairedDifference(-0.02, -0.03, -0.01, (-0.01, -0.03)).is_clear
    assert not PairedDifference(0.02, -0.01, 0.03, (0.01, 0.03)).is_clear
    assert not PairedDifference(0.02, 0.01, 0.03, (-0.01, 0.05)).is_clear
    assert not PairedDifference(0.02, 0.01, 0.03, (0.02,)).is_clear
    assert not PairedDifference(0.0, 0.0, 0.0, (0.0, 0.0)).is_clear


def test_what_nobody_could_be_measured_by_is_left_out():
    nowhere = {"AP_hard": np.full(4, np.nan), "AP_easy": np.array([0.5, np.nan, 0.4, 0.4])}
    weights = draw_seeds(2, 3)
    assert seed_means([nowhere, nowhere], weights).keys() == {"AP_easy"}
    assert paired_differences([nowhere] * 2, [nowhere] * 2, weights).keys() == {"AP_easy"}


LEFT = person({5: (50, 50), 6: (30, 50)})
RIGHT_EACH = person({5: (250, 50), 6: (230, 50)}, (200, 0, 100, 100))
FAR = {5: (50, 50), 6: (230, 50)}  # the left person's pose, one shoulder on the right person


def test_swaps_by_hand(scenes):
    """Two images of two: in the hard one one of the left person's two keypoints lies on the other person."""
    good = [found({5: (250, 50), 6: (230, 50)}, 0.9, image_id) for image_id in (1, 2)]
    results = [*good, found({5: (50, 50), 6: (30, 50)}, 0.9, 1), found(FAR, 0.9, 2)]
    read = scenes([[LEFT, RIGHT_EACH]] * 2, results, crowd_indices=[0.1, 0.9])
    figures = run_figures(read, COCO17, np.array([[2, 0], [0, 2]]))
    assert figures["swapped"] == pytest.approx([1 / 8, 0, 2 / 8])
    np.testing.assert_allclose(figures["swapped_hard"], [1 / 4, np.nan, 1 / 4])
    np.testing.assert_allclose(figures["swapped_easy"], [0, 0, np.nan])
    assert figures["inverted"].tolist() == figures["missed"].tolist() == [0, 0, 0]


def test_undrawn_figures_are_those_of_the_official_tool_and_of_all_mistakes(truth):
    images, found_poses = random_crowds(np.random.default_rng(2), 30)
    path = truth(*images)
    annotations = read_annotations(path)
    read = read_scenes(annotations, read_keypoint_results(found_poses, annotations), crowdpose=False)
    figures = run_figures(read, COCO17, bootstrap_indices(30, 3))
    official = evaluate_keypoints(path, found_poses)
    assert figures["AP"][0] == pytest.approx(official["AP"])
    assert figures["AR50"][0] == pytest.approx(official["AR50"])
    shares = count_errors(read, COCO17, best_f1_threshold(rank(read))).keypoint_shares()
    for kind in ("swapped", "inverted", "missed"):
        assert figures[kind][0] == pytest.approx(shares[kind])
