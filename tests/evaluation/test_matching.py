"""OKS and the metrics compared with the official tool's, and matching on small examples."""

import numpy as np
import pytest
from tests.evaluation.conftest import distance_at, person, random_crowds, result
from tests.evaluation.official import METRICS, run_pycocotools

from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.evaluation.matching import NOBODY, match_images, match_poses
from rsgnet.evaluation.protocol import COCO, CROWDPOSE
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.evaluation.similarity import keypoint_similarity
from rsgnet.poses import oks
from rsgnet.skeletons import COCO17, CROWDPOSE14


def follow_crowdpose(entry):
    """Changes an annotation such that COCO's rules do what CrowdPose's do."""
    entry["area"] = 0.53 * entry["bbox"][2] * entry["bbox"][3]
    entry["num_keypoints"] = int((np.array(entry["keypoints"][2 : 3 * 12 : 3]) > 0).sum())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    ("skeleton", "protocol", "prepare"), [(COCO17, COCO, None), (CROWDPOSE14, CROWDPOSE, follow_crowdpose)]
)
def test_equals_pycocotools(truth, skeleton, protocol, prepare, seed):
    """The data contain groups, people without labels, equal scores, images without people and with over 20 poses."""
    random = np.random.default_rng(seed)
    crowds, results = random_crowds(random, 25, len(skeleton))
    crowds[2], many = [person(random.uniform(0, 2, (len(skeleton), 3)))], random.uniform(0, 60, (25, len(skeleton), 2))
    results += [result(pose, round(random.random(), 1), 3, len(skeleton)) for pose in many]
    for entry in crowds[4] + crowds[5]:
        entry["area"] = 2000.0  # a medium person
    path = truth(*crowds, skeleton=skeleton)
    official = run_pycocotools(path, results, skeleton.sigmas, prepare)
    metrics = evaluate_keypoints(path, results, protocol.name)
    assert {name: metrics[name] for name in METRICS} == pytest.approx(
        dict(zip(METRICS, official.stats, strict=True)), abs=1e-14
    )
    annotations = read_annotations(path)
    images = match_images(annotations, read_keypoint_results(results, annotations), protocol)
    assert max(len(image.scores) for image in images) == 20
    for image in images:
        expected = official.ious[image.image_id, 1]
        if len(expected):
            np.testing.assert_allclose(image.oks, expected, rtol=1e-12, atol=1e-300)
        else:
            assert not image.oks.size


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
    assert match_poses([empty], [0.5, 0.9])[0].tolist() == [[NOBODY], [NOBODY]]
    assert match_poses([alone], [0.5])[0].shape == (1, 0)


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
    assert match_poses(match([people], results), [0.5])[0].tolist() == [matches]


def test_thresholds_are_matched_independently(match):
    results = [result({5: (50 + distance(0.7), 50)}, 0.9), result({5: (50, 50)}, 0.8)]
    assert match_poses(match([[LEFT]], results), [0.6, 0.8])[0].tolist() == [[0, NOBODY], [NOBODY, 0]]


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
