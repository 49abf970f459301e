"""OpenVINO's files: an .xml of the graph and its metadata, a .bin of the weights beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rsgnet.errors import needing
from rsgnet.files import replacing
from rsgnet.model_files import ONNX_OWNERSHIP_PROPERTY

Network = Any  # openvino.Model: the library carries no types


def read_network(path: Path) -> Network:
    """A network out of an ONNX file or one of OpenVINO's, with its metadata.

    Raises:
        RSGNetError: OpenVINO is not installed.
    """
    with needing("OpenVINO's form", "openvino"):
        import openvino  # noqa: PLC0415
    return openvino.Core().read_model(path)


def set_metadata(network: Network, name: str, text: str) -> None:
    """Sets a property where those of ONNX files are."""
    network.set_rt_info(text, ["framework", name])


def write_network(network: Network, path: Path) -> None:
    """Writes a network's two files, each whole; if broken off between them, the .xml is missing.

    Args:
        network: The network.
        path: The .xml file.
    """
    import openvino  # noqa: PLC0415

    with replacing(path) as graph, replacing(path.with_suffix(".bin")) as weights:
        openvino.save_model(network, graph, compress_to_fp16=False)
        graph.with_suffix(".bin").replace(weights)
        path.unlink(missing_ok=True)  # it belongs to the weights that are replaced now


def embed_in_openvino(path: Path, ownership: str) -> None:
    """Writes an ownership fit into one of OpenVINO's files."""
    network = read_network(path)
    set_metadata(network, ONNX_OWNERSHIP_PROPERTY, ownership)
    write_network(network, path)
