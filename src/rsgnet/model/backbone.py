"""The visual encoder: a timm backbone or Lite-HRNet, and a neck if its feature maps are coarser than the heatmaps."""

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

_NAME = re.compile(r"hrnet_w([1-9]\d{0,2})_modules([1-9])([1-9])([1-9])_blocks([1-9])")
_PUBLISHED_MODULES, _PUBLISHED_BLOCKS = (1, 4, 3), 4


class Backbone(nn.Module):
    """An encoder with one feature map at the stride of the heatmaps.

    HRNet's last module fuses its branches into a map at each resolution. Only the finest map is used, so the fusion
    layers of the others are removed; this leaves HRNet's pose backbone (28.5 M parameters for W32). The last stages of
    an EfficientNet are removed if their maps are not used.

    Args:
        name: A timm model name, a name of Lite-HRNet, or one of `hrnet_name`.
        stride: Image pixels per pixel of the feature map.
        neck: How coarser maps come to that stride; None for no neck.
        pretrained: Whether to load timm's ImageNet weights, which are downloaded on first use.

    Raises:
        RSGNetError: There is no such model, or it has no feature maps at the strides that are needed.
    """

    def __init__(self, name: str, stride: int = 4, neck: NeckConfig | None = None, pretrained: bool = False) -> None:
        super().__init__()
        self.frozen: Sequence[nn.Module] = ()
        neck = neck or NeckConfig()
        with torch.device("meta"):  # only to read its strides
            reductions = _make_encoder(name).feature_info.reduction()
        finest = neck.deepest_stride if neck.kind == "deconvolutions" else stride
        deepest = stride if neck.kind == "none" else neck.deepest_stride
        if finest not in reductions or deepest not in reductions or stride > deepest:
            raise RSGNetError(
                f"backbone {name!r} has feature maps at strides {reductions}, but "
                f"neck {neck.kind!r} needs {finest} to {deepest} for heatmaps at stride {stride}"
            )
        indices = tuple(range(reductions.index(finest), reductions.index(deepest) + 1))
        self.encoder = _make_encoder(name, out_indices=indices, pretrained=pretrained)
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
        """Freezes the weights and running statistics of modules of the encoder.

        Args:
            names: Names of the modules, such as `layer1`.

        Raises:
            RSGNetError: The encoder has no such module.
        """
        modules = dict(self.encoder.named_modules())
        for name in names:
            if name not in modules:
                raise RSGNetError(f"the backbone has no module {name!r} to freeze; it has {', '.join(modules)[:200]}")
        self.frozen = [modules[name].requires_grad_(False).eval() for name in names]

    def train(self, mode: bool = True) -> Self:
        """Sets training or evaluation mode; frozen modules stay in evaluation mode."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Returns (B, width, H / stride, W / stride) features of (B, 3, H, W) normalised RGB images."""
        maps: list[Tensor] = self.encoder(images)
        features: Tensor = maps[0]
        if isinstance(self.neck, FeaturePyramid):
            features = self.neck(maps)
        elif self.neck is not None:
            features = self.neck(features)
        return features


def _make_encoder(name: str, pretrained: bool = False, **options: Any) -> Any:
    """Returns the encoder of a backbone's name, with timm's interface of feature extractors."""
    if name.startswith("hrnet"):
        options["feature_location"] = ""  # the branches' maps, not those of the classification head
    if pretrained and (is_custom_hrnet(name) or is_lite_hrnet(name)):
        raise RSGNetError(f"backbone {name!r} has no ImageNet weights: --set training.pretrained=false")
    if is_lite_hrnet(name):
        return lite_hrnet(name)
    if is_custom_hrnet(name):
        return custom_hrnet(name, **options)
    if not timm.is_model(name):
        raise RSGNetError(f"timm has no backbone {name!r}; `timm.list_models()` lists those it has")
    try:
        return timm.create_model(name, features_only=True, pretrained=pretrained, **options)
    except RuntimeError as error:  # an unknown tag of pretrained weights after the dot in the name
        raise RSGNetError(f"timm cannot build backbone {name!r}: {error}") from error


def hrnet_name(width: int, modules: tuple[int, int, int], blocks: int) -> str:
    """Returns an HRNet's name in a config: timm's if timm has the network, else one like `hrnet_w8_modules122_blocks2`.

    Args:
        width: Channels at the finest resolution.
        modules: Numbers of modules in stages 2, 3 and 4.
        blocks: Residual blocks in each branch of a module.
    """
    if (modules, blocks) == (_PUBLISHED_MODULES, _PUBLISHED_BLOCKS) and width in (18, 30, 32, 40, 44, 48, 64):
        return f"hrnet_w{width}"
    return f"hrnet_w{width}_modules{''.join(map(str, modules))}_blocks{blocks}"


def is_custom_hrnet(name: str) -> bool:
    """Returns whether a name is one of `hrnet_name` that timm does not have."""
    return _NAME.fullmatch(name) is not None


def custom_hrnet(name: str, **options: Any) -> nn.Module:
    """Returns an untrained HRNet encoder.

    Args:
        name: A name that `is_custom_hrnet` accepts.
        options: Options of timm's HRNet.
    """
    match = _NAME.fullmatch(name)
    assert match is not None
    width, *modules, blocks = map(int, match.groups())
    stages = {f"stage{stage}": _stage_options(stage, count, blocks, width) for stage, count in enumerate(modules, 2)}
    config = {"stem_width": 64, "stage1": _stage_options(1, 1, 4, 64, "BOTTLENECK"), **stages}
    encoder: nn.Module = HighResolutionNetFeatures(config, **options)
    return encoder


def _stage_options(branches: int, modules: int, blocks: int, width: int, block: str = "BASIC") -> dict[str, Any]:
    """Returns a stage of timm's HRNet config."""
    return {
        "num_modules": modules,
        "num_branches": branches,
        "block_type": block,
        "num_blocks": (blocks,) * branches,
        "num_channels": tuple(width * 2**branch for branch in range(branches)),
        "fuse_method": "SUM",
    }
