import numpy as np
import pytest

from rsgnet.inference.nms import box_nms, oks_nms


@pytest.mark.parametrize("threshold", ["0.9", "0.7", "0.5"])
@pytest.mark.parametrize(("keypoints", "sigmas"), [("17", "sigmas_17"), ("14", "sigmas_released_nms_14")])
def test_oks_nms_equals_the_released_code(shared, keypoints, sigmas, threshold):
    golden = np.load(shared("golden/ops/oks_nms.npz"))
    keypoints_xy, areas = golden[f"kpts_{keypoints}"][..., :2], golden[f"area_{keypoints}"]
    kept = oks_nms(keypoints_xy, golden[f"score_{keypoints}"], areas, golden[sigmas], float(threshold))
    assert kept.tolist() == golden[f"oks_nms_{threshold}_{keypoints}"].tolist()


def test_of_two_similar_poses_the_higher_score_stays():
    pose = np.random.default_rng(0).uniform(0, 100, (1, 5, 2))
    poses = np.concatenate([pose, pose + 0.1, pose + 300])
    assert oks_nms(poses, [0.3, 0.8, 0.5], [1e4] * 3, [0.1] * 5, 0.9).tolist() == [1, 2]
    assert oks_nms(poses, [0.3, 0.8, 0.5], [1e4] * 3, [0.1] * 5, 1.0).tolist() == [1, 2, 0]


def test_box_nms_by_hand():
    # the second overlaps the first by 50 / 150, the third by 90 / 110
    boxes = [[0, 0, 10, 10], [5, 0, 15, 10], [1, 0, 10, 10.0]]
    assert box_nms(boxes, [0.9, 0.8, 0.7], 0.5).tolist() == [0, 1]
    assert box_nms(boxes, [0.9, 0.8, 0.7], 0.3).tolist() == [0]
    assert box_nms(boxes, [0.7, 0.8, 0.9], 0.95).tolist() == [2, 1, 0]


def test_a_suppressed_box_suppresses_nothing():
    boxes = [[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]]  # each overlaps its neighbour by 6 / 14
    assert box_nms(boxes, [0.9, 0.8, 0.7], 0.4).tolist() == [0, 2]


def test_empty_input():
    assert box_nms(np.zeros((0, 4)), [], 0.5).tolist() == []
    assert oks_nms(np.zeros((0, 17, 2)), [], [], [0.1] * 17, 0.5).tolist() == []
