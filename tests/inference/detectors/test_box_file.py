import json
from pathlib import Path

import numpy as np
import pytest

from rsgnet.errors import AnnotationError
from rsgnet.inference.detectors.box_file import FileBoxes
from rsgnet.inference.detectors.boxes import LoadedImage

PIXELS = np.zeros((100, 200, 3), np.uint8)


def annotation(image_id, box, **more):
    return {"id": 1, "image_id": image_id, "category_id": 1, "bbox": box, "num_keypoints": 5, **more}


def truth(*annotations, images=((7, "a.jpg"), (8, "b.jpg"))):
    return {"images": [{"id": i, "file_name": name} for i, name in images], "annotations": list(annotations)}


@pytest.fixture
def read(tmp_path):
    def make(content, **options):
        (tmp_path / "boxes.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return FileBoxes.read(tmp_path / "boxes.json", **options)

    return make


def found(boxes, name="", path=None):
    return boxes.detect([LoadedImage(PIXELS, name, path)])[0]


class TestAnnotations:
    def test_boxes_and_id_come_by_file_name(self, read):
        boxes = read(truth(annotation(7, [10, 20, 30, 40]), annotation(8, [1, 2, 3, 4]), annotation(7, [0, 0, 9, 9])))
        first = found(boxes, "a.jpg")
        assert first.boxes_xyxy.tolist() == [[10, 20, 40, 60], [0, 0, 9, 9]]
        assert first.scores.tolist() == [1, 1] and first.image_id == 7

    @pytest.mark.parametrize(
        "left_out",
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
    def test_who_is_left_out(self, read, left_out):
        boxes = read(truth(annotation(7, [10, 20, 30, 40]), annotation(7, [5, 5, 50, 50]) | left_out))
        assert found(boxes, "a.jpg").boxes_xyxy.tolist() == [[10, 20, 40, 60]]

    def test_labels_are_counted_where_their_number_is_not_given(self, read):
        entries = [annotation(7, [10, 20, 30, 40], keypoints=[5, 5, v] * 3) for v in (0, 1)]
        for entry in entries:
            del entry["num_keypoints"]
        bare = annotation(7, [10, 20, 30, 40])
        del bare["num_keypoints"]
        assert len(found(read(truth(*entries, bare)), "a.jpg")) == 2

    def test_people_are_told_from_other_things_by_their_category(self, read):
        content = truth(annotation(7, [0, 0, 9, 9], category_id=3), annotation(7, [0, 0, 8, 8], category_id=1))
        content["categories"] = [{"id": 1, "name": "dog"}, {"id": 3, "name": "person"}]
        assert found(read(content), "a.jpg").boxes_xyxy.tolist() == [[0, 0, 9, 9]]

    def test_a_image_without_people_has_no_boxes(self, read):
        assert len(found(read(truth()), "b.jpg")) == 0 and found(read(truth()), "b.jpg").image_id == 8

    def test_a_image_that_is_not_listed_is_an_error(self, read):
        with pytest.raises(AnnotationError, match=r"c\.jpg: .*boxes\.json lists no image of that name"):
            found(read(truth()), "c.jpg")
        with pytest.raises(AnnotationError, match="without a file name"):
            found(read(truth()))


class TestNames:
    @pytest.mark.parametrize(
        ("name", "path", "image_id"),
        [
            ("1.jpg", None, None),  # several are called that
            ("x/1.jpg", None, 1),
            ("1.jpg", Path("/data/y/1.jpg"), 2),
            ("2.jpg", Path("/elsewhere/2.jpg"), 3),
            ("3.jpg", Path("/elsewhere/3.jpg"), 4),  # the one that is listed without a folder
            ("3.jpg", Path("/elsewhere/y/3.jpg"), 5),
        ],
    )
    def test_the_longest_common_end_decides(self, read, name, path, image_id):
        boxes = read(truth(images=((1, "x/1.jpg"), (2, "y/1.jpg"), (3, "y/2.jpg"), (4, "3.jpg"), (5, "y/3.jpg"))))
        if image_id is None:
            with pytest.raises(AnnotationError, match=r"several images of that name: x/1\.jpg, y/1\.jpg"):
                found(boxes, name, path)
        else:
            assert found(boxes, name, path).image_id == image_id


ENTRY = {"bbox": [10, 20, 30, 40], "score": 0.7, "category_id": 1}


class TestResults:
    def test_by_file_name(self, read):
        boxes = read([ENTRY | {"file_name": "a.jpg"}, ENTRY | {"file_name": "b.jpg", "image_id": 5}])
        assert found(boxes, "a.jpg").scores.tolist() == [0.7] and found(boxes, "a.jpg").image_id is None
        assert found(boxes, "b.jpg").image_id == 5

    def test_a_image_without_results_has_no_boxes(self, read):
        assert len(found(read([ENTRY | {"file_name": "a.jpg"}]), "c.jpg")) == 0

    @pytest.mark.parametrize("name", ["000000000139.jpg", "139.png", "COCO_val2014_000000000139.jpg"])
    def test_by_the_number_in_the_name(self, read, name):
        boxes = read([ENTRY | {"image_id": 139}])
        assert found(boxes, name).image_id == 139 and len(found(boxes, "140.jpg")) == 0

    def test_by_names_known_from_elsewhere(self, read):
        boxes = read([ENTRY | {"image_id": 139}], file_names={139: "x.jpg"})
        assert found(boxes, "x.jpg").image_id == 139 and len(found(boxes, "139.jpg")) == 0

    def test_own_poses_keep_their_box_scores(self, read):
        assert found(read([ENTRY | {"file_name": "a.jpg", "box_score": 0.9}]), "a.jpg").scores.tolist() == [0.9]

    def test_other_things_than_people_are_left_out(self, read):
        assert len(found(read([ENTRY | {"file_name": "a.jpg", "category_id": 18}]), "a.jpg")) == 0


@pytest.mark.parametrize(
    ("content", "says"),
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
        (truth(annotation(99, [1, 2, 3, 4])), "lists no image 99"),
    ],
    ids=str,
)
def test_broken_files_are_named(read, content, says):
    with pytest.raises(AnnotationError, match=says) as caught:
        read(content)
    assert "boxes.json" in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(AnnotationError, match="cannot be read"):
        FileBoxes.read(tmp_path / "none.json")
