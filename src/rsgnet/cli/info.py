"""`rsgnet info`: how large networks are, beside what the paper prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsgnet.cli.options import requires_train_extra
from rsgnet.errors import RSGNetError

if TYPE_CHECKING:
    from rsgnet.config import NetworkConfig
    from rsgnet.reproduce.tables import Row

_HEADINGS = ("", "parameters, M", "paper", "multiply-adds, G", "of which in layers", "as the paper counts", "paper")


def info(
    network: Annotated[
        str, typer.Argument(help="A preset, a model directory, or table2 for the paper's Table 2.", metavar="NETWORK")
    ] = "table2",
) -> None:
    """Print parameters and multiply-adds, true and as the paper counts them, beside the paper's own figures.

    The paper's tool counts convolutions and linear layers only, transposed convolutions four times over, in units of
    2^30.

    [dim]Examples:[/dim]

      rsgnet info

      rsgnet info rsgnet-w32-256x192-coco

      rsgnet info runs/mine/model
    """
    with requires_train_extra():
        from rsgnet.checkpoint import read_config
        from rsgnet.presets import preset_named
        from rsgnet.reproduce.tables import TABLE2
    from rich.console import Console
    from rich.table import Table

    (block,) = TABLE2.blocks
    table = Table(*_HEADINGS)
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    if network == "table2":
        for row in block.rows:
            if row.preset:
                table.add_row(*_row(row.preset, preset_named(row.preset), row))
            else:
                parameters, gmacs = row.paper[:2]
                table.add_row(f"({row.method}, {row.backbone})", "", f"{parameters}", "", "", "", f"{gmacs:.2f}")
    else:
        config = read_config(Path(network)) if Path(network).is_dir() else preset_named(network)
        table.add_row(*_row(network, config, next((row for row in block.rows if row.preset == network), None)))
    # As wide as it is, also where its output goes into a file.
    Console(width=max(120, Console().width)).print(table)


def _row(name: str, config: NetworkConfig, paper: Row | None) -> Iterator[str]:
    import torch

    from rsgnet.checkpoint import build
    from rsgnet.config import FasterRCNNConfig, PoseConfig
    from rsgnet.model.cost import cost_of

    if isinstance(config, FasterRCNNConfig):
        raise RSGNetError(f"{name}: what Faster R-CNN computes depends on the image")
    with torch.device("meta"):
        network = build(config)
    cost = cost_of(network, config.crop.size_wh if isinstance(config, PoseConfig) else config.size_wh)
    yield name
    yield f"{cost.parameters / 1e6:.2f}"
    yield f"{paper.paper[0]}" if paper else ""
    yield f"{cost.macs / 1e9:.2f}"
    yield f"{cost.layer_macs / 1e9:.2f}"
    yield f"{cost.paper_gmacs:.2f}"
    yield f"{paper.paper[1]:.2f}" if paper else ""
