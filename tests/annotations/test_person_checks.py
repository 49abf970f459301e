import numpy as np
import pytest

from rsgnet.annotations.people import AnnotatedImage, Person
from rsgnet.annotations.person_checks import SideConflict, check_people, find_side_conflicts, has_swapped_size
from rsgnet.skeletons import COCO17, CROWDPOSE14, Skeleton

IMAGE_SIZE_WH = (200, 100)


def make_person(box=(50, 20, 40, 60), points=((60, 30), (70, 40), (80, 70)), identifier=1, visibility=2, **change):
    keypoints = np.zeros((17, 3))
    for index, point in enumerate(points, 9):  # from the wrists on, whose sides are not checked
        keypoints[index] = *point, visibility
    return Person(identifier, np.array(box, float), keypoints, 100.0, **change)


def check_kinds(*people, size_wh=IMAGE_SIZE_WH):
    image = AnnotatedImage(7, "a.jpg", size_wh, people)
    return [finding.kind for finding in check_people(image, size_wh, COCO17)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"box": (0, 0, 200, 100)}, []),
        ({"box": (-1.5, 0, 203, 100)}, []),  # rounding
        ({"box": (150, 20, 60, 60), "points": ((160, 30),)}, ["box-outside"]),
        ({"box": (-50, 20, 100, 60), "points": ()}, ["box-outside"]),
        ({"box": (50, 20, 0.5, 60), "points": ()}, ["empty-box"]),
        ({"box": (50, 20, 40, 0), "points": ()}, ["empty-box"]),
        ({"points": ((60, 30), (70, 40), (70, 88))}, ["keypoint-outside-box"]),
        ({"points": ((60, 30), (70, 40), (70, 84))}, []),
        ({"points": ((60, 30), (70, 40), (150, 40)), "visibility": 1}, ["hidden-outside-box"]),
        ({"points": ((60, 30), (150, 40), (150, 45)), "visibility": 1}, ["keypoint-outside-box"]),
        ({"points": ((60, 30), (70, 104))}, ["keypoint-outside-image", "keypoint-outside-box"]),
        ({"visibility": 3}, ["bad-visibility"]),
        ({"visibility": 0.5}, ["bad-visibility"]),
        ({"points": ((160, 30),), "is_crowd": True}, []),
    ],
)
def test_boxes_and_keypoints_are_checked(change, expected):
    assert check_kinds(make_person(**change)) == expected


def test_without_a_size_the_checks_that_need_it_are_skipped():
    assert check_kinds(make_person(box=(150, 20, 60, 60), points=()), size_wh=(0, 0)) == []


@pytest.mark.parametrize(
    ("second", "is_duplicate"),
    [
        ({}, True),
        ({"box": (50.5, 20, 40, 60), "points": ((60.3, 30), (70, 40.2), (80, 70))}, True),
        ({"points": ((60, 30), (70, 40))}, True),
        ({"points": ((75, 60), (60, 70), (65, 30))}, False),  # two people in one place
        ({"points": ()}, False),
        ({"box": (52, 40, 40, 60)}, False),
        ({"is_crowd": True}, False),
    ],
)
def test_a_person_annotated_twice_is_found(second, is_duplicate):
    assert check_kinds(make_person(), make_person(identifier=2, **second)).count("duplicate-person") == is_duplicate


def test_people_without_keypoints_are_duplicates_if_their_boxes_are_equal():
    assert check_kinds(make_person(points=()), make_person(points=(), identifier=2)) == ["duplicate-person"]
    assert check_kinds(make_person(points=()), make_person(points=(), identifier=2, box=(52, 20, 40, 60))) == []


def test_findings_name_the_image_and_the_person():
    image = AnnotatedImage(7, "a.jpg", IMAGE_SIZE_WH, (make_person(points=((60, 300),), identifier=5),))
    finding = next(iter(check_people(image, IMAGE_SIZE_WH, COCO17)))
    assert finding.where == "image 7 (a.jpg), annotation 5" and "left_wrist up to 200 px beyond" in finding.what


@pytest.mark.parametrize(
    ("size_wh", "swapped"), [((200, 100), False), ((100, 200), True), ((60, 60), False), ((0, 0), False)]
)
def test_people_outside_the_image_reveal_swapped_sizes(size_wh, swapped):
    image = AnnotatedImage(7, "a.jpg", size_wh, (make_person(box=(110, 20, 80, 60), points=()),))
    assert has_swapped_size(image) is swapped


# An upright person who faces the camera: the left side of the body is on the right of the image.
FACING = {
    "nose": (50, 22), "left_eye": (54, 18), "right_eye": (46, 18), "left_ear": (60, 20), "right_ear": (40, 20),
    "left_shoulder": (70, 40), "right_shoulder": (30, 40), "left_hip": (62, 90), "right_hip": (38, 90),
    "left_ankle": (60, 150), "right_ankle": (40, 150),
}  # fmt: skip


def make_keypoints(swapped=(), rotation_deg=0.0, without=(), visible=2, scale=1.0, skeleton=COCO17):
    angle = np.deg2rad(rotation_deg)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    array = np.zeros((len(skeleton), 3))
    for index, name in enumerate(skeleton.keypoints):
        side, _, part = name.partition("_")
        other = {"left": "right", "right": "left"}.get(side)
        point = FACING.get(f"{other}_{part}" if other and part in swapped else name)
        if point and part not in without and name not in without:
            array[index] = *(rotation @ point), visible
    return array


@pytest.mark.parametrize("rotation_deg", [0, 60, 90, 180, 250])
def test_correct_labels_have_no_conflicts_at_any_rotation(rotation_deg):
    assert find_side_conflicts(make_keypoints(rotation_deg=rotation_deg), COCO17) == []
    all_parts = ("eye", "ear", "shoulder", "hip", "ankle")
    from_behind = make_keypoints(swapped=all_parts, without=("nose", "eye", "ear"), rotation_deg=rotation_deg)
    assert find_side_conflicts(from_behind, COCO17) == []


@pytest.mark.parametrize("rotation_deg", [0, 90, 200])
@pytest.mark.parametrize(
    ("swapped", "is_certain", "what"),
    [
        (("eye", "ear", "shoulder", "hip", "ankle"), True, "its face is visible"),
        (("shoulder",), True, "its shoulders and its hips"),
        (("eye",), True, "its eyes and its ears"),
        (("eye", "ear"), True, "its face is visible"),
        (("shoulder", "hip"), False, "its eyes and its shoulders"),
    ],
)
def test_swapped_sides_are_found(swapped, is_certain, what, rotation_deg):
    conflicts = find_side_conflicts(make_keypoints(swapped, rotation_deg), COCO17)
    assert any(each.is_certain is is_certain and what in each.what for each in conflicts), conflicts
    assert is_certain or not any(each.is_certain for each in conflicts)


@pytest.mark.parametrize(
    "change",
    [
        {"visible": 1, "without": ("ear", "hip")},  # hidden keypoints of the face are guesses
        {"scale": 0.2},  # too small
        {"without": ("shoulder", "ear")},  # nothing to compare with
    ],
)
def test_uncertain_cases_have_no_certain_conflict(change):
    assert not any(each.is_certain for each in find_side_conflicts(make_keypoints(("eye",), **change), COCO17))


def test_conflicts_in_other_skeletons():
    what = "from right to left, its shoulders and its hips point opposite ways"
    assert find_side_conflicts(make_keypoints(("shoulder",), skeleton=CROWDPOSE14), CROWDPOSE14) == [
        SideConflict(what, is_certain=True)
    ]
    tri = Skeleton("tri", ("a", "b", "c"), (), (), (), (0.1,) * 3)
    assert find_side_conflicts(np.full((3, 3), 2.0), tri) == []
