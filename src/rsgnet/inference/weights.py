"""Where the weights of a network are found: shipped, in a model directory, a lone file, or on the Hugging Face Hub."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rsgnet.config import DetectorConfig, FasterRCNNConfig, NetworkConfig, PoseConfig
from rsgnet.config_files import (
    CONFIG_FILE,
    DERIVED_FILES,
    INT8_FILE,
    ONNX_FILE,
    OPENVINO_FILE,
    SHIPPED,
    WEIGHTS_FILE,
    parse_network_config,
)
from rsgnet.errors import RSGNetError, WeightsError, requires_extra
from rsgnet.files import read_bounded

Config = TypeVar("Config", PoseConfig, DetectorConfig)

DETECTOR_PREFIX, HUB_PREFIX = "detector-", "hub:"
FILE_PREFIXES = {"onnx:": "onnx", "openvino:": "openvino"}  # of files of any project, and the back end that runs them
CARD_FILE = "README.md"
HUB_FILES = (CONFIG_FILE, WEIGHTS_FILE, *DERIVED_FILES, CARD_FILE)
_MAX_HEADER_BYTES = 100_000_000
_LONE_SUFFIXES = (".onnx", ".xml")
_EXPECTED = f"a model directory ({CONFIG_FILE}, {ONNX_FILE}, {WEIGHTS_FILE}), an .onnx file, or {HUB_PREFIX}USER/MODEL"
OWNERSHIP_SUFFIX = ".ownership.json"  # of the fit beside a published network's file


@dataclass(frozen=True)
class WeightFiles:
    """The files of one network.

    Attributes:
        onnx: The network for ONNX Runtime; missing in a directory that holds only safetensors. Of a lone file it is
            that file, which may be OpenVINO's.
        directory: The model directory; None for a lone file, which carries its config inside.
    """

    onnx: Path
    directory: Path | None = None

    @property
    def origin(self) -> Path:
        """The path that messages name."""
        return self.directory or self.onnx

    @property
    def networks(self) -> list[Path]:
        """The network files that these weights can have, whether they exist or not."""
        if self.directory is None:
            return [self.onnx]
        return [self.directory / name for name in (ONNX_FILE, OPENVINO_FILE, INT8_FILE)]

    def network(self, backend: str, precision: str) -> Path:
        """Returns the file that a back end runs, whether it exists or not.

        In a directory OpenVINO prefers its own file to the ONNX file.

        Args:
            backend: "onnx" or "openvino".
            precision: "int8" for the quantised network.
        """
        if self.directory is None or backend != "openvino":
            return self.onnx
        openvino = self.directory / (INT8_FILE if precision == "int8" else OPENVINO_FILE)
        return openvino if openvino.is_file() or precision == "int8" else self.onnx


@dataclass(frozen=True)
class NamedFile:
    """A network file, of this package or another project, that names the back end that runs it.

    Attributes:
        backend: "onnx" or "openvino".
        path: The file, or a model directory.
        network: The preset or .toml file that describes it; None where neither is named.
    """

    backend: str
    path: Path
    network: str | None

    @property
    def ownership(self) -> Path:
        """The file beside it that `rsgnet calibrate` writes."""
        return self.path.with_suffix(OWNERSHIP_SUFFIX)


def parse_named_file(weights: str | Path) -> NamedFile | None:
    """Parses "onnx:FILE[@NETWORK]" and "openvino:FILE[@NETWORK]"; returns None for weights of another form."""
    prefix, colon, rest = str(weights).partition(":")
    backend = FILE_PREFIXES.get(prefix + colon)
    if backend is None or not rest:
        return None
    path, at, network = rest.rpartition("@")
    if not at or Path(rest).exists():
        return NamedFile(backend, Path(rest), None)
    return NamedFile(backend, Path(path), network)


def name_file(path: Path) -> str:
    """Returns how weights at a path are named: a lone file with the back end that runs it, a directory by its path."""
    prefix = {".onnx": "onnx:", ".xml": "openvino:"}.get(path.suffix.lower(), "")
    return f"{prefix}{path}"


def list_shipped_weights(prefix: str = "") -> list[str]:
    """Returns the names of the weights that ship with the package: of pose networks, or with a prefix of detectors."""
    folders = [path.parent.name for path in sorted(SHIPPED.glob(f"*/{CONFIG_FILE}"))]
    names = [name for name in folders if name.startswith(DETECTOR_PREFIX) == (prefix == DETECTOR_PREFIX)]
    return [name.removeprefix(prefix) for name in names]


def find_weights(name_or_path: str | Path, prefix: str = "") -> WeightFiles:
    """Finds the files that a name or a path means. It reads none of them, and nothing here ever unpickles.

    Args:
        name_or_path: A shipped name, a model directory, an .onnx file (for OpenVINO also an .xml file),
            "onnx:FILE" or "openvino:FILE" (see `parse_named_file`), or "hub:USER/MODEL[@REVISION]", which is fetched.
        prefix: What the folders of the shipped weights begin with.

    Raises:
        WeightsError: It is none of these, the directory is incomplete, or the hub does not give it.
        RSGNetError: huggingface_hub is not installed.
    """
    named = parse_named_file(name_or_path)
    if named is not None:
        name_or_path = named.path
    name = str(name_or_path)
    path = download_from_hub(name.removeprefix(HUB_PREFIX)) if name.startswith(HUB_PREFIX) else Path(name_or_path)
    if name in list_shipped_weights(prefix):
        path = SHIPPED / f"{prefix}{name_or_path}"
    if path.is_dir():
        if not (path / CONFIG_FILE).is_file():
            raise WeightsError(f"{path}: has no {CONFIG_FILE}; expected {_EXPECTED}")
        return WeightFiles(path / ONNX_FILE, path)
    if path.is_file():
        if path.suffix.lower() not in _LONE_SUFFIXES:
            raise WeightsError(f"{path}: weights of this kind are not read; expected {_EXPECTED}")
        return WeightFiles(path)
    shipped = ", ".join(list_shipped_weights(prefix)) or "none in this installation"
    raise WeightsError(f"no weights {name!r}; expected a shipped name ({shipped}), {_EXPECTED}")


def count_parameters(path: Path) -> int:
    """Counts the parameters in a safetensors file by its header; running statistics are none.

    Raises:
        WeightsError: The file is broken.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length < min(path.stat().st_size, _MAX_HEADER_BYTES):
                raise ValueError("its header has no length")
            header = json.loads(file.read(length))
        shapes = {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
        statistics = ("running_mean", "running_var", "num_batches_tracked")
        return sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(statistics))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: not safetensors that can be read ({error}); is it truncated?") from error


def read_config_text(files: WeightFiles) -> str | None:
    """Reads the JSON of a model directory's config; returns None for a lone file.

    Raises:
        WeightsError: It cannot be read.
    """
    if files.directory is None:
        return None
    path = files.directory / CONFIG_FILE
    try:
        return read_bounded(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: cannot be read ({error})") from error


def parse_config(kind: type[Config], text: str, origin: object) -> Config:
    """Parses the config that came with weights, and checks that it is of the expected kind.

    Raises:
        WeightsError: The config is broken, or belongs to another kind of network; `origin` is named.
    """
    config = parse_any_config(text, origin)
    if isinstance(config, kind):
        return config
    if kind is DetectorConfig and isinstance(config, FasterRCNNConfig):
        raise WeightsError(f"{origin}: Faster R-CNN runs in PyTorch only: --detector DIR, without onnx:")
    expected = "a person detector" if kind is DetectorConfig else "a pose network"
    raise WeightsError(f"{origin}: these are not the weights of {expected}")


def parse_any_config(text: str, origin: object) -> NetworkConfig:
    """Parses the config that came with weights of any kind.

    Raises:
        WeightsError: The config is broken; `origin` is named.
    """
    try:
        return parse_network_config(text, str(origin))
    except RSGNetError as error:
        raise WeightsError(f"broken config: {error}") from error


def download_from_hub(name: str, revision: str | None = None, token: str | None = None) -> Path:
    """Downloads a model of the hub, unless the hub's own cache holds it, and returns its directory.

    Args:
        name: `USER/MODEL`, or `USER/MODEL@REVISION`.
        revision: A branch, tag or commit, where the name gives none. Only a commit is sure to stay the same.
        token: For models that are not public; None for the one that `hf auth login` stored.

    Raises:
        RSGNetError: huggingface_hub is not installed.
        WeightsError: There is no such model, or the hub cannot be reached.
    """
    with requires_extra(f"{HUB_PREFIX}{name}", "hub"):
        from huggingface_hub import snapshot_download  # noqa: PLC0415
    repo_id, _, named = name.partition("@")
    with hub_errors(f"{HUB_PREFIX}{name}", "fetched"):
        return Path(snapshot_download(repo_id, revision=named or revision, token=token, allow_patterns=list(HUB_FILES)))


@contextmanager
def hub_errors(name: str, action: str) -> Iterator[None]:
    """Turns the errors of the hub's library into a WeightsError that names the model and what cannot be done."""
    try:
        yield
    except RSGNetError:
        raise
    except Exception as error:  # classes of the HTTP library, which differ between versions of huggingface_hub
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(f"{name}: cannot be {action}: {reason}") from error
