"""`rsgnet convert`: published checkpoints into model directories."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from rsgnet.cli.options import requires_train_extra
from rsgnet.errors import RSGNetError


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A .pth or .safetensors file.", metavar="FILE")],
    out: Annotated[Path, typer.Argument(help="The model directory to write.", metavar="OUT_DIR")],
    *,
    size: Annotated[
        str | None,
        typer.Option(help="Height and width of its crops; RSGNet's weights tell themselves. Default: 256x192."),
    ] = None,
) -> None:
    """Turn a published checkpoint into a model directory: RSGNet as released, or HRNet or SimpleBaseline for pose.

    What it is (17 or 14 keypoints, HRNet's width, the stride) is read off its weights. Code in a file is never run.

    [dim]Examples:[/dim]

      rsgnet convert rsgnet_w32_256x192.pth out/rsgnet-w32

      rsgnet convert pose_hrnet_w32_384x288.pth out/hrnet-w32 --size 384x288
    """
    with requires_train_extra():
        from rsgnet.checkpoint import read_released, save_model
    size_wh = None
    if size is not None:
        found = re.fullmatch(r"(\d+)x(\d+)", size)
        if found is None:
            raise RSGNetError(f"--size {size}: expected height and width, such as 256x192")
        size_wh = int(found[2]), int(found[1])
    model, config = read_released(checkpoint, size_wh)
    save_model(model, config, out)
    typer.echo(
        f"{out}: {config.model.backbone}, {config.model.skeleton}, "
        f"{config.crop.size_wh[1]}x{config.crop.size_wh[0]}, heatmaps at stride {config.crop.stride}, "
        f"relation {config.model.relation_kind}\n"
        f"Try next: rsgnet export {out}\n"
        f"      or: rsgnet predict PHOTOS --out out --weights {out} --backend torch"
    )
