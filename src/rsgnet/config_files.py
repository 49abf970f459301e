"""Reads and writes configs as JSON, changes them by `key=value`, and names the files of model directories."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError

from rsgnet.config import DetectorConfig, FasterRCNNConfig, NetworkConfig, PoseConfig, RelationConfig
from rsgnet.errors import RSGNetError
from rsgnet.skeletons import read_skeleton

Config = TypeVar("Config")

# The model directories that are installed with the package, one for each network by name.
SHIPPED = Path(__file__).parent / "weights"

# The files of a model directory.
CONFIG_FILE, WEIGHTS_FILE, ONNX_FILE = "config.json", "model.safetensors", "model.onnx"
OPENVINO_FILE, INT8_FILE = "model.xml", "model-int8.xml"  # each with a .bin file
OWNERSHIP_FILE = "ownership.json"  # the fit of `rsgnet calibrate`
# Files that are derived from the weights; they are removed when the weights are replaced.
DERIVED_FILES = (OWNERSHIP_FILE, ONNX_FILE, OPENVINO_FILE, "model.bin", INT8_FILE, "model-int8.bin")

# The metadata of ONNX and OpenVINO files: config, the fit of `rsgnet calibrate`, and `ExportOptions`, each as JSON.
ONNX_CONFIG_PROPERTY, ONNX_OWNERSHIP_PROPERTY, EXPORT_OPTIONS_PROPERTY = "rsgnet", "rsgnet_ownership", "rsgnet_graph"
METADATA_PROPERTIES = (ONNX_CONFIG_PROPERTY, ONNX_OWNERSHIP_PROPERTY, EXPORT_OPTIONS_PROPERTY)

# What reads and writes configs of a class. It is kept, because making one takes as long as opening a network.
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def to_json(config: object) -> str:
    """Returns a config as indented JSON."""
    return _adapter(type(config)).dump_json(config, indent=2).decode()


def from_json(kind: type[Config], text: str | bytes, origin: str) -> Config:
    """Parses a config from JSON.

    Args:
        kind: The class of the config.
        text: The JSON text.
        origin: The file or other source of the text, for messages.

    Raises:
        RSGNetError: The text is no such config.
    """
    try:
        config: Config = _adapter(kind).validate_json(text)
    except ValidationError as error:
        raise RSGNetError(f"{origin}: not a {kind.__name__}: {validation_reasons(error)}") from error
    return config


def parse_network_config(text: str | bytes, origin: str) -> NetworkConfig:
    """Parses the config of a pose network or of a detector from JSON.

    Args:
        text: The JSON text.
        origin: The file or other source of the text, for messages.

    Raises:
        RSGNetError: The text is neither.
    """
    content = text.encode() if isinstance(text, str) else text
    if b'"crop"' in content:
        return from_json(PoseConfig, text, origin)
    if b'"proposals"' in content:
        return from_json(FasterRCNNConfig, text, origin)
    return from_json(DetectorConfig, text, origin)


def with_settings(config: Config, settings: Iterable[str]) -> Config:
    """Returns a config changed by settings.

    Args:
        config: The config.
        settings: `key=value` each, such as `training.batch_size=64`. Items of a tuple are separated by commas; the
            value of a skeleton may be a .toml file.

    Raises:
        RSGNetError: A setting is not `key=value`, its key does not exist, or its value is invalid.
    """
    values: dict[str, Any] = asdict(config)  # type: ignore[call-overload]
    for setting in settings:
        key, equals, text = setting.partition("=")
        *path, leaf = key.strip().split(".")
        branch: Any = values
        for step in path:
            branch = branch.get(step) if isinstance(branch, dict) else None
        if not equals or not isinstance(branch, dict) or leaf not in branch:
            known = ", ".join(branch) if isinstance(branch, dict) else ", ".join(values)
            raise RSGNetError(f"--set {setting}: expected key=value with one of the keys {known}")
        branch[leaf] = _parse_value(text, branch[leaf])
    try:
        changed: Config = _adapter(type(config)).validate_python(values)
    except ValidationError as error:
        raise RSGNetError(f"--set: {validation_reasons(error)}") from error
    return changed


def _parse_value(text: str, present: object) -> object:
    """Returns the value that the text of a setting stands for, before validation.

    Args:
        text: The text.
        present: The present value of the setting. A relation of the same kind keeps its other settings, one of another
            kind has its defaults, which later settings may change.
    """
    if text.endswith(".toml"):
        return asdict(read_skeleton(text))
    if isinstance(present, dict) and present.get("kind") == text:
        return present
    for relation in get_args(RelationConfig):
        if text == relation.kind:
            return asdict(relation())
    if isinstance(present, (tuple, list)):
        return text.split(",") if text else []
    return text


def validation_reasons(error: ValidationError) -> str:
    """Returns the invalid settings and the reasons in one line."""
    reasons = []
    for item in error.errors():
        location, message = ".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, ")
        reasons.append(f"{location}: {message}" if location else message)
    return "; ".join(reasons)
