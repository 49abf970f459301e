"""ONNX files: a graph, and in its metadata what it was built with."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch

from rsgnet.export.graphs import DetectorGraph, PoseGraph
from rsgnet.files import replacing
from rsgnet.model_files import ONNX_OWNERSHIP_PROPERTY

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
