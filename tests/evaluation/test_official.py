import numpy as np
import pytest

from rsgnet.annotations.readers import AnnotatedImage, Person
from rsgnet.evaluation.protocol import asked_for, by_level, level_of, oks_area


@pytest.mark.parametrize(
    ("crowd_index", "level"),
    [(0.0, "easy"), (0.1999, "easy"), (0.2, "medium"), (0.7999, "medium"), (0.8, "hard"), (1.6, "hard"), (None, None)],
)
def test_level(crowd_index, level):
    assert level_of(AnnotatedImage(1, "a.jpg", (9, 9), (), crowd_index)) == level


def test_images_by_level():
    levels = ["hard", "easy", None, "medium", "hard"]
    assert by_level(levels) == {"easy": [1], "medium": [3], "hard": [0, 4], "medium_hard": [0, 3, 4]}
    assert by_level([None, None]) == by_level([]) == {}


@pytest.mark.parametrize(("crowdpose", "area", "count"), [(False, 20.0, 2), (True, 0.53 * 100 * 50, 1)])
def test_crowdpose_takes_the_box_and_the_first_twelve(crowdpose, area, count):
    keypoints = np.zeros((14, 3))
    keypoints[[11, 12], 2] = 1, 2
    someone = Person(1, np.array([5.0, 5.0, 100.0, 50.0]), keypoints, 20.0)
    assert oks_area(someone, crowdpose) == pytest.approx(area)
    assert asked_for(someone, crowdpose) == count
