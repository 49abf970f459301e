"""What a network weighs and how much it computes, counted without computing anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rsgnet.model.released.dense_relation import DenseClues

_PAPER_UNIT = 2**30


@dataclass(frozen=True)
class Cost:
    """A network's size and its work on one input.

    Attributes:
        parameters: Numbers that it learns or holds.
        layer_macs: Multiply-adds in its convolutions and linear layers.
        product_macs: Multiply-adds in other matrix products, such as those with a relation map.
        paper_gmacs: Multiply-adds as the paper's Table 2 counts them: of layers only, of transposed convolutions as if
            their input were as large as their output, in units of 2^30.
    """

    parameters: int
    layer_macs: int
    product_macs: int
    paper_gmacs: float

    @property
    def macs(self) -> int:
        """All multiply-adds."""
        return self.layer_macs + self.product_macs


def cost_of(network: nn.Module, size_wh: tuple[int, int]) -> Cost:
    """Counts a network's parameters and multiply-adds; on the `meta` device this takes neither time nor memory.

    Args:
        network: The network; it is switched to prediction, for good.
        size_wh: Width and height of its input.
    """
    counted = {"layers": 0, "paper": 0, "released layers": 0, "released products": 0}

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
        macs = (
            output.numel()
            * layer.weight.numel()
            // (layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)
        )
        counted["paper"] += macs
        counted["layers"] += macs // (layer.stride[0] * layer.stride[1] if isinstance(layer, nn.ConvTranspose2d) else 1)

    def count_as_released(clues: DenseClues, inputs: tuple[Tensor, ...], _: object) -> None:
        """The released code weighs embeddings into maps before it convolves them; here one convolution does both."""
        heatmaps, (keypoints, dim) = inputs[1], clues.words.shape
        pixels, width = heatmaps.numel() // keypoints, clues.width
        counted["released layers"] += 9 * dim * width * pixels
        counted["released products"] += keypoints * (dim * pixels - 9 * width * (pixels + dim))

    hooks: list[Any] = [
        each.register_forward_hook(count_as_released) for each in network.modules() if isinstance(each, DenseClues)
    ]
    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    hooks += [each.register_forward_hook(count) for each in layers]
    counter = FlopCounterMode(display=False)
    device = next(network.parameters()).device
    with counter:
        network.requires_grad_(False).eval()(torch.empty(1, 3, size_wh[1], size_wh[0], device=device))
    for hook in hooks:
        hook.remove()
    return Cost(
        parameters=sum(each.numel() for each in network.parameters()),
        layer_macs=counted["layers"] + counted["released layers"],
        product_macs=counter.get_total_flops() // 2 - counted["layers"] + counted["released products"],
        paper_gmacs=(counted["paper"] + counted["released layers"]) / _PAPER_UNIT,
    )
