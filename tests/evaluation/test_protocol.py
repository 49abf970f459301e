import numpy as np
import pytest

from rsgnet.annotations.people import AnnotatedImage, Person
from rsgnet.evaluation.protocol import count_evaluated_keypoints, crowd_level, group_by_level, oks_area


@pytest.mark.parametrize(
    ("crowd_index", "level"),
    [(0.0, "easy"), (0.1999, "easy"), (0.2, "medium"), (0.7999, "medium"), (0.8, "hard"), (1.6, "hard"), (None, None)],
)
def test_crowd_level(crowd_index, level):
    assert crowd_level(AnnotatedImage(1, "a.jpg", (9, 9), (), crowd_index)) == level


def test_group_by_level():
    levels = ["hard", "easy", None, "medium", "hard"]
    assert group_by_level(levels) == {"easy": [1], "medium": [3], "hard": [0, 4], "medium_hard": [0, 3, 4]}
    assert group_by_level([None, None]) == group_by_level([]) == {}


@pytest.mark.parametrize(("crowdpose", "area", "count"), [(False, 20.0, 2), (True, 0.53 * 100 * 50, 1)])
def test_crowdpose_uses_the_box_and_the_first_twelve_keypoints(crowdpose, area, count):
    keypoints = np.zeros((14, 3))
    keypoints[[11, 12], 2] = 1, 2
    person = Person(1, np.array([5.0, 5.0, 100.0, 50.0]), keypoints, 20.0)
    assert oks_area(person, crowdpose) == pytest.approx(area)
    assert count_evaluated_keypoints(person, crowdpose) == count
