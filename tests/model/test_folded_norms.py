"""Folded batch normalisations are restored, and the network computes the same."""

import pytest
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rsgnet.model.folded_norms import folded_convolutions, restore_norms
from rsgnet.model.lite_hrnet import LiteHRNet


class Branched(nn.Module):
    """Defined in one order, run in another, and read from its output in a third."""

    def __init__(self):
        super().__init__()
        self.last, self.right, self.left, self.first = (
            nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.BatchNorm2d(3)) for _ in range(4)
        )

    def forward(self, maps):
        maps = self.first(maps)
        right = self.right(maps)
        return self.last(self.left(maps) + right)


@pytest.mark.parametrize(
    ("order", "names"),
    [("depth_first", ["first", "left", "right", "last"]), ("execution", ["first", "right", "left", "last"])],
)
def test_convolutions_come_in_the_order_of_the_exporter(order, names):
    network = Branched()
    parts = [getattr(network, name) for name in names]
    assert folded_convolutions(network, order) == [(part[0], part[1]) for part in parts]


def test_a_convolution_without_normalisation_has_none():
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1, bias=False), nn.BatchNorm2d(3))
    assert folded_convolutions(network, "execution") == [(network[0], None), (network[2], network[3])]


def randomised(network):
    """A network whose normalisations have statistics, as after training."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    return network.eval()


@pytest.fixture(scope="module")
def restored():
    """A trained network, the same folded and restored, and the crops that its statistics are of."""
    torch.manual_seed(0)
    trained, network = randomised(LiteHRNet(8, (1, 1, 1))), LiteHRNet(8, (1, 1, 1))
    biases = {}
    pairs = zip(*(folded_convolutions(each, "execution") for each in (trained, network)), strict=True)
    for (convolution, norm), (own, own_norm) in pairs:
        folded = fuse_conv_bn_eval(convolution, norm)
        own.weight.data.copy_(folded.weight)
        biases[own_norm] = folded.bias.detach()
    crops = torch.randn(8, 3, 64, 64)
    network.train()
    restore_norms(network, biases, crops)
    return trained, network, crops


def test_outputs_in_evaluation_mode_are_unchanged(restored):
    trained, network, crops = restored
    assert network.training
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(network.eval()(images)[0], trained(images)[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(network(crops)[0], trained(crops)[0], rtol=1e-3, atol=1e-3)


def test_outputs_in_training_mode_are_unchanged_for_the_images_of_the_statistics(restored):
    trained, network, crops = restored
    torch.testing.assert_close(network.train()(crops)[0], trained(crops)[0], rtol=1e-2, atol=1e-2)
