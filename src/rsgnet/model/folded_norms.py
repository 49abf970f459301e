"""Restores batch normalisations that were folded into convolutions when a network was published.

Without batch normalisations a network does not train well at usual learning rates. Each one gets the statistics of its
convolution's output for some images, and a scale and a shift that undo the normalisation, so that in evaluation mode
the network computes the same as before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

Order = Literal["execution", "depth_first"]


def folded_convolutions(network: nn.Module, order: Order) -> list[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Lists the convolutions of a network in the order in which an exporter writes them.

    Args:
        network: The network. Its `forward` must have no control flow that depends on data.
        order: "execution", the order of tracing exporters, or "depth_first" from the output: each layer comes after its
            inputs, these in the order of its arguments.

    Returns:
        Each convolution with the batch normalisation that follows it, or None.
    """
    modules = dict(network.named_modules())
    graph = _LayerTracer().trace(network)
    norms = {
        node.args[0]: modules[node.target]
        for node in graph.nodes
        if node.op == "call_module" and isinstance(modules[node.target], nn.BatchNorm2d)
    }
    nodes = _depth_first(graph) if order == "depth_first" else iter(graph.nodes)
    return [
        (modules[node.target], norms.get(node))
        for node in nodes
        if node.op == "call_module" and isinstance(modules[node.target], nn.Conv2d)
    ]


class _LayerTracer(fx.Tracer):
    """Traces a network down to its layers; subclasses of convolutions are layers, too."""

    def is_leaf_module(self, module: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(module, nn.Conv2d) or super().is_leaf_module(module, module_qualified_name)


def _depth_first(graph: fx.Graph) -> Iterator[fx.Node]:
    """Yields every node after its inputs, these in the order of the node's arguments."""
    done: set[fx.Node] = set()
    stack = [next(node for node in graph.nodes if node.op == "output")]
    while stack:
        node = stack[-1]
        next_input = next((each for each in node.all_input_nodes if each not in done), None)
        if next_input is not None:
            stack.append(next_input)
            continue
        stack.pop()
        if node not in done:
            done.add(node)
            yield node


@torch.no_grad()
def restore_norms(network: nn.Module, biases: Mapping[nn.BatchNorm2d, Tensor], images: Tensor) -> None:
    """Sets batch normalisations so that in evaluation mode each only adds a bias.

    Args:
        network: The network with the published convolutions.
        biases: For each batch normalisation, the (C,) bias of the published convolution before it.
        images: (B, 3, H, W) images from which the statistics are computed; 64 are enough.
    """

    def restore(norm: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        variance, mean = torch.var_mean(inputs[0].double(), dim=(0, 2, 3), correction=0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean + biases[norm])

    hooks: list[Any] = [norm.register_forward_pre_hook(restore) for norm in biases]
    was_training = network.training
    try:
        network.eval()(images)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
