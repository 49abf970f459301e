"""Rows, Markdown and JSON of the tables; results of other systems are named with their boxes and digest."""

import hashlib

from rsgnet.reproduce.given_results import GivenResults
from rsgnet.reproduce.table_output import format_row, table_json, table_markdown
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


def test_format_row():
    assert format_row(BLOCK, BLOCK.rows[0], OURS) == ["Other", "X", "-", "6.20", "68.6", "-"]
    assert format_row(BLOCK, BLOCK.rows[1], OURS) == [
        "HRNet",
        "HRNet-W32",
        "256x192",
        "7.10 / 7.10",
        "74.4 / 74.3",
        "70.8 / -",
    ]
    assert format_row(BLOCK, BLOCK.rows[1], {})[3:] == ["7.10 / -", "74.4 / -", "70.8 / -"]


def test_markdown_and_json():
    table = Table("table9", "Comparison", (BLOCK,))
    text = table_markdown(table, [OURS], ["gt"])
    assert "coco:val2017, our boxes: gt" in text
    assert "| HRNet | HRNet-W32 | 256x192 | 7.10 / 7.10 | 74.4 / 74.3 | 70.8 / - |" in text.splitlines()
    (block,) = table_json(table, [OURS], ["gt"])["blocks"]
    assert block["boxes"] == "gt"
    assert block["rows"][1]["paper"] == {"multiply_adds": 7.1, "AP": 74.4, "APM": 70.8}
    assert block["rows"][1]["ours"] == {"multiply_adds": 7.104, "AP": 74.32, "APM": None}
    assert block["rows"][0]["ours"] == {"multiply_adds": None, "AP": None, "APM": None}


def test_given_results_are_beside_the_printed_values(tmp_path):
    path = tmp_path / "other.json"
    path.write_text("[]")
    given = [GivenResults("coco:val2017", BLOCK.rows[0], path, "none (bottom-up)")]
    text = table_markdown(Table("table9", "Comparison", (BLOCK,)), [OURS | {"Other X": {"AP": 0.5}}], ["gt"], given)
    digest = hashlib.sha256(b"[]").hexdigest()
    assert "| Other | X | - | 6.20 / - | 68.6 / 50.0 | - / - |" in text.splitlines()
    assert f"| Other X | {path} | none (bottom-up) | {digest[:12]} |" in text.splitlines()
    assert "the paper's: the person detector that HRNet's authors provide" in text
    (block,) = table_json(Table("table9", "Comparison", (BLOCK,)), [OURS], ["gt"], given)["blocks"]
    assert block["results"] == [{"row": "Other X", "file": str(path), "boxes": "none (bottom-up)", "sha256": digest}]
