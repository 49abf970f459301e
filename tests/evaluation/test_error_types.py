from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from tests.evaluation.conftest import found, off_by, person, random_crowds

from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.evaluation.error_types import (
    KEYPOINT_KINDS,
    MISTAKES,
    ErrorCounts,
    count_errors,
    figures_repaired,
    keypoint_kinds,
    repaired,
)
from rsgnet.evaluation.matching import read_scenes
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.skeletons import COCO17

NOSE, LEFT_HIP, RIGHT_HIP = 0, 11, 12
HIP = COCO17.sigmas[LEFT_HIP]


def whole(x, y):
    """Everyone's seventeen keypoints in a row of a hundred pixels, far enough apart to be told from each other."""
    return {index: (x + 400 * (index % 4), y + 400 * (index // 4)) for index in range(17)}


FIRST, SECOND = whole(100, 100), whole(250, 150)
PEOPLE = [person(FIRST, area=1e4), person(SECOND, area=4e4)]


def kinds_of(scenes, **moved):
    """Error counts of a pose that is right but for the keypoints moved, among two people."""
    names = dict(zip(("nose", "left_hip", "right_hip"), (NOSE, LEFT_HIP, RIGHT_HIP), strict=True))
    pose = {**FIRST, **{names[name]: place for name, place in moved.items()}}
    return count_errors(scenes([PEOPLE], [found(pose, 0.9), found(SECOND, 0.8)]), COCO17)


def shifted(place, similarity, sigma=HIP, area=1e4):
    return place[0] + off_by(similarity, area, sigma), place[1]


@pytest.mark.parametrize(
    ("place", "kind"),
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
        (shifted(SECOND[LEFT_HIP], 0.499), "missed"),  # by the scale of the first, not of the larger second
        (FIRST[NOSE], "missed"),
        ((-900, -900), "missed"),
    ],
)
def test_kinds_of_keypoints(scenes, place, kind):
    counts = kinds_of(scenes, left_hip=place)
    expected = {"good": 33, "jitter": 0, "inverted": 0, "swapped": 0, "missed": 0}
    expected[kind] += 1
    assert {name: getattr(counts, name) for name in KEYPOINT_KINDS} == expected
    assert (counts.matched_people, counts.missed_people, counts.duplicate_people, counts.false_people) == (2, 0, 0, 0)


def test_what_has_no_mirror_image_is_not_inverted(scenes):
    assert kinds_of(scenes, nose=shifted(FIRST[NOSE], 0.499, COCO17.sigmas[NOSE])).missed == 1
    assert kinds_of(scenes, nose=SECOND[NOSE]).swapped == 1


def test_the_nearer_is_charged(scenes):
    """Another's hip stands 10 pixels from one's own right hip."""
    x, y = FIRST[RIGHT_HIP]
    people = [PEOPLE[0], person({**SECOND, LEFT_HIP: (x + 10, y)}, area=1e4)]
    for nearness, kind in ((2, "inverted"), (5, "inverted"), (8, "swapped")):
        pose = {**FIRST, LEFT_HIP: (x + nearness, y)}
        assert getattr(count_errors(scenes([people], [found(pose, 0.9)]), COCO17), kind) == 1


def test_keypoints_that_are_not_labelled_take_no_part(scenes):
    hidden = {**FIRST}
    del hidden[LEFT_HIP]
    others = {**SECOND}
    del others[RIGHT_HIP], others[LEFT_HIP]
    people = [person(hidden, area=1e4), person(others, area=1e4)]
    pose = {**FIRST, RIGHT_HIP: SECOND[RIGHT_HIP]}
    counts = count_errors(scenes([people], [found(pose, 0.9)]), COCO17)
    assert (counts.good, counts.swapped, counts.missed, counts.keypoints) == (15, 0, 1, 16)


@pytest.mark.parametrize(("more", "kind"), [({}, "swapped"), ({"iscrowd": 1}, "missed")])
def test_nothing_is_swapped_to_a_group(scenes, more, kind):
    people = [PEOPLE[0], person(SECOND, area=1e4, **more)]
    pose = {**FIRST, LEFT_HIP: SECOND[LEFT_HIP]}
    assert getattr(count_errors(scenes([people], [found(pose, 0.9)]), COCO17), kind) == 1


@pytest.mark.parametrize(
    ("poses", "expected"),
    [
        ([], (0, 2, 0, 0)),
        ([FIRST], (1, 1, 0, 0)),
        ([FIRST, FIRST], (1, 1, 1, 0)),
        ([FIRST, SECOND, FIRST, whole(-3000, 0)], (2, 0, 1, 1)),
        ([whole(-3000, 0)], (0, 2, 0, 1)),
    ],
)
def test_people(scenes, poses, expected):
    results = [found(pose, 0.9 - index / 10) for index, pose in enumerate(poses)]
    counts = count_errors(scenes([PEOPLE], results), COCO17)
    assert (counts.matched_people, counts.missed_people, counts.duplicate_people, counts.false_people) == expected


@pytest.mark.parametrize(("similarity", "kind"), [(0.51, "duplicate_people"), (0.49, "false_people")])
def test_a_duplicate_has_oks_of_a_half(scenes, similarity, kind):
    alone = person({LEFT_HIP: (100, 100)}, area=1e4)
    second = {LEFT_HIP: shifted((100, 100), similarity)}
    counts = count_errors(scenes([[alone]], [found({LEFT_HIP: (100, 100)}, 0.9), found(second, 0.8)]), COCO17)
    assert getattr(counts, kind) == 1 and counts.duplicate_people + counts.false_people == 1


@pytest.mark.parametrize(("similarity", "matched"), [(0.11, 1), (0.09, 0)])
def test_a_match_has_oks_of_a_tenth(scenes, similarity, matched):
    pose = {LEFT_HIP: shifted((100, 100), similarity)}
    counts = count_errors(scenes([[person({LEFT_HIP: (100, 100)}, area=1e4)]], [found(pose, 0.9)]), COCO17)
    assert (counts.matched_people, counts.missed, counts.false_people) == (matched, matched, 1 - matched)


def test_people_who_do_not_count_are_not_looked_at(scenes):
    group = person(FIRST, iscrowd=1, area=1e4)
    counts = count_errors(scenes([[group, person({}, (900, 900, 50, 50))]], [found(FIRST, 0.9)]), COCO17)
    assert counts == ErrorCounts()


def test_from_a_score_on(scenes):
    read = scenes([PEOPLE], [found(FIRST, 0.9), found(SECOND, 0.5), found(FIRST, 0.4)])
    for least, expected in ((-np.inf, (2, 1)), (0.5, (2, 0)), (0.51, (1, 0)), (np.inf, (0, 0))):
        counts = count_errors(read, COCO17, least)
        assert (counts.matched_people, counts.duplicate_people) == expected


def test_every_labelled_keypoint_of_the_matched_is_of_one_kind(scenes):
    read = scenes(*random_crowds(np.random.default_rng(2), 20))
    counts = count_errors(read, COCO17)
    people = sum(int(scene.counted.sum()) for scene in read)
    assert counts.matched_people + counts.missed_people == people > 20
    assert sum(counts.keypoint_shares().values()) == pytest.approx(1.0)
    assert min(counts.good, counts.jitter, counts.missed) > 0
    assert sum((count_errors([scene], COCO17) for scene in read), ErrorCounts()) == counts


def test_kinds_of_one_pose(scenes):
    (scene,) = scenes([PEOPLE], [])
    pose = np.array([FIRST[index] for index in range(17)], float)
    pose[[LEFT_HIP, RIGHT_HIP]] = pose[[RIGHT_HIP, LEFT_HIP]]
    kinds = keypoint_kinds(pose, 0, scene, COCO17)
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


LEFT_HIP, RIGHT_HIP, LEFT_KNEE = 11, 12, 13


def test_only_keypoints_of_the_kind_go_to_their_places(scenes):
    first = {index: (100.0 + 40 * index, 100.0) for index in range(17)}
    second = {index: (100.0 + 40 * index, 500.0) for index in range(17)}
    unlabelled = {index: place for index, place in first.items() if index != LEFT_KNEE}
    pose = {**first, LEFT_HIP: second[LEFT_HIP], RIGHT_HIP: first[LEFT_HIP], LEFT_KNEE: (-900.0, -900.0)}
    images = [[person(unlabelled, area=1e3), person(second, area=1e3)], []]
    one = scenes(images, [found(pose, 0.4), found(second, 0.9), found(pose, 0.7, image_id=2)])

    swaps = repaired(one, COCO17)["swapped"]
    assert swaps.image_ids.tolist() == [1, 1, 2] and swaps.scores.tolist() == [0.9, 0.4, 0.7]
    expected = np.array([pose[index] for index in range(17)])
    expected[LEFT_HIP] = first[LEFT_HIP]
    np.testing.assert_array_equal(swaps.values[1, :, :2], expected)  # the unlabelled knee stays where it was, too
    np.testing.assert_array_equal(swaps.values[2, :, :2], [pose[index] for index in range(17)])  # nobody's
    assert (swaps.values[..., 2] == 1).all()

    np.testing.assert_array_equal(repaired(one, COCO17)["inverted"].values[1, RIGHT_HIP, :2], first[RIGHT_HIP])
    np.testing.assert_array_equal(one[0].poses[1, LEFT_HIP, :2], second[LEFT_HIP])  # what was found is untouched


@pytest.mark.parametrize("kind", MISTAKES)
def test_nothing_of_the_kind_is_left_and_the_figures_follow(truth, kind):
    random = np.random.default_rng(3)
    people, results = [], []
    for image in range(1, 7):
        first, second = (random.uniform(corner, corner + 300, (17, 2)) for corner in (0, 250))
        pose = first + random.normal(0, 12, first.shape)
        pose[LEFT_HIP], pose[RIGHT_HIP], pose[LEFT_KNEE] = second[LEFT_HIP], first[LEFT_HIP], -900
        people.append([person(dict(enumerate(place)), area=9e4) for place in (first, second)])
        results += [found(pose, 0.4 + image / 10, image), found(second, 0.5, image)]
    annotations = read_annotations(truth(*people))
    before = read_scenes(annotations, read_keypoint_results(results, annotations), crowdpose=False)
    poses = repaired(before, COCO17)[kind]
    after = read_scenes(annotations, poses, crowdpose=False)
    counts, left = count_errors(before, COCO17), count_errors(after, COCO17)
    assert getattr(counts, kind) > 0 and getattr(left, kind) == 0
    assert left.good == counts.good + getattr(counts, kind) and left.keypoints == counts.keypoints

    figures = figures_repaired(annotations, before, crowdpose=False)
    assert tuple(figures) == MISTAKES == KEYPOINT_KINDS[1:]
    entries = [
        {"image_id": int(image_id), "category_id": 1, "keypoints": values.ravel().tolist(), "score": float(score)}
        for image_id, values, score in zip(poses.image_ids, poses.values, poses.scores, strict=True)
    ]
    assert figures[kind] == evaluate_keypoints(annotations.path, entries)
    assert figures[kind]["AP"] > evaluate_keypoints(annotations.path, results)["AP"]


def test_nobody_and_nothing(scenes):
    assert len(repaired((), COCO17)["missed"]) == 0
    assert len(repaired(scenes([[]], []), COCO17)["missed"]) == 0
