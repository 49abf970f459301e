"""What is left half done is not taken for done."""

import json

import pytest

from rsgnet.annotations.readers import read_annotations
from rsgnet.checkpoint import build, save_model
from rsgnet.crowds.data_sets import write_crowds
from rsgnet.errors import RSGNetError
from rsgnet.reproduce import synthetic_data
from rsgnet.reproduce.measure import (
    SERVER_FIGURES,
    Workplace,
    find_poses,
    has_poses,
    is_trained,
    measure,
    sizes,
    untrained,
)
from rsgnet.reproduce.tables import Block, Row
from rsgnet.reproduce.variants import PLAIN, variant_config


@pytest.fixture
def place(tmp_path):
    config = variant_config("nano", [*synthetic_data.tiny_settings("nano"), *PLAIN.settings])
    save_model(build(config), config, tmp_path / "model")
    return tmp_path, write_crowds(tmp_path / "crowds", 2, seed=0, size_wh=(160, 120))


def test_a_network_without_checkpoint_is_trained(place):
    root, _ = place
    assert is_trained(root, epochs=9)
    assert not is_trained(root / "crowds", epochs=9)


def test_poses_are_those_of_the_weights_boxes_and_flip_test(place):
    root, labels = place
    model, out = root / "model", root / "poses"
    assert not has_poses(out, model, "gt")
    find_poses(out, model, read_annotations(labels), root / "crowds" / "images", "gt", flip_test=False)
    assert has_poses(out, model, "gt") and has_poses(out, model, "gt", flip_test=False, boxes_file=labels)
    assert not has_poses(out, model, "boxes.json")
    assert not has_poses(out, model, "gt", flip_test=True)
    labels.write_text(labels.read_text() + " ")
    assert has_poses(out, model, "gt") and not has_poses(out, model, "gt", boxes_file=labels)


def test_a_part_is_not_taken_for_the_whole(place):
    root, labels = place
    (root / "crowds" / "images" / "000002.png").unlink()
    with pytest.raises(RSGNetError, match="1 images could not be read"):
        find_poses(root / "poses", root / "model", read_annotations(labels), root / "crowds" / "images", "gt")
    assert not has_poses(root / "poses", root / "model", "gt")


ROW = Row("HRNet", "HRNet-W32", "256x192", "hrnet-w32-256x192-coco", (0.0,))
VAL = Block("coco:val2017", ("AP",), (ROW,))
TEST_DEV = Block("coco:test-dev2017", ("parameters", "AP"), (ROW,))


@pytest.fixture(scope="module")
def place_row(tmp_path_factory):
    root = tmp_path_factory.mktemp("reproduce")
    boxes = synthetic_data.write_data_sets(root / "data")
    told = []
    place_row = Workplace(
        root / "data", root / "runs", root / "out", boxes,
        train_missing=True, settings=synthetic_data.tiny_settings, workers=0, tell=told.append,
    )  # fmt: skip
    return place_row, told


def test_what_is_missing_is_trained_once_and_poses_are_found_once(place_row):
    place_row, told = place_row
    first = measure(VAL, place_row)
    assert set(first) == {ROW.preset}
    assert 0 <= first[ROW.preset]["AP"] <= 1
    assert [line.split()[0] for line in told] == ["training", str(place_row.runs / ROW.preset / "model:")]
    told.clear()
    assert measure(VAL, place_row) == first
    assert told == []
    assert untrained(VAL, place_row) == []


def test_a_set_without_labels_yields_a_submission_and_takes_the_servers_answer(place_row):
    place_row, told = place_row
    measure(VAL, place_row)
    told.clear()
    figures = measure(TEST_DEV, place_row)
    assert figures[ROW.preset] == {"parameters": pytest.approx(28.54, abs=0.01), **sizes(ROW.preset)}
    (submission,) = place_row.out.glob("*/coco-test-dev2017/person_keypoints_test-dev2017_*_results.json")
    assert json.loads(submission.read_bytes())
    assert str(submission) in told[-1]
    (submission.parent / SERVER_FIGURES).write_text('{"AP": 0.735}')
    assert measure(TEST_DEV, place_row)[ROW.preset]["AP"] == 0.735


def test_a_set_without_labels_needs_boxes(place_row):
    place_row, _ = place_row
    measure(VAL, place_row)
    with pytest.raises(RSGNetError, match=r"no boxes of its own.*--boxes"):
        measure(TEST_DEV, Workplace(place_row.data, place_row.runs, place_row.out / "other"))


def test_without_networks_there_are_no_figures(tmp_path):
    place_row = Workplace(tmp_path, tmp_path, tmp_path)
    assert measure(VAL, place_row) == {}
    assert untrained(VAL, place_row) == [ROW]
