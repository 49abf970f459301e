"""OKS of a whole data set at once, beside what the official tool computes image by image."""

from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster
from tests.evaluation.conftest import found, off_by, person, random_crowds

from rsgnet.annotations.readers import AnnotatedImage, Annotations, Person
from rsgnet.evaluation.matching import NOBODY, keypoint_similarity, match, similarities
from rsgnet.evaluation.protocol import oks_area
from rsgnet.evaluation.results import Results
from rsgnet.poses import oks
from rsgnet.skeletons import COCO17

MOST = 20


def crowd(people_in_images, found_in_images, seed=0):
    random, count = np.random.default_rng(seed), len(COCO17)
    images, ids, values = [], [], []
    for row, (people, poses) in enumerate(zip(people_in_images, found_in_images, strict=True)):
        labelled = []
        for _ in range(people):
            box = random.uniform(20, 200, 4)
            seen = random.integers(0, 3, (count, 1)) * (len(labelled) != 1)  # the second has no labelled keypoint
            places = box[:2] + random.uniform(0, 1, (count, 2)) * box[2:]
            labelled.append(Person(len(labelled), box, np.hstack([places, seen]), float(box[2] * box[3] * 0.6)))
        images.append(AnnotatedImage(40 - row, f"{row}.jpg", (400, 400), tuple(labelled)))
        ids += [40 - row] * poses
        values.append(random.uniform(0, 300, (poses, count, 3)))
    order = random.permutation(len(ids))
    scores = random.integers(0, 6, len(ids)) / 5.0  # many are equal
    found = Results("results", np.array(ids)[order], scores, np.concatenate(values)[order])
    return Annotations(Path("people.json"), COCO17, tuple(images)), found


def officially(truth, found, crowdpose):
    """The official tool's own OKS, of the same people."""
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
            "num_keypoints": person.labelled,
        }
        for index, (image_id, person) in enumerate(people, 1)
    ]
    told = [
        {"id": index + 1, "image_id": int(found.image_ids[index]), "category_id": 1, "area": 1.0}
        | {"score": float(found.scores[index]), "keypoints": found.values[index].ravel().tolist()}
        for index in range(len(found))
    ]
    frame = {"images": [{"id": image.id} for image in truth.images], "categories": [{"id": 1}]}
    evaluator = COCOeval_faster(
        COCO({**frame, "annotations": truths}),
        COCO({**frame, "annotations": told}),
        "keypoints",
        kpt_oks_sigmas=list(COCO17.sigmas),
    )
    evaluator.evaluate()
    return {image_id: oks for (image_id, _), oks in evaluator.ious.items() if len(oks)}


@pytest.mark.parametrize("crowdpose", [False, True])
def test_is_what_the_official_tool_computes(crowdpose):
    truth, found = crowd([3, 0, 1, 4, 2], [5, 3, 0, 30, 1])
    ours, wanted = similarities(truth, found, crowdpose, MOST), officially(truth, found, crowdpose)
    assert ours.keys() == wanted.keys() == {40, 37, 36}
    for image_id, theirs in wanted.items():
        assert ours[image_id].shape == theirs.shape
        np.testing.assert_allclose(ours[image_id], theirs, rtol=1e-12, atol=1e-300)
    assert len(ours[37]) == MOST


def test_nobody_found_or_nobody_there():
    nobody = Results("results", np.zeros(0, np.int64), np.zeros(0), np.zeros((0, len(COCO17), 3)))
    assert similarities(crowd([2], [0])[0], nobody, False, MOST) == {}
    truth, found = crowd([0], [3])
    assert similarities(truth, found, False, MOST) == {}


LEFT, RIGHT = person({5: (50, 50)}), person({5: (300, 50)}, (250, 0, 100, 100))
SHOULDER = COCO17.sigmas[5]


def test_what_a_scene_holds(scenes):
    group = person({0: (9, 9)}, iscrowd=1)
    results = [found({5: (60, 50)}, 0.3), found({5: (300, 50)}, 0.9), found({}, 0.5, image_id=2)]
    first, second = scenes([[LEFT, RIGHT, group, person({})], []], results, crowd_indices=[0.9, 0.1])
    assert (first.image_id, first.level, second.image_id, second.level) == (1, "hard", 2, "easy")
    assert first.scores.tolist() == [0.9, 0.3]
    np.testing.assert_array_equal(first.poses[:, 5, :2], [(300, 50), (60, 50)])
    assert first.counted.tolist() == [True, True, False, False] and first.groups.tolist() == [0, 0, 1, 0]
    assert first.people.shape == (4, 17, 3) and second.people.shape == (0, 17, 3) and second.oks.shape == (1, 0)
    assert first.oks[1, 0] == pytest.approx(np.exp(-100 / (2 * 1e4 * (2 * SHOULDER) ** 2)))
    assert first.oks[0].round(6).tolist()[:2] == [0, 1]


def test_twenty_poses_a_image(scenes):
    (scene,) = scenes([[LEFT]], [found({5: (index, 0)}, index / 100) for index in range(30)])
    assert scene.scores.tolist() == [index / 100 for index in range(29, 9, -1)]


def test_above_a_score(scenes):
    (scene,) = scenes([[LEFT]], [found({}, score) for score in (0.2, 0.5, 0.8)])
    kept = scene.above(0.5)
    assert kept.scores.tolist() == [0.8, 0.5] and len(kept.poses) == len(kept.oks) == 2


def test_nobody_there_and_nothing_found(scenes):
    assert scenes([], []) == ()
    empty, alone = scenes([[], [LEFT]], [found({}, 0.5, 1)])
    assert match(empty, [0.5, 0.9]).tolist() == [[NOBODY], [NOBODY]]
    assert match(alone, [0.5]).shape == (1, 0)


def off(similarity):
    return off_by(similarity, 1e4, SHOULDER)


@pytest.mark.parametrize(
    ("people", "places", "matches"),
    [
        ([LEFT, RIGHT], [(300, 50), (50, 50)], [1, 0]),
        ([LEFT], [(50 + off(0.51), 50), (50, 50)], [0, NOBODY]),  # the surer one, though the other is likelier
        ([LEFT], [(50 + off(0.49), 50), (50, 50)], [NOBODY, 0]),
        ([LEFT, person({5: (60, 50)})], [(58, 50), (58, 50)], [1, 0]),
        ([LEFT, LEFT], [(50, 50)], [1]),  # of equals the last
        ([person({5: (50, 50)}, iscrowd=1), person({5: (60, 50)})], [(50, 50), (50, 50), (50, 50)], [1, 0, 0]),
        ([person({5: (50, 50)}, iscrowd=1)], [(50 + off(0.4), 50)], [NOBODY]),
    ],
)
def test_matching(scenes, people, places, matches):
    results = [found({5: place}, 0.9 - index / 10) for index, place in enumerate(places)]
    assert match(scenes([people], results)[0], [0.5]).tolist() == [matches]


def test_each_threshold_matches_for_itself(scenes):
    results = [found({5: (50 + off(0.7), 50)}, 0.9), found({5: (50, 50)}, 0.8)]
    assert match(scenes([[LEFT]], results)[0], [0.6, 0.8]).tolist() == [[0, NOBODY], [NOBODY, 0]]


def test_similarity_is_the_term_of_oks(scenes):
    crowds, results = random_crowds(np.random.default_rng(1), 6)
    for scene in scenes(crowds, results):
        for pose, row in zip(scene.poses, scene.oks, strict=True):
            for someone, area, alike in zip(scene.people, scene.areas, row, strict=True):
                seen = someone[:, 2] > 0
                if seen.any():
                    similarity = keypoint_similarity(pose[:, :2], someone[:, :2], area, COCO17.sigmas)
                    assert similarity[seen].mean() == pytest.approx(alike)
                    assert oks([pose[:, :2]], [someone[:, :2]], [area], COCO17.sigmas, [seen]) == pytest.approx(alike)
