"""Fast depthwise convolutions: values and gradients equal PyTorch's, and weights keep their names."""

import pytest
import torch
from torch import nn

from rsgnet.checkpoint import build
from rsgnet.config import CropConfig, ModelConfig, NeckConfig, PoseConfig
from rsgnet.training.depthwise import DepthwiseConvolution, use_fast_depthwise
from rsgnet.training.task import PoseTask


@pytest.mark.parametrize(
    ("size", "stride", "padding", "shape"),
    [
        (5, 1, 2, (2, 7, 8, 6)),
        (5, 2, 2, (2, 5, 9, 7)),
        (5, 2, 2, (1, 5, 8, 8)),
        (7, 1, 3, (2, 3, 12, 5)),
        (9, 3, 4, (1, 2, 13, 10)),
        (5, 1, 0, (2, 3, 6, 9)),
        (5, 1, 2, (3, 4, 1, 1)),
        (3, 2, 1, (2, 4, 8, 6)),
    ],
)
def test_values_and_gradients_are_those_of_the_plain_convolution(size, stride, padding, shape):
    torch.manual_seed(0)
    channels = shape[1]
    plain = nn.Conv2d(channels, channels, size, stride, padding, groups=channels, bias=False).double()
    quick = DepthwiseConvolution.from_convolution(plain)
    maps = torch.randn(shape, dtype=torch.double, requires_grad=True)
    outcome = plain(maps)
    gradient = torch.randn_like(outcome)
    wanted = torch.autograd.grad(outcome, (maps, plain.weight), gradient)
    found = torch.autograd.grad(quick(maps), (maps, quick.weight), gradient)
    torch.testing.assert_close(quick(maps), outcome)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("shape", [(2, 8, 12, 10), (3, 4, 9, 7)])
def test_strides_in_bfloat16_have_the_gradients_of_double_precision(size, shape):
    torch.manual_seed(0)
    exact = nn.Conv2d(shape[1], shape[1], size, 2, size // 2, groups=shape[1], bias=False).double()
    maps = torch.randn(shape, dtype=torch.double).bfloat16().double().requires_grad_()
    outcome = exact(maps)
    gradient = torch.randn_like(outcome).bfloat16()
    wanted = torch.autograd.grad(outcome, (maps, exact.weight), gradient.double())
    quick = DepthwiseConvolution.from_convolution(exact)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = maps.detach().bfloat16().requires_grad_()
        found = torch.autograd.grad(quick.float()(rounded), (rounded, quick.weight), gradient)
    for quickly, exactly in zip(found, wanted, strict=True):
        torch.testing.assert_close(quickly.double(), exactly, atol=0.02 * float(exactly.abs().max()), rtol=0.02)


def test_a_frozen_weight_or_input_has_no_gradient():
    plain = nn.Conv2d(4, 4, 5, padding=2, groups=4, bias=False).requires_grad_(False)
    maps = torch.randn(1, 4, 6, 6, requires_grad=True)
    DepthwiseConvolution.from_convolution(plain)(maps).sum().backward()
    assert plain.weight.grad is None
    assert maps.grad is not None


def test_only_slow_depthwise_convolutions_are_replaced_and_weights_are_shared():
    network = nn.ModuleDict(
        {
            "large": nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False),
            "small": nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            "striding": nn.Conv2d(8, 8, 3, 2, padding=1, groups=8, bias=False),
            "dense": nn.Conv2d(8, 8, 5, padding=2, bias=False),
            "grouped": nn.Conv2d(8, 8, 5, padding=2, groups=4, bias=False),
            "biased": nn.Conv2d(8, 8, 5, padding=2, groups=8),
            "dilated": nn.Conv2d(8, 8, 5, padding=4, dilation=2, groups=8, bias=False),
            "uneven": nn.Conv2d(8, 8, (5, 7), padding=(2, 3), groups=8, bias=False),
        }
    )
    weights = {name: convolution.weight for name, convolution in network.items()}
    use_fast_depthwise(network)
    replaced = {name for name, convolution in network.items() if type(convolution) is DepthwiseConvolution}
    assert replaced == {"large", "striding"}
    assert all(convolution.weight is weights[name] for name, convolution in network.items())


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(backbone="lite_hrnet_w8_modules111"),  # strides of 2
        ModelConfig(backbone="resnet18", neck=NeckConfig(kind="pyramid")),  # 5x5 kernels
    ],
)
def test_networks_train_with_them_under_unchanged_names(model):
    config = PoseConfig("test", crop=CropConfig(size_wh=(64, 64)), model=model)
    task = PoseTask(config)
    assert sum(type(module) is DepthwiseConvolution for module in task.model.modules()) >= 4
    assert not any(
        type(module) is nn.Conv2d and module.groups > 1 and (module.kernel_size[0] > 3 or module.stride[0] > 1)
        for module in task.model.modules()
    )
    assert task.model.state_dict().keys() == build(config).state_dict().keys()
