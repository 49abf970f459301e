"""Reads and writes network files of ONNX and OpenVINO, with their metadata."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import onnx
import torch

from rsgnet.config_files import ONNX_OWNERSHIP_PROPERTY
from rsgnet.errors import requires_extra
from rsgnet.export.graphs import DetectorGraph, PoseGraph
from rsgnet.files import replace_atomically

_OPSET = 18
OpenVinoModel = Any  # openvino.Model: the library has no type annotations


def write_onnx(graph: PoseGraph | DetectorGraph, metadata: dict[str, str], path: Path) -> None:
    """Writes a graph in evaluation mode and with a dynamic batch size.

    Args:
        graph: The graph.
        metadata: Texts by the property names in `rsgnet.config_files`.
        path: The file.
    """
    width, height = graph.size_wh
    example = torch.zeros((2, height, width, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            graph.eval(),
            (example,),
            input_names=[graph.input_name],
            output_names=graph.output_names,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(proto, metadata)
    for node in proto.graph.node:
        del node.metadata_props[:]  # the exporter's notes on each node's origin: local paths, and megabytes
        node.doc_string = ""
    onnx.save(proto, path)


def read_network(path: Path) -> OpenVinoModel:
    """Reads a network and its metadata from an ONNX or OpenVINO file.

    Raises:
        RSGNetError: OpenVINO is not installed.
    """
    with requires_extra("OpenVINO's form", "openvino"):
        import openvino  # noqa: PLC0415
    return openvino.Core().read_model(path)


def set_metadata(network: OpenVinoModel, name: str, text: str) -> None:
    """Sets a metadata property in the place where OpenVINO keeps those of ONNX files."""
    network.set_rt_info(text, ["framework", name])


def write_network(network: OpenVinoModel, path: Path) -> None:
    """Writes a network's .xml and .bin files, each atomically; after an interruption in between the .xml is missing.

    Args:
        network: The network.
        path: The .xml file.
    """
    import openvino  # noqa: PLC0415

    with replace_atomically(path) as graph, replace_atomically(path.with_suffix(".bin")) as weights:
        openvino.save_model(network, graph, compress_to_fp16=False)
        graph.with_suffix(".bin").replace(weights)
        path.unlink(missing_ok=True)  # it belongs to the weights that were just replaced


def embed_ownership(path: Path, text: str) -> None:
    """Stores an ownership fit in the file of a pose network, so that the file can be used without its directory.

    Args:
        path: An .onnx file or an OpenVINO .xml file.
        text: The content of `ownership.json`.
    """
    if path.suffix.lower() == ".xml":
        network = read_network(path)
        set_metadata(network, ONNX_OWNERSHIP_PROPERTY, text)
        write_network(network, path)
        return
    proto = onnx.load(path)
    properties = {entry.key: entry.value for entry in proto.metadata_props}
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {**properties, ONNX_OWNERSHIP_PROPERTY: text})
    with replace_atomically(path) as temporary:
        onnx.save(proto, temporary)
