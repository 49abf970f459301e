"""The visual encoder: any timm backbone, taken at one stride; HRNet pruned to what a pose network needs."""

from __future__ import annotations

import timm
from timm.models.hrnet import HighResolutionNet
from torch import Tensor, nn

from rsgnet.errors import RSGNetError


class Backbone(nn.Module):
    """One feature map of a timm backbone.

    HRNet's last module fuses its branches once for every resolution; only the finest is read here, so the others'
    fusing layers are dropped: what stays is exactly HRNet's pose backbone (28.5 M parameters for W32).

    Args:
        name: A timm model name.
        stride: Picture pixels per feature pixel that is wanted.
        pretrained: Whether to load timm's ImageNet weights, fetched on first use.

    Raises:
        RSGNetError: timm has no such model, or it yields no features at that stride.
    """

    def __init__(self, name: str, stride: int = 4, pretrained: bool = False) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise RSGNetError(f"timm has no backbone {name!r}; `timm.list_models()` names them all")
        options = {"feature_location": ""} if name.startswith("hrnet") else {}
        reductions = timm.create_model(name, features_only=True, **options).feature_info.reduction()
        if stride not in reductions:
            raise RSGNetError(f"backbone {name!r} yields features at strides {reductions}, not at {stride}")
        index = reductions.index(stride)
        self.encoder = timm.create_model(
            name, features_only=True, out_indices=(index,), pretrained=pretrained, **options
        )
        if isinstance(self.encoder, HighResolutionNet):
            last = self.encoder.stage4[-1]
            last.fuse_layers = last.fuse_layers[:1]
        self.width: int = self.encoder.feature_info.channels()[0]

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) normalised RGB to (B, width, H / stride, W / stride) features."""
        features: Tensor = self.encoder(pictures)[0]
        return features
