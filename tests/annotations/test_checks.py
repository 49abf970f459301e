"""A set in which everything is broken that can be: each fault is found, where it is, and no other."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from rsgnet.annotations.checks import check_people, check_set, check_splits, looks_swapped, side_contradictions, summary
from rsgnet.annotations.findings import FAULTS, WARNINGS
from rsgnet.annotations.people import AnnotatedImage, Person
from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import COCO17, CROWDPOSE14, Skeleton

SIZE_WH = (320, 240)
SITTER = [(50, 22), (54, 18), (46, 18), (60, 20), (40, 20), (70, 40), (30, 40), *[(0, 0)] * 4, (62, 90), (38, 90)]


def sitter(identifier, image_id, shift=(100, 100), **change):
    """Somebody upright who looks at the camera."""
    triples = [[x + shift[0], y + shift[1], 2] if x else [0, 0, 0] for x, y in [*SITTER, *[(0, 0)] * 4]]
    person = {
        "id": identifier,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [25 + shift[0], 10 + shift[1], 50, 90],
        "keypoints": [value for triple in triples for value in triple],
        "num_keypoints": 9,
        "area": 2000,
        "iscrowd": 0,
    }
    return {key: value for key, value in {**person, **change}.items() if value is not None}


def keypoint(person, name, values):
    at = 3 * COCO17.keypoints.index(name)
    return {**person, "keypoints": [*person["keypoints"][:at], *values, *person["keypoints"][at + 3 :]]}


def mirrored(person):
    triples = np.reshape(person["keypoints"], (17, 3))[COCO17.flip_indices]
    return {**person, "keypoints": triples.ravel().tolist()}


@pytest.fixture
def folder(tmp_path):
    """Images 1.png to 9.png, all different."""
    (tmp_path / "images").mkdir()
    for number in range(1, 10):
        Image.fromarray(simulate_crowd(number, SIZE_WH, people=2).image).save(tmp_path / "images" / f"{number}.png")
    return tmp_path


def write(path, people, images=None, **change):
    listed = [{"id": n, "file_name": f"{n}.png", "width": SIZE_WH[0], "height": SIZE_WH[1]} for n in range(1, 10)]
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO17.keypoints)}]
    content = {"images": images or listed, "annotations": people, "categories": categories, **change}
    path.write_text(json.dumps(content))
    return path


def kinds_by_place(checked):
    return {(finding.kind, finding.where) for finding in checked.findings}


def test_a_good_set_is_clean(folder):
    path = write(folder / "a.json", [sitter(n, n) for n in range(1, 10)])
    assert check_set(path, folder / "images").findings == check_set(path, None).findings == ()


def test_everything_broken_is_found(folder):
    images = [{"id": n, "file_name": f"{n}.png", "width": SIZE_WH[0], "height": SIZE_WH[1]} for n in range(1, 10)]
    images[1]["width"], images[1]["height"] = SIZE_WH[::-1]
    images[2]["width"] = 300
    del images[3]["width"]
    images += [{**images[0], "id": 10, "file_name": "gone.png"}, {**images[0], "id": 11, "file_name": "cut.png"}]
    images += [{**images[4], "file_name": "6.png"}, {**images[0], "id": 12, "file_name": "../a.png"}]
    images += [{**images[0], "id": 13, "file_name": "copy.png"}]
    (folder / "images/cut.png").write_bytes((folder / "images/1.png").read_bytes()[:3000])
    (folder / "images/copy.png").write_bytes((folder / "images/9.png").read_bytes())
    people = [
        sitter(1, 1, category_id=9),
        sitter(2, 1, shift=(0, 0), num_keypoints=3),
        keypoint(sitter(3, 6), "nose", (150, 122, 7)),
        sitter(4, 7),
        sitter(4, 8),
        sitter(5, 7),
        sitter(6, 9, bbox=[150, 100, 0, 90], keypoints=None, num_keypoints=0),
        sitter(7, 9, bbox=[300, 100, 50, 90], keypoints=None, num_keypoints=0),
        keypoint(sitter(8, 8, shift=(0, 0)), "left_hip", (60, 400, 2)),
        keypoint(sitter(9, 8, shift=(200, 0)), "left_hip", (20, 90, 2)),
        mirrored(sitter(10, 9, shift=(0, 0))),
        sitter(11, 99),
        sitter(12, 1, keypoints=[1, 2, 2]),
        {"id": 13},
    ]
    checked = check_set(write(folder / "a.json", people, images), folder / "images")
    expected = {
        ("swapped-size", "image 2 (2.png)"),
        ("wrong-size", "image 3 (3.png)"),
        ("missing-size", "image 4 (4.png)"),
        ("missing-image", "image 10 (gone.png)"),
        ("unreadable-image", "image 11 (cut.png)"),
        ("duplicate-image-id", "image 5"),
        ("duplicate-file-name", "6.png"),
        ("broken-entry", "image 12"),
        ("repeated-image", "copy.png"),
        ("unknown-category", "image 1 (1.png), annotation 1"),
        ("num-keypoints", "image 1 (1.png), annotation 2"),
        ("bad-visibility", "image 6 (6.png), annotation 3"),
        ("duplicate-annotation-id", "annotation 4"),
        ("duplicate-person", "image 7 (7.png), annotation 5"),
        ("empty-box", "image 9 (9.png), annotation 6"),
        ("box-outside", "image 9 (9.png), annotation 7"),
        ("keypoint-outside-image", "image 8 (8.png), annotation 8"),
        ("keypoint-outside-box", "image 8 (8.png), annotation 8"),
        ("keypoint-outside-box", "image 8 (8.png), annotation 9"),
        ("left-right", "image 9 (9.png), annotation 10"),
        ("broken-entry", "annotation 11"),
        ("broken-entry", "annotation 12"),
        ("broken-entry", "annotation 13"),
    }
    assert kinds_by_place(checked) >= expected
    # A hip moved across the body contradicts the shoulders as well.
    assert {kind for kind, _ in kinds_by_place(checked) - expected} <= {"left-right", "left-right-doubtful"}
    said = [finding.is_fault for finding in checked.findings]
    assert said == sorted(said, reverse=True)


@pytest.mark.parametrize("change", ["size", "nothing"])
def test_swapped_sizes_show_without_images(folder, change):
    images = [{"id": 1, "file_name": "1.png", "width": SIZE_WH[1], "height": SIZE_WH[0]}]
    shift = (240, 100) if change == "size" else (100, 100)
    found = check_set(write(folder / "a.json", [sitter(1, 1, shift)], images), None).findings
    assert [finding.kind for finding in found] == (["swapped-size"] if change == "size" else [])


def test_images_in_both_splits(folder):
    other = folder / "other"
    (other / "images").mkdir(parents=True)
    for name, options in {"1.png": None, "2.jpg": {"quality": 40}, "3.png": {"resize": (160, 120)}}.items():
        image = Image.open(folder / "images" / f"{name[0]}.png")
        if options is None:
            (other / "images/x.png").write_bytes((folder / "images/1.png").read_bytes())
        else:
            size = options.pop("resize", image.size)
            image.resize(size).save(other / "images" / name, **options)
    images = [
        {"id": 1, "file_name": "x.png", "width": 320, "height": 240},
        {"id": 2, "file_name": "2.jpg", "width": 320, "height": 240},
        {"id": 3, "file_name": "3.png", "width": 160, "height": 120},
    ]
    one = check_set(write(folder / "a.json", [sitter(n, n) for n in range(1, 10)]), folder / "images")
    two = check_set(write(other / "b.json", [], images), other / "images")
    assert {(finding.kind, finding.where) for finding in check_splits(one, two)} == {
        ("same-image-in-both", "image 1 (1.png)"),
        ("near-image-in-both", "image 2 (2.png)"),
        ("near-image-in-both", "image 3 (3.png)"),
    }
    assert all("b.json" in finding.what for finding in check_splits(one, two))
    assert check_splits(one, replace(two, prints={})) == []


def test_the_crowd_index_is_held_against_ours(folder, shared):
    images = [{"id": 1, "file_name": "1.png", "width": 320, "height": 240, "crowdIndex": 0.7}]
    checked = check_set(write(folder / "a.json", [sitter(1, 1)], images), None)
    assert [finding.kind for finding in checked.findings] == ["crowd-index"]
    assert checked.crowd_index.largest_difference == pytest.approx(0.7) and np.isnan(checked.crowd_index.correlation)
    agreement = check_set(shared("golden/evaluation/crowdpose_gt.json"), None).crowd_index
    assert (agreement.rule, agreement.images) == ("crowdpose", 163)
    assert agreement.correlation > 0.9999 and agreement.largest_difference <= 0.00501


def test_the_summary_counts_and_is_json(folder):
    checked = check_set(write(folder / "a.json", [sitter(1, 1, num_keypoints=3)]), None)
    told = json.loads(json.dumps(summary(checked, checked.findings)))
    assert (told["images"], told["people"], told["faults"], told["warnings"]) == (9, 1, 1, 0)
    assert told["counts"] == {"num-keypoints": 1} and told["findings"][0]["annotation_id"] == 1


def test_kinds_are_faults_or_warnings_not_both():
    assert not FAULTS.keys() & WARNINGS.keys()


def test_a_file_that_is_no_labels_at_all(tmp_path):
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(AnnotationError, match="not annotations"):
        check_set(tmp_path / "a.json", None)


IMAGE_SIZE_WH = (200, 100)


def person(box=(50, 20, 40, 60), places=((60, 30), (70, 40), (80, 70)), identifier=1, visibility=2, **change):
    keypoints = np.zeros((17, 3))
    for index, place in enumerate(places, 9):  # from the wrists on, where sides say nothing
        keypoints[index] = *place, visibility
    return Person(identifier, np.array(box, float), keypoints, 100.0, **change)


def kinds(*people, size_wh=IMAGE_SIZE_WH):
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
    image = AnnotatedImage(7, "a.jpg", IMAGE_SIZE_WH, (person(places=((60, 300),), identifier=5),))
    finding = next(iter(check_people(image, IMAGE_SIZE_WH, COCO17)))
    assert finding.where == "image 7 (a.jpg), annotation 5" and "left_wrist up to 200 px beyond" in finding.what


@pytest.mark.parametrize(
    ("size_wh", "swapped"), [((200, 100), False), ((100, 200), True), ((60, 60), False), ((0, 0), False)]
)
def test_swapped_sizes_show_in_the_people(size_wh, swapped):
    image = AnnotatedImage(7, "a.jpg", size_wh, (person(box=(110, 20, 80, 60), places=()),))
    assert looks_swapped(image) is swapped


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
