"""The Skeleton Graph Machine against Eq. (3) and (4)."""

import torch
import torch.nn.functional as F

from rsgnet.model import SkeletonGraphMachine
from rsgnet.model.skeleton_graph import LEAKY_SLOPE
from rsgnet.skeletons import CROWDPOSE14

WIDTH = 7


def machine():
    torch.manual_seed(0)
    return SkeletonGraphMachine(CROWDPOSE14, WIDTH)


def test_limb_weights_are_made_of_their_keypoints_weights():
    graph, features, weights = machine(), torch.randn(2, WIDTH, 5, 4), torch.randn(len(CROWDPOSE14), WIDTH)
    logits = graph(features, weights)
    assert logits.shape == (2, len(CROWDPOSE14.limbs), 5, 4)
    for limb, (start, end) in enumerate(CROWDPOSE14.limbs):
        gathered = weights[start] + weights[end]
        hidden = F.leaky_relu(graph.first(gathered), LEAKY_SLOPE)
        wanted = torch.einsum("bdhw,d->bhw", features, graph.second(hidden)) + graph.bias[limb]
        torch.testing.assert_close(logits[:, limb], wanted)


def test_limb_loss_shapes_exactly_the_keypoints_of_that_limb():
    graph, weights = machine(), torch.randn(len(CROWDPOSE14), WIDTH, requires_grad=True)
    graph(torch.randn(1, WIDTH, 5, 4), weights)[:, 4].square().sum().backward()
    shaped = weights.grad.abs().sum(1).nonzero()[:, 0].tolist()
    assert sorted(shaped) == sorted(CROWDPOSE14.limbs[4])


def test_gradients():
    graph = machine().double()
    names, values = zip(*graph.named_parameters(), strict=True)

    def run(features, weights, *parameters):
        return torch.func.functional_call(graph, dict(zip(names, parameters, strict=True)), (features, weights))

    inputs = [torch.randn(1, WIDTH, 3, 2), torch.randn(len(CROWDPOSE14), WIDTH), *values]
    assert torch.autograd.gradcheck(run, [each.detach().double().requires_grad_() for each in inputs])
