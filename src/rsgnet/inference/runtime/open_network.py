"""Opening a pose network by name or path, in the back end that is asked for."""

from __future__ import annotations

from pathlib import Path

from rsgnet.config import ExportOptions, PoseConfig
from rsgnet.config_files import (
    EXPORT_OPTIONS_PROPERTY,
    ONNX_CONFIG_PROPERTY,
    ONNX_OWNERSHIP_PROPERTY,
    WEIGHTS_FILE,
    from_json,
)
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.files import read_bounded
from rsgnet.inference.ownership import find_ownership, parse_ownership
from rsgnet.inference.runtime.backends import Backend, check_backend, open_backend
from rsgnet.inference.runtime.engines import choose_engine
from rsgnet.inference.runtime.graph_network import GraphNetwork
from rsgnet.inference.runtime.network import PoseNetwork
from rsgnet.inference.runtime.network_descriptions import find_description
from rsgnet.inference.runtime.published_network import PublishedNetwork, check_network_size
from rsgnet.inference.runtime.torch_network import TorchNetwork
from rsgnet.inference.weights import (
    NamedFile,
    WeightFiles,
    find_weights,
    parse_config,
    parse_named_file,
    read_config_text,
)


def open_network(
    weights: str | Path,
    backend: str = "onnx",
    device: str = "auto",
    ownership: bool = True,
    precision: str = "float32",
) -> PoseNetwork:
    """Opens a pose network.

    Args:
        weights: A shipped name, a model directory, or an .onnx file (for OpenVINO also an .xml file); or a file of any
            project as "onnx:FILE[@NETWORK]" or "openvino:FILE[@NETWORK]", where NETWORK describes it (see
            `network_descriptions.find_description`).
        backend: "onnx" (ONNX Runtime), "torch" (PyTorch, from safetensors), "openvino", or "auto" (`choose_engine`).
        device: "auto", "cpu", "cuda", "cuda:1", or "mps" (PyTorch only).
        ownership: Whether to read the ownership fit that came with the weights, if one did.
        precision: "float32" or "auto"; "bf16" in PyTorch and OpenVINO; "int8" in OpenVINO, where it was exported.

    Raises:
        WeightsError: The weights are missing, broken or of another kind, or their ownership fit is.
        RSGNetError: There is no such back end, precision or device here.
    """
    engine = choose_engine(weights, backend, precision, device)
    backend, precision = choose_backend(weights, engine.backend), engine.precision
    check_backend(backend, device, precision)
    named = parse_named_file(weights)
    if named is not None and not named.path.is_dir():
        return _open_named(named, device, ownership, precision)
    files = find_weights(weights)
    config_text = read_config_text(files)
    if backend == "torch":
        network = _open_torch(files, config_text, device, precision)
        ownership_text = None
    else:
        path = files.network(backend, precision)
        session = open_backend(path, device, backend, precision)
        network = _open_graph(session, path, files, config_text, precision)
        ownership_text = session.metadata.get(ONNX_OWNERSHIP_PROPERTY)
    if ownership:
        gives_candidates = network.capabilities.gives_candidates
        if files.directory is not None:
            network.ownership = find_ownership(files.directory, network.config, gives_candidates)
        elif ownership_text is not None:
            network.ownership = parse_ownership(ownership_text, network.config, gives_candidates, str(files.onnx))
    return network


def choose_backend(weights: str | Path, backend: str) -> str:
    """Returns the back end that runs some weights: the one that "onnx:FILE" or "openvino:FILE" names, else the given.

    Raises:
        RSGNetError: The weights name a back end, and the given one is neither that nor "onnx".
    """
    named = parse_named_file(weights)
    if named is None:
        return backend
    if backend not in ("onnx", named.backend):
        raise RSGNetError(f"{weights} runs in {named.backend}, not in {backend}: leave out --backend")
    return named.backend


def carries_config(named: NamedFile) -> bool:
    """Returns whether a network file is one of this package, which carries its config.

    Raises:
        WeightsError: The file cannot be read.
    """
    return ONNX_CONFIG_PROPERTY in open_backend(named.path, "cpu", named.backend).metadata


def _open_named(named: NamedFile, device: str, ownership: bool, precision: str) -> PoseNetwork:
    """Opens a lone file, of this package or of another project."""
    files = find_weights(named.path)
    check_network_size(named.path)
    session = open_backend(named.path, device, named.backend, precision)
    text = session.metadata.get(ONNX_OWNERSHIP_PROPERTY)
    network: PoseNetwork
    if ONNX_CONFIG_PROPERTY in session.metadata:
        if named.network is not None:
            raise WeightsError(f"{named.path}: carries its config inside; leave out --network {named.network}")
        network = _open_graph(session, named.path, files, None, precision)
    else:
        if precision == "int8":
            raise WeightsError(f"{named.path}: runs in the precision of its file: leave out --precision int8")
        network = PublishedNetwork(session, find_description(named.path, named.network), named.path)
        text = read_bounded(named.ownership).decode() if ownership and named.ownership.is_file() else None
    if ownership and text is not None:
        origin = named.ownership if named.ownership.is_file() else named.path
        network.ownership = parse_ownership(text, network.config, network.capabilities.gives_candidates, str(origin))
    return network


def _open_torch(files: WeightFiles, config_text: str | None, device: str, precision: str) -> PoseNetwork:
    if files.directory is None or config_text is None:
        raise WeightsError(f"{files.onnx}: backend torch needs a model directory, not a lone file")
    config = parse_config(PoseConfig, config_text, files.origin)
    return TorchNetwork(files.directory / WEIGHTS_FILE, config, device, precision)


def _open_graph(
    session: Backend, path: Path, files: WeightFiles, config_text: str | None, precision: str
) -> PoseNetwork:
    if config_text is None:
        config_text = session.metadata.get(ONNX_CONFIG_PROPERTY)
    if config_text is None:
        raise WeightsError(
            f"{path}: carries no rsgnet config; a network of another project is named onnx:FILE or openvino:FILE"
        )
    config = parse_config(PoseConfig, config_text, files.origin)
    options = _read_export_options(session, path)
    if precision == "int8" and not options.int8:
        raise WeightsError(f"{path}: its network is not quantised; export it with --calibrate")
    return GraphNetwork(session, config, options, path)


def _read_export_options(session: Backend, path: Path) -> ExportOptions:
    text = session.metadata.get(EXPORT_OPTIONS_PROPERTY)
    if text is None:
        return ExportOptions()
    try:
        return from_json(ExportOptions, text, str(path))
    except RSGNetError as error:
        raise WeightsError(f"{error}; it was written by another version: export it again") from error
