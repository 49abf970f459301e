from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from tests.evaluation.conftest import distance_at, person, random_crowds, result

from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.evaluation.error_types import (
    ERROR_KINDS,
    KEYPOINT_KINDS,
    ErrorCounts,
    classify_keypoints,
    compute_metrics_without_errors,
    correct_errors,
    count_errors,
)
from rsgnet.evaluation.matching import match_images
from rsgnet.evaluation.protocol import COCO
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.skeletons import COCO17

NOSE, LEFT_HIP, RIGHT_HIP, LEFT_KNEE = 0, 11, 12, 13
HIP = COCO17.sigmas[LEFT_HIP]


def grid_pose(x, y):
    """Returns seventeen keypoints on a grid of 400 pixels, too far apart to be confused."""
    return {index: (x + 400 * (index % 4), y + 400 * (index // 4)) for index in range(17)}


FIRST, SECOND = grid_pose(100, 100), grid_pose(250, 150)
PEOPLE = [person(FIRST, area=1e4), person(SECOND, area=4e4)]


def count_with_moved(match, **moved):
    """Counts the errors of two correct poses, of which the first has some keypoints moved."""
    names = dict(zip(("nose", "left_hip", "right_hip"), (NOSE, LEFT_HIP, RIGHT_HIP), strict=True))
    pose = {**FIRST, **{names[name]: position for name, position in moved.items()}}
    return count_errors(match([PEOPLE], [result(pose, 0.9), result(SECOND, 0.8)]), COCO17)


def shifted(position, similarity, sigma=HIP, area=1e4):
    return position[0] + distance_at(similarity, area, sigma), position[1]


@pytest.mark.parametrize(
    ("position", "kind"),
    [
        (FIRST[LEFT_HIP], "good"),
        (shifted(FIRST[LEFT_HIP], 0.851), "good"),
        (shifted(FIRST[LEFT_HIP], 0.849), "jitter"),
        (shifted(FIRST[LEFT_HIP], 0.501), "jitter"),
        (shifted(FIRST[LEFT_HIP], 0.499), "missed"),
        (FIRST[RIGHT_HIP], "inverted"),
        (shifted(FIRST[RIGHT_HIP], 0.501), "inverted"),
        (shifted(FIRST[RIGHT_HIP], 0.499), "missed"),
        (SECOND[LEFT_HIP], "swapped"),
        (SECOND[RIGHT_HIP], "swapped"),
        (shifted(SECOND[LEFT_HIP], 0.501), "swapped"),
        (shifted(SECOND[LEFT_HIP], 0.499), "missed"),  # the scale is that of the first person, not of the larger second
        (FIRST[NOSE], "missed"),
        ((-900, -900), "missed"),
    ],
)
def test_kinds_of_keypoints(match, position, kind):
    counts = count_with_moved(match, left_hip=position)
    expected = {"good": 33, "jitter": 0, "inverted": 0, "swapped": 0, "missed": 0}
    expected[kind] += 1
    assert {name: getattr(counts, name) for name in KEYPOINT_KINDS} == expected
    assert (counts.matched_people, counts.missed_people, counts.duplicate_people, counts.false_people) == (2, 0, 0, 0)


def test_keypoints_without_counterpart_are_not_inverted(match):
    assert count_with_moved(match, nose=shifted(FIRST[NOSE], 0.499, COCO17.sigmas[NOSE])).missed == 1
    assert count_with_moved(match, nose=SECOND[NOSE]).swapped == 1


def test_the_nearer_of_inverted_and_swapped_counts(match):
    """Another person's hip is 10 pixels from the person's own right hip."""
    x, y = FIRST[RIGHT_HIP]
    people = [PEOPLE[0], person({**SECOND, LEFT_HIP: (x + 10, y)}, area=1e4)]
    for shift, kind in ((2, "inverted"), (5, "inverted"), (8, "swapped")):
        pose = {**FIRST, LEFT_HIP: (x + shift, y)}
        assert getattr(count_errors(match([people], [result(pose, 0.9)]), COCO17), kind) == 1


def test_unlabelled_keypoints_are_ignored(match):
    partial = {**FIRST}
    del partial[LEFT_HIP]
    others = {**SECOND}
    del others[RIGHT_HIP], others[LEFT_HIP]
    people = [person(partial, area=1e4), person(others, area=1e4)]
    pose = {**FIRST, RIGHT_HIP: SECOND[RIGHT_HIP]}
    counts = count_errors(match([people], [result(pose, 0.9)]), COCO17)
    assert (counts.good, counts.swapped, counts.missed, counts.keypoints) == (15, 0, 1, 16)


@pytest.mark.parametrize(("fields", "kind"), [({}, "swapped"), ({"iscrowd": 1}, "missed")])
def test_keypoints_on_a_group_are_not_swapped(match, fields, kind):
    people = [PEOPLE[0], person(SECOND, area=1e4, **fields)]
    pose = {**FIRST, LEFT_HIP: SECOND[LEFT_HIP]}
    assert getattr(count_errors(match([people], [result(pose, 0.9)]), COCO17), kind) == 1


@pytest.mark.parametrize(
    ("poses", "expected"),
    [
        ([], (0, 2, 0, 0)),
        ([FIRST], (1, 1, 0, 0)),
        ([FIRST, FIRST], (1, 1, 1, 0)),
        ([FIRST, SECOND, FIRST, grid_pose(-3000, 0)], (2, 0, 1, 1)),
        ([grid_pose(-3000, 0)], (0, 2, 0, 1)),
    ],
)
def test_errors_of_people(match, poses, expected):
    results = [result(pose, 0.9 - index / 10) for index, pose in enumerate(poses)]
    counts = count_errors(match([PEOPLE], results), COCO17)
    assert (counts.matched_people, counts.missed_people, counts.duplicate_people, counts.false_people) == expected


@pytest.mark.parametrize(("similarity", "kind"), [(0.51, "duplicate_people"), (0.49, "false_people")])
def test_duplicates_have_oks_of_at_least_a_half(match, similarity, kind):
    single = person({LEFT_HIP: (100, 100)}, area=1e4)
    second = {LEFT_HIP: shifted((100, 100), similarity)}
    counts = count_errors(match([[single]], [result({LEFT_HIP: (100, 100)}, 0.9), result(second, 0.8)]), COCO17)
    assert getattr(counts, kind) == 1 and counts.duplicate_people + counts.false_people == 1


@pytest.mark.parametrize(("similarity", "matched"), [(0.11, 1), (0.09, 0)])
def test_matches_have_oks_of_at_least_a_tenth(match, similarity, matched):
    pose = {LEFT_HIP: shifted((100, 100), similarity)}
    counts = count_errors(match([[person({LEFT_HIP: (100, 100)}, area=1e4)]], [result(pose, 0.9)]), COCO17)
    assert (counts.matched_people, counts.missed, counts.false_people) == (matched, matched, 1 - matched)


def test_people_who_are_not_evaluated_are_ignored(match):
    group = person(FIRST, iscrowd=1, area=1e4)
    counts = count_errors(match([[group, person({}, (900, 900, 50, 50))]], [result(FIRST, 0.9)]), COCO17)
    assert counts == ErrorCounts()


def test_min_score(match):
    images = match([PEOPLE], [result(FIRST, 0.9), result(SECOND, 0.5), result(FIRST, 0.4)])
    for min_score, expected in ((-np.inf, (2, 1)), (0.5, (2, 0)), (0.51, (1, 0)), (np.inf, (0, 0))):
        counts = count_errors(images, COCO17, min_score)
        assert (counts.matched_people, counts.duplicate_people) == expected


def test_every_labelled_keypoint_of_matched_people_has_one_kind(match):
    images = match(*random_crowds(np.random.default_rng(2), 20))
    counts = count_errors(images, COCO17)
    people = sum(int(image.counted.sum()) for image in images)
    assert counts.matched_people + counts.missed_people == people > 20
    assert sum(counts.keypoint_shares().values()) == pytest.approx(1.0)
    assert min(counts.good, counts.jitter, counts.missed) > 0
    assert sum((count_errors([image], COCO17) for image in images), ErrorCounts()) == counts


def test_classify_keypoints(match):
    (image,) = match([PEOPLE], [])
    pose = np.array([FIRST[index] for index in range(17)], float)
    pose[[LEFT_HIP, RIGHT_HIP]] = pose[[RIGHT_HIP, LEFT_HIP]]
    kinds = classify_keypoints(pose, 0, image, COCO17)
    assert [KEYPOINT_KINDS[kind] for kind in kinds[[NOSE, LEFT_HIP, RIGHT_HIP]]] == ["good", "inverted", "inverted"]


def test_counts_and_shares():
    counts = ErrorCounts(good=6, jitter=2, swapped=2, matched_people=3, missed_people=1, false_people=2)
    assert counts.keypoints == 10
    assert counts.keypoint_shares() == {"good": 0.6, "jitter": 0.2, "inverted": 0.0, "swapped": 0.2, "missed": 0.0}
    assert counts.people_shares() == {"missed_people": 0.25, "duplicate_people": 0.0, "false_people": 0.5}
    assert counts + counts == replace(counts, **{name: 2 * value for name, value in vars(counts).items()})
    assert set(ErrorCounts().keypoint_shares().values()) == {0.0} == set(ErrorCounts().people_shares().values())
    with pytest.raises(FrozenInstanceError):
        counts.good = 3


def test_correct_errors_moves_only_keypoints_of_the_kind(match):
    first = {index: (100.0 + 40 * index, 100.0) for index in range(17)}
    second = {index: (100.0 + 40 * index, 500.0) for index in range(17)}
    unlabelled = {index: position for index, position in first.items() if index != LEFT_KNEE}
    pose = {**first, LEFT_HIP: second[LEFT_HIP], RIGHT_HIP: first[LEFT_HIP], LEFT_KNEE: (-900.0, -900.0)}
    people = [[person(unlabelled, area=1e3), person(second, area=1e3)], []]
    images = match(people, [result(pose, 0.4), result(second, 0.9), result(pose, 0.7, image_id=2)])

    corrected = correct_errors(images, COCO17)["swapped"]
    assert corrected.image_ids.tolist() == [1, 1, 2] and corrected.scores.tolist() == [0.9, 0.4, 0.7]
    expected = np.array([pose[index] for index in range(17)])
    expected[LEFT_HIP] = first[LEFT_HIP]
    np.testing.assert_array_equal(corrected.values[1, :, :2], expected)  # the unlabelled knee is not moved
    np.testing.assert_array_equal(corrected.values[2, :, :2], [pose[index] for index in range(17)])  # a pose of nobody
    assert (corrected.values[..., 2] == 1).all()

    np.testing.assert_array_equal(correct_errors(images, COCO17)["inverted"].values[1, RIGHT_HIP, :2], first[RIGHT_HIP])
    np.testing.assert_array_equal(images[0].poses[1, LEFT_HIP, :2], second[LEFT_HIP])  # the input is unchanged


@pytest.mark.parametrize("kind", ERROR_KINDS)
def test_metrics_without_errors(truth, kind):
    random = np.random.default_rng(3)
    people, results = [], []
    for image in range(1, 7):
        first, second = (random.uniform(corner, corner + 300, (17, 2)) for corner in (0, 250))
        pose = first + random.normal(0, 12, first.shape)
        pose[LEFT_HIP], pose[RIGHT_HIP], pose[LEFT_KNEE] = second[LEFT_HIP], first[LEFT_HIP], -900
        people.append([person(dict(enumerate(keypoints)), area=9e4) for keypoints in (first, second)])
        results += [result(pose, 0.4 + image / 10, image), result(second, 0.5, image)]
    annotations = read_annotations(truth(*people))
    before = match_images(annotations, read_keypoint_results(results, annotations), COCO)
    poses = correct_errors(before, COCO17)[kind]
    after = match_images(annotations, poses, COCO)
    counts, remaining = count_errors(before, COCO17), count_errors(after, COCO17)
    assert getattr(counts, kind) > 0 and getattr(remaining, kind) == 0
    assert remaining.good == counts.good + getattr(counts, kind) and remaining.keypoints == counts.keypoints

    metrics = compute_metrics_without_errors(annotations, before, COCO)
    assert tuple(metrics) == ERROR_KINDS == KEYPOINT_KINDS[1:]
    entries = [
        {"image_id": int(image_id), "category_id": 1, "keypoints": values.ravel().tolist(), "score": float(score)}
        for image_id, values, score in zip(poses.image_ids, poses.values, poses.scores, strict=True)
    ]
    assert metrics[kind] == evaluate_keypoints(annotations.path, entries)
    assert metrics[kind]["AP"] > evaluate_keypoints(annotations.path, results)["AP"]


def test_correct_errors_without_people(match):
    assert len(correct_errors((), COCO17)["missed"]) == 0
    assert len(correct_errors(match([[]], []), COCO17)["missed"]) == 0
