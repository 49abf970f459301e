"""Completing labels with results: existing labels are kept, missing ones are added or ignored."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from rsgnet.annotations.completion import CompletionThresholds, complete_annotations
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import COCO17, CROWDPOSE14, PEOPLE19

BOX = [10.0, 10.0, 40.0, 80.0]
FAR = [200.0, 10.0, 40.0, 80.0]
THRESHOLDS = CompletionThresholds(person=0.6, doubt=0.3, keypoint=0.5)


def make_keypoints(skeleton=CROWDPOSE14, **keypoints):
    values = np.zeros((len(skeleton), 3))
    for name, row in keypoints.items():
        values[skeleton.keypoints.index(name)] = row
    return values.ravel().tolist()


def get_labels(entry, skeleton=CROWDPOSE14):
    values = np.reshape(entry["keypoints"], (-1, 3))
    return {name: tuple(row) for name, row in zip(skeleton.keypoints, values, strict=True) if row[2]}


ONE_LABEL = make_keypoints(left_hip=(20, 20, 2))


def make_content(*people):
    entries = [
        {"id": 7 + index, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 9.0, **person}
        for index, person in enumerate(people)
    ]
    return {"images": [{"id": 1}, {"id": 2}], "annotations": entries}


def make_person(labels=ONE_LABEL, box=BOX, **more):
    return {"bbox": box, "keypoints": labels, "num_keypoints": sum(value > 0 for value in labels[2::3]), **more}


def make_result(score, box=BOX, labels=None):
    return {"image_id": 1, "bbox": box, "score": score} | ({"keypoints": labels} if labels else {})


def complete(content, *results, thresholds=THRESHOLDS):
    """Returns the people of the completed content."""
    return complete_annotations(content, CROWDPOSE14, results, thresholds)["annotations"]


def test_only_unlabelled_keypoints_with_a_high_score_are_added():
    content = make_content(make_person())
    before = copy.deepcopy(content)
    labels = make_keypoints(left_hip=(1, 1, 0.9), right_hip=(31, 41, 0.5), neck=(5, 5, 0.49))
    (completed,) = complete(content, make_result(0.4, labels=labels))
    assert get_labels(completed) == {"left_hip": (20, 20, 2), "right_hip": (31, 41, 2)}
    assert (completed["num_keypoints"], completed["completed"]) == (2, [CROWDPOSE14.keypoints.index("right_hip")])
    assert content == before


def test_labels_are_corrected_on_request():
    """The person's scale is 3: labels up to 1.5 px away are moved, others removed; a low score changes nothing."""
    labels = make_keypoints(left_hip=(20, 20, 2), right_hip=(40, 20, 2), neck=(30, 10, 1))
    scored = make_keypoints(left_hip=(21, 21, 0.9), right_hip=(42, 20, 0.9), neck=(99, 99, 0.1))
    thresholds = replace(THRESHOLDS, correction=0.5)
    (completed,) = complete(make_content(make_person(labels)), make_result(0.9, labels=scored), thresholds=thresholds)
    assert get_labels(completed) == {"left_hip": (21, 21, 2), "neck": (30, 10, 1)}
    assert completed["num_keypoints"] == 2


def test_the_result_with_the_best_score_is_used_in_any_order():
    results = [make_result(score, labels=make_keypoints(neck=(x, 9, 1))) for score, x in ((0.5, 99), (0.9, 31))]
    (completed,) = complete(make_content(make_person()), *results)
    assert get_labels(completed)["neck"] == (31, 9, 2)


@pytest.mark.parametrize(("score", "added", "crowd"), [(0.6, 1, 0), (0.59, 1, 1), (0.3, 1, 1), (0.29, 0, None)])
def test_other_results_are_added_as_people_or_as_regions_to_ignore(score, added, crowd):
    result = make_result(score, FAR, make_keypoints(neck=(210, 20, 0.9), left_hip=(1, 1, 0.1)))
    new = complete(make_content(make_person()), result)[1:]
    assert len(new) == added
    if added:
        assert (new[0]["id"], new[0]["iscrowd"], new[0]["bbox"], new[0]["completed"]) == (8, crowd, FAR, True)
        assert get_labels(new[0]) == ({} if crowd else {"neck": (210, 20, 2)})
        assert new[0]["area"] == pytest.approx(0.53 * 40 * 80)


def test_a_new_person_is_added_once():
    results = make_result(0.9, FAR), make_result(0.8, [202, 12, 40, 80])
    assert len(complete(make_content(make_person()), *results)) == 2


def test_nobody_is_added_inside_a_region_to_ignore():
    crowd = make_person(box=[190, 0, 100, 100], iscrowd=1)
    assert len(complete(make_content(crowd), make_result(0.9, FAR))) == 1


def test_skeletons_are_matched_by_name():
    labels = make_keypoints(COCO17, nose=(30, 12, 0.9), left_hip=(1, 1, 0.9))
    results = [make_result(0.9, labels=labels)]
    completed = complete_annotations(make_content(make_person()), CROWDPOSE14, results, THRESHOLDS, PEOPLE19)
    assert completed["categories"][0]["keypoints"] == list(PEOPLE19.keypoints)
    assert get_labels(completed["annotations"][0], PEOPLE19) == {"left_hip": (20, 20, 2), "nose": (30, 12, 2)}


def test_results_of_other_images_are_left_out():
    assert complete(make_content(), {**make_result(0.9), "image_id": 3}) == []


def test_results_with_other_keypoints_are_refused():
    with pytest.raises(AnnotationError, match="3 keypoints fit neither"):
        complete(make_content(make_person()), make_result(0.9, labels=[1.0] * 9))
