"""Results are put into the row that their name stands for, or into a row of their own."""

import pytest

from rsgnet.errors import RSGNetError
from rsgnet.reproduce.given_results import parse_results
from rsgnet.reproduce.tables import TABLE1, TABLE4

RECORD = (
    '{"rsgnet": "0.1.0", "weights": {"name": "nano", "sha256": null}, "skeleton": "crowdpose14", "flip_test": false, '
    '"boxes": {"name": "boxes:mine.json", "sha256": null, "threshold": null}}'
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "r,=@.json"
    path.write_text("[]")
    return path


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("OPEC-Net", "OPEC-Net ResNet-101 320x256"),
        ("mask-rcnn", "Mask R-CNN ResNet-101"),
        ("HRNet-W32 384x288", "hrnet-w32-384x288-crowdpose"),
        ("hrnet-w48", "hrnet-w48-256x192-crowdpose"),
        ("RSGNet, released HRNet-W32 256x192", "dense-w32-256x192-crowdpose"),
        ("paper-w32-384x288-crowdpose", "paper-w32-384x288-crowdpose"),
    ],
)
def test_a_name_stands_for_a_row(file, name, row):
    table, (given,) = parse_results([f"{name}={file}"], TABLE1)
    assert table is TABLE1
    assert given.row in TABLE1.blocks[0].rows and given.row.name == row
    assert (given.path, given.boxes, given.data) == (file, "not stated", "crowdpose:test")


def test_other_names_add_rows(file):
    table, given = parse_results([f"RTMO-l={file}", f"CPN={file},boxes=none, x=1"], TABLE1)
    assert [row.name for row in table.blocks[0].rows[-2:]] == ["RTMO-l", "CPN"]
    assert table.blocks[0].rows[-1].paper == (None,) * 6
    assert given[1].boxes == "none, x=1"
    with pytest.raises(RSGNetError, match="the row RTMO-l of crowdpose:test has results already"):
        parse_results([f"RTMO-l={file}", f"rtmo L={file}"], TABLE1)


def test_boxes_are_those_of_the_record(tmp_path):
    (tmp_path / "run.json").write_text(RECORD)
    (tmp_path / "poses.json").write_text("[]")
    _, given = parse_results([f"Mine={tmp_path / 'poses.json'}", f"His={tmp_path / 'poses.json'},boxes=gt"], TABLE1)
    assert [each.boxes for each in given] == ["boxes:mine.json", "gt"]


def test_a_table_with_two_data_sets_needs_one_named(file):
    table, given = parse_results([f"X@coco:val2017={file}", f"HRNet@crowdpose:test={file}"], TABLE4)
    assert [len(block.rows) for block in table.blocks] == [5, 6]
    assert [each.data for each in given] == ["coco:val2017", "crowdpose:test"]
    assert given[1].row.name == "hrnet-w32-256x192-crowdpose"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("OPEC-Net", r"expected NAME\[@DATA_SET\]=FILE"),
        ("--={file}", r"expected NAME"),
        ("X@coco:train2017={file}", r"table4 measures on crowdpose:test, coco:val2017; say which"),
        ("X={file}", r"say which: NAME@DATA_SET=FILE"),
        ("X@coco:val2017=none.json", r"none\.json does not exist"),
        (
            "RSGNet@coco:val2017={file}",
            r"'RSGNet' stands for several rows; name one of 'rsgnet-w32-256x192-coco', 'pap",
        ),
    ],
)
def test_unclear_results_raise(file, text, message):
    with pytest.raises(RSGNetError, match=message):
        parse_results([text.replace("{file}", str(file))], TABLE4)
