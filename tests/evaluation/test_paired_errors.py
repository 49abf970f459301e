import numpy as np
from tests.evaluation.conftest import person, random_crowds, result

from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.error_types import KEYPOINT_KINDS, count_errors
from rsgnet.evaluation.matching import NOBODY, match_images
from rsgnet.evaluation.paired_errors import count_kinds, judge_results, list_judged_images
from rsgnet.evaluation.protocol import COCO
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.skeletons import COCO17

POSE = {index: (100 + 400 * (index % 4), 100 + 400 * (index // 4)) for index in range(17)}
OTHER = {index: (x + 150, y + 50) for index, (x, y) in POSE.items()}
LEFT_HIP, RIGHT_HIP, NOSE = 11, 12, 0


def judge(path, first, second):
    truth = read_annotations(path)
    return judge_results(truth, read_keypoint_results(first, truth), read_keypoint_results(second, truth))


def kinds_of(people, row):
    return [KEYPOINT_KINDS[kind] if kind >= 0 else None for kind in people.kinds[row]]


def test_keypoints_that_are_right_once(truth):
    path = truth([person(POSE, area=1e4), person(OTHER, area=1e4)], [person(POSE, area=1e4)])
    first = [
        result({**POSE, LEFT_HIP: POSE[RIGHT_HIP], NOSE: (5, 900)}, 0.9),
        result({**OTHER, NOSE: POSE[NOSE]}, 0.8),
        result(POSE, 0.7, image_id=2),
    ]
    second = [result({**POSE, NOSE: (5, 900)}, 0.9), result(POSE, 0.7, image_id=2)]
    most, none = judge(path, first, second)
    assert (most.annotated.id, none.annotated.id) == (1, 2)
    assert kinds_of(most.first, 0)[LEFT_HIP] == "inverted" and kinds_of(most.first, 0)[NOSE] == "missed"
    assert kinds_of(most.second, 0)[LEFT_HIP] == "good"
    assert kinds_of(most.first, 1)[NOSE] == "swapped"
    assert most.second.poses.tolist() == [0, NOBODY] and set(kinds_of(most.second, 1)) == {"missed"}
    assert np.argwhere(most.differing[:1]).tolist() == [[0, LEFT_HIP]]  # the nose is wrong in both
    assert most.right_once == (16, 1) and none.right_once == (0, 0)
    assert list_judged_images([most]) == [{"file_name": "images/1.jpg", "right_in_a_only": 16, "right_in_b_only": 1}]
    assert count_kinds([most.second, none.second]) == {
        "good": 33, "jitter": 0, "inverted": 0, "swapped": 0, "missed": 1, "people without a pose": 1,
    }  # fmt: skip


def test_unlabelled_keypoints_and_people_do_not_differ(truth):
    few = {index: POSE[index] for index in (0, 1, 2)}
    path = truth([person(few, area=1e4), person({}, (900, 900, 50, 50)), person(OTHER, area=1e4, iscrowd=1)])
    (image,) = judge(path, [result(POSE, 0.9)], [])
    assert image.right_once == (3, 0) and image.differing.sum() == 3
    assert (image.first.kinds[0, 3:] < 0).all() and (image.first.kinds[1:] < 0).all()


def test_only_poses_of_nobody_with_a_high_score_are_false(truth):
    far = {index: (x + 5000, y) for index, (x, y) in POSE.items()}
    path = truth([person(POSE, area=1e4)])
    (image,) = judge(path, [result(far, 0.9), result(POSE, 0.8), result(far, 0.1)], [])
    assert image.first.poses.tolist() == [1] and image.first.false_poses == (0,)


def test_counts_equal_those_of_the_report(truth):
    """Of random crowds, the kinds add up to what count_errors counts, which goes pose by pose."""
    random = np.random.default_rng(3)
    groups, results = random_crowds(random, 30)
    path = truth(*groups)
    annotations = read_annotations(path)
    matched = match_images(annotations, read_keypoint_results(results, annotations), COCO)
    errors = count_errors(matched, COCO17)
    counts = count_kinds([image.first for image in judge(path, results, [])])
    assert errors.keypoints > 100
    assert {kind: counts[kind] for kind in KEYPOINT_KINDS} == {kind: getattr(errors, kind) for kind in KEYPOINT_KINDS}
    assert counts["people without a pose"] == errors.missed_people
