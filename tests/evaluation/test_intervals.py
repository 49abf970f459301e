import numpy as np
import pytest
from tests.evaluation.conftest import found, person, random_crowds

from rsgnet.evaluation.intervals import Interval, differences, draw_images, drawn_figures, intervals
from rsgnet.evaluation.ranking import rank

SOMEONE, RIGHT, WRONG = person({5: (50, 50)}), {5: (50, 50)}, {5: (600, 400)}


def test_draws():
    draws = draw_images(5, 200, seed=3)
    assert draws.shape == (200, 5) and (draws.sum(1) == 5).all()
    assert draws.mean(0) == pytest.approx(np.ones(5), abs=0.25)
    np.testing.assert_array_equal(draws, draw_images(5, 200, seed=3))
    assert (draws != draw_images(5, 200, seed=4)).any()
    assert draw_images(0, 3).shape == (3, 0)


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
    interval = intervals(drawn_figures(rank(read), draw_images(100, 4000)))["AR50"]
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
    apart = differences(ranking, ranking, draw_images(10, 50))
    assert {"AP", "AP_easy", "AP_hard"} <= apart.keys() and "AP_medium" not in apart
    assert all((one.value, one.low, one.high, one.better) == (0, 0, 0, 0.5) for one in apart.values())


def test_pairing_sees_what_single_intervals_do_not(scenes):
    """Every image is a little better: the figures' intervals overlap, the difference's is far from 0."""
    images = [[SOMEONE, person({5: (300, 50)}, (250, 0, 100, 100))]] * 40
    worse = [found(RIGHT, 0.9, image_id) for image_id in range(1, 41, 2)]
    better = [*worse, *(found({5: (300, 50)}, 0.8, image_id) for image_id in range(1, 41, 4))]
    first, second = (rank(scenes(images, results)) for results in (better, worse))
    draws = draw_images(40, 300)
    apart = differences(first, second, draws)["AR50"]
    ranges = [intervals(drawn_figures(ranking, draws))["AR50"] for ranking in (first, second)]
    assert apart.low > 0.05 and apart.better == 1.0 and ranges[0].low < ranges[1].high
