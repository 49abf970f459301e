"""Lite-HRNet without channel shuffles computes the same as with them."""

import pytest
import torch
from torch import nn

from rsgnet.checkpoint import load_pose_model
from rsgnet.config_files import SHIPPED
from rsgnet.export.in_place_shuffles import InPlaceLiteHRNet, make_exportable
from rsgnet.model.lite_hrnet import LiteHRNet, lite_hrnet


def random_network(name):
    """Returns a network whose convolutions and normalisations are all different, in evaluation mode."""
    torch.manual_seed(0)
    network = lite_hrnet(name).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.running_var):
                nn.init.uniform_(values, 0.5, 1.5)
            for values in (module.bias, module.running_mean):
                nn.init.uniform_(values, -0.5, 0.5)
    return network


@pytest.mark.parametrize("name", ["lite_hrnet_w16_modules121", "lite_hrnet_w6_modules112", "lite_hrnet_w40_modules111"])
@pytest.mark.parametrize("shape", [(1, 3, 64, 32), (3, 3, 96, 64)])
def test_the_outputs_are_the_same(name, shape):
    network, images = random_network(name), torch.randn(shape)
    with torch.inference_mode():
        (expected,), (found,) = network.double()(images.double()), InPlaceLiteHRNet(network)(images.double())
    assert expected.std() > 1e-3  # not all the same
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max()))


def test_an_empty_batch_stays_empty():
    (found,) = InPlaceLiteHRNet(random_network("lite_hrnet_w6_modules111"))(torch.zeros(0, 3, 64, 64))
    assert found.shape == (0, 6, 16, 16)


def test_the_traced_graph_moves_no_channel():
    network = InPlaceLiteHRNet(random_network("lite_hrnet_w6_modules111"))
    graph = str(torch.export.export(network, (torch.zeros(1, 3, 64, 64),)).graph)
    moves = ("split", "chunk", "cat", "reshape", "view", "transpose", "permute")
    assert "aten.conv2d" in graph and not any(f"aten.{name}" in graph for name in moves)


def test_models_are_changed_in_a_copy_and_only_where_they_have_a_lite_hrnet():
    model = load_pose_model(SHIPPED / "nano")
    exportable = make_exportable(model)
    assert isinstance(model.backbone.encoder, LiteHRNet)
    assert isinstance(exportable.backbone.encoder, InPlaceLiteHRNet)
    other = nn.Conv2d(3, 3, 1)
    assert make_exportable(other) is other
