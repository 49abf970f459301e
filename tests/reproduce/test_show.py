"""The paper's figure stands beside ours, in the same unit."""

from rsgnet.reproduce.show import as_json, cells, markdown
from rsgnet.reproduce.tables import Block, Row, Table

BLOCK = Block(
    "coco:val2017",
    ("multiply_adds", "AP", "APM"),
    (
        Row("Other", "X", "", None, (6.2, 68.6, None)),
        Row("HRNet", "HRNet-W32", "256x192", "hrnet", (7.1, 74.4, 70.8)),
    ),
)
OURS = {"hrnet": {"multiply_adds": 7.104, "AP": 0.7432, "APM": -1}}


def test_cells():
    assert cells(BLOCK, BLOCK.rows[0], OURS) == ["Other", "X", "-", "6.20", "68.6", "-"]
    assert cells(BLOCK, BLOCK.rows[1], OURS) == [
        "HRNet",
        "HRNet-W32",
        "256x192",
        "7.10 / 7.10",
        "74.4 / 74.3",
        "70.8 / -",
    ]
    assert cells(BLOCK, BLOCK.rows[1], {})[3:] == ["7.10 / -", "74.4 / -", "70.8 / -"]


def test_documents_say_what_was_measured_on_which_boxes():
    table = Table("table9", "Comparison", (BLOCK,))
    text = markdown(table, [OURS], ["gt"])
    assert "coco:val2017, our boxes: gt" in text
    assert "| HRNet | HRNet-W32 | 256x192 | 7.10 / 7.10 | 74.4 / 74.3 | 70.8 / - |" in text.splitlines()
    (block,) = as_json(table, [OURS], ["gt"])["blocks"]
    assert block["boxes"] == "gt"
    assert block["rows"][1]["paper"] == {"multiply_adds": 7.1, "AP": 74.4, "APM": 70.8}
    assert block["rows"][1]["ours"] == {"multiply_adds": 7.104, "AP": 74.32, "APM": None}
    assert block["rows"][0]["ours"] == {"multiply_adds": None, "AP": None, "APM": None}
