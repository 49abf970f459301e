import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from rsgnet.annotations.csv_table import to_csv
from rsgnet.annotations.people import AnnotatedImage, Annotations, Person
from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import Skeleton

TWO = Skeleton("two", ("top, or so", "foot"), (), (), (), (0.07, 0.07))
BOX = np.array([1 / 3, 2, 30, 40.25])
KEYPOINTS = np.array([[0.1, 7.5, 1], [0, 0, 0]])


def make_annotations(**change):
    person = Person(5, BOX, KEYPOINTS, 17.25, **change)
    images = (
        AnnotatedImage(3, 'a "b", c.jpg', (64, 48), (person, Person(6, BOX, KEYPOINTS, 1.0, True)), 0.25),
        AnnotatedImage(9, "empty.jpg", (0, 0), ()),
    )
    return Annotations("x", TWO, images)


def read(tmp_path, text):
    (tmp_path / "people.csv").write_text(text)
    return read_annotations(tmp_path / "people.csv")


def test_a_written_table_reads_back(tmp_path):
    found = read(tmp_path, to_csv(make_annotations(score=0.75, keypoint_scores=np.array([1 / 3, 0.0]))))
    first, empty = found.images
    assert found.skeleton.keypoints == TWO.keypoints
    assert (first.id, first.file_name, first.size_wh, first.crowd_index) == (3, 'a "b", c.jpg', (64, 48), 0.25)
    assert (empty.id, empty.file_name, empty.size_wh, empty.people) == (9, "empty.jpg", (0, 0), ())
    one, group = first.people
    assert (one.id, one.area, one.is_crowd, one.score) == (5, 17.25, False, 0.75)
    assert np.array_equal(one.box_xywh, BOX) and np.array_equal(one.keypoints, KEYPOINTS)
    assert np.array_equal(one.keypoint_scores, [1 / 3, 0.0])
    assert group.is_crowd and group.score is None and group.keypoint_scores is None


def test_labels_have_no_score_columns():
    assert "foot_visibility" in to_csv(make_annotations()) and "foot_score" not in to_csv(make_annotations())


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("foot_y", "foot_why", "no column foot_y"),
        ("file_name", "file", "no column file_name"),
        ("7.5", "high", "line 2: ValueError"),
        ("7.5", "nan", "line 2: numbers must be finite"),
        ("17.25", "17.25,1", "line 2: must have 19 cells"),
        ("empty.jpg", "../empty.jpg", "line 4: file name"),
        ("empty.jpg,9", "empty.jpg,3", "line 4: image_id 3 is"),
        ('"a ""b', '"a "b', "not valid CSV"),
    ],
)
def test_the_message_names_the_line(tmp_path, before, after, message):
    text = to_csv(make_annotations()).replace(before, after, 1)
    with pytest.raises(AnnotationError, match=message) as caught:
        read(tmp_path, text)
    assert "people.csv: " in str(caught.value)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "'", "'=", "''+"])
def test_texts_that_spreadsheets_would_run_are_escaped_and_read_back(tmp_path, start):
    name = f"{start}cmd|' /C calc'!A1.jpg"
    made = make_annotations()
    skeleton = replace(made.skeleton, keypoints=(f"{start}k", *made.skeleton.keypoints[1:]))
    text = to_csv(replace(made, skeleton=skeleton, images=(replace(made.images[0], file_name=name), *made.images[1:])))
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "-")) and not is_number(cell)]
    again = read(tmp_path, text)
    assert again.images[0].file_name == name and again.skeleton.keypoints[0] == f"{start}k"


def is_number(cell):
    try:
        return float(cell) is not None
    except ValueError:
        return False


def test_other_tables_are_refused(tmp_path):
    for text in ("", "a,b\n1,2\n"):
        with pytest.raises(AnnotationError, match="not a table of people"):
            read(tmp_path, text)
