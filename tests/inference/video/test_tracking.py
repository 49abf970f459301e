"""People keep their numbers through a clip."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from rsgnet.errors import VideoError
from rsgnet.inference.detectors.detector import WholeImageDetector
from rsgnet.inference.detectors.open_detector import open_detector
from rsgnet.inference.video.tracking import (
    PeopleState,
    Track,
    Tracker,
    TrackingConfig,
    choose_tracking_config,
    compute_similarity,
)
from rsgnet.poses import Poses
from rsgnet.skeletons import COCO17

pytest.importorskip("scipy")
SHAPES = np.random.default_rng(0).uniform(5, [35, 95], (2, 17, 2))  # of two people, in their boxes of 40x100


def poses(*people, owned=None):
    """Poses of people given as (index of their shape, left of their box, score), all at the same height."""
    keypoints = np.array([SHAPES[shape] + (left, 0) for shape, left, _ in people]).reshape(-1, 17, 2)
    boxes = np.array([(left, 0, left + 40, 100) for _, left, _ in people], np.float32).reshape(-1, 4)
    scores = np.array([score for *_, score in people], np.float32)
    keypoint_scores = np.full(keypoints.shape[:2], 0.9, np.float32)
    found = Poses(COCO17, keypoints.astype(np.float32), keypoint_scores, boxes, scores, scores, (9, 9))
    return found if owned is None else with_owned(found, owned)


def with_owned(found, owned):
    nobody = {"rival": np.full(owned.shape, -1), "rival_owned": np.zeros(owned.shape)}
    return replace(found, present=owned, visible=owned, owned=owned, **nobody)


def ids(tracker, time_s, *people, **options):
    return tracker(poses(*people, **options), time_s).track_ids.tolist()


def test_people_who_pass_each_other_keep_their_numbers():
    tracker = Tracker()
    for frame in range(40):
        assert ids(tracker, frame / 20, (0, 4 * frame, 0.9), (1, 156 - 4 * frame, 0.9)) == [1, 2]


def test_a_person_who_is_hidden_for_a_while_keeps_the_number():
    tracker = Tracker()
    for frame in range(40):
        hidden = 15 <= frame < 24
        people = [(0, 4 * frame, 0.9), *([] if hidden else [(1, 156 - 4 * frame, 0.9)])]
        assert ids(tracker, frame / 20, *people) == ([1] if hidden else [1, 2])


def test_variable_frame_rates():
    tracker = Tracker()
    for time in (0, 0.04, 0.05, 0.3, 0.31, 0.9, 1.0, 1.6):
        assert ids(tracker, time, (0, 150 * time, 0.9), (1, 400 - 150 * time, 0.9)) == [1, 2]


def test_keypoints_distinguish_people_with_equal_boxes():
    first, second = [(0, 0, 0.9), (1, 0, 0.9)], [(1, 0, 0.9), (0, 0, 0.9)]
    for keypoints, expected in ((True, [2, 1]), (False, [1, 2])):
        tracker = Tracker(TrackingConfig(use_keypoints=keypoints))
        assert ids(tracker, 0, *first) == [1, 2]
        assert ids(tracker, 0.04, *second) == expected


def test_keypoints_that_are_not_owned_do_not_count():
    """Ten keypoints of each person lie on the other person; only `owned` says so."""
    swapped = poses((0, 0, 0.9), (1, 0, 0.9))
    swapped.keypoints_xy[:, :10] = swapped.keypoints_xy[::-1, :10].copy()
    owned = np.full((2, 17), 0.95)
    for has_owned, expected in ((True, [1, 2]), (False, [2, 1])):
        tracker = Tracker()
        assert ids(tracker, 0, (0, 0, 0.9), (1, 0, 0.9), owned=owned if has_owned else None) == [1, 2]
        now = np.where(np.arange(17) < 10, 0.02, 0.95) * np.ones((2, 1))
        assert tracker(with_owned(swapped, now) if has_owned else swapped, 0.04).track_ids.tolist() == expected


def test_low_scores_continue_tracks_but_begin_none():
    tracker = Tracker(TrackingConfig(new_track_threshold=0.5))
    assert ids(tracker, 0.00, (0, 0, 0.4), (1, 100, 0.9)) == [-1, 1]
    assert ids(tracker, 0.04, (0, 0, 0.6), (1, 100, 0.3)) == [2, 1]
    assert ids(tracker, 0.08, (0, 0, 0.3), (1, 100, 0.3)) == [2, 1]


def test_the_threshold_follows_from_the_detector(box_network):
    detector = open_detector(f"onnx:{box_network([[5, 5, 50, 60]], [0.9])}", threshold=0.2)
    assert choose_tracking_config(detector).new_track_threshold == pytest.approx(0.26)
    assert choose_tracking_config(WholeImageDetector()) == TrackingConfig()


def test_high_scores_are_assigned_first():
    """A detection of low score fits the track better, but one of high score fits, too."""
    tracker = Tracker()
    assert ids(tracker, 0, (0, 0, 0.9)) == [1]
    assert ids(tracker, 0.04, (0, 0, 0.3), (0, 4, 0.9)) == [-1, 1]


def test_a_track_ends_after_the_longest_gap():
    for gap_s, expected in ((1.4, [1]), (1.6, [2])):
        tracker = Tracker(TrackingConfig(max_gap_s=1.5))
        ids(tracker, 0, (0, 0, 0.9))
        assert ids(tracker, gap_s, (0, 0, 0.9)) == expected
        assert len(tracker.tracks) == 1


def test_frames_without_people():
    tracker = Tracker()
    assert ids(tracker, 0) == []
    assert ids(tracker, 0.04, (0, 0, 0.9)) == [1]
    assert ids(tracker, 0.08) == []
    assert tracker.people_count == 1


def test_missing_scipy_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(VideoError, match=r"pip install 'rsgnet\[video\]'"):
        Tracker()


def people_state(keypoints, weights, boxes):
    return PeopleState(np.array(keypoints, float), np.array(weights, float), np.array(boxes, float))


def test_similarity_by_hand():
    """Two keypoints, falloffs twice sigmas of 0.1, a box weight of 0.5."""
    box = [[0, 0, 10, 10]]
    one = people_state([[[0, 0], [5, 5]]], [[1, 0.25]], box)
    other = people_state([[[0, 2], [5, 5]]], [[1, 0.25]], [[0, 0, 5, 10]])
    assert compute_similarity(one, one, (0.1, 0.1), 0.5) == pytest.approx(np.ones((1, 1)))
    area = 0.53 * (100 + 50) / 2
    oks = (np.exp(-4 / (2 * area * 0.16)) + 0.25) / 1.25
    assert compute_similarity(one, other, (0.1, 0.1), 0.5) == pytest.approx((0.625 * oks + 0.5 * 0.5) / 1.125)
    unknown = replace(other, weights=np.zeros((1, 2)))
    assert compute_similarity(one, unknown, (0.1, 0.1), 0.5) == pytest.approx(0.5)  # the boxes alone


def test_keypoints_without_weight_move_along_with_the_person():
    track = Track(1, np.zeros((3, 2)), np.ones(3), np.array([0.0, 0, 10, 10]), 0.0, np.zeros(2))
    found = np.array([[10.0, 0], [10, 0], [90, 90]])
    track.update(found, np.array([1.0, 1.0, 0.0]), np.array([10.0, 0, 20, 10]), 0.1)
    np.testing.assert_allclose(track.velocity, [50, 0])  # half of the first error
    np.testing.assert_allclose(track.keypoints_xy[:2], [[20 / 3, 0]] * 2)  # 0.1 s halve the old weight
    np.testing.assert_allclose(track.keypoints_xy[2], [0, 0])
    track.update(found + np.array([5.0, 0]), np.array([1.0, 1.0, 0.0]), np.array([15.0, 0, 25, 10]), 0.2)
    np.testing.assert_allclose(track.keypoints_xy[2], [5, 0])
