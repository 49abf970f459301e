"""Loads the weights of published networks as a start for training: PP-TinyPose for poses, RTMDet-nano for people.

The batch normalisations of these networks are folded into the convolutions before them. A file is loaded whole or not
at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from rsgnet.errors import WeightsError
from rsgnet.files import get_regular_size
from rsgnet.model import PersonDetector, RSGNet
from rsgnet.model.folded_norms import folded_convolutions, restore_norms

_MAX_NAMED = 6  # tensors that an error message names
Layers = Sequence[tuple[nn.Conv2d, nn.BatchNorm2d | None]]


@dataclass(frozen=True, eq=False)
class FoldedConvolution:
    """A convolution of a published network.

    Attributes:
        name: The convolution's name in the file.
        weight: (outputs, inputs per group, kernel height, kernel width).
        bias: (outputs,).
    """

    name: str
    weight: Tensor
    bias: Tensor


def start_pose_network(model: RSGNet, path: str | Path, images: Tensor) -> None:
    """Loads the backbone and the heatmap heads of a pose network from a .safetensors file.

    The file holds a weight and a bias of each convolution: `conv0000.weight`, `conv0000.bias` and so on, numbered in
    depth-first order of the graph, the heatmap head last. The head is loaded into the candidate head as well as into
    the target head, because both detect the same keypoints.

    Args:
        model: The network. Without modules, its target heatmaps in evaluation mode then equal the published network's.
        path: The file.
        images: (B, 3, H, W) normalised crops, from which the statistics of the batch normalisations are computed.

    Raises:
        WeightsError: The file cannot be read or its tensors do not fit the network. The network is unchanged then.
    """
    path = Path(path)
    published = _read_safetensors(path)
    layers = folded_convolutions(model.backbone.encoder, "depth_first")
    _check(published, [*layers, (model.target_head, None)], path)
    *backbone, head = published
    biases = _load(layers, backbone)
    for layer in (model.target_head, model.candidate_head):
        if layer is not None:
            _load([(layer, None)], [head])
    restore_norms(model.backbone, biases, images)


def start_detector(model: PersonDetector, path: str | Path, images: Tensor) -> None:
    """Loads a person detector from an .onnx file of RTMDet with the single class person.

    Args:
        model: The detector. In evaluation mode its outputs for RGB images then equal the published network's for BGR.
        path: The file.
        images: (B, 3, H, W) normalised images, from which the statistics of the batch normalisations are computed.

    Raises:
        WeightsError: The file cannot be read or its tensors do not fit the network. The network is unchanged then.
    """
    path = Path(path)
    published = _read_onnx(path)
    layers = folded_convolutions(model.rtmdet, "execution")
    _check(published, layers, path)
    bgr, *others = published
    rgb = FoldedConvolution(bgr.name, bgr.weight.flip(1), bgr.bias)
    restore_norms(model.rtmdet, _load(layers, [rgb, *others]), images)


def _read_safetensors(path: Path) -> list[FoldedConvolution]:
    """Reads the convolutions of a .safetensors file, in order of their names."""
    try:
        get_regular_size(path)
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read as safetensors ({error}); is it truncated?") from error
    names = sorted({name.partition(".")[0] for name in tensors})
    expected = {f"{name}.{part}" for name in names for part in ("weight", "bias")}
    if expected != tensors.keys():
        different = sorted(expected ^ tensors.keys())[:_MAX_NAMED]
        raise WeightsError(
            f"{path}: not a folded network, which has a weight and a bias for each convolution and nothing else: "
            f"missing or extra are {different}"
        )
    return [FoldedConvolution(name, tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in names]


def _read_onnx(path: Path) -> list[FoldedConvolution]:
    """Reads the convolutions of an .onnx file, in order of its graph."""
    import onnx  # noqa: PLC0415

    try:
        get_regular_size(path)
        graph = onnx.load(str(path), load_external_data=False).graph
        values = {each.name: torch.tensor(onnx.numpy_helper.to_array(each)) for each in graph.initializer}
        return [
            FoldedConvolution(node.name, values[node.input[1]], values[node.input[2]])
            for node in graph.node
            if node.op_type == "Conv"
        ]
    except Exception as error:  # a broken file can fail its reader in any way
        reason = f"{type(error).__name__}: {error}"
        raise WeightsError(f"{path}: not an ONNX file of convolutions with weights and biases ({reason})") from error


def _check(published: Sequence[FoldedConvolution], layers: Layers, path: Path) -> None:
    """Checks that the convolutions of a file have the number and the shapes of a network's.

    Raises:
        WeightsError: They do not. The message names the tensors.
    """
    if len(published) != len(layers):
        raise WeightsError(f"{path}: holds {len(published)} convolutions; the network has {len(layers)}")
    wrong = [
        f"{folded.name}.{part} is {list(tensor.shape)} and not {list(shape)}"
        for folded, (layer, _) in zip(published, layers, strict=True)
        for part, tensor, shape in (
            ("weight", folded.weight, layer.weight.shape),
            ("bias", folded.bias, layer.weight.shape[:1]),
        )
        if tensor.shape != shape
    ]
    if wrong:
        more = f" and {len(wrong) - _MAX_NAMED} more" if len(wrong) > _MAX_NAMED else ""
        raise WeightsError(f"{path}: another network: {'; '.join(wrong[:_MAX_NAMED])}{more}")


@torch.no_grad()
def _load(layers: Layers, published: Sequence[FoldedConvolution]) -> dict[nn.BatchNorm2d, Tensor]:
    """Copies weights into layers; returns the (C,) bias that each batch normalisation has to add."""
    biases = {}
    for (layer, norm), folded in zip(layers, published, strict=True):
        layer.weight.copy_(folded.weight)
        if norm is not None:
            biases[norm] = folded.bias.to(layer.weight.dtype)
        elif layer.bias is not None:
            layer.bias.copy_(folded.bias)
    return biases
