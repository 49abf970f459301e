import json
import warnings

import numpy as np
import pytest
from tests.evaluation.conftest import person, result

from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import AnnotationError, RSGNetWarning
from rsgnet.evaluation.results import read_box_results, read_keypoint_results

KEYPOINTS = [*range(51)]


def pose(**change):
    entry = {"image_id": 1, "category_id": 1, "keypoints": KEYPOINTS, "score": 0.5, **change}
    return {key: value for key, value in entry.items() if value is not None}


def box(**change):
    entry = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5, **change}
    return {key: value for key, value in entry.items() if value is not None}


@pytest.fixture
def annotations(truth):
    return read_annotations(truth([person({0: (1, 1)})], []))


def test_reads_poses_in_their_order(annotations):
    found = read_keypoint_results([pose(score=0.25), pose(image_id=2, score=1)], annotations)
    assert found.origin == "results"
    assert found.image_ids.tolist() == [1, 2]
    assert found.scores.tolist() == [0.25, 1.0]
    np.testing.assert_array_equal(found.values, np.arange(51).reshape(1, 17, 3).repeat(2, 0))


def test_reads_boxes_in_their_order(annotations):
    found = read_box_results([box(), box(image_id=2, bbox=[5.5, 6, 7, 8])], annotations)
    np.testing.assert_array_equal(found.values, [[1, 2, 3, 4], [5.5, 6, 7, 8]])


def test_warns_where_most_entries_score_0(annotations):
    entries = [pose(score=0), pose(image_id=2, score=0), pose(image_id=2, keypoints=KEYPOINTS[::-1])]
    with pytest.warns(RSGNetWarning, match="2 of 3 entries score 0"):
        read_keypoint_results(entries, annotations)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_keypoint_results(entries[1:], annotations)


@pytest.mark.parametrize(("read", "shape"), [(read_keypoint_results, (0, 17, 3)), (read_box_results, (0, 4))])
def test_empty_lists(annotations, read, shape):
    found = read([], annotations)
    assert len(found) == 0
    assert found.values.shape == shape


def test_files_are_read_and_named_in_errors(annotations, tmp_path):
    path = tmp_path / "poses.json"
    path.write_text(json.dumps([pose()]))
    for source in (path, str(path)):
        found = read_keypoint_results(source, annotations)
        assert (found.origin, len(found)) == (str(path), 1)
    path.write_text(json.dumps([pose(), pose(score=None)]))
    with pytest.raises(AnnotationError, match=r"poses\.json: entry 1: has no score"):
        read_keypoint_results(path, annotations)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not valid JSON"),
        ('[{"image_id": 1', "truncated"),
        ('{"annotations": []}', "expected a list, got dict"),
        ('"poses"', "expected a list, got str"),
        ("[3]", "entry 0: expected an object, got int"),
    ],
)
def test_files_that_are_not_results_lists_raise(annotations, tmp_path, content, message):
    path = tmp_path / "poses.json"
    path.write_text(content)
    with pytest.raises(AnnotationError, match=message) as caught:
        read_keypoint_results(path, annotations)
    assert str(path) in str(caught.value)


def test_missing_file_raises(annotations, tmp_path):
    with pytest.raises(AnnotationError, match=r"none\.json: cannot be read: No such file"):
        read_keypoint_results(tmp_path / "none.json", annotations)


@pytest.mark.parametrize("name", ["images/2.jpg", "2.jpg", "elsewhere/2.jpg"])
def test_file_name_identifies_the_image(annotations, name):
    assert read_keypoint_results([pose(image_id=None, file_name=name)], annotations).image_ids.tolist() == [2]


def test_image_id_has_precedence_over_the_file_name(annotations):
    assert read_keypoint_results([pose(file_name="2.jpg")], annotations).image_ids.tolist() == [1]


def test_ambiguous_file_name_raises(tmp_path):
    images = [{"id": i, "file_name": f"{folder}/a.jpg", "width": 9, "height": 9} for i, folder in enumerate("xy")]
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"images": images, "annotations": [{"id": 1, "image_id": 0, **person({0: (1, 1)})}]}))
    annotations = read_annotations(path)
    assert read_box_results([box(image_id=None, file_name="y/a.jpg")], annotations).image_ids.tolist() == [1]
    with pytest.raises(AnnotationError, match=r"entry 0: .* has 2 images of file_name 'a.jpg'; give image_id"):
        read_box_results([box(image_id=None, file_name="a.jpg")], annotations)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"keypoints": [0] * 57},
            r"57 keypoint numbers \(19 keypoints: people19\), the annotations are coco17 and need 51",
        ),
        (
            {"keypoints": [0] * 42},
            r"42 keypoint numbers \(14 keypoints: crowdpose14, aic14\), the annotations are coco17",
        ),
        ({"keypoints": [0] * 50}, "50 keypoint numbers, the annotations are coco17 and need 51"),
        ({"keypoints": []}, "0 keypoint numbers"),
        ({"keypoints": None}, "has no keypoints"),
        ({"keypoints": [[0, 0, 0]] * 17}, r"flat list of numbers, not of shape \(17, 3\)"),
        ({"keypoints": [*KEYPOINTS[:-1], float("nan")]}, "keypoints must be finite numbers, number 50 is nan"),
        ({"keypoints": [float("inf"), *KEYPOINTS[1:]]}, "keypoints must be finite numbers, number 0 is inf"),
        ({"keypoints": [*KEYPOINTS[:-1], "text"]}, "keypoints must be a flat list of numbers"),
        ({"keypoints": [*KEYPOINTS[:-1], None]}, "keypoints must be"),
        ({"score": None}, "has no score"),
        ({"score": float("nan")}, "score must be a finite number, not nan"),
        ({"score": "0.5"}, "score must be a finite number, not '0.5'"),
        ({"score": True}, "score must be a finite number, not True"),
        ({"image_id": 3}, "truth.json has no image of image_id 3"),
        ({"image_id": "1"}, "truth.json has no image of image_id '1'"),
        ({"image_id": 1.5}, "no image of image_id 1.5"),
        ({"image_id": None}, "neither image_id nor file_name"),
        ({"image_id": None, "file_name": "3.jpg"}, "has no images of file_name '3.jpg'"),
        ({"category_id": 3}, "category_id 3 is not 1"),
    ],
)
def test_invalid_poses_are_named(annotations, change, message):
    with pytest.raises(AnnotationError, match=message) as caught:
        read_keypoint_results([pose(score=0.9), pose(**change)], annotations)
    assert str(caught.value).startswith("results: entry 1: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": None}, "has no bbox"),
        ({"bbox": [1, 2, 3]}, r"left, top, width and height, not \[1, 2, 3\]"),
        ({"bbox": [1, 2, -3, 4]}, "left, top, width and height"),
        ({"bbox": [1, 2, float("nan"), 4]}, "bbox must be finite numbers, number 2 is nan"),
    ],
)
def test_invalid_boxes_are_named(annotations, change, message):
    with pytest.raises(AnnotationError, match=message) as caught:
        read_box_results([box(score=0.9), box(**change)], annotations)
    assert str(caught.value).startswith("results: entry 1: ")


def test_entries_are_also_named_by_their_id(annotations):
    with pytest.raises(AnnotationError, match=r"^results: entry 1 \(id 17\): score must be a finite number, not inf"):
        read_keypoint_results([pose(), pose(id=17, score=float("inf"))], annotations)


def test_ids_are_unique(annotations):
    with pytest.raises(AnnotationError, match=r"entry 2 \(id 7\): has the id of entry 0; remove one of them"):
        read_keypoint_results([pose(id=7), pose(id=8, score=0.1), pose(id=7, score=0.2)], annotations)
    assert len(read_keypoint_results([pose(id=7), pose(id="7", score=0.1), pose(score=0.2)], annotations)) == 3


def test_invalid_json_is_named_by_its_line(annotations, tmp_path):
    path = tmp_path / "poses.json"
    path.write_text('[\n{"image_id": 1,\n"score" 0.5}]')
    with pytest.raises(AnnotationError, match=r"poses\.json: .*line 3 column 9"):
        read_keypoint_results(path, annotations)


def test_repeated_entries_raise(annotations):
    with pytest.raises(AnnotationError, match="results: entry 2: repeats entry 0"):
        read_keypoint_results([pose(), pose(score=0.1), pose()], annotations)
    with pytest.raises(AnnotationError, match="results: entry 1: repeats entry 0"):
        read_box_results([box(), box(image_id=None, file_name="1.jpg")], annotations)


@pytest.mark.parametrize(
    "change", [{"score": 0.4}, {"image_id": 2}, {"keypoints": [9, *KEYPOINTS[1:]]}, {"bbox": [1, 2, 3, 4]}]
)
def test_entries_that_differ_are_not_repeats(annotations, change):
    assert len(read_keypoint_results([pose(), pose(**change)], annotations)) == 2


def test_many_entries_are_read_as_one_by_one(annotations, monkeypatch):
    """What is read all at once equals what is read entry by entry, with integers, repeated poses and negative zeros."""
    random = np.random.default_rng(0)
    entries = [result(random.uniform(-9, 600, (17, 2)), float(random.random()), index % 2 + 1) for index in range(200)]
    entries[3]["score"], entries[5]["keypoints"][:2] = 1, [3, -0.0]
    entries[7]["keypoints"] = entries[9]["keypoints"]  # of another score
    quick = read_keypoint_results(entries, annotations)
    monkeypatch.setattr("rsgnet.evaluation.results._read_columns", lambda *_: None)
    slow = read_keypoint_results(entries, annotations)
    for name in ("image_ids", "scores", "values"):
        one, other = getattr(quick, name), getattr(slow, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("boxes", [([0, 0, 1, 1], [5, 5, 1, 1]), ([0, 0, 1, 1], None)])
def test_equal_poses_from_different_boxes_are_kept(annotations, boxes):
    entries = [{**result({0: (1, 2)}, 0.5), "bbox": box} for box in boxes]
    assert len(read_keypoint_results(entries, annotations)) == 2
