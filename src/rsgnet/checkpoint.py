"""Networks in and out of model directories: `config.json` and `model.safetensors`; and in from published checkpoints.

No file's code is ever run: a pickle may hold tensors, or it is refused.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from rsgnet.config import DenseRelationConfig, FasterRCNNConfig, NetworkConfig, PoseConfig
from rsgnet.config_files import CONFIG_FILE, DERIVED_FILES, WEIGHTS_FILE, network_config, to_json
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.files import get_regular_size, read_bounded, replace_atomically, write_text
from rsgnet.model import DenseRSGNet, PersonDetector, PersonRCNN, RSGNet
from rsgnet.model.released.state_dict import TRANSPOSED, released_config, their_name

PoseNetwork = RSGNet | DenseRSGNet
Network = PoseNetwork | PersonDetector | PersonRCNN
_TARGETS = "target_head."
_NAMED = 6  # of the weights that do not fit


def build(config: NetworkConfig, pretrained: bool = False) -> Network:
    """A fresh network of that config.

    Raises:
        RSGNetError: The backbone does not exist or cannot read inputs of that size.
    """
    if isinstance(config, FasterRCNNConfig):
        return PersonRCNN(config, pretrained)
    if isinstance(config, PoseConfig):
        _check_size(config)
        if isinstance(config.model.relation, DenseRelationConfig):
            return DenseRSGNet(config.model, config.crop, pretrained)
        return RSGNet(config.model, config.crop.stride, pretrained)
    return PersonDetector(config)


def _check_size(config: PoseConfig) -> None:
    """Refuses inputs that the backbone cannot halve as often as it does."""
    network, size_wh = config.model, config.crop.size_wh
    coarsest = 1 if network.neck.kind == "none" else network.neck.deepest_stride
    if network.backbone.startswith(("hrnet", "lite_hrnet")):
        coarsest = 32
    if size_wh[0] % coarsest or size_wh[1] % coarsest:
        raise RSGNetError(
            f"{network.backbone} reads down to stride {coarsest}: {size_wh} must be a multiple of {coarsest}"
        )


def save_model(model: nn.Module, config: NetworkConfig, directory: str | Path, half: bool = False) -> None:
    """Writes a model directory; each file whole or not at all. What followed from earlier weights there is removed.

    Args:
        model: The network.
        config: What it was built from.
        directory: Where it goes.
        half: Whether to store weights of two or more dimensions in half precision; norms and biases stay exact.
    """
    directory = Path(directory)
    for name in DERIVED_FILES:
        (directory / name).unlink(missing_ok=True)
    write_text(directory / CONFIG_FILE, to_json(config))
    weights = {
        name: (value.half() if half and value.ndim > 1 else value).detach().cpu().contiguous()
        for name, value in model.state_dict().items()
    }
    with replace_atomically(directory / WEIGHTS_FILE) as beside:
        beside.write_bytes(save(weights))  # by Python, whose errors say when the disk is full


def load_model(directory: str | Path) -> tuple[Network, NetworkConfig]:
    """The network of a model directory, whichever it is, ready to predict; and its config.

    Raises:
        WeightsError: The directory holds none, or its weights do not fit its config.
    """
    directory = Path(directory)
    config = read_config(directory)
    weights = _read_weights(directory / WEIGHTS_FILE)
    _check(_planned(config, directory / CONFIG_FILE), weights, directory / WEIGHTS_FILE)
    model = build(config)
    model.load_state_dict(weights)
    return model.eval(), config


def _planned(config: NetworkConfig, path: Path) -> Mapping[str, Tensor]:
    """The names and shapes of a network's weights, without their memory: a config may ask for any amount of it."""
    try:
        with torch.device("meta"):
            return build(config).state_dict()
    except Exception as error:  # networks of sizes that nobody thought of fail in any way
        raise WeightsError(f"{path}: no such network can be built: {error}") from error


def load_pose_model(directory: str | Path) -> PoseNetwork:
    """The pose network of a model directory, ready to predict.

    Raises:
        WeightsError: The directory holds none, or its weights do not fit its config.
    """
    directory = Path(directory)
    model, _ = load_model(directory)
    if not isinstance(model, RSGNet | DenseRSGNet):
        raise WeightsError(f"{directory}: a person detector where a pose network was expected")
    return model


def read_config(directory: str | Path) -> NetworkConfig:
    """The config of a model directory.

    Raises:
        WeightsError: There is none.
        RSGNetError: It is neither a pose network's nor a detector's.
    """
    directory = Path(directory)
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise WeightsError(f"{directory}: not a model directory: it holds no {CONFIG_FILE}")
    try:
        content = read_bounded(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error
    return network_config(content, str(path))


def load_weights(model: nn.Module, directory: str | Path) -> None:
    """Fills a network with a directory's weights: all of them, or none.

    Raises:
        WeightsError: The file is missing or broken, or names and shapes differ.
    """
    directory = Path(directory)
    path = directory / WEIGHTS_FILE
    weights = _read_weights(path)
    _check(model.state_dict(), weights, path)
    model.load_state_dict(weights)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        get_regular_size(path)
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read as safetensors ({error}); is it truncated?") from error


def load_released(path: str | Path, size_wh: tuple[int, int] | None = None) -> PoseNetwork:
    """The network of a published checkpoint, ready to predict: RSGNet as released, HRNet or SimpleBaseline for pose.

    Args:
        path: A .pth file, which may hold nothing but tensors, or a .safetensors file.
        size_wh: Width and height of its crops. Only RSGNet's weights tell; others are taken for 192 by 256.

    Raises:
        WeightsError: The file cannot be read, carries code, or holds other weights than such a network has.
    """
    path = Path(path)
    return read_released(path, size_wh)[0]


def read_released(path: str | Path, size_wh: tuple[int, int] | None = None) -> tuple[PoseNetwork, PoseConfig]:
    """The network of a published checkpoint as `load_released` gives it; and its config, read off the shapes."""
    path = Path(path)
    theirs = read_state_dict(path)
    try:
        config = released_config({name: tuple(value.shape) for name, value in theirs.items()}, path.stem, size_wh)
        ours = _planned(config, path)
    except RSGNetError as error:
        raise WeightsError(f"{path}: not a checkpoint that can be converted: {error}") from error
    names = {name: their_name(name, config) for name in ours}
    wanted = {names[name]: value.T if name in TRANSPOSED else value for name, value in ours.items()}
    counted = (name for name in wanted if name.endswith("num_batches_tracked"))
    counters = {name: torch.zeros_like(wanted[name], device="cpu") for name in counted}
    theirs = counters | theirs  # PyTorch did not count them before 0.4.1
    _check(wanted, theirs, path)
    found = {name: theirs[other].T if name in TRANSPOSED else theirs[other] for name, other in names.items()}
    model = build(config)
    assert isinstance(model, RSGNet | DenseRSGNet)
    model.load_state_dict(found)
    return model.eval(), config


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The weights in a published file, out of the wrappings that training code puts about them.

    Args:
        path: A .safetensors file, or else a .pth file, of which nothing but tensors is read.

    Raises:
        WeightsError: The file cannot be read, carries code, or holds no weights.
    """
    path = Path(path)
    try:
        get_regular_size(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the file's age and kind; what cannot be read is an error
            content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused: it carries code or is no PyTorch file; weights must be a state dict of plain tensors"
        ) from error
    except Exception as error:  # a broken file can fail its reader in any way
        raise WeightsError(f"{path}: cannot be read as weights ({type(error).__name__}); is it truncated?") from error
    for wrapping in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapping), Mapping):
            content = content[wrapping]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path}: holds no state dict: expected tensors by name")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def _check(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], path: Path) -> None:
    """Refuses weights of other names or shapes than the network's."""
    missing, extra = wanted.keys() - given.keys(), given.keys() - wanted.keys()
    misshapen = {name for name in wanted.keys() & given.keys() if wanted[name].shape != given[name].shape}
    if missing or extra or misshapen:
        raise WeightsError(
            f"{path}: weights do not fit the network: "
            f"missing {_some(missing)}, extra {_some(extra)}, misshapen {_some(misshapen)}"
        )


def _some(names: set[str]) -> str:
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{sorted(names)[:_NAMED]}{rest}"


def load_backbone(model: Network, directory: str | Path) -> None:
    """Starts a network's backbone from that of a model directory, whatever the rest of either is.

    Raises:
        WeightsError: The directory holds no network, or its backbone has other names or shapes.
    """
    directory = Path(directory)
    other, _ = load_model(directory)
    if isinstance(model, PersonDetector) or isinstance(other, PersonDetector):
        raise WeightsError(f"{directory}: RTMDet starts whole: give --start-from, or --backbone-from with its file")
    try:
        model.backbone.load_state_dict(other.backbone.state_dict())
    except RuntimeError as error:
        raise WeightsError(f"{directory}: its backbone does not fit: {error}") from error


def load_fitting(model: Network, directory: str | Path) -> set[str]:
    """Starts a network from whatever in a model directory has the same name and shape: to grow one out of another.

    Out of a plain network everyone's heatmaps start as the target's: they look for the same keypoints.

    Returns:
        The names of the tensors that stay as they were.

    Raises:
        WeightsError: The directory holds no network, or nothing of its backbone fits.
    """
    directory = Path(directory)
    given, wanted = load_model(directory)[0].state_dict(), model.state_dict()
    heads = {name.replace("target", "candidate"): value for name, value in given.items() if name.startswith(_TARGETS)}
    given = {**heads, **given}
    fitting = {name for name, value in wanted.items() if name in given and given[name].shape == value.shape}
    if not any("backbone." in name and wanted[name].ndim > 1 for name in fitting):
        raise WeightsError(f"{directory}: nothing of its backbone fits")
    model.load_state_dict({name: given[name] for name in fitting}, strict=False)
    return wanted.keys() - fitting
