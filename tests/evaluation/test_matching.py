"""OKS compared with the official tool's, and matching on small examples."""

from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster
from tests.evaluation.conftest import distance_at, person, random_crowds, result

from rsgnet.annotations.people import AnnotatedImage, Annotations, Person
from rsgnet.evaluation.matching import NOBODY, compute_oks, keypoint_similarity, match_poses
from rsgnet.evaluation.protocol import oks_area
from rsgnet.evaluation.results import Results
from rsgnet.poses import oks
from rsgnet.skeletons import COCO17

MAX_POSES = 20


def crowd(people_in_images, found_in_images, seed=0):
    random, count = np.random.default_rng(seed), len(COCO17)
    images, ids, values = [], [], []
    for row, (people, poses) in enumerate(zip(people_in_images, found_in_images, strict=True)):
        group = []
        for _ in range(people):
            box = random.uniform(20, 200, 4)
            visibility = random.integers(0, 3, (count, 1)) * (len(group) != 1)  # the second person has no labels
            keypoints = np.hstack([box[:2] + random.uniform(0, 1, (count, 2)) * box[2:], visibility])
            group.append(Person(len(group), box, keypoints, float(box[2] * box[3] * 0.6)))
        images.append(AnnotatedImage(40 - row, f"{row}.jpg", (400, 400), tuple(group)))
        ids += [40 - row] * poses
        values.append(random.uniform(0, 300, (poses, count, 3)))
    order = random.permutation(len(ids))
    scores = random.integers(0, 6, len(ids)) / 5.0  # many scores are equal
    results = Results("results", np.array(ids)[order], scores, np.concatenate(values)[order])
    return Annotations(Path("people.json"), COCO17, tuple(images)), results


def compute_official_oks(truth, results, crowdpose):
    """Returns the official tool's OKS of the same people."""
    people = [(image.id, person) for image in truth.images for person in image.people]
    truths = [
        {
            "id": index,
            "image_id": image_id,
            "category_id": 1,
            "bbox": person.box_xywh.tolist(),
            "area": oks_area(person, crowdpose),
            "iscrowd": 0,
            "keypoints": person.keypoints.ravel().tolist(),
            "num_keypoints": person.num_labelled,
        }
        for index, (image_id, person) in enumerate(people, 1)
    ]
    predictions = [
        {"id": index + 1, "image_id": int(results.image_ids[index]), "category_id": 1, "area": 1.0}
        | {"score": float(results.scores[index]), "keypoints": results.values[index].ravel().tolist()}
        for index in range(len(results))
    ]
    frame = {"images": [{"id": image.id} for image in truth.images], "categories": [{"id": 1}]}
    evaluator = COCOeval_faster(
        COCO({**frame, "annotations": truths}),
        COCO({**frame, "annotations": predictions}),
        "keypoints",
        kpt_oks_sigmas=list(COCO17.sigmas),
    )
    evaluator.evaluate()
    return {image_id: oks for (image_id, _), oks in evaluator.ious.items() if len(oks)}


@pytest.mark.parametrize("crowdpose", [False, True])
def test_equals_the_official_tool(crowdpose):
    truth, results = crowd([3, 0, 1, 4, 2], [5, 3, 0, 30, 1])
    ours, official = compute_oks(truth, results, crowdpose, MAX_POSES), compute_official_oks(truth, results, crowdpose)
    assert ours.keys() == official.keys() == {40, 37, 36}
    for image_id, expected in official.items():
        assert ours[image_id].shape == expected.shape
        np.testing.assert_allclose(ours[image_id], expected, rtol=1e-12, atol=1e-300)
    assert len(ours[37]) == MAX_POSES


def test_no_results_or_no_people():
    no_results = Results("results", np.zeros(0, np.int64), np.zeros(0), np.zeros((0, len(COCO17), 3)))
    assert compute_oks(crowd([2], [0])[0], no_results, False, MAX_POSES) == {}
    truth, results = crowd([0], [3])
    assert compute_oks(truth, results, False, MAX_POSES) == {}


LEFT, RIGHT = person({5: (50, 50)}), person({5: (300, 50)}, (250, 0, 100, 100))
SHOULDER = COCO17.sigmas[5]


def test_match_images(match):
    group = person({0: (9, 9)}, iscrowd=1)
    results = [result({5: (60, 50)}, 0.3), result({5: (300, 50)}, 0.9), result({}, 0.5, image_id=2)]
    first, second = match([[LEFT, RIGHT, group, person({})], []], results, crowd_indices=[0.9, 0.1])
    assert (first.image_id, first.level, second.image_id, second.level) == (1, "hard", 2, "easy")
    assert first.scores.tolist() == [0.9, 0.3]
    np.testing.assert_array_equal(first.poses[:, 5, :2], [(300, 50), (60, 50)])
    assert first.counted.tolist() == [True, True, False, False] and first.groups.tolist() == [0, 0, 1, 0]
    assert first.people.shape == (4, 17, 3) and second.people.shape == (0, 17, 3) and second.oks.shape == (1, 0)
    assert first.oks[1, 0] == pytest.approx(np.exp(-100 / (2 * 1e4 * (2 * SHOULDER) ** 2)))
    assert first.oks[0].round(6).tolist()[:2] == [0, 1]


def test_twenty_poses_per_image(match):
    (image,) = match([[LEFT]], [result({5: (index, 0)}, index / 100) for index in range(30)])
    assert image.scores.tolist() == [index / 100 for index in range(29, 9, -1)]


def test_drop_poses_below(match):
    (image,) = match([[LEFT]], [result({}, score) for score in (0.2, 0.5, 0.8)])
    kept = image.drop_poses_below(0.5)
    assert kept.scores.tolist() == [0.8, 0.5] and len(kept.poses) == len(kept.oks) == 2


def test_match_without_people_or_poses(match):
    assert match([], []) == ()
    empty, alone = match([[], [LEFT]], [result({}, 0.5, 1)])
    assert match_poses(empty, [0.5, 0.9]).tolist() == [[NOBODY], [NOBODY]]
    assert match_poses(alone, [0.5]).shape == (1, 0)


def distance(similarity):
    return distance_at(similarity, 1e4, SHOULDER)


@pytest.mark.parametrize(
    ("people", "positions", "matches"),
    [
        ([LEFT, RIGHT], [(300, 50), (50, 50)], [1, 0]),
        # The pose of higher score, although the other has the higher OKS.
        ([LEFT], [(50 + distance(0.51), 50), (50, 50)], [0, NOBODY]),
        ([LEFT], [(50 + distance(0.49), 50), (50, 50)], [NOBODY, 0]),
        ([LEFT, person({5: (60, 50)})], [(58, 50), (58, 50)], [1, 0]),
        ([LEFT, LEFT], [(50, 50)], [1]),  # of equal OKS the last
        ([person({5: (50, 50)}, iscrowd=1), person({5: (60, 50)})], [(50, 50), (50, 50), (50, 50)], [1, 0, 0]),
        ([person({5: (50, 50)}, iscrowd=1)], [(50 + distance(0.4), 50)], [NOBODY]),
    ],
)
def test_match_poses(match, people, positions, matches):
    results = [result({5: position}, 0.9 - index / 10) for index, position in enumerate(positions)]
    assert match_poses(match([people], results)[0], [0.5]).tolist() == [matches]


def test_thresholds_are_matched_independently(match):
    results = [result({5: (50 + distance(0.7), 50)}, 0.9), result({5: (50, 50)}, 0.8)]
    assert match_poses(match([[LEFT]], results)[0], [0.6, 0.8]).tolist() == [[0, NOBODY], [NOBODY, 0]]


def test_keypoint_similarity_is_the_term_of_oks(match):
    crowds, results = random_crowds(np.random.default_rng(1), 6)
    for image in match(crowds, results):
        for pose, row in zip(image.poses, image.oks, strict=True):
            for labels, area, expected in zip(image.people, image.areas, row, strict=True):
                labelled = labels[:, 2] > 0
                if labelled.any():
                    similarity = keypoint_similarity(pose[:, :2], labels[:, :2], area, COCO17.sigmas)
                    assert similarity[labelled].mean() == pytest.approx(expected)
                    assert oks([pose[:, :2]], [labels[:, :2]], [area], COCO17.sigmas, [labelled]) == pytest.approx(
                        expected
                    )
