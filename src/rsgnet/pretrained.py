"""Starting a network from one that others published for prediction: PP-TinyPose for poses, RTMDet-nano for people.

Their files hold convolutions with the batch normalisations folded into them. All of a file is loaded, or nothing.
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

_NAMED = 6  # layers that an error message names at the most
Layers = Sequence[tuple[nn.Conv2d, nn.BatchNorm2d | None]]


@dataclass(frozen=True, eq=False)
class FoldedConvolution:
    """A convolution of a published network.

    Attributes:
        name: Its name in the file.
        weight: (O, I, kernel height, kernel width).
        bias: (O,).
    """

    name: str
    weight: Tensor
    bias: Tensor


def start_pose_network(model: RSGNet, path: str | Path, images: Tensor) -> None:
    """Fills the backbone and the heatmap heads of a pose network from a .safetensors file.

    The file holds a weight and a bias of each convolution, `conv0000.weight` and so on, their names in depth-first
    order of the graph, the head last. Everyone's heatmaps start as the target's: both look for the same keypoints.

    Args:
        model: The network; in evaluation mode its backbone and target head then are the published network.
        path: The file.
        images: (B, 3, H, W) normalised crops that the statistics of the normalisations are gathered from.

    Raises:
        WeightsError: The file cannot be read or holds another network; nothing is loaded then.
    """
    path = Path(path)
    published = _read_safetensors(path)
    layers = folded_convolutions(model.backbone.encoder, "depth_first")
    _check(published, [*layers, (model.target_head, None)], path)
    *backbone, head = published
    biases = _fill(layers, backbone)
    for each in (model.target_head, model.candidate_head):
        if each is not None:
            _fill([(each, None)], [head])
    restore_norms(model.backbone, biases, images)


def start_detector(model: PersonDetector, path: str | Path, images: Tensor) -> None:
    """Fills a person detector from an .onnx file of RTMDet that finds people alone.

    Args:
        model: The detector; in evaluation mode it then is the published network, for RGB.
        path: The file, whose network takes BGR.
        images: (B, 3, H, W) normalised images that the statistics of the normalisations are gathered from.

    Raises:
        WeightsError: The file cannot be read or holds another network; nothing is loaded then.
    """
    path = Path(path)
    first, *others = _read_onnx(path)
    published = [FoldedConvolution(first.name, first.weight.flip(1), first.bias), *others]
    layers = folded_convolutions(model.rtmdet, "execution")
    _check(published, layers, path)
    restore_norms(model.rtmdet, _fill(layers, published), images)


def _read_safetensors(path: Path) -> list[FoldedConvolution]:
    try:
        get_regular_size(path)
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read as safetensors ({error}); is it truncated?") from error
    names = sorted({name.partition(".")[0] for name in tensors})
    wanted = {f"{name}.{part}" for name in names for part in ("weight", "bias")}
    if wanted != tensors.keys():
        odd = sorted(wanted ^ tensors.keys())[:_NAMED]
        raise WeightsError(f"{path}: not a folded network: each convolution has a weight and a bias, but not {odd}")
    return [FoldedConvolution(name, tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in names]


def _read_onnx(path: Path) -> list[FoldedConvolution]:
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
    """Refuses a network of other convolutions.

    Raises:
        WeightsError: Their number or a shape differs; the message names them.
    """
    if len(published) != len(layers):
        raise WeightsError(f"{path}: holds {len(published)} convolutions; the network has {len(layers)}")
    wrong = [
        f"{folded.name} is {list(folded.weight.shape)} and not {list(layer.weight.shape)}"
        for folded, (layer, _) in zip(published, layers, strict=True)
        if folded.weight.shape != layer.weight.shape or folded.bias.shape != layer.weight.shape[:1]
    ]
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise WeightsError(f"{path}: another network: {'; '.join(wrong[:_NAMED])}{more}")


@torch.no_grad()
def _fill(layers: Layers, published: Sequence[FoldedConvolution]) -> dict[nn.BatchNorm2d, Tensor]:
    """Copies weights; gives the bias that each batch normalisation has to add."""
    biases = {}
    for (layer, norm), folded in zip(layers, published, strict=True):
        layer.weight.copy_(folded.weight)
        if norm is not None:
            biases[norm] = folded.bias.to(layer.weight.dtype)
        elif layer.bias is not None:
            layer.bias.copy_(folded.bias)
    return biases
