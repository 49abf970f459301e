"""HRNets that timm has no name for."""

import pytest
import torch

from rsgnet.errors import RSGNetError
from rsgnet.model.backbone import Backbone
from rsgnet.model.hrnet import hrnet_name, is_custom_hrnet


@pytest.mark.parametrize(
    ("width", "modules", "blocks", "name"),
    [
        (32, (1, 4, 3), 4, "hrnet_w32"),
        (48, (1, 4, 3), 4, "hrnet_w48"),
        (8, (1, 4, 3), 4, "hrnet_w8_modules143_blocks4"),
        (32, (1, 2, 2), 2, "hrnet_w32_modules122_blocks2"),
    ],
)
def test_timms_names_where_it_has_them(width, modules, blocks, name):
    assert hrnet_name(width, modules, blocks) == name
    assert is_custom_hrnet(name) == ("modules" in name)


def test_a_custom_name_of_the_published_depth_is_the_published_network():
    published = Backbone("hrnet_w32").state_dict()
    custom = Backbone("hrnet_w32_modules143_blocks4").state_dict()
    assert {name: value.shape for name, value in custom.items()} == {
        name: value.shape for name, value in published.items()
    }


def test_a_narrow_one_gives_its_features():
    assert Backbone("hrnet_w8_modules111_blocks1")(torch.rand(1, 3, 64, 32)).shape == (1, 8, 16, 8)


def test_without_weights_of_imagenet():
    with pytest.raises(RSGNetError, match=r"hrnet_w8_modules111_blocks1.*no ImageNet weights"):
        Backbone("hrnet_w8_modules111_blocks1", pretrained=True)
