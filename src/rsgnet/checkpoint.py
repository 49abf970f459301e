"""Networks in and out of model directories: `config.json` and `model.safetensors`. Nothing is ever unpickled."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from rsgnet.config import CONFIG_FILE, WEIGHTS_FILE, DetectorConfig, PoseConfig, network_config, to_json
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.files import replacing, write_text
from rsgnet.model import PersonDetector, RSGNet


def build(config: PoseConfig | DetectorConfig, pretrained: bool = False) -> RSGNet | PersonDetector:
    """A fresh network of that config.

    Raises:
        RSGNetError: The backbone does not exist or cannot read inputs of that size.
    """
    size_wh = config.crop.size_wh if isinstance(config, PoseConfig) else config.size_wh
    backbone = config.model.backbone if isinstance(config, PoseConfig) else config.backbone
    if backbone.startswith("hrnet") and (size_wh[0] % 32 or size_wh[1] % 32):
        raise RSGNetError(f"{backbone} halves its input five times: {size_wh} must be a multiple of 32")
    if isinstance(config, PoseConfig):
        return RSGNet(config.model, config.crop.stride, pretrained)
    return PersonDetector(config, pretrained)


def save_model(model: nn.Module, config: PoseConfig | DetectorConfig, directory: Path, half: bool = False) -> None:
    """Writes a model directory; each file whole or not at all.

    Args:
        model: The network.
        config: What it was built from.
        directory: Where it goes.
        half: Whether to store weights of two or more dimensions in half precision; norms and biases stay exact.
    """
    write_text(directory / CONFIG_FILE, to_json(config))
    weights = {
        name: (value.half() if half and value.ndim > 1 else value).detach().cpu().contiguous()
        for name, value in model.state_dict().items()
    }
    with replacing(directory / WEIGHTS_FILE) as beside:
        save_file(weights, beside)


def load_model(directory: Path) -> tuple[RSGNet | PersonDetector, PoseConfig | DetectorConfig]:
    """The network of a model directory, whichever it is, ready to predict; and its config.

    Raises:
        WeightsError: The directory holds none, or its weights do not fit its config.
    """
    config = read_config(directory)
    model = build(config)
    load_weights(model, directory)
    return model.eval(), config


def load_pose_model(directory: Path) -> RSGNet:
    """The pose network of a model directory, ready to predict.

    Raises:
        WeightsError: The directory holds none, or its weights do not fit its config.
    """
    model, _ = load_model(directory)
    if not isinstance(model, RSGNet):
        raise WeightsError(f"{directory}: a person detector where a pose network was expected")
    return model


def read_config(directory: Path) -> PoseConfig | DetectorConfig:
    """The config of a model directory.

    Raises:
        WeightsError: There is none.
        RSGNetError: It is neither a pose network's nor a detector's.
    """
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise WeightsError(f"{directory}: not a model directory: it holds no {CONFIG_FILE}")
    return network_config(path.read_bytes(), str(path))


def load_weights(model: nn.Module, directory: Path) -> None:
    """Fills a network with a directory's weights: all of them, or none.

    Raises:
        WeightsError: The file is missing or broken, or names and shapes differ.
    """
    path = directory / WEIGHTS_FILE
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read as safetensors ({error}); is it truncated?") from error
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    if wanted != given:
        missing, extra = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
        misshapen = sorted(name for name in wanted.keys() & given.keys() if wanted[name] != given[name])
        raise WeightsError(
            f"{path}: weights do not fit the network: "
            f"missing {missing[:3]}, extra {extra[:3]}, misshapen {misshapen[:3]}"
        )
    model.load_state_dict(weights)


def load_backbone(model: RSGNet | PersonDetector, directory: Path) -> None:
    """Starts a network's backbone from that of a model directory, whatever the rest of either is.

    Raises:
        WeightsError: The directory holds no network, or its backbone has other names or shapes.
    """
    other, _ = load_model(directory)
    try:
        model.backbone.load_state_dict(other.backbone.state_dict())
    except RuntimeError as error:
        raise WeightsError(f"{directory}: its backbone does not fit: {error}") from error
