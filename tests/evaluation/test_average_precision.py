import json

import numpy as np
import pytest
from tests.evaluation.conftest import found, interpolated, off_by, person, random_crowds

from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.evaluation.average_precision import best_f1_threshold, evaluate_keypoints, precision_recall, rank
from rsgnet.evaluation.matching import read_scenes
from rsgnet.evaluation.protocol import is_crowdpose
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.skeletons import COCO17, CROWDPOSE14

THRESHOLDS = np.linspace(0.5, 0.95, 10)
NOSE_SIGMA = 0.026


class TestByHand:
    """Two people in one image: a good pose, a false one, and one whose OKS is known."""

    people = (person({0: (50.0, 50.0)}), person({0: (300.0, 50.0)}, (250, 0, 100, 100)))

    def results(self, similarity):
        off = off_by(similarity, 100 * 100, NOSE_SIGMA)
        return [
            found({0: (50.0, 50.0)}, 0.9),
            found({0: (600.0, 400.0)}, 0.8),
            found({0: (300.0 + off, 50.0)}, 0.7),
        ]

    @pytest.mark.parametrize(("similarity", "reached"), [(0.72, 5), (0.49, 0), (0.51, 1), (0.96, 10)])
    def test_average_precision_and_recall(self, truth, similarity, reached):
        figures = evaluate_keypoints(truth(self.people), self.results(similarity))
        with_it, without = interpolated((0.5, 1.0), (1.0, 2 / 3)), interpolated((0.5, 1.0))
        assert figures["AP"] == pytest.approx((reached * with_it + (10 - reached) * without) / 10)
        assert figures["AP50"] == pytest.approx(with_it if reached >= 1 else without)
        assert figures["AP75"] == pytest.approx(with_it if reached >= 6 else without)
        assert figures["AR"] == pytest.approx((reached * 1.0 + (10 - reached) * 0.5) / 10)
        assert figures["AR50"] == (1.0 if reached >= 1 else 0.5)
        assert figures["AR75"] == (1.0 if reached >= 6 else 0.5)

    def test_the_order_of_the_entries_does_not_matter(self, truth):
        path, results = truth(self.people), self.results(0.72)
        assert evaluate_keypoints(path, results) == evaluate_keypoints(path, results[::-1])

    def test_a_second_pose_of_one_person_is_false(self, truth):
        results = [*self.results(0.99)[:1], found({0: (50.01, 50.0)}, 0.85), *self.results(0.99)[2:]]
        assert evaluate_keypoints(truth(self.people), results)["AP50"] == pytest.approx(
            interpolated((0.5, 1.0), (1.0, 2 / 3))
        )

    def test_sizes(self, truth):
        """100x100 is large, 50x50 medium; the other's pose costs neither."""
        people = [self.people[0], person({0: (300.0, 50.0)}, (250, 0, 50, 50))]
        figures = evaluate_keypoints(truth(people), [found({0: (300.0, 50.0)}, 0.9)])
        assert (figures["APM"], figures["ARM"], figures["APL"], figures["ARL"]) == (1.0, 1.0, 0.0, 0.0)

    def test_without_a_medium_person_there_is_nothing_to_measure(self, truth):
        figures = evaluate_keypoints(truth(self.people), self.results(0.9))
        assert (figures["APM"], figures["ARM"]) == (-1.0, -1.0)
        assert figures["APL"] > 0

    @pytest.mark.parametrize("ignored", [person({}), person({0: (600.0, 400.0)}, (550, 350, 100, 100), iscrowd=1)])
    def test_people_without_labels_and_groups_neither_count_nor_cost(self, truth, ignored):
        ignored = {**ignored, "bbox": [550.0, 350.0, 100.0, 100.0]}
        good, _, other = self.results(0.99)
        on_the_ignored = found(dict.fromkeys(range(17), (600.0, 400.0)), 0.8)
        figures = evaluate_keypoints(truth([*self.people, ignored]), [good, on_the_ignored, other])
        assert figures["AP"] == pytest.approx(1.0)
        assert evaluate_keypoints(truth(self.people), [good, on_the_ignored, other])["AP"] < 0.9


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14])
def test_plain_arithmetic_agrees(truth, skeleton):
    """Three images, three people each, poses of every quality, against a second implementation."""
    random, count = np.random.default_rng(4), len(skeleton)
    images, results = [], []
    for image_id in (1, 2, 3):
        group = []
        for _ in range(3):
            box_xywh = np.array([*random.uniform(0, 300, 2), *random.uniform(60, 200, 2)])
            keypoints = np.zeros((count, 3))
            keypoints[:, :2] = box_xywh[:2] + random.random((count, 2)) * box_xywh[2:]
            keypoints[:, 2] = random.integers(0, 3, count)
            group.append(person(keypoints, box_xywh, area=0.53 * box_xywh[2] * box_xywh[3]))
            for _ in range(2):
                moved = keypoints[:, :2] + random.normal(0, 1, (count, 2)) * random.uniform(1, 12)
                entry = found(dict(enumerate(moved)), float(random.random()), image_id, count)
                results.append(entry)
        images.append(group)
    figures = evaluate_keypoints(truth(*images, skeleton=skeleton), results)
    expected = [average_precision(images, results, skeleton.sigmas, threshold) for threshold in THRESHOLDS]
    assert figures["AP"] == pytest.approx(np.mean(expected))
    assert figures["AP50"] == pytest.approx(expected[0])
    assert figures["AP75"] == pytest.approx(expected[5])
    assert 0.1 < figures["AP"] < figures["AP50"] < 1


def average_precision(images, results, sigmas, threshold):
    """AP at one OKS threshold, step by step."""
    hits, scores, people = [], [], 0
    for image_id, group in enumerate(images, 1):
        people += len(group)
        free = set(range(len(group)))
        for entry in sorted((r for r in results if r["image_id"] == image_id), key=lambda r: -r["score"]):
            alike = {index: similarity(entry, group[index], sigmas) for index in free}
            best = max(alike, key=alike.get, default=None)
            hit = best is not None and alike[best] >= threshold
            free -= {best} if hit else set()
            hits.append(hit)
            scores.append(entry["score"])
    hits = np.array(hits)[np.argsort(-np.array(scores), kind="stable")]
    right = np.cumsum(hits)
    precision, recall = right / np.arange(1, len(hits) + 1), right / people
    return np.mean([max(precision[recall >= wanted], default=0.0) for wanted in np.linspace(0, 1, 101)])


def similarity(entry, truth, sigmas):
    one, two = np.reshape(entry["keypoints"], (-1, 3)), np.reshape(truth["keypoints"], (-1, 3))
    seen = two[:, 2] > 0
    distance = ((one[seen, :2] - two[seen, :2]) ** 2).sum(-1)
    return np.exp(-distance / (2 * truth["area"] * (2 * np.array(sigmas)[seen]) ** 2)).mean()


class TestCrowdPoseProtocol:
    ANKLE, HEAD, NECK = 10, 12, 13

    def crowd(self, *labelled, box_xywh=(0, 0, 100, 100), **more):
        keypoints = np.zeros((14, 3))
        for index, (x, y) in labelled:
            keypoints[index] = x, y, 2
        return person(keypoints, box_xywh, **more)

    @pytest.mark.parametrize(("protocol", "area"), [("auto", 5300.0), ("crowdpose", 5300.0), ("coco", 20.0)])
    def test_the_area_is_the_boxs_not_the_annotations(self, truth, protocol, area):
        path = truth([self.crowd((self.ANKLE, (50, 50)), area=20.0)], skeleton=CROWDPOSE14)
        sigma = CROWDPOSE14.sigmas[self.ANKLE]
        for similarity_wanted, average in ((0.87, 0.8), (0.83, 0.7)):
            off = off_by(similarity_wanted, area, sigma)
            results = [found({self.ANKLE: (50 + off, 50)}, 0.9, count=14)]
            assert evaluate_keypoints(path, results, protocol)["AP"] == pytest.approx(average)

    @pytest.mark.parametrize(("protocol", "average"), [("crowdpose", 1.0), ("coco", interpolated((0.5, 1.0)))])
    def test_people_with_only_head_and_neck_do_not_count(self, truth, protocol, average):
        people = [
            self.crowd((self.ANKLE, (50, 50))),
            self.crowd((self.HEAD, (350, 20)), (self.NECK, (350, 40)), box_xywh=(300, 0, 100, 100)),
        ]
        results = [found({self.ANKLE: (50, 50)}, 0.9, count=14)]
        figures = evaluate_keypoints(truth(people, skeleton=CROWDPOSE14), results, protocol)
        assert figures["AP"] == pytest.approx(average)

    def test_it_is_for_its_own_keypoints(self, truth):
        with pytest.raises(RSGNetError, match=r"truth.json: the crowdpose protocol is for crowdpose14 .* coco17"):
            evaluate_keypoints(truth([person({0: (1, 1)})]), [], "crowdpose")

    def test_an_unknown_protocol(self, truth):
        with pytest.raises(RSGNetError, match="no protocol is named 'oks'"):
            evaluate_keypoints(truth([person({0: (1, 1)})]), [], "oks")


class TestLevels:
    def test_levels_begin_at_02_and_08(self, truth):
        indices = [0.0, 0.1999, 0.2, 0.7999, 0.8, 1.6]
        path = truth(*[[person({0: (50, 50)})]] * 6, crowd_indices=indices)
        right_in = {"AP_easy": (1, 2), "AP_medium": (3, 4), "AP_hard": (5, 6), "AP_medium_hard": (3, 4, 5, 6)}
        for level, ids in right_in.items():
            figures = evaluate_keypoints(path, [found({0: (50, 50)}, 0.9, image_id) for image_id in ids])
            assert figures[level] == pytest.approx(1.0)
            others = {"AP_easy", "AP_medium", "AP_hard"} - {level}
            if level != "AP_medium_hard":
                assert [figures[other] for other in sorted(others)] == [0.0, 0.0]
            assert figures["AP50"] == pytest.approx(interpolated((len(ids) / 6, 1.0)))

    def test_a_level_without_people_is_nothing_to_measure(self, truth):
        path = truth([person({0: (50, 50)})], crowd_indices=[0.5])
        figures = evaluate_keypoints(path, [found({0: (50, 50)}, 0.9)])
        assert (figures["AP_easy"], figures["AP_medium"], figures["AP_hard"]) == (-1.0, 1.0, -1.0)


class TestNothingFound:
    def test_is_zero(self, truth):
        figures = evaluate_keypoints(truth([person({0: (50, 50)})], crowd_indices=[0.9]), [])
        assert {key for key, value in figures.items() if value == 0} >= {"AP", "AP50", "AR", "APL", "AP_hard"}

    def test_and_nobody_there_is_nothing_to_measure(self, truth):
        path = truth([], [])
        assert set(evaluate_keypoints(path, [found({0: (5, 5)}, 0.9)]).values()) == {-1.0}


def test_a_skeleton_with_more_keypoints_is_refused(truth):
    with pytest.raises(AnnotationError, match=r"entry 0: .*people19.*truth is coco17"):
        evaluate_keypoints(truth([person({0: (1, 1)})]), [found({}, 0.5, count=19)])


class TestGolden:
    def test_crowdpose_equals_the_official_code(self, shared):
        expected = json.loads(shared("golden/evaluation/expected.json").read_text())["crowdpose"]
        figures = evaluate_keypoints(
            shared("golden/evaluation/crowdpose_gt.json"), shared("golden/evaluation/crowdpose_results.json")
        )
        official = expected["official"]
        for name in ("AP", "AP50", "AP75", "AR", "AR50", "AR75"):
            assert figures[name] == pytest.approx(official[name], abs=1e-9), name
        assert figures["APM"] == pytest.approx(official["AP_M(area)"], abs=1e-9)
        assert figures["APL"] == pytest.approx(official["AP_L(area)"], abs=1e-9)
        for level in ("easy", "medium", "hard"):
            assert round(figures[f"AP_{level}"], 4) == official[f"AP_{level}"]
            assert figures[f"AP_{level}"] == pytest.approx(expected["splits_unrounded"][level]["AP"], abs=1e-9)

    def test_coco_equals_pycocotools(self, shared):
        expected = json.loads(shared("golden/evaluation/expected.json").read_text())["coco"]["pycocotools"]
        figures = evaluate_keypoints(
            shared("golden/evaluation/coco_gt.json"), shared("golden/evaluation/coco_results.json"), "coco"
        )
        assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-9)


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
    monkeypatch.setattr("rsgnet.evaluation.average_precision._AT_ONCE", 40)
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
    assert best_f1_threshold(rank(scenes([[LEFT, RIGHT]], [found(*entry) for entry in entries]))) == cut
