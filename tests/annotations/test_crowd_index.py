import numpy as np
import pytest

from rsgnet.annotations.crowd_index import crowd_index
from rsgnet.annotations.readers import Person, read_annotations
from rsgnet.skeletons import COCO17, CROWDPOSE14


def person(places, box_xywh=(0, 0, 10, 10), is_crowd=False, first=5):
    """A COCO person whose keypoints from `first` on (5 is the left shoulder) are labelled at those places."""
    keypoints = np.zeros((17, 3))
    for index, (x, y) in enumerate(places, first):
        keypoints[index] = x, y, 1
    return Person(1, np.array(box_xywh, float), keypoints, 1.0, is_crowd)


INSIDE, EDGE, BEYOND = (5, 5), (10, 0), (10.1, 0)
APART = (100, 100, 10, 10)


@pytest.mark.parametrize(
    ("people", "crowdpose", "capped"),
    [
        ([], 0.0, 0.0),
        ([person([INSIDE] * 4)], 0.0, 0.0),
        # Two of the other's five lie in the first's box of four own ones; the other's box is empty of the first.
        (
            [person([INSIDE] * 4), person([INSIDE, EDGE, BEYOND, (105, 105), (105, 105)], APART)],
            (2 / 4) / 2,
            (2 / 4) / 2,
        ),
        # More of others' than of one's own: CrowdPose's index exceeds 1, the capped one does not.
        ([person([INSIDE] * 4), person([INSIDE] * 12, APART)], (12 / 4) / 2, 1 / 2),
        # Own keypoints outside the own box: CrowdPose counts them, the capped one only those inside.
        (
            [person([INSIDE, INSIDE, BEYOND, BEYOND]), person([INSIDE] + [(105, 105)] * 3, APART)],
            (1 / 4) / 2,
            (1 / 2) / 2,
        ),
        # Three own body keypoints: no person for CrowdPose, but theirs still lie in another's box.
        ([person([INSIDE] * 4), person([INSIDE] * 3, APART)], 3 / 4, (3 / 4 + 0) / 2),
        # Five keypoints of the face do not make a body either.
        ([person([INSIDE] * 4), person([INSIDE] * 5, APART, first=0)], 5 / 4, 1 / 2),
        # Without any own keypoint one counts for neither.
        ([person([INSIDE] * 4), person([])], 0.0, 0.0),
        # Groups: left out of the capped index altogether.
        ([person([INSIDE] * 4), person([INSIDE] * 4, is_crowd=True)], 1.0, 0.0),
    ],
)
def test_by_hand(people, crowdpose, capped):
    assert crowd_index(people, COCO17) == pytest.approx(crowdpose)
    assert crowd_index(people, COCO17, "capped") == pytest.approx(capped)


def test_own_keypoints_that_all_lie_outside_count_as_one():
    people = [person([BEYOND] * 4), person([INSIDE] * 2 + [(105, 105)] * 2, APART)]
    assert crowd_index(people, COCO17, "capped") == pytest.approx(1 / 2)
    assert crowd_index(people, COCO17, "crowdpose") == pytest.approx((2 / 4) / 2)


def test_the_same_in_another_skeleton():
    """CrowdPose's body comes first; its head and neck count as keypoints, not as body."""
    keypoints = np.zeros((14, 3))
    keypoints[[0, 1, 2, 12, 13]] = 5, 5, 2
    few = Person(1, np.array([0.0, 0, 10, 10]), keypoints, 1.0)
    keypoints = keypoints.copy()
    keypoints[3] = 5, 5, 2
    enough = Person(2, np.array([0.0, 0, 10, 10]), keypoints, 1.0)
    assert crowd_index([few, enough], CROWDPOSE14) == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("name", "rule", "decimals"),
    [("golden/evaluation/crowdpose_gt.json", "crowdpose", 2), ("data/coco_people_val.json", "capped", 4)],
)
def test_equals_the_published_indices_to_their_decimals(shared, name, rule, decimals):
    annotations = read_annotations(shared(name))
    found = np.array([crowd_index(image.people, annotations.skeleton, rule) for image in annotations.images])
    given = np.array([image.crowd_index for image in annotations.images])
    assert np.abs(found - given).max() <= 0.5 * 10**-decimals + 1e-9
    assert given.std() > 0.1
