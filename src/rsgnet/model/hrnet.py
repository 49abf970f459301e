"""HRNets of any width and depth: timm names four of the published widths only."""

from __future__ import annotations

import re
from typing import Any

from timm.models.hrnet import HighResolutionNetFeatures
from torch import nn

_NAME = re.compile(r"hrnet_w([1-9]\d{0,2})_modules([1-9])([1-9])([1-9])_blocks([1-9])")
_PUBLISHED_MODULES, _PUBLISHED_BLOCKS = (1, 4, 3), 4


def hrnet_name(width: int, modules: tuple[int, int, int], blocks: int) -> str:
    """What the configuration calls an HRNet: by timm's name where it has the published depth.

    Args:
        width: Channels at the finest resolution.
        modules: Modules in stages 2, 3 and 4.
        blocks: Residual blocks of a module's branch.
    """
    if (modules, blocks) == (_PUBLISHED_MODULES, _PUBLISHED_BLOCKS) and width in (18, 30, 32, 40, 44, 48, 64):
        return f"hrnet_w{width}"
    return f"hrnet_w{width}_modules{''.join(map(str, modules))}_blocks{blocks}"


def is_custom_hrnet(name: str) -> bool:
    """Whether it is a name that `hrnet_name` gave to what timm has no name for."""
    return _NAME.fullmatch(name) is not None


def custom_hrnet(name: str, **options: Any) -> nn.Module:
    """The encoder of that name, without weights.

    Args:
        name: As `hrnet_name` gives it.
        options: As timm's HRNet takes them.
    """
    found = _NAME.fullmatch(name)
    assert found is not None
    width, *modules, blocks = map(int, found.groups())
    stages = {f"stage{stage}": _stage(stage, count, blocks, width) for stage, count in enumerate(modules, start=2)}
    config = {"stem_width": 64, "stage1": _stage(1, 1, 4, 64, "BOTTLENECK"), **stages}
    encoder: nn.Module = HighResolutionNetFeatures(config, **options)
    return encoder


def _stage(branches: int, modules: int, blocks: int, width: int, block: str = "BASIC") -> dict[str, Any]:
    return {
        "num_modules": modules,
        "num_branches": branches,
        "block_type": block,
        "num_blocks": (blocks,) * branches,
        "num_channels": tuple(width * 2**branch for branch in range(branches)),
        "fuse_method": "SUM",
    }
