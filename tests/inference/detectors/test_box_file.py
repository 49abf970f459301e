"""Boxes of COCO annotations and results are matched to images by file name or by id."""

import json
from pathlib import Path

import numpy as np
import pytest

from rsgnet.errors import AnnotationError
from rsgnet.inference.detectors.box_file import BoxFileDetector
from rsgnet.inference.detectors.detector import LoadedImage

PIXELS = np.zeros((100, 200, 3), np.uint8)
RESULT = {"bbox": [10, 20, 30, 40], "score": 0.7, "category_id": 1}


def annotation(image_id, box, **more):
    return {"id": 1, "image_id": image_id, "category_id": 1, "bbox": box, "num_keypoints": 5, **more}


def coco(*annotations, images=((7, "a.jpg"), (8, "b.jpg"))):
    return {"images": [{"id": i, "file_name": name} for i, name in images], "annotations": list(annotations)}


@pytest.fixture
def read(tmp_path):
    def make(content, **options):
        (tmp_path / "boxes.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return BoxFileDetector.read(tmp_path / "boxes.json", **options)

    return make


def detect(detector, name="", path=None):
    return detector.detect([LoadedImage(PIXELS, name, path)])[0]


class TestAnnotations:
    def test_boxes_and_id_are_found_by_file_name(self, read):
        detector = read(coco(annotation(7, [10, 20, 30, 40]), annotation(8, [1, 2, 3, 4]), annotation(7, [0, 0, 9, 9])))
        boxes = detect(detector, "a.jpg")
        assert boxes.boxes_xyxy.tolist() == [[10, 20, 40, 60], [0, 0, 9, 9]]
        assert boxes.scores.tolist() == [1, 1] and boxes.image_id == 7

    @pytest.mark.parametrize(
        "change",
        [
            {"num_keypoints": 0},
            {"iscrowd": 1},
            {"category_id": 2},
            {"bbox": [float("nan"), 0, 5, 5]},
            {"bbox": [500, 500, 20, 20]},
            {"bbox": [5, 5, 0, 0]},
            {"bbox": [50, 5, -20, 20]},
        ],
        ids=str,
    )
    def test_boxes_that_are_left_out(self, read, change):
        detector = read(coco(annotation(7, [10, 20, 30, 40]), annotation(7, [5, 5, 50, 50]) | change))
        assert detect(detector, "a.jpg").boxes_xyxy.tolist() == [[10, 20, 40, 60]]

    def test_labels_are_counted_without_num_keypoints(self, read):
        entries = [annotation(7, [10, 20, 30, 40], keypoints=[5, 5, v] * 3) for v in (0, 1)]
        entries.append(annotation(7, [10, 20, 30, 40]))
        for entry in entries:
            del entry["num_keypoints"]
        assert len(detect(read(coco(*entries)), "a.jpg")) == 2

    def test_people_are_recognised_by_their_category(self, read):
        content = coco(annotation(7, [0, 0, 9, 9], category_id=3), annotation(7, [0, 0, 8, 8], category_id=1))
        content["categories"] = [{"id": 1, "name": "dog"}, {"id": 3, "name": "person"}]
        assert detect(read(content), "a.jpg").boxes_xyxy.tolist() == [[0, 0, 9, 9]]

    def test_a_listed_image_without_people_has_no_boxes(self, read):
        boxes = detect(read(coco()), "b.jpg")
        assert len(boxes) == 0 and boxes.image_id == 8

    def test_an_image_that_is_not_listed_raises(self, read):
        with pytest.raises(AnnotationError, match=r"c\.jpg: .*boxes\.json lists no image of that name"):
            detect(read(coco()), "c.jpg")
        with pytest.raises(AnnotationError, match="without a file name"):
            detect(read(coco()))


@pytest.mark.parametrize(
    ("name", "path", "image_id"),
    [
        ("1.jpg", None, None),  # several images have this name
        ("x/1.jpg", None, 1),
        ("1.jpg", Path("/data/y/1.jpg"), 2),
        ("2.jpg", Path("/elsewhere/2.jpg"), 3),
        ("3.jpg", Path("/elsewhere/3.jpg"), 4),  # the one that is listed without a folder
        ("3.jpg", Path("/elsewhere/y/3.jpg"), 5),
    ],
)
def test_the_longest_common_end_of_the_path_decides(read, name, path, image_id):
    detector = read(coco(images=((1, "x/1.jpg"), (2, "y/1.jpg"), (3, "y/2.jpg"), (4, "3.jpg"), (5, "y/3.jpg"))))
    if image_id is None:
        with pytest.raises(AnnotationError, match=r"several images of that name: x/1\.jpg, y/1\.jpg"):
            detect(detector, name, path)
    else:
        assert detect(detector, name, path).image_id == image_id


class TestResults:
    def test_by_file_name(self, read):
        detector = read([RESULT | {"file_name": "a.jpg"}, RESULT | {"file_name": "b.jpg", "image_id": 5}])
        assert detect(detector, "a.jpg").scores.tolist() == [0.7] and detect(detector, "a.jpg").image_id is None
        assert detect(detector, "b.jpg").image_id == 5

    def test_an_image_without_results_has_no_boxes(self, read):
        assert len(detect(read([RESULT | {"file_name": "a.jpg"}]), "c.jpg")) == 0

    @pytest.mark.parametrize("name", ["000000000139.jpg", "139.png", "COCO_val2014_000000000139.jpg"])
    def test_by_the_number_in_the_name(self, read, name):
        detector = read([RESULT | {"image_id": 139}])
        assert detect(detector, name).image_id == 139 and len(detect(detector, "140.jpg")) == 0

    def test_by_names_that_are_known_from_elsewhere(self, read):
        detector = read([RESULT | {"image_id": 139}], file_names={139: "x.jpg"})
        assert detect(detector, "x.jpg").image_id == 139 and len(detect(detector, "139.jpg")) == 0

    def test_box_scores_are_preferred_to_pose_scores(self, read):
        detector = read([RESULT | {"file_name": "a.jpg", "box_score": 0.9}])
        assert detect(detector, "a.jpg").scores.tolist() == [0.9]

    def test_other_categories_are_left_out(self, read):
        assert len(detect(read([RESULT | {"file_name": "a.jpg", "category_id": 18}]), "a.jpg")) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not valid JSON"),
        ('[{"bbox": [1, 2', "truncated"),
        ("{}", "holds no boxes"),
        ("3", "holds no boxes"),
        ('{"images": 3, "annotations": []}', "broken"),
        ('{"images": [{"id": 1}], "annotations": []}', "broken.*file_name"),
        ([{"file_name": "a.jpg"}], "entry 0: expected a bbox"),
        ([{"file_name": "a.jpg", "bbox": [1, 2, 3]}], "entry 0: expected a bbox of 4"),
        ([{"file_name": "a.jpg", "bbox": ["a", 2, 3, 4]}], "broken"),
        ([{"file_name": "a.jpg", "bbox": [1, 2, 3, 4], "score": None}], "broken"),
        ([{"bbox": [1, 2, 3, 4]}], "entry 0: a result carries"),
        ([[1, 2, 3, 4]], "entry 0"),
        (coco(annotation(99, [1, 2, 3, 4])), "lists no image 99"),
    ],
    ids=str,
)
def test_broken_files_are_named(read, content, message):
    with pytest.raises(AnnotationError, match=message) as caught:
        read(content)
    assert "boxes.json" in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AnnotationError, match="cannot be read"):
        BoxFileDetector.read(tmp_path / "none.json")
