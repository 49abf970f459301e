import numpy as np
import pytest

from rsgnet.annotations.crowd_index import compute_crowd_index
from rsgnet.annotations.people import Person
from rsgnet.annotations.readers import read_annotations
from rsgnet.skeletons import COCO17, CROWDPOSE14


def make_person(points, box_xywh=(0, 0, 10, 10), is_crowd=False, first=5):
    """A COCO person whose keypoints from `first` on (5 is the left shoulder) are labelled at these points."""
    keypoints = np.zeros((17, 3))
    for index, (x, y) in enumerate(points, first):
        keypoints[index] = x, y, 1
    return Person(1, np.array(box_xywh, float), keypoints, 1.0, is_crowd)


INSIDE, EDGE, OUTSIDE = (5, 5), (10, 0), (10.1, 0)
APART = (100, 100, 10, 10)


@pytest.mark.parametrize(
    ("people", "crowdpose", "capped"),
    [
        ([], 0.0, 0.0),
        ([make_person([INSIDE] * 4)], 0.0, 0.0),
        # The first person's box has four own keypoints and two of the other's; the other's box has none of the first's.
        (
            [make_person([INSIDE] * 4), make_person([INSIDE, EDGE, OUTSIDE, (105, 105), (105, 105)], APART)],
            (2 / 4) / 2,
            (2 / 4) / 2,
        ),
        # More keypoints of others than own ones: CrowdPose's index exceeds 1, the capped one does not.
        ([make_person([INSIDE] * 4), make_person([INSIDE] * 12, APART)], (12 / 4) / 2, 1 / 2),
        # Own keypoints outside the box: CrowdPose counts them, the capped index only those inside.
        (
            [make_person([INSIDE, INSIDE, OUTSIDE, OUTSIDE]), make_person([INSIDE] + [(105, 105)] * 3, APART)],
            (1 / 4) / 2,
            (1 / 2) / 2,
        ),
        # Three body keypoints: too few to count for CrowdPose, but they still lie in another's box.
        ([make_person([INSIDE] * 4), make_person([INSIDE] * 3, APART)], 3 / 4, (3 / 4 + 0) / 2),
        # Five keypoints of the face are no body keypoints.
        ([make_person([INSIDE] * 4), make_person([INSIDE] * 5, APART, first=0)], 5 / 4, 1 / 2),
        # A person without keypoints counts for neither index.
        ([make_person([INSIDE] * 4), make_person([])], 0.0, 0.0),
        # The capped index leaves out groups.
        ([make_person([INSIDE] * 4), make_person([INSIDE] * 4, is_crowd=True)], 1.0, 0.0),
    ],
)
def test_equals_values_computed_by_hand(people, crowdpose, capped):
    assert compute_crowd_index(people, COCO17) == pytest.approx(crowdpose)
    assert compute_crowd_index(people, COCO17, "capped") == pytest.approx(capped)


def test_the_capped_index_divides_by_one_where_no_own_keypoint_is_inside():
    people = [make_person([OUTSIDE] * 4), make_person([INSIDE] * 2 + [(105, 105)] * 2, APART)]
    assert compute_crowd_index(people, COCO17, "capped") == pytest.approx(1 / 2)
    assert compute_crowd_index(people, COCO17, "crowdpose") == pytest.approx((2 / 4) / 2)


def test_crowdpose14_people():
    """Head and neck count as keypoints, but not as body keypoints."""
    keypoints = np.zeros((14, 3))
    keypoints[[0, 1, 2, 12, 13]] = 5, 5, 2
    few = Person(1, np.array([0.0, 0, 10, 10]), keypoints, 1.0)
    keypoints = keypoints.copy()
    keypoints[3] = 5, 5, 2
    enough = Person(2, np.array([0.0, 0, 10, 10]), keypoints, 1.0)
    assert compute_crowd_index([few, enough], CROWDPOSE14) == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("name", "rule", "decimals"),
    [("golden/evaluation/crowdpose_gt.json", "crowdpose", 2), ("data/coco_people_val.json", "capped", 4)],
)
def test_equals_the_published_indices_to_their_decimals(shared, name, rule, decimals):
    annotations = read_annotations(shared(name))
    found = np.array([compute_crowd_index(image.people, annotations.skeleton, rule) for image in annotations.images])
    given = np.array([image.crowd_index for image in annotations.images])
    assert np.abs(found - given).max() <= 0.5 * 10**-decimals + 1e-9
    assert given.std() > 0.1
