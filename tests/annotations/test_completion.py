"""Labels taken from a network's results: what was labelled stays, what was not is filled or ignored."""

import copy

import numpy as np
import pytest

from rsgnet.annotations.completion import Trust, complete
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import COCO17, CROWDPOSE14, PEOPLE19

BOX = [10.0, 10.0, 40.0, 80.0]
FAR = [200.0, 10.0, 40.0, 80.0]
TRUST = Trust(person=0.6, doubt=0.3, keypoint=0.5)


def keypoints(skeleton=CROWDPOSE14, **places):
    values = np.zeros((len(skeleton), 3))
    for name, place in places.items():
        values[skeleton.keypoints.index(name)] = place
    return values.ravel().tolist()


def named(entry, skeleton=CROWDPOSE14):
    values = np.reshape(entry["keypoints"], (-1, 3))
    return {name: tuple(place) for name, place in zip(skeleton.keypoints, values, strict=True) if place[2]}


HALF = keypoints(left_hip=(20, 20, 2))


def truth(*people):
    entries = [
        {"id": 7 + index, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 9.0, **person}
        for index, person in enumerate(people)
    ]
    return {"images": [{"id": 1}, {"id": 2}], "annotations": entries}


def person(labels=HALF, box=BOX, **more):
    return {"bbox": box, "keypoints": labels, "num_keypoints": sum(value > 0 for value in labels[2::3]), **more}


def found(score, box=BOX, labels=None):
    return {"image_id": 1, "bbox": box, "score": score} | ({"keypoints": labels} if labels else {})


def test_only_unlabelled_keypoints_are_filled_and_only_sure_ones():
    content = truth(person())
    before = copy.deepcopy(content)
    labels = keypoints(left_hip=(1, 1, 0.9), right_hip=(31, 41, 0.5), neck=(5, 5, 0.49))
    (done,) = complete(content, CROWDPOSE14, [found(0.4, labels=labels)], TRUST)["annotations"]
    assert named(done) == {"left_hip": (20, 20, 2), "right_hip": (31, 41, 2)}
    assert (done["num_keypoints"], done["completed"]) == (2, [CROWDPOSE14.keypoints.index("right_hip")])
    assert content == before


def test_labels_are_corrected_where_that_is_asked_for():
    """The person's scale is 3: labels up to 1.5 px off are moved, others dropped, unbelieved ones left alone."""
    labels = keypoints(left_hip=(20, 20, 2), right_hip=(40, 20, 2), neck=(30, 10, 1))
    sure = keypoints(left_hip=(21, 21, 0.9), right_hip=(42, 20, 0.9), neck=(99, 99, 0.1))
    trust = Trust(person=0.6, doubt=0.3, keypoint=0.5, correction=0.5)
    (done,) = complete(truth(person(labels)), CROWDPOSE14, [found(0.9, labels=sure)], trust)["annotations"]
    assert named(done) == {"left_hip": (21, 21, 2), "neck": (30, 10, 1)}
    assert done["num_keypoints"] == 2


def test_the_best_result_of_a_person_fills_whatever_their_order():
    results = [found(score, labels=keypoints(neck=(x, 9, 1))) for score, x in ((0.5, 99), (0.9, 31))]
    (done,) = complete(truth(person()), CROWDPOSE14, results, TRUST)["annotations"]
    assert named(done)["neck"] == (31, 9, 2)


@pytest.mark.parametrize(("score", "added", "crowd"), [(0.6, 1, 0), (0.59, 1, 1), (0.3, 1, 1), (0.29, 0, None)])
def test_others_are_added_as_people_or_as_regions_in_doubt(score, added, crowd):
    results = [found(score, FAR, keypoints(neck=(210, 20, 0.9), left_hip=(1, 1, 0.1)))]
    new = complete(truth(person()), CROWDPOSE14, results, TRUST)["annotations"][1:]
    assert len(new) == added
    if added:
        assert (new[0]["id"], new[0]["iscrowd"], new[0]["bbox"], new[0]["completed"]) == (8, crowd, FAR, True)
        assert named(new[0]) == ({} if crowd else {"neck": (210, 20, 2)})
        assert new[0]["area"] == pytest.approx(0.53 * 40 * 80)


def test_a_new_person_is_found_once():
    done = complete(truth(person()), CROWDPOSE14, [found(0.9, FAR), found(0.8, [202, 12, 40, 80])], TRUST)
    assert len(done["annotations"]) == 2


def test_nobody_is_added_inside_a_region_that_is_ignored():
    crowd = person(box=[190, 0, 100, 100], iscrowd=1)
    assert len(complete(truth(crowd), CROWDPOSE14, [found(0.9, FAR)], TRUST)["annotations"]) == 1


def test_skeletons_meet_by_name():
    labels = keypoints(COCO17, nose=(30, 12, 0.9), left_hip=(1, 1, 0.9))
    done = complete(truth(person()), CROWDPOSE14, [found(0.9, labels=labels)], TRUST, into=PEOPLE19)
    assert done["categories"][0]["keypoints"] == list(PEOPLE19.keypoints)
    assert named(done["annotations"][0], PEOPLE19) == {"left_hip": (20, 20, 2), "nose": (30, 12, 2)}


def test_results_of_other_images_are_left_out():
    assert complete(truth(), CROWDPOSE14, [{**found(0.9), "image_id": 3}], TRUST)["annotations"] == []


def test_results_with_other_keypoints_are_refused():
    with pytest.raises(AnnotationError, match="3 keypoints fit neither"):
        complete(truth(person()), CROWDPOSE14, [found(0.9, labels=[1.0] * 9)], TRUST)
