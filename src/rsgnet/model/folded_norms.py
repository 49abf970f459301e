"""Networks published for prediction, whose batch normalisations were folded into the convolutions before them.

Such a network is read convolution by convolution, in the order of its graph. To be trained on at usual rates it gets
its normalisations back: each is given the statistics of what its convolution yields for some images, and a scale and a
shift that undo them, so that in evaluation mode nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

Order = Literal["execution", "depth_first"]


def folded_convolutions(network: nn.Module, order: Order) -> list[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Lists the convolutions of a network in the order in which an exporter wrote them down.

    Args:
        network: Its forward has no control flow that depends on data.
        order: "execution", as tracing exporters write, or "depth_first" from the output, each layer after those it
            reads in the order of its arguments, as others do.

    Returns:
        Each convolution with the batch normalisation that follows it; None where none does.
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
    """Follows a network down to its layers, whatever subclasses of convolutions these are."""

    def is_leaf_module(self, module: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(module, nn.Conv2d) or super().is_leaf_module(module, module_qualified_name)


def _depth_first(graph: fx.Graph) -> Iterator[fx.Node]:
    """Yields every node after those it reads, these in the order of its arguments."""
    done: set[fx.Node] = set()
    stack = [next(node for node in graph.nodes if node.op == "output")]
    while stack:
        node = stack[-1]
        waiting = next((each for each in node.all_input_nodes if each not in done), None)
        if waiting is not None:
            stack.append(waiting)
            continue
        stack.pop()
        if node not in done:
            done.add(node)
            yield node


@torch.no_grad()
def restore_norms(network: nn.Module, biases: Mapping[nn.BatchNorm2d, Tensor], images: Tensor) -> None:
    """Sets batch normalisations so that each adds a bias and changes nothing else, as the folded network did.

    Args:
        network: The network, its convolutions as published.
        biases: Of each normalisation the (C,) bias of the folded convolution before it.
        images: (B, 3, H, W) what statistics are gathered from; 64 images are enough.
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
