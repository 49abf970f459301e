import numpy as np
import pytest

from rsgnet.data.sides import side_contradictions
from rsgnet.skeletons import COCO17, CROWDPOSE14, Skeleton

# Somebody upright who looks at the camera: the left side on the right hand of whoever looks.
FACING = {
    "nose": (50, 22), "left_eye": (54, 18), "right_eye": (46, 18), "left_ear": (60, 20), "right_ear": (40, 20),
    "left_shoulder": (70, 40), "right_shoulder": (30, 40), "left_hip": (62, 90), "right_hip": (38, 90),
    "left_ankle": (60, 150), "right_ankle": (40, 150),
}  # fmt: skip


def keypoints(swapped=(), turned_deg=0.0, without=(), visible=2, scale=1.0, skeleton=COCO17):
    angle = np.deg2rad(turned_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    array = np.zeros((len(skeleton), 3))
    for index, name in enumerate(skeleton.keypoints):
        side, _, part = name.partition("_")
        other = {"left": "right", "right": "left"}.get(side)
        place = FACING.get(f"{other}_{part}" if other and part in swapped else name)
        if place and part not in without and name not in without:
            array[index] = *(turn @ place), visible
    return array


def said(found):
    return [(each.certain, each.what) for each in found]


@pytest.mark.parametrize("turned_deg", [0, 60, 90, 180, 250])
def test_whoever_is_labelled_rightly_is_left_alone_however_the_image_is_turned(turned_deg):
    assert side_contradictions(keypoints(turned_deg=turned_deg), COCO17) == []
    everyone = ("eye", "ear", "shoulder", "hip", "ankle")
    from_behind = keypoints(swapped=everyone, without=("nose", "eye", "ear"), turned_deg=turned_deg)
    assert side_contradictions(from_behind, COCO17) == []


@pytest.mark.parametrize("turned_deg", [0, 90, 200])
@pytest.mark.parametrize(
    ("swapped", "certain", "words"),
    [
        (("eye", "ear", "shoulder", "hip", "ankle"), True, "its face is seen"),
        (("shoulder",), True, "its shoulders and its hips"),
        (("eye",), True, "its eyes and its ears"),
        (("eye", "ear"), True, "its face is seen"),
        (("shoulder", "hip"), False, "its eyes and its shoulders"),
    ],
)
def test_swapped_sides_are_found(swapped, certain, words, turned_deg):
    found = side_contradictions(keypoints(swapped, turned_deg), COCO17)
    assert any(each.certain is certain and words in each.what for each in found), said(found)
    assert certain or not any(each.certain for each in found)


@pytest.mark.parametrize(
    "change",
    [
        {"visible": 1, "without": ("ear", "hip")},  # the face is guessed at
        {"scale": 0.2},  # too small to tell
        {"without": ("shoulder", "ear")},  # nothing to compare with
    ],
)
def test_nothing_is_said_where_nothing_is_sure(change):
    assert not any(each.certain for each in side_contradictions(keypoints(("eye",), **change), COCO17))


def test_other_skeletons():
    assert said(side_contradictions(keypoints(("shoulder",), skeleton=CROWDPOSE14), CROWDPOSE14)) == [
        (True, "from right to left, its shoulders and its hips point opposite ways")
    ]
    tri = Skeleton("tri", ("a", "b", "c"), (), (), (), (0.1,) * 3)
    assert side_contradictions(np.full((3, 3), 2.0), tri) == []
