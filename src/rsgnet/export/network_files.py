"""ONNX files: a graph, and in its metadata what it was built with."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import onnx
import torch

from rsgnet.config_files import ONNX_OWNERSHIP_PROPERTY
from rsgnet.errors import requires_extra
from rsgnet.export.graphs import DetectorGraph, PoseGraph
from rsgnet.files import replacing

_OPSET = 18


def write_onnx(graph: PoseGraph | DetectorGraph, metadata: dict[str, str], path: Path) -> None:
    """Writes a graph, in evaluation mode, with a dynamic batch.

    Args:
        graph: What is exported.
        metadata: What goes beside it, by the names of `rsgnet.config`.
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
        del node.metadata_props[:]  # the exporter's notes on where each node came from: paths and megabytes
        node.doc_string = ""
    onnx.save(proto, path)


def embed_in_onnx(path: Path, ownership: str) -> None:
    """Writes an ownership fit into an ONNX file."""
    proto = onnx.load(path)
    properties = {entry.key: entry.value for entry in proto.metadata_props}
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {**properties, ONNX_OWNERSHIP_PROPERTY: ownership})
    with replacing(path) as beside:
        onnx.save(proto, beside)


Network = Any  # openvino.Model: the library carries no types


def read_network(path: Path) -> Network:
    """A network out of an ONNX file or one of OpenVINO's, with its metadata.

    Raises:
        RSGNetError: OpenVINO is not installed.
    """
    with requires_extra("OpenVINO's form", "openvino"):
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
