import numpy as np
import pytest

from rsgnet.data.check_people import check_people, looks_swapped
from rsgnet.data.people import AnnotatedImage, Person
from rsgnet.skeletons import COCO17

SIZE_WH = (200, 100)


def person(box=(50, 20, 40, 60), places=((60, 30), (70, 40), (80, 70)), identifier=1, visibility=2, **change):
    keypoints = np.zeros((17, 3))
    for index, place in enumerate(places, 9):  # from the wrists on, where sides say nothing
        keypoints[index] = *place, visibility
    return Person(identifier, np.array(box, float), keypoints, 100.0, **change)


def kinds(*people, size_wh=SIZE_WH):
    image = AnnotatedImage(7, "a.jpg", size_wh, people)
    return [finding.kind for finding in check_people(image, size_wh, COCO17)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"box": (0, 0, 200, 100)}, []),
        ({"box": (-1.5, 0, 203, 100)}, []),  # rounding
        ({"box": (150, 20, 60, 60), "places": ((160, 30),)}, ["box-outside"]),
        ({"box": (-50, 20, 100, 60), "places": ()}, ["box-outside"]),
        ({"box": (50, 20, 0.5, 60), "places": ()}, ["empty-box"]),
        ({"box": (50, 20, 40, -3), "places": ()}, ["empty-box"]),
        ({"places": ((60, 30), (70, 40), (70, 88))}, ["keypoint-outside-box"]),
        ({"places": ((60, 30), (70, 40), (70, 84))}, []),
        ({"places": ((60, 30), (70, 40), (150, 40)), "visibility": 1}, ["hidden-outside-box"]),
        ({"places": ((60, 30), (150, 40), (150, 45)), "visibility": 1}, ["keypoint-outside-box"]),
        ({"places": ((60, 30), (70, 104))}, ["keypoint-outside-image", "keypoint-outside-box"]),
        ({"visibility": 3}, ["bad-visibility"]),
        ({"visibility": 0.5}, ["bad-visibility"]),
        ({"places": ((160, 30),), "is_crowd": True}, []),
    ],
)
def test_boxes_and_keypoints(change, expected):
    assert kinds(person(**change)) == expected


def test_without_a_size_only_what_needs_none_is_said():
    assert kinds(person(box=(150, 20, 60, 60), places=()), size_wh=(0, 0)) == []


@pytest.mark.parametrize(
    ("second", "twice"),
    [
        ({}, True),
        ({"box": (50.5, 20, 40, 60), "places": ((60.3, 30), (70, 40.2), (80, 70))}, True),
        ({"places": ((60, 30), (70, 40))}, True),
        ({"places": ((75, 60), (60, 70), (65, 30))}, False),  # two people in one place
        ({"places": ()}, False),
        ({"box": (52, 40, 40, 60)}, False),
        ({"is_crowd": True}, False),
    ],
)
def test_one_person_twice(second, twice):
    assert kinds(person(), person(identifier=2, **second)).count("duplicate-person") == twice


def test_boxes_alone_must_be_equal():
    assert kinds(person(places=()), person(places=(), identifier=2)) == ["duplicate-person"]
    assert kinds(person(places=()), person(places=(), identifier=2, box=(52, 20, 40, 60))) == []


def test_items_are_named():
    image = AnnotatedImage(7, "a.jpg", SIZE_WH, (person(places=((60, 300),), identifier=5),))
    finding = next(iter(check_people(image, SIZE_WH, COCO17)))
    assert finding.where == "image 7 (a.jpg), annotation 5" and "left_wrist up to 200 px beyond" in finding.what


@pytest.mark.parametrize(
    ("size_wh", "swapped"), [((200, 100), False), ((100, 200), True), ((60, 60), False), ((0, 0), False)]
)
def test_swapped_sizes_show_in_the_people(size_wh, swapped):
    image = AnnotatedImage(7, "a.jpg", size_wh, (person(box=(110, 20, 80, 60), places=()),))
    assert looks_swapped(image) is swapped
