"""Labels taken from a network's results: what was labelled stays, what was not is filled or ignored."""

import copy

import pytest

from rsgnet.data.completion import Trust, complete
from rsgnet.errors import AnnotationError

BOX = [10.0, 10.0, 40.0, 80.0]
FAR = [200.0, 10.0, 40.0, 80.0]
TRUST = Trust(person=0.6, doubt=0.3, keypoint=0.5)


def truth(*people):
    entries = [
        {"id": 7 + index, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 9.0, **person}
        for index, person in enumerate(people)
    ]
    return {"images": [{"id": 1}, {"id": 2}], "annotations": entries, "categories": []}


def person(keypoints, box=BOX, **more):
    return {"bbox": box, "keypoints": keypoints, "num_keypoints": sum(value > 0 for value in keypoints[2::3]), **more}


def found(score, box=BOX, keypoints=None):
    return {"image_id": 1, "bbox": box, "score": score} | ({"keypoints": keypoints} if keypoints else {})


HALF = [20, 20, 2, 0, 0, 0]


def test_only_unlabelled_keypoints_are_filled_and_only_sure_ones():
    content = truth(person([*HALF, 0, 0, 0]))
    before = copy.deepcopy(content)
    done = complete(content, [found(0.4, keypoints=[1, 1, 0.9, 31, 41, 0.5, 5, 5, 0.49])], TRUST)
    assert done["annotations"][0]["keypoints"] == [20, 20, 2, 31, 41, 2, 0, 0, 0]
    assert done["annotations"][0]["num_keypoints"] == 2
    assert done["annotations"][0]["completed"] == [1]
    assert content == before


def test_the_best_result_of_a_person_fills_whatever_their_order():
    results = [found(0.5, keypoints=[0, 0, 0, 99, 99, 1]), found(0.9, keypoints=[0, 0, 0, 31, 41, 1])]
    done = complete(truth(person(HALF)), results, TRUST)
    assert done["annotations"][0]["keypoints"][3:5] == [31, 41]


@pytest.mark.parametrize(("score", "added", "crowd"), [(0.6, 1, 0), (0.59, 1, 1), (0.3, 1, 1), (0.29, 0, None)])
def test_others_are_added_as_people_or_as_regions_in_doubt(score, added, crowd):
    done = complete(truth(person(HALF)), [found(score, FAR, [210, 20, 0.9, 0, 0, 0.1])], TRUST)
    new = done["annotations"][1:]
    assert len(new) == added
    if added:
        assert (new[0]["id"], new[0]["iscrowd"], new[0]["bbox"], new[0]["completed"]) == (8, crowd, FAR, True)
        assert new[0]["keypoints"] == ([0] * 6 if crowd else [210, 20, 2, 0, 0, 0])
        assert new[0]["area"] == pytest.approx(0.53 * 40 * 80)


def test_a_new_person_is_found_once():
    done = complete(truth(person(HALF)), [found(0.9, FAR), found(0.8, [202, 12, 40, 80])], TRUST)
    assert len(done["annotations"]) == 2


def test_nobody_is_added_inside_a_region_that_is_ignored():
    done = complete(truth(person(HALF, [190, 0, 100, 100], iscrowd=1)), [found(0.9, FAR)], TRUST)
    assert len(done["annotations"]) == 1


def test_results_of_other_pictures_are_left_out():
    results = [{**found(0.9), "image_id": 3}]
    assert complete(truth(), results, TRUST) == truth()


def test_results_with_other_keypoints_are_refused():
    with pytest.raises(AnnotationError, match="9 keypoint numbers, the annotations have 6"):
        complete(truth(person(HALF)), [found(0.9, keypoints=[1.0] * 9)], TRUST)
