"""Means over seeds and paired differences, against arithmetic by hand."""

import numpy as np
import pytest
from tests.evaluation.conftest import found, person, random_crowds

from rsgnet.data.annotations import read_annotations
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.evaluation.error_types import count_errors
from rsgnet.evaluation.intervals import draw_images
from rsgnet.evaluation.paired_runs import PairedDifference, draw_seeds, paired_differences, run_figures, seed_means
from rsgnet.evaluation.ranking import rank, surest_cut
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.evaluation.scenes import read_scenes
from rsgnet.skeletons import COCO17


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
    """Images and seeds move both arms by much, and the same; only the arms' difference of 0.02 stays."""
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
RIGHT = person({5: (250, 50), 6: (230, 50)}, (200, 0, 100, 100))
FAR = {5: (50, 50), 6: (230, 50)}  # the left person's pose, one shoulder on the right person


def test_swaps_by_hand(scenes):
    """Two images of two: in the hard one one of the left person's two keypoints lies on the other person."""
    good = [found({5: (250, 50), 6: (230, 50)}, 0.9, image_id) for image_id in (1, 2)]
    results = [*good, found({5: (50, 50), 6: (30, 50)}, 0.9, 1), found(FAR, 0.9, 2)]
    read = scenes([[LEFT, RIGHT]] * 2, results, crowd_indices=[0.1, 0.9])
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
    figures = run_figures(read, COCO17, draw_images(30, 3))
    official = evaluate_keypoints(path, found_poses)
    assert figures["AP"][0] == pytest.approx(official["AP"])
    assert figures["AR50"][0] == pytest.approx(official["AR50"])
    shares = count_errors(read, COCO17, surest_cut(rank(read))).keypoint_shares()
    for kind in ("swapped", "inverted", "missed"):
        assert figures[kind][0] == pytest.approx(shares[kind])
