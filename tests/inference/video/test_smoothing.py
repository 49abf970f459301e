"""Smoothing removes jitter, keeps steady motion, and has the delay it states."""

from fractions import Fraction

import numpy as np
import pytest

from rsgnet.errors import RSGNetError
from rsgnet.inference.video.reader import Frame
from rsgnet.inference.video.smoothing import smooth_poses
from rsgnet.poses import Poses
from rsgnet.skeletons import COCO17

TIMES = [Fraction(time, 100) for time in (0, 4, 8, 13, 16, 20, 30, 31, 36, 40, 44, 48)]


def outcome(time, locations, tracks=(1,)):
    """A frame in which all keypoints of each person lie at one location."""
    keypoints = np.repeat(np.array(locations, np.float32).reshape(-1, 1, 2), 17, 1)
    people = len(keypoints)
    ones = np.ones(people, np.float32)
    scores, boxes = np.full((people, 17), 0.9, np.float32), np.zeros((people, 4), np.float32)
    poses = Poses(COCO17, keypoints, scores, boxes, ones, ones, (9, 9), track_ids=np.array(tracks))
    return Frame(np.zeros((2, 2, 3), np.uint8), time=time), poses


def steady_motion(time):
    return 100 + 50 * float(time), 200 - 30 * float(time)


@pytest.mark.parametrize("delay", [0, 1, 3, 20])
def test_steady_motion_is_unchanged(delay):
    given = [outcome(time, [steady_motion(time)]) for time in TIMES]
    found = list(smooth_poses(given, delay))
    assert [frame for frame, _ in found] == [frame for frame, _ in given]
    for (_, before), (_, after) in zip(given, found, strict=True):
        np.testing.assert_allclose(after.keypoints_xy, before.keypoints_xy, atol=1e-3)


@pytest.mark.parametrize("delay", [0, 2, 5])
def test_delay_is_as_stated(delay):
    read = 0

    def source():
        nonlocal read
        for time in TIMES:
            read += 1
            yield outcome(time, [steady_motion(time)])

    for index, _ in enumerate(smooth_poses(source(), delay)):
        assert read == min(index + delay + 1, len(TIMES))


def test_jitter_is_reduced():
    random = np.random.default_rng(0)
    given = [outcome(time, [np.array(steady_motion(time)) + random.normal(0, 3, 2)]) for time in TIMES]
    errors = {}
    for delay in (0, 3):
        found = np.array([poses.keypoints_xy[0, 0] for _, poses in smooth_poses(given, delay)])
        errors[delay] = np.sqrt(((found - [steady_motion(time) for time in TIMES]) ** 2).mean())
    assert errors[3] < 0.65 * errors[0]


def test_a_keypoint_of_score_0_moves_the_others_little():
    given = [outcome(time, [(10.0, 10.0)]) for time in TIMES]
    given[5][1].keypoints_xy[0, 0] = 90
    given[5][1].scores[0, 0] = 0
    for _, poses in smooth_poses(given, 2):
        np.testing.assert_allclose(poses.keypoints_xy, 10, atol=0.5)


def test_people_are_matched_by_track_and_the_untracked_unchanged():
    given = [
        outcome(time, [(10, 10), (90, 90), (50 + 9 * (-1) ** index, 50)][:: 1 if index % 2 else -1], tracks)
        for index, time in enumerate(TIMES)
        for tracks in [(1, 2, -1) if index % 2 else (-1, 2, 1)]
    ]
    for (_, before), (_, after) in zip(given, smooth_poses(given, 2), strict=True):
        np.testing.assert_allclose(after.keypoints_xy, before.keypoints_xy, atol=1e-3)


def test_errors_are_passed_on():
    given = [outcome(time, [steady_motion(time)]) for time in TIMES]
    given[4] = given[4][0], RSGNetError("no boxes")
    found = list(smooth_poses(given, 2))
    assert [str(each) for _, each in found if isinstance(each, RSGNetError)] == ["no boxes"]
    assert found[4] == given[4] and len(found) == len(TIMES)
