"""The visual encoder: any timm backbone and, where its maps are coarse, a neck that brings them to one stride."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import timm
import torch
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.hrnet import HighResolutionNet, HighResolutionNetFeatures
from torch import Tensor, nn
from typing_extensions import Self

from rsgnet.config import NeckConfig
from rsgnet.errors import RSGNetError
from rsgnet.model.lite_hrnet import is_lite_hrnet, lite_hrnet
from rsgnet.model.neck import DECONVOLUTION_WIDTH, Deconvolutions, FeaturePyramid


class Backbone(nn.Module):
    """One feature map of a timm backbone at the stride that the heatmaps have.

    HRNet's last module fuses its branches once for every resolution; only the finest is read here, so the others'
    fusing layers are dropped: what stays is exactly HRNet's pose backbone (28.5 M parameters for W32). Stages of an
    EfficientNet that nobody reads are dropped too.

    Args:
        name: A timm model name, or one that `hrnet_name` gives.
        stride: Image pixels per feature pixel that is wanted.
        neck: What brings coarser maps to that stride.
        pretrained: Whether to load timm's ImageNet weights, fetched on first use.

    Raises:
        RSGNetError: There is no such model, or it yields no features at the strides that are read.
    """

    def __init__(self, name: str, stride: int = 4, neck: NeckConfig | None = None, pretrained: bool = False) -> None:
        super().__init__()
        self.frozen: Sequence[nn.Module] = ()
        neck = neck or NeckConfig()
        with torch.device("meta"):  # only to be asked for its strides
            reductions = _encoder(name).feature_info.reduction()
        finest = neck.deepest_stride if neck.kind == "deconvolutions" else stride
        deepest = stride if neck.kind == "none" else neck.deepest_stride
        if finest not in reductions or deepest not in reductions or stride > deepest:
            raise RSGNetError(
                f"backbone {name!r} yields features at strides {reductions}: "
                f"neck {neck.kind!r} wants {finest} to {deepest} for heatmaps at {stride}"
            )
        indices = tuple(range(reductions.index(finest), reductions.index(deepest) + 1))
        self.encoder = _encoder(name, out_indices=indices, pretrained=pretrained)
        if isinstance(self.encoder, HighResolutionNet):
            last = self.encoder.stage4[-1]
            last.fuse_layers = last.fuse_layers[:1]
        if isinstance(self.encoder, EfficientNetFeatures):
            self.encoder.blocks = self.encoder.blocks[: self.encoder.feature_info.get_dicts()[-1]["stage"]]
        widths = self.encoder.feature_info.channels()
        self.neck: Deconvolutions | FeaturePyramid | None = None
        self.width: int = widths[0]
        if neck.kind == "deconvolutions":
            self.neck = Deconvolutions(widths[0], (deepest // stride).bit_length() - 1)
            self.width = DECONVOLUTION_WIDTH
        elif neck.kind == "pyramid":
            self.neck = FeaturePyramid(widths, reductions[indices[0] : indices[-1] + 1], neck.width, neck.residuals)
            self.width = neck.width

    def freeze(self, names: Sequence[str]) -> None:
        """Keeps modules of the encoder as they are: neither their weights nor their running statistics move any more.

        Raises:
            RSGNetError: The encoder has no such module.
        """
        modules = dict(self.encoder.named_modules())
        for name in names:
            if name not in modules:
                raise RSGNetError(f"the backbone has no module {name!r} to freeze; it has {', '.join(modules)[:200]}")
        self.frozen = [modules[name].requires_grad_(False).eval() for name in names]

    def train(self, mode: bool = True) -> Self:
        """Switches between training and prediction; what is frozen stays in prediction."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised RGB to (B, width, H / stride, W / stride) features."""
        maps: list[Tensor] = self.encoder(images)
        features: Tensor = maps[0]
        if isinstance(self.neck, FeaturePyramid):
            features = self.neck(maps)
        elif self.neck is not None:
            features = self.neck(features)
        return features


def _encoder(name: str, pretrained: bool = False, **options: Any) -> Any:
    if name.startswith("hrnet"):
        options["feature_location"] = ""  # the maps themselves, not what the classifier makes of them
    if pretrained and (is_custom_hrnet(name) or is_lite_hrnet(name)):
        raise RSGNetError(f"backbone {name!r} has no ImageNet weights: --set training.pretrained=false")
    if is_lite_hrnet(name):
        return lite_hrnet(name)
    if is_custom_hrnet(name):
        return custom_hrnet(name, **options)
    if not timm.is_model(name):
        raise RSGNetError(f"timm has no backbone {name!r}; `timm.list_models()` names them all")
    try:
        return timm.create_model(name, features_only=True, pretrained=pretrained, **options)
    except RuntimeError as error:  # weights that timm does not know, after the name's point
        raise RSGNetError(f"timm cannot build backbone {name!r}: {error}") from error


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
