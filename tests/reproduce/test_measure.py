"""Networks and poses are made once, and incomplete ones are not reused."""

import json
from dataclasses import replace

import pytest

from rsgnet.annotations.readers import read_annotations
from rsgnet.checkpoint import build, save_model
from rsgnet.crowds.data_sets import write_crowds
from rsgnet.errors import RSGNetError
from rsgnet.reproduce import synthetic_data
from rsgnet.reproduce.given_results import parse_results
from rsgnet.reproduce.measure import (
    SERVER_METRICS,
    Reproduction,
    has_poses,
    is_trained,
    measure_block,
    measure_sizes,
    parse_boxes,
    predict_poses,
    untrained_rows,
)
from rsgnet.reproduce.tables import TABLE1, TABLE4, Block, Row, Table
from rsgnet.reproduce.variants import PLAIN, variant_config


@pytest.fixture
def folder(tmp_path):
    config = variant_config("rsgnet-light", [*synthetic_data.tiny_settings("rsgnet-light"), *PLAIN.settings])
    save_model(build(config), config, tmp_path / "model")
    return tmp_path, write_crowds(tmp_path / "crowds", 2, seed=0, size_wh=(160, 120))


def test_a_network_without_checkpoint_is_trained(folder):
    root, _ = folder
    assert is_trained(root, epochs=9)
    assert not is_trained(root / "crowds", epochs=9)


def test_has_poses_compares_weights_boxes_and_flip_test(folder):
    root, labels = folder
    model, out = root / "model", root / "poses"
    assert not has_poses(out, model, "gt")
    predict_poses(out, model, read_annotations(labels), root / "crowds" / "images", "gt", flip_test=False)
    assert has_poses(out, model, "gt") and has_poses(out, model, "gt", flip_test=False, boxes_file=labels)
    assert not has_poses(out, model, "boxes.json")
    assert not has_poses(out, model, "gt", flip_test=True)
    labels.write_text(labels.read_text() + " ")
    assert has_poses(out, model, "gt") and not has_poses(out, model, "gt", boxes_file=labels)


def test_incomplete_poses_are_not_reused(folder):
    root, labels = folder
    (root / "crowds" / "images" / "000002.png").unlink()
    with pytest.raises(RSGNetError, match="1 images could not be read"):
        predict_poses(root / "poses", root / "model", read_annotations(labels), root / "crowds" / "images", "gt")
    assert not has_poses(root / "poses", root / "model", "gt")


ROW = Row("HRNet", "HRNet-W32", "256x192", "hrnet-w32-256x192-coco", (0.0,))
VAL = Block("coco:val2017", ("AP",), (ROW,))
TEST_DEV = Block("coco:test-dev2017", ("parameters", "AP"), (ROW,))


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory):
    root = tmp_path_factory.mktemp("reproduce")
    boxes = synthetic_data.write_data_sets(root / "data")
    lines = []
    reproduction = Reproduction(
        root / "data", root / "runs", root / "out", boxes,
        train_missing=True, settings=synthetic_data.tiny_settings, workers=0, log=lines.append,
    )  # fmt: skip
    return reproduction, lines


def test_networks_and_poses_are_made_once(reproduction):
    reproduction, lines = reproduction
    first = measure_block(VAL, reproduction)
    assert set(first) == {ROW.preset}
    assert 0 <= first[ROW.preset]["AP"] <= 1
    assert [line.split()[0] for line in lines] == ["training", str(reproduction.runs / ROW.preset / "model:")]
    lines.clear()
    assert measure_block(VAL, reproduction) == first
    assert lines == []
    assert untrained_rows(VAL, reproduction) == []


def test_without_labels_a_submission_is_written_and_the_server_metrics_are_read(reproduction):
    reproduction, lines = reproduction
    measure_block(VAL, reproduction)
    lines.clear()
    measured = measure_block(TEST_DEV, reproduction)
    assert measured[ROW.preset] == {"parameters": pytest.approx(28.54, abs=0.01), **measure_sizes(ROW.preset)}
    (submission,) = reproduction.out.glob("*/coco-test-dev2017/person_keypoints_test-dev2017_*_results.json")
    assert json.loads(submission.read_bytes())
    assert str(submission) in lines[-1]
    (submission.parent / SERVER_METRICS).write_text('{"AP": 0.735}')
    assert measure_block(TEST_DEV, reproduction)[ROW.preset]["AP"] == 0.735


def test_without_labels_boxes_are_needed(reproduction):
    reproduction, _ = reproduction
    measure_block(VAL, reproduction)
    with pytest.raises(RSGNetError, match=r"no boxes of its own.*--boxes"):
        measure_block(TEST_DEV, Reproduction(reproduction.data, reproduction.runs, reproduction.out / "other"))


def test_given_results_are_measured_in_the_place_of_a_network(reproduction, tmp_path):
    """Labels given as results have an AP of 1; on test-dev they become a submission."""
    reproduction, lines = reproduction
    measure_block(VAL, reproduction)
    lines.clear()
    labels = json.loads((reproduction.data / "coco/annotations/person_keypoints_val2017.json").read_bytes())
    entries = [{key: each[key] for key in ("image_id", "keypoints")} | {"score": 1.0} for each in labels["annotations"]]
    (tmp_path / "r.json").write_text(json.dumps(entries))
    texts = [f"{ROW.preset}@coco:val2017={tmp_path / 'r.json'}", f"New one@coco:test-dev2017={tmp_path / 'r.json'}"]
    table, given = parse_results(texts, Table("table9", "", (VAL, TEST_DEV)))
    assert measure_block(table.blocks[0], reproduction, given)[ROW.preset]["AP"] == pytest.approx(1)
    assert lines == []
    measured = measure_block(table.blocks[1], reproduction, given)
    assert measured["New one"] == {}
    assert "results-New-one/coco-test-dev2017/person_keypoints_test-dev2017_" in lines[0]
    (reproduction.out / "results-New-one/coco-test-dev2017" / SERVER_METRICS).write_text('{"AP": 0.5}')
    assert measure_block(table.blocks[1], reproduction, given)["New one"] == {"AP": 0.5}


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], ("gt", "gt")),
        (["nano"], ("nano", "nano")),
        (["coco:val2017=c.json"], ("gt", "c.json")),
        (["coco:val2017=c.json", "crowdpose:test=runs/a=b/model"], ("runs/a=b/model", "c.json")),
    ],
)
def test_each_data_set_of_a_table_has_boxes_of_its_own(texts, expected):
    assert tuple(parse_boxes(texts, TABLE4).values()) == expected
    assert parse_boxes(["c.json"], TABLE1) == {"crowdpose:test": "c.json"}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["c.json"], r"table4 has 2 data sets.*--boxes crowdpose:test=FILE, --boxes coco:val2017=FILE"),
        (["coco:train2017=c.json"], r"has no data set 'coco:train2017'; it has crowdpose:test, coco:val2017"),
        (["nano", "coco:val2017=c.json"], r"coco:val2017 has boxes already: nano"),
    ],
)
def test_boxes_that_do_not_say_whose_they_are_raise(texts, message):
    with pytest.raises(RSGNetError, match=message):
        parse_boxes(texts, TABLE4)


@pytest.mark.parametrize(
    ("entry", "named"), [({"image_id": 999}, "999"), ({"image_id": 1, "file_name": "other.png"}, r"other.png \(1\)")]
)
def test_boxes_of_other_images_raise(reproduction, tmp_path, entry, named):
    reproduction, _ = reproduction
    measure_block(VAL, reproduction)
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps([{**entry, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.9}]))
    with pytest.raises(RSGNetError, match=rf"boxes\.json: lists 1 images.*the first: {named}"):
        measure_block(VAL, replace(reproduction, boxes={"coco:val2017": str(path)}))


def test_without_networks_there_are_no_metrics(tmp_path):
    reproduction = Reproduction(tmp_path, tmp_path, tmp_path)
    assert measure_block(VAL, reproduction) == {}
    assert untrained_rows(VAL, reproduction) == [ROW]
