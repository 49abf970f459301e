import pytest
from tests.evaluation.conftest import interpolated, person

from rsgnet.evaluation.average_precision import box_average_precision


def box(box_xywh, score, image_id=1):
    return {"image_id": image_id, "category_id": 1, "bbox": list(map(float, box_xywh)), "score": score}


class TestBoxes:
    @pytest.mark.parametrize(("height", "reached"), [(60, 3), (72, 5), (77, 6)])
    def test_by_hand(self, truth, height, reached):
        """IoU 1 and height / 100 of two people, and a false box between them: as for poses."""
        people = [person({}, (0, 0, 100, 100)), person({0: (1, 1)}, (300, 0, 100, 100))]
        results = [box((0, 0, 100, 100), 0.9), box((0, 300, 50, 50), 0.8), box((300, 0, 100, height), 0.7)]
        figures = box_average_precision(truth(people), results)
        with_it, without = interpolated((0.5, 1.0), (1.0, 2 / 3)), interpolated((0.5, 1.0))
        assert figures["box_AP"] == pytest.approx((reached * with_it + (10 - reached) * without) / 10)
        assert figures["box_AP50"] == pytest.approx(with_it)
        assert figures["box_AP75"] == pytest.approx(with_it if reached >= 6 else without)
        assert figures["box_recall50"] == 1.0
        assert figures["box_recall50_overlapping"] == -1.0

    def test_groups_neither_count_nor_cost(self, truth):
        people = [person({}, (0, 0, 100, 100)), person({}, (200, 0, 400, 400), iscrowd=1)]
        results = [box((210, 10, 50, 50), 0.95), box((300, 10, 50, 50), 0.9), box((0, 0, 100, 100), 0.5)]
        assert box_average_precision(truth(people), results)["box_AP"] == pytest.approx(1.0)

    def test_recall_looks_at_a_hundred_boxes(self, truth):
        results = [box((300 + index, 300, 20, 20), 0.9) for index in range(99)]
        right = [box((0, 0, 100, 100), 0.5)]
        path = truth([person({}, (0, 0, 100, 100)), person({}, (0, 0, 100, 150))])
        within, beyond = results + right, [*results, box((9, 9, 5, 5), 0.8), *right]
        for name in ("box_recall50", "box_recall50_overlapping"):
            assert box_average_precision(path, within)[name] == 0.5
            assert box_average_precision(path, beyond)[name] == 0.0

    @pytest.mark.parametrize(
        ("boxes", "expected"),
        [
            # The two left people overlap by 60 / 140, the third stands alone and does not count.
            ([(0, 0, 100, 100), (40, 0, 100, 100), (300, 0, 100, 100)], 1.0),
            ([(0, 0, 100, 100)], 0.5),
            ([(0, 0, 100, 100), (1, 0, 100, 100), (2, 0, 100, 100)], 0.5),  # one person cannot be found twice
            ([(0, 0, 100, 100), (10, 0, 100, 100)], 1.0),  # the second, alike to both, is left for the other
            ([(20, 0, 100, 100)], 0.5),  # alike to both, but one box
            ([(0, 0, 100, 45)], 0.0),  # IoU below a half
            ([(300, 0, 100, 100)], 0.0),
            ([], 0.0),
        ],
    )
    def test_recall_of_overlapping_people(self, truth, boxes, expected):
        people = [person({}, (0, 0, 100, 100)), person({}, (40, 0, 100, 100)), person({}, (300, 0, 100, 100))]
        results = [box(one, 0.9 - index / 10) for index, one in enumerate(boxes)]
        assert box_average_precision(truth(people), results)["box_recall50_overlapping"] == expected

    @pytest.mark.parametrize(("shift", "overlapping"), [(53, True), (55, False)])
    def test_overlapping_begins_above_an_iou_of_03(self, truth, shift, overlapping):
        """Boxes 100 wide, shifted: IoU (100 - shift) / (100 + shift), 0.307 and 0.290."""
        people = [person({}, (0, 0, 100, 100)), person({}, (shift, 0, 100, 100))]
        figures = box_average_precision(truth(people), [box((0, 0, 100, 100), 0.9)])
        assert figures["box_recall50_overlapping"] == (0.5 if overlapping else -1.0)

    def test_a_group_is_nobody_to_overlap_with(self, truth):
        people = [person({}, (0, 0, 100, 100)), person({}, (0, 0, 100, 100), iscrowd=1)]
        assert box_average_precision(truth(people), [])["box_recall50_overlapping"] == -1.0

    def test_nothing_found_is_zero_and_nobody_there_is_nothing_to_measure(self, truth):
        figures = box_average_precision(truth([person({}, (0, 0, 9, 9))]), [])
        assert figures["box_AP"] == figures["box_AP50"] == figures["box_AP75"] == figures["box_recall50"] == 0.0
        assert set(box_average_precision(truth([], []), [box((0, 0, 5, 5), 0.9)]).values()) == {-1.0}
