"""Configs in and out of JSON and of `key=value`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from rsgnet.config import DetectorConfig, FasterRCNNConfig, NetworkConfig, PoseConfig
from rsgnet.errors import RSGNetError
from rsgnet.skeletons import read_skeleton

Config = TypeVar("Config")


def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_json(config: object) -> str:
    """A config as indented JSON."""
    return _adapter(type(config)).dump_json(config, indent=2).decode()


def from_json(kind: type[Config], text: str | bytes, origin: str) -> Config:
    """Reads a config from JSON.

    Raises:
        RSGNetError: The text is not that config; `origin` is named as its source.
    """
    try:
        config: Config = _adapter(kind).validate_json(text)
    except ValidationError as error:
        raise RSGNetError(f"{origin}: not a {kind.__name__}: {validation_reasons(error)}") from error
    return config


def network_config(text: str | bytes, origin: str) -> NetworkConfig:
    """Reads the config of a pose network or of a detector, whichever it is.

    Raises:
        RSGNetError: The text is neither; `origin` is named as its source.
    """
    content = text.encode() if isinstance(text, str) else text
    if b'"crop"' in content:
        return from_json(PoseConfig, text, origin)
    if b'"proposals"' in content:
        return from_json(FasterRCNNConfig, text, origin)
    return from_json(DetectorConfig, text, origin)


def with_settings(config: Config, settings: Iterable[str]) -> Config:
    """A config changed by settings such as `training.batch_size=64`.

    Raises:
        RSGNetError: A setting is not `key=value`, its key does not exist, or its value does not fit.
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
            raise RSGNetError(f"--set {setting}: expected key=value with a key out of {known}")
        branch[leaf] = _value(text, branch[leaf])
    try:
        changed: Config = _adapter(type(config)).validate_python(values)
    except ValidationError as error:
        raise RSGNetError(f"--set: {validation_reasons(error)}") from error
    return changed


def _value(text: str, present: object) -> object:
    if text.endswith(".toml"):
        return asdict(read_skeleton(text))
    if isinstance(present, dict) and present.get("kind") == text:
        return present
    if isinstance(present, (tuple, list)):
        return text.split(",") if text else []
    return text


def validation_reasons(error: ValidationError) -> str:
    """Returns what does not fit and where, in one line."""
    return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())


# The model directories that are installed with the package, one for each network by name.
SHIPPED = Path(__file__).parent / "weights"

# The files of a model directory, and where an ONNX file keeps its config by itself.
CONFIG_FILE, WEIGHTS_FILE, ONNX_FILE = "config.json", "model.safetensors", "model.onnx"
ONNX_CONFIG_PROPERTY = "rsgnet"
# Where the fit of `rsgnet calibrate` is kept: beside the weights, and in an ONNX file by itself.
OWNERSHIP_FILE, ONNX_OWNERSHIP_PROPERTY = "ownership.json", "rsgnet_ownership"
# OpenVINO's form of the network and the quantised one, each with a .bin beside it; they carry what an ONNX file does.
OPENVINO_FILE, INT8_FILE = "model.xml", "model-int8.xml"
# Where a file says what of the line it does inside, as a `ExportOptions`.
EXPORT_OPTIONS_PROPERTY = "rsgnet_graph"
# What follows from the weights of a model directory, and is void once they are replaced.
DERIVED_FILES = (OWNERSHIP_FILE, ONNX_FILE, OPENVINO_FILE, "model.bin", INT8_FILE, "model-int8.bin")
METADATA_PROPERTIES = (ONNX_CONFIG_PROPERTY, ONNX_OWNERSHIP_PROPERTY, EXPORT_OPTIONS_PROPERTY)
