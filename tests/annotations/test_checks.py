"""Checks of whole data sets: a set with every kind of fault gives exactly the findings of these faults."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from rsgnet.annotations.checks import check_data_set, check_splits, summarise_check
from rsgnet.annotations.findings import FAULTS, WARNINGS
from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import COCO17

SIZE_WH = (320, 240)
FACING_XY = [(50, 22), (54, 18), (46, 18), (60, 20), (40, 20), (70, 40), (30, 40), *[(0, 0)] * 4, (62, 90), (38, 90)]


def make_annotation(identifier, image_id, shift=(100, 100), **change):
    """Returns the annotation of an upright person who faces the camera."""
    triples = [[x + shift[0], y + shift[1], 2] if x else [0, 0, 0] for x, y in [*FACING_XY, *[(0, 0)] * 4]]
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


def with_keypoint(person, name, values):
    start = 3 * COCO17.keypoints.index(name)
    return {**person, "keypoints": [*person["keypoints"][:start], *values, *person["keypoints"][start + 3 :]]}


def with_swapped_sides(person):
    triples = np.reshape(person["keypoints"], (17, 3))[COCO17.flip_indices]
    return {**person, "keypoints": triples.ravel().tolist()}


@pytest.fixture
def folder(tmp_path):
    """Makes a folder of nine different images, 1.png to 9.png."""
    (tmp_path / "images").mkdir()
    for number in range(1, 10):
        Image.fromarray(simulate_crowd(number, SIZE_WH, people=2).image).save(tmp_path / "images" / f"{number}.png")
    return tmp_path


def write_labels(path, people, images=None, **change):
    default_images = [
        {"id": n, "file_name": f"{n}.png", "width": SIZE_WH[0], "height": SIZE_WH[1]} for n in range(1, 10)
    ]
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO17.keypoints)}]
    content = {"images": images or default_images, "annotations": people, "categories": categories, **change}
    path.write_text(json.dumps(content))
    return path


def kinds_and_items(checked):
    return {(finding.kind, finding.where) for finding in checked.findings}


def test_a_correct_set_has_no_findings(folder):
    path = write_labels(folder / "a.json", [make_annotation(n, n) for n in range(1, 10)])
    assert check_data_set(path, folder / "images").findings == check_data_set(path, None).findings == ()


def test_every_fault_is_found_and_no_other(folder):
    images = [{"id": n, "file_name": f"{n}.png", "width": SIZE_WH[0], "height": SIZE_WH[1]} for n in range(1, 10)]
    images[1]["width"], images[1]["height"] = SIZE_WH[::-1]
    images[2]["width"] = 300
    del images[3]["width"]
    images += [
        {**images[0], "id": 10, "file_name": "absent.png"},
        {**images[0], "id": 11, "file_name": "truncated.png"},
    ]
    images += [{**images[4], "file_name": "6.png"}, {**images[0], "id": 12, "file_name": "../a.png"}]
    images += [{**images[0], "id": 13, "file_name": "copy.png"}]
    (folder / "images/truncated.png").write_bytes((folder / "images/1.png").read_bytes()[:3000])
    (folder / "images/copy.png").write_bytes((folder / "images/9.png").read_bytes())
    people = [
        make_annotation(1, 1, category_id=9),
        make_annotation(2, 1, shift=(0, 0), num_keypoints=3),
        with_keypoint(make_annotation(3, 6), "nose", (150, 122, 7)),
        make_annotation(4, 7),
        make_annotation(4, 8),
        make_annotation(5, 7),
        make_annotation(6, 9, bbox=[150, 100, 0, 90], keypoints=None, num_keypoints=0),
        make_annotation(7, 9, bbox=[300, 100, 50, 90], keypoints=None, num_keypoints=0),
        with_keypoint(make_annotation(8, 8, shift=(0, 0)), "left_hip", (60, 400, 2)),
        with_keypoint(make_annotation(9, 8, shift=(200, 0)), "left_hip", (20, 90, 2)),
        with_swapped_sides(make_annotation(10, 9, shift=(0, 0))),
        make_annotation(11, 99),
        make_annotation(12, 1, keypoints=[1, 2, 2]),
        {"id": 13},
    ]
    checked = check_data_set(write_labels(folder / "a.json", people, images), folder / "images")
    expected = {
        ("swapped-size", "image 2 (2.png)"),
        ("wrong-size", "image 3 (3.png)"),
        ("missing-size", "image 4 (4.png)"),
        ("missing-image", "image 10 (absent.png)"),
        ("unreadable-image", "image 11 (truncated.png)"),
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
    assert kinds_and_items(checked) >= expected
    # A hip moved across the body also contradicts the shoulders.
    assert {kind for kind, _ in kinds_and_items(checked) - expected} <= {"left-right", "left-right-doubtful"}
    are_faults = [finding.is_fault for finding in checked.findings]
    assert are_faults == sorted(are_faults, reverse=True)


@pytest.mark.parametrize("change", ["size", "nothing"])
def test_swapped_sizes_are_found_without_images(folder, change):
    images = [{"id": 1, "file_name": "1.png", "width": SIZE_WH[1], "height": SIZE_WH[0]}]
    shift = (240, 100) if change == "size" else (100, 100)
    found = check_data_set(write_labels(folder / "a.json", [make_annotation(1, 1, shift)], images), None).findings
    assert [finding.kind for finding in found] == (["swapped-size"] if change == "size" else [])


def test_images_in_both_splits_are_found(folder):
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
    one = check_data_set(
        write_labels(folder / "a.json", [make_annotation(n, n) for n in range(1, 10)]), folder / "images"
    )
    two = check_data_set(write_labels(other / "b.json", [], images), other / "images")
    assert {(finding.kind, finding.where) for finding in check_splits(one, two)} == {
        ("same-image-in-both", "image 1 (1.png)"),
        ("near-image-in-both", "image 2 (2.png)"),
        ("near-image-in-both", "image 3 (3.png)"),
    }
    assert all("b.json" in finding.what for finding in check_splits(one, two))
    assert check_splits(one, replace(two, hashes={})) == []


def test_the_crowd_index_is_compared_with_the_computed_one(folder, shared):
    images = [{"id": 1, "file_name": "1.png", "width": 320, "height": 240, "crowdIndex": 0.7}]
    checked = check_data_set(write_labels(folder / "a.json", [make_annotation(1, 1)], images), None)
    assert [finding.kind for finding in checked.findings] == ["crowd-index"]
    assert checked.crowd_index.largest_difference == pytest.approx(0.7) and np.isnan(checked.crowd_index.correlation)
    agreement = check_data_set(shared("golden/evaluation/crowdpose_gt.json"), None).crowd_index
    assert (agreement.rule, agreement.images) == ("crowdpose", 163)
    assert agreement.correlation > 0.9999 and agreement.largest_difference <= 0.00501


def test_the_summary_has_counts_and_is_json(folder):
    checked = check_data_set(write_labels(folder / "a.json", [make_annotation(1, 1, num_keypoints=3)]), None)
    report = json.loads(json.dumps(summarise_check(checked, checked.findings)))
    assert (report["images"], report["people"], report["faults"], report["warnings"]) == (9, 1, 1, 0)
    assert report["counts"] == {"num-keypoints": 1} and report["findings"][0]["annotation_id"] == 1


def test_no_kind_is_both_a_fault_and_a_warning():
    assert not FAULTS.keys() & WARNINGS.keys()


def test_a_file_without_labels_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(AnnotationError, match="not annotations"):
        check_data_set(tmp_path / "a.json", None)
