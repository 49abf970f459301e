"""What is trained is measured, what is not is named, and nothing is done twice."""

import json

import pytest

from rsgnet.errors import RSGNetError
from rsgnet.reproduce import made_up
from rsgnet.reproduce.measure import SERVER_FIGURES, Workplace, measure, sizes, untrained
from rsgnet.reproduce.tables import Block, Row

ROW = Row("HRNet", "HRNet-W32", "256x192", "hrnet-w32-256x192-coco", (0.0,))
VAL = Block("coco:val2017", ("AP",), (ROW,))
TEST_DEV = Block("coco:test-dev2017", ("parameters", "AP"), (ROW,))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("reproduce")
    boxes = made_up.write_data_sets(root / "data")
    told = []
    place = Workplace(
        root / "data", root / "runs", root / "out", boxes,
        train_missing=True, settings=made_up.tiny_settings, workers=0, tell=told.append,
    )  # fmt: skip
    return place, told


def test_what_is_missing_is_trained_once_and_poses_are_found_once(place):
    place, told = place
    first = measure(VAL, place)
    assert set(first) == {ROW.preset}
    assert 0 <= first[ROW.preset]["AP"] <= 1
    assert [line.split()[0] for line in told] == ["training", str(place.runs / ROW.preset / "model:")]
    told.clear()
    assert measure(VAL, place) == first
    assert told == []
    assert untrained(VAL, place) == []


def test_a_set_without_labels_yields_a_submission_and_takes_the_servers_answer(place):
    place, told = place
    measure(VAL, place)
    told.clear()
    figures = measure(TEST_DEV, place)
    assert figures[ROW.preset] == {"parameters": pytest.approx(28.54, abs=0.01), **sizes(ROW.preset)}
    (submission,) = place.out.glob("*/coco-test-dev2017/person_keypoints_test-dev2017_*_results.json")
    assert json.loads(submission.read_bytes())
    assert str(submission) in told[-1]
    (submission.parent / SERVER_FIGURES).write_text('{"AP": 0.735}')
    assert measure(TEST_DEV, place)[ROW.preset]["AP"] == 0.735


def test_a_set_without_labels_needs_boxes(place):
    place, _ = place
    measure(VAL, place)
    with pytest.raises(RSGNetError, match=r"no boxes of its own.*--boxes"):
        measure(TEST_DEV, Workplace(place.data, place.runs, place.out / "other"))


def test_without_networks_there_are_no_figures(tmp_path):
    place = Workplace(tmp_path, tmp_path, tmp_path)
    assert measure(VAL, place) == {}
    assert untrained(VAL, place) == [ROW]
