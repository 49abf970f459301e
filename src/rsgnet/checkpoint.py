"""Saves and loads model directories (`config.json` and `model.safetensors`), and loads published checkpoints.

No code of a file is run: pickles that hold anything but tensors are refused.
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
from rsgnet.config_files import CONFIG_FILE, DERIVED_FILES, WEIGHTS_FILE, parse_network_config, to_json
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.files import get_regular_size, read_bounded, replace_atomically, write_text
from rsgnet.model import DenseRSGNet, PersonDetector, PersonRCNN, RSGNet
from rsgnet.model.released.state_dict import TRANSPOSED, released_config, their_name

PoseNetwork = RSGNet | DenseRSGNet
Network = PoseNetwork | PersonDetector | PersonRCNN
_TARGET_HEAD = "target_head."
_MAX_NAMED = 6  # tensors that an error message names


def build(config: NetworkConfig, pretrained: bool = False) -> Network:
    """Builds an untrained network.

    Args:
        config: The network.
        pretrained: Whether the backbone starts from ImageNet weights, which are downloaded on first use.

    Raises:
        RSGNetError: The backbone does not exist, or the size of the input is no multiple of its coarsest stride.
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
    """Checks that the size of the crop is a multiple of the backbone's coarsest stride."""
    network, size_wh = config.model, config.crop.size_wh
    coarsest = 1 if network.neck.kind == "none" else network.neck.deepest_stride
    if network.backbone.startswith(("hrnet", "lite_hrnet")):
        coarsest = 32
    if size_wh[0] % coarsest or size_wh[1] % coarsest:
        raise RSGNetError(
            f"{network.backbone} has features down to stride {coarsest}: "
            f"width and height of crop.size_wh {size_wh} must be multiples of {coarsest}"
        )


def save_model(model: nn.Module, config: NetworkConfig, directory: str | Path, half: bool = False) -> None:
    """Writes a model directory, each file completely or not at all.

    Files of an earlier model that were derived from its weights, such as `model.onnx`, are removed.

    Args:
        model: The network.
        config: The config that it was built from.
        directory: The model directory.
        half: Whether weights of two or more dimensions are stored in half precision. Biases and normalisations never
            are.
    """
    directory = Path(directory)
    for name in DERIVED_FILES:
        (directory / name).unlink(missing_ok=True)
    write_text(directory / CONFIG_FILE, to_json(config))
    weights = {
        name: (value.half() if half and value.ndim > 1 else value).detach().cpu().contiguous()
        for name, value in model.state_dict().items()
    }
    with replace_atomically(directory / WEIGHTS_FILE) as temporary:
        temporary.write_bytes(save(weights))  # not by safetensors, whose errors do not tell a full disk from others


def load_model(directory: str | Path) -> tuple[Network, NetworkConfig]:
    """Loads the network of a model directory, in evaluation mode, and its config.

    Raises:
        WeightsError: It is no model directory, or the weights do not fit the config.
    """
    directory = Path(directory)
    config = read_config(directory)
    weights = _read_weights(directory / WEIGHTS_FILE)
    _check_names_and_shapes(_read_shapes(config, directory / CONFIG_FILE), weights, directory / WEIGHTS_FILE)
    model = build(config)
    model.load_state_dict(weights)
    return model.eval(), config


def _read_shapes(config: NetworkConfig, path: Path) -> Mapping[str, Tensor]:
    """Returns the weights of a network on the meta device, which has names and shapes but takes no memory."""
    try:
        with torch.device("meta"):
            return build(config).state_dict()
    except Exception as error:  # a config from elsewhere can fail in any way
        raise WeightsError(f"{path}: its network cannot be built: {error}") from error


def load_pose_model(directory: str | Path) -> PoseNetwork:
    """Loads the pose network of a model directory, in evaluation mode.

    Raises:
        WeightsError: It is no model directory or that of a detector, or the weights do not fit the config.
    """
    directory = Path(directory)
    model, _ = load_model(directory)
    if not isinstance(model, RSGNet | DenseRSGNet):
        raise WeightsError(f"{directory}: a person detector where a pose network was expected")
    return model


def read_config(directory: str | Path) -> NetworkConfig:
    """Reads the config of a model directory.

    Raises:
        WeightsError: There is no config, or it cannot be read.
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
    return parse_network_config(content, str(path))


def load_weights(model: nn.Module, directory: str | Path) -> None:
    """Loads all weights of a model directory into a network.

    Raises:
        WeightsError: The file is missing or broken, or names or shapes differ. The network is unchanged then.
    """
    directory = Path(directory)
    path = directory / WEIGHTS_FILE
    weights = _read_weights(path)
    _check_names_and_shapes(model.state_dict(), weights, path)
    model.load_state_dict(weights)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        get_regular_size(path)
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read as safetensors ({error}); is it truncated?") from error


def load_released(path: str | Path, size_wh: tuple[int, int] | None = None) -> PoseNetwork:
    """Loads a published checkpoint: the released RSGNet, or HRNet or SimpleBaseline for poses.

    Args:
        path: A .pth file that holds only tensors, or a .safetensors file.
        size_wh: Width and height of the network's crops. None takes the size from RSGNet's weights, and 192x256 for
            other networks, whose weights do not depend on it.

    Returns:
        The network in evaluation mode.

    Raises:
        WeightsError: The file cannot be read, contains code, or holds the weights of another network.
    """
    path = Path(path)
    return read_released(path, size_wh)[0]


def read_released(path: str | Path, size_wh: tuple[int, int] | None = None) -> tuple[PoseNetwork, PoseConfig]:
    """Loads a published checkpoint as `load_released` does, and returns also the config, inferred from the shapes."""
    path = Path(path)
    theirs = read_state_dict(path)
    try:
        config = released_config({name: tuple(value.shape) for name, value in theirs.items()}, path.stem, size_wh)
        ours = _read_shapes(config, path)
    except RSGNetError as error:
        raise WeightsError(f"{path}: not a checkpoint that can be converted: {error}") from error
    names = {name: their_name(name, config) for name in ours}
    expected = {names[name]: value.T if name in TRANSPOSED else value for name, value in ours.items()}
    counter_names = (name for name in expected if name.endswith("num_batches_tracked"))
    counters = {name: torch.zeros_like(expected[name], device="cpu") for name in counter_names}
    theirs = counters | theirs  # checkpoints of PyTorch before 0.4.1 have no counters
    _check_names_and_shapes(expected, theirs, path)
    weights = {name: theirs[other].T if name in TRANSPOSED else theirs[other] for name, other in names.items()}
    model = build(config)
    assert isinstance(model, RSGNet | DenseRSGNet)
    model.load_state_dict(weights)
    return model.eval(), config


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Reads the weights of a published file, without the dicts and prefixes that training code adds.

    Args:
        path: A .safetensors file, or a PyTorch file that holds only tensors.

    Raises:
        WeightsError: The file cannot be read, contains code, or holds no weights.
    """
    path = Path(path)
    try:
        get_regular_size(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns of old formats
            content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused: it contains code or is no PyTorch file; weights must be a state dict of plain tensors"
        ) from error
    except Exception as error:  # a broken file can fail its reader in any way
        raise WeightsError(f"{path}: cannot be read as weights ({type(error).__name__}); is it truncated?") from error
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path}: holds no state dict: expected tensors by name")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def _check_names_and_shapes(expected: Mapping[str, Tensor], given: Mapping[str, Tensor], path: Path) -> None:
    """Checks that the weights of a file have the names and shapes of a network's.

    Raises:
        WeightsError: They have not. The message names the tensors.
    """
    missing, extra = expected.keys() - given.keys(), given.keys() - expected.keys()
    misshapen = {name for name in expected.keys() & given.keys() if expected[name].shape != given[name].shape}
    if missing or extra or misshapen:
        raise WeightsError(
            f"{path}: weights do not fit the network: missing {_list_names(missing)}, extra {_list_names(extra)}, "
            f"misshapen {_list_names(misshapen)}"
        )


def _list_names(names: set[str]) -> str:
    rest = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"{sorted(names)[:_MAX_NAMED]}{rest}"


def load_backbone(model: Network, directory: str | Path) -> None:
    """Loads the backbone of a model directory into a network; the heads of both may differ.

    Raises:
        WeightsError: It is no model directory, or its backbone has other names or shapes.
    """
    directory = Path(directory)
    other, _ = load_model(directory)
    if isinstance(model, PersonDetector) or isinstance(other, PersonDetector):
        raise WeightsError(
            f"{directory}: RTMDet has no separate backbone: name a model directory with --start-from, "
            "or the published file with --backbone-from"
        )
    try:
        model.backbone.load_state_dict(other.backbone.state_dict())
    except RuntimeError as error:
        raise WeightsError(f"{directory}: its backbone does not fit: {error}") from error


def load_fitting(model: Network, directory: str | Path) -> set[str]:
    """Loads those weights of a model directory whose names and shapes fit a network, for example a larger one.

    If the directory's network has no candidate head, the candidate head starts from its target head, because both
    detect the same keypoints.

    Returns:
        The names of the network's tensors that were not loaded.

    Raises:
        WeightsError: It is no model directory, or no weight of its backbone fits.
    """
    directory = Path(directory)
    given, expected = load_model(directory)[0].state_dict(), model.state_dict()
    heads = {
        name.replace("target", "candidate"): value for name, value in given.items() if name.startswith(_TARGET_HEAD)
    }
    given = {**heads, **given}
    fitting = {name for name, value in expected.items() if name in given and given[name].shape == value.shape}
    if not any("backbone." in name and expected[name].ndim > 1 for name in fitting):
        raise WeightsError(f"{directory}: no weight of its backbone fits the network")
    model.load_state_dict({name: given[name] for name in fitting}, strict=False)
    return expected.keys() - fitting
