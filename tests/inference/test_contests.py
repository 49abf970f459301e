import numpy as np
import pytest

from rsgnet.inference.contests import find_contests, with_contests
from rsgnet.inference.evidence import CROP_FEATURES, FEATURES
from rsgnet.skeletons import COCO17

KNEE, OTHER_KNEE = COCO17.keypoints.index("left_knee"), COCO17.keypoints.index("right_knee")


def people(count, knee=None):
    """People far from each other, in boxes of 100x100; `knee`: (person, keypoint, x, y)."""
    places = np.arange(count)[:, None, None] * 1000.0 + np.arange(17)[:, None] * 50 + np.zeros(2)
    for person, keypoint, x, y in knee or ():
        places[person, keypoint] = x, y
    return places, np.full((count, 17), 0.5), np.tile([0.0, 0, 100, 100], (count, 1))


def reach(area):
    """How far a knee may lie for a similarity of 0.5: d^2 = 2 area (2 sigma)^2 ln 2."""
    return np.sqrt(2 * area * (2 * 0.087) ** 2 * np.log(2))


@pytest.mark.parametrize(("share", "contested"), [(0.99, True), (1.01, False)])
@pytest.mark.parametrize("keypoint", [KNEE, OTHER_KNEE])
def test_a_knee_is_contested_by_a_near_knee_of_either_side(share, contested, keypoint):
    away = share * reach(0.53 * 100 * 100)
    found = find_contests(*people(2, [(0, KNEE, 10, 10), (1, keypoint, 10 + away, 10)]), COCO17)
    assert (found.rival[0, KNEE] == 1) == contested and (found.rival[1, keypoint] == 0) == contested
    assert np.count_nonzero(found.rival >= 0) == 2 * contested
    if contested:
        assert found.keypoint[0, KNEE] == keypoint and found.keypoint[1, keypoint] == KNEE


def test_the_smaller_person_sets_the_scale():
    places, scores, boxes = people(2, [(0, KNEE, 10, 10), (1, KNEE, 10 + 0.5 * reach(5300), 10)])
    boxes[1, 2:] = 20
    assert (find_contests(places, scores, boxes, COCO17).rival == -1).all()


def test_of_several_the_one_with_the_highest_heatmap_is_the_rival():
    places, scores, boxes = people(3, [(0, KNEE, 10, 10), (1, KNEE, 11, 10), (2, OTHER_KNEE, 10, 11)])
    scores[2, OTHER_KNEE] = 0.9
    found = find_contests(places, scores, boxes, COCO17)
    assert found.rival[:, KNEE].tolist() == [2, 2, -1] and found.rival[2, OTHER_KNEE] in (0, 1)
    assert found.of_rivals(scores)[0, KNEE] == 0.9 and found.of_rivals(scores)[0, 0] == 0


def test_one_person_found_twice_has_no_rival():
    places, scores, boxes = people(2)
    places[1] = places[0] + 1
    assert (find_contests(places, scores, boxes, COCO17).rival == -1).all()
    places[1, :9] += 500  # half of the pose somewhere else: another person
    assert (find_contests(places, scores, boxes, COCO17).rival[0, 9:] == 1).sum() == 8


def test_nobody_and_somebody_alone_contest_nothing():
    assert find_contests(*people(0), COCO17).rival.shape == (0, 17)
    assert (find_contests(*people(1), COCO17).rival == -1).all()
    nobody = find_contests(*people(0), COCO17)
    assert with_contests(np.zeros((0, 17, len(CROP_FEATURES))), nobody).shape == (0, 17, len(FEATURES))


def test_what_speaks_for_the_rival_is_evidence():
    places, scores, boxes = people(2, [(0, KNEE, 10, 10), (1, OTHER_KNEE, 10, 10)])
    evidence = np.random.default_rng(0).random((2, 17, len(CROP_FEATURES)))
    told = with_contests(evidence, find_contests(places, scores, boxes, COCO17))
    assert np.array_equal(told[..., : len(CROP_FEATURES)], evidence)
    wanted = [1, *(evidence[1, OTHER_KNEE, CROP_FEATURES.index(name)] for name in ("peak", "person", "support"))]
    assert told[0, KNEE, len(CROP_FEATURES) :] == pytest.approx(wanted)
    assert (told[0, OTHER_KNEE, len(CROP_FEATURES) :] == 0).all()
