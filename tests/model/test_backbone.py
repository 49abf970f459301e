"""Frozen modules, and the names of HRNets."""

import pytest
import torch

from rsgnet.config import NeckConfig
from rsgnet.errors import RSGNetError
from rsgnet.model.backbone import Backbone, hrnet_name, is_custom_hrnet


def test_frozen_modules_keep_weights_and_statistics():
    backbone = Backbone("efficientnet_lite0", 4, NeckConfig("pyramid", width=8, deepest_stride=8)).train()
    backbone.freeze(["conv_stem", "bn1", "blocks.0"])
    backbone.train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    optimizer = torch.optim.SGD([each for each in backbone.parameters() if each.requires_grad], lr=1.0)
    backbone(torch.randn(2, 3, 32, 32)).square().mean().backward()
    optimizer.step()
    moved = {name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}
    frozen = ("encoder.conv_stem.", "encoder.bn1.", "encoder.blocks.0.")
    assert not [name for name in moved if name.startswith(frozen)]
    assert {"encoder.blocks.1.0.conv_dw.weight", "encoder.blocks.1.0.bn1.running_mean"} <= moved


def test_the_error_for_unknown_modules_lists_the_known():
    with pytest.raises(RSGNetError, match=r"'layer1'.*conv_stem"):
        Backbone("efficientnet_lite0", 4, NeckConfig("pyramid")).freeze(["layer1"])


@pytest.mark.parametrize(
    ("width", "modules", "blocks", "name"),
    [
        (32, (1, 4, 3), 4, "hrnet_w32"),
        (48, (1, 4, 3), 4, "hrnet_w48"),
        (8, (1, 4, 3), 4, "hrnet_w8_modules143_blocks4"),
        (32, (1, 2, 2), 2, "hrnet_w32_modules122_blocks2"),
    ],
)
def test_networks_that_timm_has_keep_their_names(width, modules, blocks, name):
    assert hrnet_name(width, modules, blocks) == name
    assert is_custom_hrnet(name) == ("modules" in name)


def test_a_custom_name_of_the_published_depth_is_the_published_network():
    published = Backbone("hrnet_w32").state_dict()
    custom = Backbone("hrnet_w32_modules143_blocks4").state_dict()
    assert {name: value.shape for name, value in custom.items()} == {
        name: value.shape for name, value in published.items()
    }


def test_a_narrow_network_returns_features():
    assert Backbone("hrnet_w8_modules111_blocks1")(torch.rand(1, 3, 64, 32)).shape == (1, 8, 16, 8)


def test_custom_networks_have_no_imagenet_weights():
    with pytest.raises(RSGNetError, match=r"hrnet_w8_modules111_blocks1.*no ImageNet weights"):
        Backbone("hrnet_w8_modules111_blocks1", pretrained=True)
