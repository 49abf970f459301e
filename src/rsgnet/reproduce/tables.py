"""The paper's tables, each row with the preset that reproduces it.

Precision is in percent as printed, parameters are in millions, multiply-adds in units of 2^30 as the paper counts them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from rsgnet.errors import RSGNetError

DataSetName = Literal["crowdpose:test", "coco:val2017", "coco:test-dev2017"]

PAPER_BOXES: dict[DataSetName, str] = {  # of the rows whose boxes the paper chose
    "crowdpose:test": "a detector with ResNet101-FPN, trained on CrowdPose",
    "coco:val2017": "the person detector that HRNet's authors provide",
    "coco:test-dev2017": "the person detector that HRNet's authors provide",
}
_CROWDPOSE = ("AP", "AP50", "AP75", "AP_easy", "AP_medium", "AP_hard")
_COCO = ("parameters", "multiply_adds", "AP", "AP50", "AP75", "APM", "APL", "AR")


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        method: The system's name.
        backbone: Its backbone.
        size: Height x width of its input, "" where the paper gives none.
        preset: Our preset of the same system; None for systems that this project does not implement.
        paper: (columns,) the printed values in the order of the block's columns, None where nothing is printed.
    """

    method: str
    backbone: str
    size: str
    preset: str | None
    paper: tuple[float | None, ...]

    @property
    def name(self) -> str:
        """The name that no other row of the block has: the preset, or else method, backbone and size."""
        return self.preset or " ".join(part for part in (self.method, self.backbone, self.size) if part)


@dataclass(frozen=True)
class Block:
    """The rows of a table that are measured on the same data set.

    Attributes:
        data: The data set.
        columns: The metrics, named as in `rsgnet evaluate`, and sizes.
        rows: The systems.
    """

    data: DataSetName
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        name: "table1" to "table4".
        title: Its title.
        blocks: One part for each data set.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]


def _other(method: str, backbone: str, size: str, *paper: float | None) -> Row:
    return Row(method, backbone, size, None, paper)


def _ours(system: str, width: int, size: str, data: str, *paper: float | None) -> Row:
    methods = {"hrnet": "HRNet", "trp": "HRNet + TRP", "rsgnet": "RSGNet, this project's"}
    return Row(methods[system], f"HRNet-W{width}", size, f"{system}-w{width}-{size}-{data}", paper)


def _rsgnet(width: int, size: str, data: str, *paper: float | None) -> tuple[Row, Row, Row]:
    """Returns the row of RSGNet three times: as this project has it, as the paper prints it, and as released."""
    row = _ours("rsgnet", width, size, data, *paper)
    return (
        row,
        replace(row, method="RSGNet, as printed", preset=f"paper-w{width}-{size}-{data}"),
        replace(row, method="RSGNet, released", preset=f"dense-w{width}-{size}-{data}"),
    )


def _baseline(depth: int, size: str, data: str, *paper: float | None) -> Row:
    return Row("SimpleBaseline", f"ResNet-{depth}", size, f"simplebaseline-r{depth}-{size}-{data}", paper)


TABLE1 = Table(
    "table1",
    "Comparison on the CrowdPose test set",
    (
        Block(
            "crowdpose:test",
            _CROWDPOSE,
            (
                _other("OpenPose", "CPM", "", None, None, None, 62.7, 48.7, 32.3),
                _other("HigherHRNet", "HRNet-W48", "", 67.6, 87.4, 72.6, 75.8, 68.1, 58.9),
                _other("Mask R-CNN", "ResNet-101", "", 57.2, 83.5, 60.3, 69.4, 57.9, 45.8),
                # As printed. Medium above easy is most likely a mistake (AP50 and AP75 of another row).
                _baseline(50, "256x192", "crowdpose", 60.8, 81.4, 65.7, 67.3, 86.3, 71.8),
                _other("AlphaPose", "ResNet-101", "320x256", 66.0, 84.2, 71.5, 75.5, 66.3, 57.4),
                _other("OPEC-Net", "ResNet-101", "320x256", 70.6, 86.8, 75.6, None, None, None),
                _ours("hrnet", 32, "256x192", "crowdpose", 71.7, 89.8, 76.9, 79.6, 72.7, 61.5),
                *_rsgnet(32, "256x192", "crowdpose", 73.6, 90.7, 79.0, 81.3, 74.6, 63.4),
                _ours("hrnet", 32, "384x288", "crowdpose", 73.5, 90.7, 78.9, 81.2, 74.5, 63.2),
                *_rsgnet(32, "384x288", "crowdpose", 74.3, 90.7, 79.7, 81.8, 75.3, 64.6),
                _ours("hrnet", 48, "256x192", "crowdpose", 73.3, 90.0, 78.7, 81.0, 74.4, 63.4),
                *_rsgnet(48, "256x192", "crowdpose", 74.6, 90.9, 80.1, 82.0, 75.6, 64.5),
            ),
        ),
    ),
)

TABLE2 = Table(
    "table2",
    "Comparison on the COCO val set",
    (
        Block(
            "coco:val2017",
            _COCO,
            (
                _other("CPN", "ResNet-50", "256x192", 27.0, 6.20, 68.6, None, None, None, None, None),
                _baseline(152, "256x192", "coco", 68.6, 15.7, 72.0, 89.3, 79.8, 68.7, 78.9, 77.8),
                _ours("hrnet", 32, "256x192", "coco", 28.5, 7.10, 74.4, 90.5, 81.9, 70.8, 81.0, 79.8),
                *_rsgnet(32, "256x192", "coco", 29.2, 8.31, 75.7, 90.5, 82.0, 71.8, 82.5, 80.8),
                _ours("hrnet", 32, "384x288", "coco", 28.5, 16.0, 75.8, 90.6, 82.7, 71.9, 82.8, 81.0),
                *_rsgnet(32, "384x288", "coco", 29.2, 18.7, 76.6, 91.0, 82.9, 72.8, 83.3, 81.6),
                _ours("hrnet", 48, "256x192", "coco", 63.6, 14.6, 75.1, 90.6, 82.2, 71.5, 81.8, 80.4),
                *_rsgnet(48, "256x192", "coco", 64.5, 16.9, 76.0, 90.8, 82.6, 72.1, 82.9, 81.1),
                _ours("hrnet", 48, "384x288", "coco", 63.6, 32.9, 76.3, 90.8, 82.9, 72.3, 83.4, 81.2),
                *_rsgnet(48, "384x288", "coco", 64.5, 38.0, 77.0, 91.0, 83.6, 72.9, 83.9, 81.7),
            ),
        ),
    ),
)

TABLE3 = Table(
    "table3",
    "Comparison on the COCO test-dev set",
    (
        Block(
            "coco:test-dev2017",
            _COCO,
            (
                _other("Mask R-CNN", "ResNet-50", "", None, None, 63.1, 87.3, 68.7, 57.8, 71.4, None),
                _other("CPN", "ResNet-152", "384x288", None, None, 72.1, 91.4, 80.0, 68.7, 77.2, 78.5),
                _other("AlphaPose", "PyraNet", "320x256", 28.1, 26.7, 72.3, 89.2, 79.1, 68.0, 78.6, None),
                _other("PoseFix", "ResNet-152", "384x288", 68.6, 35.6, 73.6, 90.8, 81.0, 70.3, 79.8, 79.0),
                _other("OPEC-Net", "ResNet-101", "320x256", None, None, 73.9, 91.9, 82.2, None, None, None),
                _baseline(152, "384x288", "coco", 68.6, 35.6, 73.7, 91.9, 81.1, 70.3, 80.0, 79.0),
                _ours("hrnet", 32, "256x192", "coco", 28.5, 7.10, 73.5, 92.2, 81.9, 70.2, 79.2, 79.0),
                *_rsgnet(32, "256x192", "coco", 29.2, 8.31, 74.7, 92.3, 82.3, 71.4, 80.5, 79.9),
                _ours("hrnet", 32, "384x288", "coco", 28.5, 16.0, 74.9, 92.5, 82.8, 71.3, 80.9, 80.1),
                *_rsgnet(32, "384x288", "coco", 29.2, 18.7, 75.7, 92.5, 83.1, 71.9, 81.7, 80.9),
                _ours("hrnet", 48, "256x192", "coco", 63.6, 14.6, 74.3, 92.4, 82.6, 71.2, 79.6, 79.7),
                *_rsgnet(48, "256x192", "coco", 64.5, 16.9, 75.1, 92.3, 82.7, 71.6, 80.9, 80.3),
                _ours("hrnet", 48, "384x288", "coco", 63.6, 32.9, 75.5, 92.5, 83.3, 71.9, 81.5, 80.5),
                *_rsgnet(48, "384x288", "coco", 64.5, 38.0, 76.0, 92.6, 83.4, 72.3, 82.0, 81.2),
            ),
        ),
    ),
)

TABLE4 = Table(
    "table4",
    "Ablation of the proposed modules",
    (
        Block(
            "crowdpose:test",
            ("AP", "AP_easy", "AP_medium", "AP_hard"),
            (
                _ours("hrnet", 32, "256x192", "crowdpose", 71.7, 79.6, 72.7, 61.5),
                _ours("trp", 32, "256x192", "crowdpose", 73.1, 80.9, 74.2, 62.8),
                *_rsgnet(32, "256x192", "crowdpose", 73.6, 81.3, 74.6, 63.4),
            ),
        ),
        Block(
            "coco:val2017",
            ("AP", "APM", "APL", "AR"),
            (
                _ours("hrnet", 32, "256x192", "coco", 74.4, 70.8, 81.0, 79.8),
                _ours("trp", 32, "256x192", "coco", 74.9, 71.3, 81.5, 80.1),
                *_rsgnet(32, "256x192", "coco", 75.7, 71.8, 82.5, 80.8),
            ),
        ),
    ),
)

TABLES = {table.name: table for table in (TABLE1, TABLE2, TABLE3, TABLE4)}


def table_named(name: str) -> Table:
    """Returns the paper's table of that name.

    Raises:
        RSGNetError: The paper has no such table.
    """
    if name not in TABLES:
        raise RSGNetError(f"the paper has no {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]
