import json

import numpy as np
import pytest
from tests.evaluation.conftest import distance_at, interpolated_ap, person, result
from tests.evaluation.official import run_pycocotools

from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.evaluation.average_precision import evaluate_boxes, evaluate_keypoints
from rsgnet.skeletons import COCO17, CROWDPOSE14

THRESHOLDS = np.linspace(0.5, 0.95, 10)
NOSE_SIGMA = 0.026


class TestEvaluateKeypoints:
    """Two people in one image: a correct pose, a false one, and one of known OKS."""

    people = (person({0: (50.0, 50.0)}), person({0: (300.0, 50.0)}, (250, 0, 100, 100)))

    def results(self, similarity):
        off = distance_at(similarity, 100 * 100, NOSE_SIGMA)
        return [
            result({0: (50.0, 50.0)}, 0.9),
            result({0: (600.0, 400.0)}, 0.8),
            result({0: (300.0 + off, 50.0)}, 0.7),
        ]

    @pytest.mark.parametrize(("similarity", "reached"), [(0.72, 5), (0.49, 0), (0.51, 1), (0.96, 10)])
    def test_average_precision_and_recall(self, truth, similarity, reached):
        metrics = evaluate_keypoints(truth(self.people), self.results(similarity))
        high, low = interpolated_ap((0.5, 1.0), (1.0, 2 / 3)), interpolated_ap((0.5, 1.0))
        assert metrics["AP"] == pytest.approx((reached * high + (10 - reached) * low) / 10)
        assert metrics["AP50"] == pytest.approx(high if reached >= 1 else low)
        assert metrics["AP75"] == pytest.approx(high if reached >= 6 else low)
        assert metrics["AR"] == pytest.approx((reached * 1.0 + (10 - reached) * 0.5) / 10)
        assert metrics["AR50"] == (1.0 if reached >= 1 else 0.5)
        assert metrics["AR75"] == (1.0 if reached >= 6 else 0.5)

    def test_order_of_results_does_not_matter(self, truth):
        path, results = truth(self.people), self.results(0.72)
        assert evaluate_keypoints(path, results) == evaluate_keypoints(path, results[::-1])

    def test_second_pose_of_a_person_is_false(self, truth):
        results = [*self.results(0.99)[:1], result({0: (50.01, 50.0)}, 0.85), *self.results(0.99)[2:]]
        assert evaluate_keypoints(truth(self.people), results)["AP50"] == pytest.approx(
            interpolated_ap((0.5, 1.0), (1.0, 2 / 3))
        )

    def test_metrics_by_area(self, truth):
        """100x100 is large, 50x50 medium; a pose matched in the other range is ignored."""
        people = [self.people[0], person({0: (300.0, 50.0)}, (250, 0, 50, 50))]
        metrics = evaluate_keypoints(truth(people), [result({0: (300.0, 50.0)}, 0.9)])
        assert (metrics["APM"], metrics["ARM"], metrics["APL"], metrics["ARL"]) == (1.0, 1.0, 0.0, 0.0)

    def test_without_medium_people_apm_is_minus_one(self, truth):
        metrics = evaluate_keypoints(truth(self.people), self.results(0.9))
        assert (metrics["APM"], metrics["ARM"]) == (-1.0, -1.0)
        assert metrics["APL"] > 0

    @pytest.mark.parametrize("ignored", [person({}), person({0: (600.0, 400.0)}, (550, 350, 100, 100), iscrowd=1)])
    def test_people_without_labels_and_groups_are_ignored(self, truth, ignored):
        ignored = {**ignored, "bbox": [550.0, 350.0, 100.0, 100.0]}
        good, _, other = self.results(0.99)
        on_ignored = result(dict.fromkeys(range(17), (600.0, 400.0)), 0.8)
        metrics = evaluate_keypoints(truth([*self.people, ignored]), [good, on_ignored, other])
        assert metrics["AP"] == pytest.approx(1.0)
        assert evaluate_keypoints(truth(self.people), [good, on_ignored, other])["AP"] < 0.9


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14])
def test_equals_plain_arithmetic(truth, skeleton):
    """Three images of three people each and poses with errors of any size, against a second implementation."""
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
                entry = result(dict(enumerate(moved)), float(random.random()), image_id, count)
                results.append(entry)
        images.append(group)
    metrics = evaluate_keypoints(truth(*images, skeleton=skeleton), results)
    expected = [average_precision(images, results, skeleton.sigmas, threshold) for threshold in THRESHOLDS]
    assert metrics["AP"] == pytest.approx(np.mean(expected))
    assert metrics["AP50"] == pytest.approx(expected[0])
    assert metrics["AP75"] == pytest.approx(expected[5])
    assert 0.1 < metrics["AP"] < metrics["AP50"] < 1


def average_precision(images, results, sigmas, threshold):
    """Returns the AP at one OKS threshold, computed step by step."""
    hits, scores, people = [], [], 0
    for image_id, group in enumerate(images, 1):
        people += len(group)
        free = set(range(len(group)))
        for entry in sorted((r for r in results if r["image_id"] == image_id), key=lambda r: -r["score"]):
            oks = {index: similarity(entry, group[index], sigmas) for index in free}
            best = max(oks, key=oks.get, default=None)
            hit = best is not None and oks[best] >= threshold
            free -= {best} if hit else set()
            hits.append(hit)
            scores.append(entry["score"])
    hits = np.array(hits)[np.argsort(-np.array(scores), kind="stable")]
    correct = np.cumsum(hits)
    precision, recall = correct / np.arange(1, len(hits) + 1), correct / people
    return np.mean([max(precision[recall >= wanted], default=0.0) for wanted in np.linspace(0, 1, 101)])


def similarity(entry, truth, sigmas):
    one, two = np.reshape(entry["keypoints"], (-1, 3)), np.reshape(truth["keypoints"], (-1, 3))
    labelled = two[:, 2] > 0
    distance = ((one[labelled, :2] - two[labelled, :2]) ** 2).sum(-1)
    return np.exp(-distance / (2 * truth["area"] * (2 * np.array(sigmas)[labelled]) ** 2)).mean()


class TestCrowdPoseProtocol:
    ANKLE, HEAD, NECK = 10, 12, 13

    def annotation(self, *labelled, box_xywh=(0, 0, 100, 100), **fields):
        keypoints = np.zeros((14, 3))
        for index, (x, y) in labelled:
            keypoints[index] = x, y, 2
        return person(keypoints, box_xywh, **fields)

    @pytest.mark.parametrize(("protocol", "area"), [("auto", 5300.0), ("crowdpose", 5300.0), ("coco", 20.0)])
    def test_area_is_taken_from_the_box(self, truth, protocol, area):
        path = truth([self.annotation((self.ANKLE, (50, 50)), area=20.0)], skeleton=CROWDPOSE14)
        sigma = CROWDPOSE14.sigmas[self.ANKLE]
        for target_similarity, average in ((0.87, 0.8), (0.83, 0.7)):
            off = distance_at(target_similarity, area, sigma)
            results = [result({self.ANKLE: (50 + off, 50)}, 0.9, count=14)]
            assert evaluate_keypoints(path, results, protocol)["AP"] == pytest.approx(average)

    @pytest.mark.parametrize(("protocol", "average"), [("crowdpose", 1.0), ("coco", interpolated_ap((0.5, 1.0)))])
    def test_people_with_only_head_and_neck_are_ignored(self, truth, protocol, average):
        people = [
            self.annotation((self.ANKLE, (50, 50))),
            self.annotation((self.HEAD, (350, 20)), (self.NECK, (350, 40)), box_xywh=(300, 0, 100, 100)),
        ]
        results = [result({self.ANKLE: (50, 50)}, 0.9, count=14)]
        metrics = evaluate_keypoints(truth(people, skeleton=CROWDPOSE14), results, protocol)
        assert metrics["AP"] == pytest.approx(average)

    def test_other_keypoints_raise(self, truth):
        with pytest.raises(RSGNetError, match=r"truth.json: the crowdpose protocol is for crowdpose14 .* coco17"):
            evaluate_keypoints(truth([person({0: (1, 1)})]), [], "crowdpose")

    def test_unknown_protocol_raises(self, truth):
        with pytest.raises(RSGNetError, match="no protocol is named 'oks'"):
            evaluate_keypoints(truth([person({0: (1, 1)})]), [], "oks")


class TestLevels:
    def test_bounds_are_02_and_08(self, truth):
        indices = [0.0, 0.1999, 0.2, 0.7999, 0.8, 1.6]
        path = truth(*[[person({0: (50, 50)})]] * 6, crowd_indices=indices)
        correct_images = {"AP_easy": (1, 2), "AP_medium": (3, 4), "AP_hard": (5, 6), "AP_medium_hard": (3, 4, 5, 6)}
        for level, ids in correct_images.items():
            metrics = evaluate_keypoints(path, [result({0: (50, 50)}, 0.9, image_id) for image_id in ids])
            assert metrics[level] == pytest.approx(1.0)
            others = {"AP_easy", "AP_medium", "AP_hard"} - {level}
            if level != "AP_medium_hard":
                assert [metrics[other] for other in sorted(others)] == [0.0, 0.0]
            assert metrics["AP50"] == pytest.approx(interpolated_ap((len(ids) / 6, 1.0)))

    def test_level_without_people_is_minus_one(self, truth):
        path = truth([person({0: (50, 50)})], crowd_indices=[0.5])
        metrics = evaluate_keypoints(path, [result({0: (50, 50)}, 0.9)])
        assert (metrics["AP_easy"], metrics["AP_medium"], metrics["AP_hard"]) == (-1.0, 1.0, -1.0)


class TestNoResults:
    def test_metrics_are_zero(self, truth):
        metrics = evaluate_keypoints(truth([person({0: (50, 50)})], crowd_indices=[0.9]), [])
        assert {key for key, value in metrics.items() if value == 0} >= {"AP", "AP50", "AR", "APL", "AP_hard"}

    def test_without_people_metrics_are_minus_one(self, truth):
        path = truth([], [])
        assert set(evaluate_keypoints(path, [result({0: (5, 5)}, 0.9)]).values()) == {-1.0}


def test_results_with_other_keypoints_raise(truth):
    with pytest.raises(AnnotationError, match=r"entry 0: .*people19.*annotations are coco17"):
        evaluate_keypoints(truth([person({0: (1, 1)})]), [result({}, 0.5, count=19)])


def box(box_xywh, score, image_id=1):
    return {"image_id": image_id, "category_id": 1, "bbox": list(map(float, box_xywh)), "score": score}


class TestEvaluateBoxes:
    @pytest.mark.parametrize(("height", "reached"), [(60, 3), (72, 5), (77, 6)])
    def test_average_precision_and_recall(self, truth, height, reached):
        """Two boxes with IoU 1 and height / 100, and a false box of a score in between."""
        people = [person({}, (0, 0, 100, 100)), person({0: (1, 1)}, (300, 0, 100, 100))]
        results = [box((0, 0, 100, 100), 0.9), box((0, 300, 50, 50), 0.8), box((300, 0, 100, height), 0.7)]
        metrics = evaluate_boxes(truth(people), results)
        high, low = interpolated_ap((0.5, 1.0), (1.0, 2 / 3)), interpolated_ap((0.5, 1.0))
        assert metrics["box_AP"] == pytest.approx((reached * high + (10 - reached) * low) / 10)
        assert metrics["box_AP50"] == pytest.approx(high)
        assert metrics["box_AP75"] == pytest.approx(high if reached >= 6 else low)
        assert metrics["box_recall50"] == 1.0
        assert metrics["box_recall50_overlapping"] == -1.0

    def test_groups_are_ignored(self, truth):
        people = [person({}, (0, 0, 100, 100)), person({}, (200, 0, 400, 400), iscrowd=1)]
        results = [box((210, 10, 50, 50), 0.95), box((300, 10, 50, 50), 0.9), box((0, 0, 100, 100), 0.5)]
        assert evaluate_boxes(truth(people), results)["box_AP"] == pytest.approx(1.0)

    def test_only_a_hundred_boxes_are_evaluated(self, truth):
        results = [box((300 + index, 300, 20, 20), 0.9) for index in range(99)]
        correct = [box((0, 0, 100, 100), 0.5)]
        path = truth([person({}, (0, 0, 100, 100)), person({}, (0, 0, 100, 150))])
        within, beyond = results + correct, [*results, box((9, 9, 5, 5), 0.8), *correct]
        for name in ("box_recall50", "box_recall50_overlapping"):
            assert evaluate_boxes(path, within)[name] == 0.5
            assert evaluate_boxes(path, beyond)[name] == 0.0

    @pytest.mark.parametrize(
        ("boxes", "expected"),
        [
            # The first two people overlap by 60 / 140, the third overlaps nobody and does not count.
            ([(0, 0, 100, 100), (40, 0, 100, 100), (300, 0, 100, 100)], 1.0),
            ([(0, 0, 100, 100)], 0.5),
            ([(0, 0, 100, 100), (1, 0, 100, 100), (2, 0, 100, 100)], 0.5),  # a person is matched once
            ([(0, 0, 100, 100), (10, 0, 100, 100)], 1.0),  # the second box overlaps both and takes the free person
            ([(20, 0, 100, 100)], 0.5),  # one box that overlaps both
            ([(0, 0, 100, 45)], 0.0),  # IoU below a half
            ([(300, 0, 100, 100)], 0.0),
            ([], 0.0),
        ],
    )
    def test_recall_of_overlapping_people(self, truth, boxes, expected):
        people = [person({}, (0, 0, 100, 100)), person({}, (40, 0, 100, 100)), person({}, (300, 0, 100, 100))]
        results = [box(one, 0.9 - index / 10) for index, one in enumerate(boxes)]
        assert evaluate_boxes(truth(people), results)["box_recall50_overlapping"] == expected

    @pytest.mark.parametrize(("shift", "overlapping"), [(53, True), (55, False)])
    def test_overlap_is_an_iou_above_03(self, truth, shift, overlapping):
        """Boxes 100 wide, shifted: IoU (100 - shift) / (100 + shift), 0.307 and 0.290."""
        people = [person({}, (0, 0, 100, 100)), person({}, (shift, 0, 100, 100))]
        metrics = evaluate_boxes(truth(people), [box((0, 0, 100, 100), 0.9)])
        assert metrics["box_recall50_overlapping"] == (0.5 if overlapping else -1.0)

    def test_groups_do_not_overlap_people(self, truth):
        people = [person({}, (0, 0, 100, 100)), person({}, (0, 0, 100, 100), iscrowd=1)]
        assert evaluate_boxes(truth(people), [])["box_recall50_overlapping"] == -1.0

    @pytest.mark.parametrize("seed", range(6))
    def test_equals_pycocotools(self, truth, seed):
        """The data contain groups and images with more boxes than are evaluated."""
        random = np.random.default_rng(seed)
        images, results = [], []
        for image_id in range(1, 16):
            corners = random.uniform(0, 300, (int(random.integers(0, 5)), 2))
            people = [(*corner, *random.uniform(40, 200, 2)) for corner in corners]
            images.append([person({}, place, iscrowd=int(random.random() < 0.2)) for place in people])
            for place in people * 2 + [(0.0, 0.0, 50.0, 50.0)] * (120 if image_id == 3 else 1):
                found = (np.array(place) + random.normal(0, 6, 4)).clip(0).tolist()
                results.append({"image_id": image_id, "category_id": 1, "bbox": found, "score": float(random.random())})
        path = truth(*images)
        stats = run_pycocotools(path, results).stats
        metrics = evaluate_boxes(path, results)
        assert [metrics[name] for name in ("box_AP", "box_AP50", "box_AP75")] == pytest.approx(stats[:3], abs=1e-14)

    def test_no_results_is_zero_and_no_people_is_minus_one(self, truth):
        metrics = evaluate_boxes(truth([person({}, (0, 0, 9, 9))]), [])
        assert metrics["box_AP"] == metrics["box_AP50"] == metrics["box_AP75"] == metrics["box_recall50"] == 0.0
        assert set(evaluate_boxes(truth([], []), [box((0, 0, 5, 5), 0.9)]).values()) == {-1.0}


class TestGolden:
    def test_crowdpose_equals_the_official_code(self, shared):
        expected = json.loads(shared("golden/evaluation/expected.json").read_text())["crowdpose"]
        metrics = evaluate_keypoints(
            shared("golden/evaluation/crowdpose_gt.json"), shared("golden/evaluation/crowdpose_results.json")
        )
        official = expected["official"]
        for name in ("AP", "AP50", "AP75", "AR", "AR50", "AR75"):
            assert metrics[name] == pytest.approx(official[name], abs=1e-9), name
        assert metrics["APM"] == pytest.approx(official["AP_M(area)"], abs=1e-9)
        assert metrics["APL"] == pytest.approx(official["AP_L(area)"], abs=1e-9)
        for level in ("easy", "medium", "hard"):
            assert round(metrics[f"AP_{level}"], 4) == official[f"AP_{level}"]
            assert metrics[f"AP_{level}"] == pytest.approx(expected["splits_unrounded"][level]["AP"], abs=1e-9)

    def test_coco_equals_pycocotools(self, shared):
        expected = json.loads(shared("golden/evaluation/expected.json").read_text())["coco"]["pycocotools"]
        metrics = evaluate_keypoints(
            shared("golden/evaluation/coco_gt.json"), shared("golden/evaluation/coco_results.json"), "coco"
        )
        assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-9)
