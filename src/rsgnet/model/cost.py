"""Counts a network's parameters and multiply-adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rsgnet.model.released.dense_relation import DenseClues

_PAPER_UNIT = 2**30  # multiply-adds in the paper's "GFLOPs"


@dataclass(frozen=True)
class Cost:
    """A network's parameters and its multiply-adds for one input.

    Attributes:
        parameters: Number of parameters.
        layer_macs: Multiply-adds of convolutions and linear layers.
        product_macs: Multiply-adds of other matrix products, such as those with a relation map.
        paper_gmacs: Multiply-adds as in the paper's Table 2, in units of 2^30: those of layers only, where the input of
            a transposed convolution counts as if it were as large as the output.
    """

    parameters: int
    layer_macs: int
    product_macs: int
    paper_gmacs: float

    @property
    def macs(self) -> int:
        """All multiply-adds."""
        return self.layer_macs + self.product_macs


def count_cost(network: nn.Module, size_wh: tuple[int, int]) -> Cost:
    """Counts a network's parameters and multiply-adds. On the `meta` device this takes hardly any time or memory.

    Args:
        network: The network. It stays in evaluation mode and without gradients afterwards.
        size_wh: Width and height of the input in pixels.
    """
    counts = {"layers": 0, "paper": 0, "released layers": 0, "released products": 0}

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
        macs = (
            output.numel()
            * layer.weight.numel()
            // (layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)
        )
        counts["paper"] += macs
        counts["layers"] += macs // (layer.stride[0] * layer.stride[1] if isinstance(layer, nn.ConvTranspose2d) else 1)

    def count_as_released(clues: DenseClues, inputs: tuple[Tensor, ...], _: object) -> None:
        """Counts a convolution of heatmap-weighted embeddings as in the released code, which does both in turn.

        Here one convolution with combined weights computes the same.
        """
        heatmaps, (keypoints, dim) = inputs[1], clues.words.shape
        pixels, width = heatmaps.numel() // keypoints, clues.width
        counts["released layers"] += 9 * dim * width * pixels
        counts["released products"] += keypoints * (dim * pixels - 9 * width * (pixels + dim))

    hooks: list[Any] = [
        module.register_forward_hook(count_as_released)
        for module in network.modules()
        if isinstance(module, DenseClues)
    ]
    hooks += [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
    ]
    counter = FlopCounterMode(display=False)
    device = next(network.parameters()).device
    with counter:
        network.requires_grad_(False).eval()(torch.empty(1, 3, size_wh[1], size_wh[0], device=device))
    for hook in hooks:
        hook.remove()
    return Cost(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        layer_macs=counts["layers"] + counts["released layers"],
        product_macs=counter.get_total_flops() // 2 - counts["layers"] + counts["released products"],
        paper_gmacs=(counts["paper"] + counts["released layers"]) / _PAPER_UNIT,
    )
