"""One person of several is chosen and kept through a crossing."""

from fractions import Fraction

import numpy as np
import pytest

from rsgnet.errors import RSGNetError, VideoError
from rsgnet.inference.video.people import PeopleChoice, choose_people, find_longest_track, parse_people
from rsgnet.inference.video.reader import Frame
from rsgnet.inference.video.tracking import Tracker, TrackingConfig, track_poses
from rsgnet.poses import Poses
from rsgnet.skeletons import COCO17

pytest.importorskip("scipy")
PIXELS = np.zeros((200, 400, 3), np.uint8)
SHAPE = np.random.default_rng(0).uniform(0.1, 0.9, (17, 2))


def poses(boxes, track_ids=None):
    boxes = np.float32(boxes).reshape(-1, 4)
    count = len(boxes)
    return Poses(
        COCO17,
        (boxes[:, None, :2] + SHAPE * (boxes[:, None, 2:] - boxes[:, None, :2])).astype(np.float32),
        np.full((count, 17), 0.9, np.float32),
        boxes,
        np.full(count, 0.9, np.float32),
        np.full(count, 0.8, np.float32),
        (400, 200),
        track_ids=None if track_ids is None else np.array(track_ids, np.intp),
    )


def frame(index):
    return Frame(PIXELS, f"c.mp4#{index}", index=index, time=Fraction(index, 25))


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("largest", PeopleChoice("largest")),
        ("longest", PeopleChoice("longest")),
        ("nearest-centre", PeopleChoice("nearest-centre")),
        ("3", PeopleChoice("ids", (3,))),
        ("7,2", PeopleChoice("ids", (7, 2))),
        ("at:12.5,40", PeopleChoice("at", point_xy=(12.5, 40))),
    ],
)
def test_choices(text, choice):
    assert parse_people(text) == choice


@pytest.mark.parametrize("text", ["", "tallest", "0", "-1", "1,", "at:3", "at:1,2,3", "at:x,y", "1.5"])
def test_other_choices_raise(text):
    with pytest.raises(RSGNetError, match=r"--people .*: expected largest, longest, nearest-centre, track numbers"):
        parse_people(text)


SMALL, LARGE, MIDDLE = [10, 10, 40, 60], [300, 20, 390, 190], [180, 80, 220, 130]


@pytest.mark.parametrize(
    ("text", "track"),
    [
        ("largest", 2),
        ("nearest-centre", 3),
        ("at:15,20", 1),
        ("at:185,85", 3),
        ("2", 2),
        ("9", None),
        ("at:150,5", None),
    ],
)
def test_one_person_is_chosen_in_the_first_frame_that_shows_them(text, track):
    error = VideoError("no frame")
    outcomes = [
        (frame(0), error),
        (frame(1), poses([LARGE], [-1])),  # nobody is tracked yet
        (frame(2), poses([SMALL, LARGE, MIDDLE], [1, 2, 3])),
        (frame(3), poses([LARGE, SMALL, MIDDLE], [1, 2, 3])),  # who is largest now was not chosen
    ]
    found = list(choose_people(outcomes, parse_people(text)))
    assert found[0][1] is error and len(found[1][1]) == 0
    expected = [] if track is None else [track]
    assert [each.track_ids.tolist() for _, each in found[2:]] == [expected, expected]


def test_several_tracks_are_kept():
    found = list(choose_people([(frame(0), poses([SMALL, LARGE, MIDDLE], [1, 2, 3]))], parse_people("3,1")))
    assert found[0][1].track_ids.tolist() == [1, 3]


def test_the_longest_track():
    outcomes = [
        (frame(0), poses([SMALL, LARGE], [1, 2])),
        (frame(1), poses([LARGE, MIDDLE], [2, -1])),
        (frame(2), VideoError("no frame")),
        (frame(3), poses([SMALL, MIDDLE], [1, -1])),
    ]
    assert find_longest_track(outcomes) == 1  # as long as 2, and before it
    assert find_longest_track(outcomes[:2]) == 2
    assert find_longest_track([(frame(0), poses([], []))]) is None


def test_a_person_is_kept_through_a_crossing():
    """Two people walk past each other, one in front of the other in the middle; the one from the left is asked for."""
    outcomes = []
    for index in range(41):
        x = 8 * index
        ours, theirs = [x, 40, x + 60, 180], [320 - x, 40, 380 - x, 180]
        hidden = abs(x - 160) < 25
        outcomes.append((frame(index), poses([ours] if hidden else [theirs, ours])))
    tracked = track_poses(outcomes, Tracker(TrackingConfig()))
    found = list(choose_people(tracked, parse_people("at:30,100")))
    lefts = [each.boxes_xyxy[0, 0] for _, each in found if len(each)]
    assert lefts[:15] == [8 * index for index in range(15)] and len(lefts) > 38
    assert lefts[-1] == 320
