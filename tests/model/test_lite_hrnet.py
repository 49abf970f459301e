"""Lite-HRNet: its size, its outputs, and its channel operations. See also tests/test_pretrained.py."""

import pytest
import torch

from rsgnet.model.backbone import Backbone
from rsgnet.model.lite_hrnet import LiteHRNet, interleave_channels, is_lite_hrnet, lite_hrnet, split_channels


def test_the_published_width_has_the_published_number_of_weights():
    encoder = lite_hrnet("lite_hrnet_w40")
    convolutions = [module for module in encoder.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) == 268
    # 1,300,177 with a bias for each channel and the head's 17 x 41.
    folded = sum(each.weight.numel() + each.out_channels for each in convolutions)
    assert folded + 17 * 41 == 1_300_177


@pytest.mark.parametrize(("name", "width"), [("lite_hrnet_w40", 40), ("lite_hrnet_w16_modules121", 16)])
def test_it_has_one_map_at_stride_4(name, width):
    backbone = Backbone(name, 4).eval()
    assert backbone.width == width
    assert backbone(torch.zeros(2, 3, 96, 64)).shape == (2, width, 24, 16)


@pytest.mark.parametrize("name", ["lite_hrnet", "lite_hrnet_w0", "lite_hrnet_w40_modules24", "hrnet_w32"])
def test_other_names_are_not_accepted(name):
    assert not is_lite_hrnet(name)


def test_it_trains_from_scratch():
    torch.manual_seed(0)
    encoder = LiteHRNet(8, (1, 1, 1)).train()
    images, wanted = torch.randn(4, 3, 64, 64), torch.rand(4, 8, 16, 16)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        loss = (encoder(images)[0] - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def plain(maps):
    """Split, change one half, join and shuffle, as written in the paper."""
    kept, changed = maps.chunk(2, 1)
    joined = torch.cat([kept, 3 * changed], 1)
    batch, width, height, columns = joined.shape
    return joined.reshape(batch, 2, width // 2, height, columns).transpose(1, 2).reshape(joined.shape)


@pytest.mark.parametrize("shape", [(2, 6, 5, 3), (1, 2, 1, 1), (3, 4, 2, 7)])
def test_channels_are_split_and_shuffled_alike_in_training_and_in_prediction(shape):
    maps = torch.randn(shape).to(memory_format=torch.channels_last)

    def ours(maps):
        kept, changed = split_channels(maps)
        return interleave_channels(kept, 3 * changed)

    assert torch.equal(ours(maps), plain(maps))
    assert torch.equal(ours(maps.clone().requires_grad_()), plain(maps))


def test_their_gradients_are_those_of_the_plain_operations():
    maps = torch.randn(2, 6, 4, 3, dtype=torch.float64, requires_grad=True)
    kept, changed = split_channels(maps)
    weights = torch.randn(2, 6, 4, 3, dtype=torch.float64)
    (found,) = torch.autograd.grad((interleave_channels(kept, 3 * changed) * weights).sum(), maps)
    (expected,) = torch.autograd.grad((plain(maps) * weights).sum(), maps)
    torch.testing.assert_close(found, expected)
