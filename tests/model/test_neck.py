"""Necks bring coarse maps to the stride of the heatmaps and have the published sizes."""

import pytest
import torch

from rsgnet.config import NeckConfig
from rsgnet.errors import RSGNetError
from rsgnet.model.backbone import Backbone
from rsgnet.model.neck import Deconvolutions, FeaturePyramid, Residual


@pytest.mark.parametrize("stride", [4, 8])
def test_deconvolutions_reach_the_stride(stride):
    backbone = Backbone("resnet18", stride, NeckConfig("deconvolutions"))
    assert backbone(torch.randn(2, 3, 64, 96)).shape == (2, 256, 64 // stride, 96 // stride)
    assert backbone.width == 256


def test_each_deconvolution_doubles():
    assert Deconvolutions(8, 3)(torch.randn(1, 8, 2, 3)).shape == (1, 256, 16, 24)


@pytest.mark.parametrize(("deepest", "stages"), [(16, 5), (32, 7)])
def test_pyramid_builds_only_the_stages_that_it_reads(deepest, stages):
    backbone = Backbone("efficientnet_lite0", 4, NeckConfig("pyramid", width=24, deepest_stride=deepest))
    assert len(backbone.encoder.blocks) == stages
    assert backbone(torch.randn(2, 3, 64, 96)).shape == (2, 24, 16, 24)


def test_pyramid_carries_context_from_coarse_to_fine():
    pyramid = FeaturePyramid((3, 5), (4, 16), 8).eval()
    fine, coarse = torch.randn(1, 3, 16, 16), torch.randn(1, 5, 4, 4, requires_grad=True)
    pyramid([fine, coarse])[0, :, 0, 0].sum().backward()
    assert (coarse.grad[0, :, 0, 0] != 0).any()


def test_pyramid_grows_smoothly():
    """A coarse map that rises evenly gives a fine one that does, not one of steps."""
    pyramid = FeaturePyramid((3, 5), (4, 16), 8).eval()
    rising = torch.arange(6.0).expand(1, 5, 6, 6)
    grown = []
    pyramid.mix[0].register_forward_pre_hook(lambda _, given: grown.append(given[0]))
    pyramid.mix[1] = torch.nn.Identity()
    pyramid.lateral[1] = torch.nn.Conv2d(5, 8, 1, bias=False)
    pyramid([torch.zeros(1, 3, 24, 24), rising])
    steps = grown[0][0, :, 10, 2:-2].diff(dim=-1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), rtol=1e-4, atol=1e-5)


def test_residuals_start_as_the_identity_and_learn():
    block = Residual(4)
    maps = torch.rand(2, 4, 6, 5)
    torch.testing.assert_close(block(maps), maps)
    block(maps).square().sum().backward()
    assert block.second[1].weight.grad.abs().min() > 0
    backbone = Backbone("efficientnet_lite0", 4, NeckConfig("pyramid", width=24, residuals=2, deepest_stride=16))
    assert sum(isinstance(module, Residual) for module in backbone.modules()) == 2 * 3


@pytest.mark.parametrize(
    "neck", [NeckConfig("pyramid", deepest_stride=64), NeckConfig("deconvolutions", deepest_stride=2)]
)
def test_strides_that_a_backbone_lacks_are_named(neck):
    with pytest.raises(RSGNetError, match=r"resnet18.*strides \[2, 4, 8, 16, 32\]"):
        Backbone("resnet18", 4, neck)
