"""Necks bring coarse maps to the wanted stride, with the sizes their sources print."""

import pytest
import torch

from rsgnet.config import NeckConfig
from rsgnet.errors import RSGNetError
from rsgnet.model.backbone import Backbone
from rsgnet.model.neck import Deconvolutions, FeaturePyramid


@pytest.mark.parametrize("stride", [4, 8])
def test_deconvolutions_reach_the_stride(stride):
    backbone = Backbone("resnet18", stride, NeckConfig("deconvolutions"))
    assert backbone(torch.randn(2, 3, 64, 96)).shape == (2, 256, 64 // stride, 96 // stride)
    assert backbone.width == 256


def test_each_deconvolution_doubles():
    assert Deconvolutions(8, 3)(torch.randn(1, 8, 2, 3)).shape == (1, 256, 16, 24)


@pytest.mark.parametrize(("deepest", "stages"), [(16, 5), (32, 7)])
def test_pyramid_reads_no_further_than_told(deepest, stages):
    backbone = Backbone("efficientnet_lite0", 4, NeckConfig("pyramid", width=24, deepest_stride=deepest))
    assert len(backbone.encoder.blocks) == stages
    assert backbone(torch.randn(2, 3, 64, 96)).shape == (2, 24, 16, 24)


def test_pyramid_carries_context_from_coarse_to_fine():
    pyramid = FeaturePyramid((3, 5), (4, 16), 8).eval()
    fine, coarse = torch.randn(1, 3, 16, 16), torch.randn(1, 5, 4, 4, requires_grad=True)
    pyramid([fine, coarse])[0, :, 0, 0].sum().backward()
    assert (coarse.grad[0, :, 0, 0] != 0).any()


@pytest.mark.parametrize(
    "neck", [NeckConfig("pyramid", deepest_stride=64), NeckConfig("deconvolutions", deepest_stride=2)]
)
def test_strides_that_a_backbone_lacks_are_named(neck):
    with pytest.raises(RSGNetError, match=r"resnet18.*strides \[2, 4, 8, 16, 32\]"):
        Backbone("resnet18", 4, neck)
