import numpy as np
import pytest
from tests.evaluation.conftest import interpolated_ap, person, random_crowds, result

from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.evaluation.matching import match_images
from rsgnet.evaluation.protocol import COCO, choose_protocol
from rsgnet.evaluation.ranking import best_f1_threshold, compute_precision_recall, rank_poses
from rsgnet.evaluation.results import read_keypoint_results

LEFT, RIGHT = person({5: (50, 50)}), person({5: (300, 50)}, (250, 0, 100, 100))
AT_LEFT, AT_RIGHT, NOWHERE = {5: (50, 50)}, {5: (300, 50)}, {5: (600, 400)}


def ones(images):
    return np.ones((1, len(images)), np.int64)


def compute_metrics(images):
    precision, recall = compute_precision_recall(rank_poses(images), ones(images))
    average = {"AP": precision.mean(), "AP50": precision[0, 0].mean(), "AP75": precision[0, 5].mean()}
    return average | {"AR": recall.mean(), "AR50": recall[0, 0], "AR75": recall[0, 5]}


def test_precision_and_recall_of_two_people(match):
    images = match([[LEFT, RIGHT]], [result(AT_LEFT, 0.9), result(NOWHERE, 0.8), result(AT_RIGHT, 0.7)])
    precision, recall = compute_precision_recall(rank_poses(images), ones(images))
    assert precision.shape == (1, 10, 101) and recall.tolist() == [[1.0] * 10]
    np.testing.assert_allclose(precision.mean(-1), interpolated_ap((0.5, 1.0), (1.0, 2 / 3)))


@pytest.mark.parametrize("seed", range(8))
def test_equals_the_official_tool(truth, seed):
    """The data contain groups, people without labels, equal scores and empty images."""
    crowds, results = random_crowds(np.random.default_rng(seed), 12)
    annotations = read_annotations(truth(*crowds))
    images = match_images(annotations, read_keypoint_results(results, annotations), COCO)
    official = evaluate_keypoints(annotations.path, results)
    assert compute_metrics(images) == pytest.approx(
        {name: official[name] for name in compute_metrics(images)}, abs=1e-12
    )


@pytest.mark.parametrize("name", ["coco", "crowdpose"])
def test_equals_the_official_tool_on_golden_data(shared, name):
    path, results = (shared(f"golden/evaluation/{name}_{kind}.json") for kind in ("gt", "results"))
    annotations = read_annotations(path)
    images = match_images(annotations, read_keypoint_results(results, annotations), choose_protocol(annotations, name))
    official = evaluate_keypoints(path, results, name)
    assert compute_metrics(images) == pytest.approx(
        {name: official[name] for name in compute_metrics(images)}, abs=1e-12
    )


@pytest.mark.parametrize("seed", range(4))
def test_an_image_drawn_twice_counts_as_two_images(truth, seed):
    random = np.random.default_rng(seed)
    crowds, results = random_crowds(random, 6)
    for entry in results:
        entry["score"] = float(random.random())  # with equal scores the order would matter
    counts = random.multinomial(6, np.full(6, 1 / 6))
    annotations = read_annotations(truth(*crowds))
    images = match_images(annotations, read_keypoint_results(results, annotations), COCO)
    precision, recall = compute_precision_recall(rank_poses(images), counts[None])
    drawn = np.repeat(np.arange(6), counts)
    copies = [
        {**entry, "image_id": new, "bbox": [new, 0, 1, 1]}
        for new, old in enumerate(drawn, 1)
        for entry in results
        if entry["image_id"] == old + 1
    ]
    official = evaluate_keypoints(truth(*(crowds[index] for index in drawn)), copies)
    assert precision.mean() == pytest.approx(official["AP"]) and recall.mean() == pytest.approx(official["AR"])


def test_resamples_are_independent(match, monkeypatch):
    images = match(*random_crowds(np.random.default_rng(3), 8))
    counts = np.random.default_rng(0).multinomial(8, np.full(8, 1 / 8), size=7)
    together = compute_precision_recall(rank_poses(images), counts)
    monkeypatch.setattr("rsgnet.evaluation.ranking._VALUES_PER_CHUNK", 40)
    separate = [compute_precision_recall(rank_poses(images), row[None]) for row in counts]
    for index, one in enumerate(separate):
        np.testing.assert_array_equal(one[0][0], together[0][index])
        np.testing.assert_array_equal(one[1][0], together[1][index])
    np.testing.assert_array_equal(compute_precision_recall(rank_poses(images), counts)[0], together[0])


def test_no_people_is_nan_and_no_results_is_zero(match):
    ranking = rank_poses(match([[LEFT], []], []))
    precision, recall = compute_precision_recall(ranking, np.array([[2, 0], [0, 2]]))
    assert (precision[0] == 0).all() and (recall[0] == 0).all()
    assert np.isnan(precision[1]).all() and np.isnan(recall[1]).all()
    assert compute_precision_recall(rank_poses([]), np.ones((1, 0), np.int64))[0].shape == (1, 10, 101)


def test_select_images(match):
    images = match(*random_crowds(np.random.default_rng(5), 9), crowd_indices=[0.1, 0.5, 0.9] * 3)
    rows = [1, 4, 6]
    selected, expected = rank_poses(images).select_images(rows), rank_poses([images[row] for row in rows])
    for name in ("scores", "images", "correct", "counted", "people"):
        np.testing.assert_array_equal(getattr(selected, name), getattr(expected, name))
    assert selected.levels == ("medium", "medium", "easy")


@pytest.mark.parametrize(
    ("entries", "threshold"),
    [
        ([(AT_LEFT, 0.9), (NOWHERE, 0.8), (AT_RIGHT, 0.7)], 0.7),  # F1 2/3, 1/2, 4/5
        ([(AT_LEFT, 0.9), (AT_RIGHT, 0.8), (NOWHERE, 0.7)], 0.8),
        ([(AT_LEFT, 0.9), (AT_RIGHT, 0.9), (NOWHERE, 0.9)], 0.9),
        ([(NOWHERE, 0.9)], np.inf),
        ([], np.inf),
    ],
)
def test_best_f1_threshold(match, entries, threshold):
    assert best_f1_threshold(rank_poses(match([[LEFT, RIGHT]], [result(*entry) for entry in entries]))) == threshold
