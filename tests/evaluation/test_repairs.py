import numpy as np
import pytest
from tests.evaluation.conftest import found, person

from rsgnet.data.annotations import read_annotations
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.evaluation.error_types import KEYPOINT_KINDS, count_errors
from rsgnet.evaluation.repairs import MISTAKES, figures_repaired, repaired
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.evaluation.scenes import read_scenes
from rsgnet.skeletons import COCO17

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
