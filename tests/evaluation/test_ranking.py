import numpy as np
import pytest
from tests.evaluation.conftest import found, interpolated, person, random_crowds

from rsgnet.data.annotations import read_annotations
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.evaluation.protocol import is_crowdpose
from rsgnet.evaluation.ranking import precision_recall, rank, surest_cut
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.evaluation.scenes import read_scenes

LEFT, RIGHT = person({5: (50, 50)}), person({5: (300, 50)}, (250, 0, 100, 100))
AT_LEFT, AT_RIGHT, NOWHERE = {5: (50, 50)}, {5: (300, 50)}, {5: (600, 400)}


def taken_once(scenes):
    return np.ones((1, len(scenes)), np.int64)


def figures(scenes):
    precision, recall = precision_recall(rank(scenes), taken_once(scenes))
    return {"AP": precision.mean(), "AP50": precision[0, 0].mean(), "AP75": precision[0, 5].mean()} | {
        "AR": recall.mean(),
        "AR50": recall[0, 0],
        "AR75": recall[0, 5],
    }


def test_by_hand(scenes):
    read = scenes([[LEFT, RIGHT]], [found(AT_LEFT, 0.9), found(NOWHERE, 0.8), found(AT_RIGHT, 0.7)])
    precision, recall = precision_recall(rank(read), taken_once(read))
    assert precision.shape == (1, 10, 101) and recall.tolist() == [[1.0] * 10]
    np.testing.assert_allclose(precision.mean(-1), interpolated((0.5, 1.0), (1.0, 2 / 3)))


@pytest.mark.parametrize("seed", range(8))
def test_equals_the_official_tool(truth, seed):
    """Groups, people without labels, equal scores, empty images: all of them are in."""
    crowds, results = random_crowds(np.random.default_rng(seed), 12)
    annotations = read_annotations(truth(*crowds))
    read = read_scenes(annotations, read_keypoint_results(results, annotations), False)
    official = evaluate_keypoints(annotations.path, results)
    assert figures(read) == pytest.approx({name: official[name] for name in figures(read)}, abs=1e-12)


@pytest.mark.parametrize("name", ["coco", "crowdpose"])
def test_equals_the_official_tool_on_golden_data(shared, name):
    path, results = (shared(f"golden/evaluation/{name}_{kind}.json") for kind in ("gt", "results"))
    annotations = read_annotations(path)
    read = read_scenes(annotations, read_keypoint_results(results, annotations), is_crowdpose(annotations, name))
    official = evaluate_keypoints(path, results, name)
    assert figures(read) == pytest.approx({name: official[name] for name in figures(read)}, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_a_image_drawn_twice_counts_as_two_images(truth, seed):
    random = np.random.default_rng(seed)
    crowds, results = random_crowds(random, 6)
    for entry in results:
        entry["score"] = float(random.random())  # where scores are equal, order would decide
    draw = random.multinomial(6, np.full(6, 1 / 6))
    annotations = read_annotations(truth(*crowds))
    read = read_scenes(annotations, read_keypoint_results(results, annotations), False)
    precision, recall = precision_recall(rank(read), draw[None])
    drawn = np.repeat(np.arange(6), draw)
    copies = [
        {**entry, "image_id": new, "bbox": [new, 0, 1, 1]}
        for new, old in enumerate(drawn, 1)
        for entry in results
        if entry["image_id"] == old + 1
    ]
    official = evaluate_keypoints(truth(*(crowds[index] for index in drawn)), copies)
    assert precision.mean() == pytest.approx(official["AP"]) and recall.mean() == pytest.approx(official["AR"])


def test_draws_do_not_touch_each_other(scenes, monkeypatch):
    read = scenes(*random_crowds(np.random.default_rng(3), 8))
    draws = np.random.default_rng(0).multinomial(8, np.full(8, 1 / 8), size=7)
    together = precision_recall(rank(read), draws)
    monkeypatch.setattr("rsgnet.evaluation.ranking._AT_ONCE", 40)
    apart = [precision_recall(rank(read), draw[None]) for draw in draws]
    for at, one in enumerate(apart):
        np.testing.assert_array_equal(one[0][0], together[0][at])
        np.testing.assert_array_equal(one[1][0], together[1][at])
    np.testing.assert_array_equal(precision_recall(rank(read), draws)[0], together[0])


def test_nobody_drawn_is_nan_and_nothing_found_is_zero(scenes):
    ranking = rank(scenes([[LEFT], []], []))
    precision, recall = precision_recall(ranking, np.array([[2, 0], [0, 2]]))
    assert (precision[0] == 0).all() and (recall[0] == 0).all()
    assert np.isnan(precision[1]).all() and np.isnan(recall[1]).all()
    assert precision_recall(rank([]), np.ones((1, 0), np.int64))[0].shape == (1, 10, 101)


def test_some_of_the_scenes(scenes):
    read = scenes(*random_crowds(np.random.default_rng(5), 9), crowd_indices=[0.1, 0.5, 0.9] * 3)
    rows = [1, 4, 6]
    some, same = rank(read).only(rows), rank([read[row] for row in rows])
    for name in ("scores", "images", "right", "counted", "people"):
        np.testing.assert_array_equal(getattr(some, name), getattr(same, name))
    assert some.levels == ("medium", "medium", "easy")


@pytest.mark.parametrize(
    ("entries", "cut"),
    [
        ([(AT_LEFT, 0.9), (NOWHERE, 0.8), (AT_RIGHT, 0.7)], 0.7),  # F1 2/3, 1/2, 4/5
        ([(AT_LEFT, 0.9), (AT_RIGHT, 0.8), (NOWHERE, 0.7)], 0.8),
        ([(AT_LEFT, 0.9), (AT_RIGHT, 0.9), (NOWHERE, 0.9)], 0.9),
        ([(NOWHERE, 0.9)], np.inf),
        ([], np.inf),
    ],
)
def test_the_cut_of_the_highest_f1(scenes, entries, cut):
    assert surest_cut(rank(scenes([[LEFT, RIGHT]], [found(*entry) for entry in entries]))) == cut
