"""Parameters and multiply-adds: against arithmetic by hand, and the paper's own."""

import pytest
import torch
from torch import nn

from rsgnet.checkpoint import build
from rsgnet.model.cost import count_cost
from rsgnet.presets import preset_named


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.grow = nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1, bias=False)
        self.linear = nn.Linear(8, 5)

    def forward(self, images):
        grown = self.grow(self.conv(images))
        return self.linear(grown) @ torch.ones(5, 7, device=grown.device)


def test_each_layer_is_counted():
    cost = count_cost(Small().to("meta"), (8, 16))
    conv, linear = 4 * 8 * (4 * 3 * 9), 2 * 16 * 8 * 5
    grow = 4 * 8 * (4 * 2 * 16)  # every input pixel is spread over 4x4 outputs
    assert cost.parameters == 4 * 27 + 4 + 4 * 2 * 16 + 8 * 5 + 5
    assert cost.layer_macs == conv + grow + linear
    assert cost.product_macs == 2 * 16 * 5 * 7
    assert cost.paper_gmacs * 2**30 == conv + 4 * grow + linear


def counted(name):
    config = preset_named(name)
    with torch.device("meta"):
        network = build(config)
    return count_cost(network, config.crop.size_wh)


@pytest.mark.parametrize(
    ("name", "parameters", "layers", "paper"),
    [
        ("hrnet-w32-256x192-coco", 28.54, 7.65, 7.12),
        ("hrnet-w48-256x192-coco", 63.60, 15.69, 14.61),
        ("dense-w32-256x192-coco", 29.27, 8.81, 8.35),
        ("dense-w32-384x288-coco", 29.29, 19.82, 18.77),
        ("dense-w48-256x192-coco", 64.64, 17.91, 16.99),
        ("dense-w48-384x288-coco", 64.66, 40.28, 38.23),
        ("simplebaseline-r50-256x192-coco", 34.00, 5.43, 8.99),
        ("simplebaseline-r101-256x192-coco", 52.99, 9.06, 12.38),
        ("simplebaseline-r152-256x192-coco", 68.64, 12.70, 15.76),
    ],
)
def test_sizes_counted_on_the_released_code(name, parameters, layers, paper):
    cost = counted(name)
    assert cost.parameters / 1e6 == pytest.approx(parameters, abs=0.005)
    assert cost.layer_macs / 1e9 == pytest.approx(layers, abs=0.005)
    assert cost.paper_gmacs == pytest.approx(paper, abs=0.005)


def test_the_dense_relation_is_counted_apart():
    """Two products with a 3072 x 3072 relation of 32 channels, and the maps of words."""
    pixels, width, keypoints, words = 64 * 48, 32, 17, 600
    relation = 2 * pixels**2 * width
    assert relation / 1e9 == pytest.approx(0.60, abs=0.005)
    limbs = pixels * 18 * width + 18 * keypoints * width
    assert counted("dense-w32-256x192-coco").product_macs == relation + pixels * keypoints * words + limbs
