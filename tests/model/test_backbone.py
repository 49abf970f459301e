"""What is frozen stays as it is."""

import pytest
import torch

from rsgnet.config import NeckConfig
from rsgnet.errors import RSGNetError
from rsgnet.model.backbone import Backbone


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


def test_unknown_modules_are_answered_with_the_known():
    with pytest.raises(RSGNetError, match=r"'layer1'.*conv_stem"):
        Backbone("efficientnet_lite0", 4, NeckConfig("pyramid")).freeze(["layer1"])
