"""The relation of the released code: every pixel of the stride-4 map with every other, no candidates chosen.

Where it is not the paper's, which `relation_parser` follows: A is the sigmoid of the products of clues that are at
least 0, so no two pixels are related by less than a half; the category clue is made of learned words, weighed by the
heatmaps; offsets from the centre are in pixels; and what A gathers goes through a convolution and a group
normalisation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rsgnet.errors import RSGNetError
from rsgnet.model.layers import convolution, deconv_block, full_precision, with_relu
from rsgnet.model.relation_parser import Candidates, bilinear_weights

_NORM_GROUPS = 8


@dataclass(frozen=True)
class DenseRelation:
    """A = sigmoid(X X^T) between the pixels of a map, kept as X: A itself has S x S entries.

    Attributes:
        clues: (B, C, H, W) X, one row for each of the S = H W pixels.
    """

    clues: Float[Tensor, "batch channels height width"]

    def matrix(self) -> Float[Tensor, "batch pixels pixels"]:
        """(B, S, S) A, whole, in 0.5..1."""
        return relate(_pixels(self.clues), _pixels(self.clues))

    def mix(self, values: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """A times the pixels of a map, as a map; some rows of A at a time, which the backward pass computes anew."""
        mixed = rows_mixed(_pixels(self.clues), _pixels(self.clues), _pixels(values))
        return mixed.transpose(1, 2).reshape(values.shape)

    def squared_error(self, wanted: Float[Tensor, "batch 1 height width"]) -> Float[Tensor, " batch"]:
        """(B,) the mean squared difference between A and the product of each two pixels' values; as lean as `mix`."""
        clues, labels = _pixels(self.clues), _pixels(wanted)
        return rows_squared_error(clues, clues, labels, labels) / clues.shape[1] ** 2

    def between(
        self, candidates: Candidates, shape_hw: tuple[int, int]
    ) -> Float[Tensor, "batch candidates candidates"]:
        """(B, Np, Np) the relation where candidates lie; 0 for padding.

        Args:
            candidates: Places on maps of another size.
            shape_hw: Height and width of those maps.
        """
        height, width = self.clues.shape[2:]
        scale = candidates.xy.new_tensor([width / shape_hw[1], height / shape_hw[0]])
        places = bilinear_weights((candidates.xy + 0.5) * scale - 0.5, (height, width))
        clues = places @ _pixels(self.clues)
        kept = candidates.mask[:, :, None] & candidates.mask[:, None, :]
        related: Tensor = torch.sigmoid(clues @ clues.transpose(1, 2)) * kept
        return related


class DenseClues(nn.Module):
    """What is known about each pixel: how it looks, which keypoints it may be, where it lies.

    Args:
        width: Channels of the visual features, and of each clue.
        keypoints: K, the number of keypoint categories.
        embedding_dim: Numbers in the embedding of a keypoint's name.
        shape_hw: Height and width of the feature map.
    """

    def __init__(self, width: int, keypoints: int, embedding_dim: int, shape_hw: tuple[int, int]) -> None:
        super().__init__()
        self.width = width
        self.words = nn.Parameter(torch.randn(keypoints, embedding_dim))
        # Never trained, yet a parameter: published weights hold it, and their authors count it.
        self.places = nn.Parameter(_places(shape_hw), requires_grad=False)
        self.visual = with_relu(convolution(width, width, 3))
        self.word_encoder = nn.Sequential(
            nn.Linear(embedding_dim, embedding_dim, bias=False), nn.BatchNorm1d(embedding_dim), nn.ReLU(inplace=True)
        )
        self.category = with_relu(convolution(embedding_dim, width, 3))
        self.geometry = with_relu(convolution(4, width, 1))
        self.combine = with_relu(convolution(3 * width, 3 * width, 3))
        self.project = with_relu(convolution(3 * width, width, 3))

    def forward(
        self,
        features: Float[Tensor, "batch channels height width"],
        candidate_heatmaps: Float[Tensor, "batch keypoints height width"],
    ) -> Float[Tensor, "batch channels height width"]:
        """(B, C, H, W) visual features and (B, K, H, W) everyone's heatmaps to (B, C, H, W) clues, at least 0."""
        geometry = self.geometry(self.places).expand(features.shape[0], -1, -1, -1)
        clues = torch.cat([self.visual(features), self._categories(candidate_heatmaps), geometry], dim=1)
        projected: Tensor = self.project(self.combine(clues))
        return projected

    def _categories(self, candidate_heatmaps: Tensor) -> Tensor:
        """Each pixel's words are the sum of the keypoints', weighed by the heatmaps: hundreds of maps a crop.

        They are never made: weighing is linear like the convolution behind it, so one convolution of K maps does both.
        """
        words = self.word_encoder(self.words)
        convolved, *rest = self.category
        kernel = torch.einsum("cwyx,kw->ckyx", convolved.weight, words)
        maps: Tensor = F.conv2d(candidate_heatmaps, kernel, padding=1)
        for layer in rest:
            maps = layer(maps)
        return maps


class DenseRelationHead(nn.Module):
    """Relates all pixels by their clues and gives each the others' values in proportion.

    Args:
        width: Channels of the clues.
        subsample: Whether 2x2 windows, by their highest values, are related instead of pixels; a transposed convolution
            brings what they gather back to the pixels.

    Raises:
        RSGNetError: The channels do not make 8 groups to normalise.
    """

    def __init__(self, width: int, subsample: bool) -> None:
        super().__init__()
        if width % _NORM_GROUPS:
            raise RSGNetError(f"relation 'dense' needs features of a multiple of {_NORM_GROUPS} channels, not {width}")
        self.pool = nn.MaxPool2d(2) if subsample else nn.Identity()
        self.enlarge = deconv_block(width, width) if subsample else nn.Identity()
        self.value = nn.Conv2d(width, width, kernel_size=1)
        self.output = nn.Conv2d(width, width, kernel_size=1)
        self.norm = nn.GroupNorm(_NORM_GROUPS, width)

    def forward(
        self, clues: Float[Tensor, "batch channels height width"]
    ) -> tuple[Float[Tensor, "batch channels height width"], DenseRelation]:
        """(B, C, H, W) clues to as many features that gather everyone related, and the relation."""
        # The sums run over thousands of pixels and differ little: half precision would lose the difference.
        with full_precision(clues.device):
            clues = self.pool(clues.to(torch.promote_types(clues.dtype, torch.float32)))
            relation = DenseRelation(clues)
            output = self.output(self.enlarge(relation.mix(self.value(clues))))
            # The norm takes each group's mean away; taken away beforehand, its variance loses no digits to it.
            groups = output.unflatten(1, (_NORM_GROUPS, -1))
            normed: Tensor = self.norm((groups - groups.mean((2, 3, 4), keepdim=True)).flatten(1, 2))
        return normed, relation


def _places(shape_hw: tuple[int, int]) -> Tensor:
    """(1, 4, H, W) the share of the width and height, and the pixels from the middle, rightwards and down."""
    height, width = shape_hw
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    return torch.stack([x / width, y / height, x - width // 2, y - height // 2])[None]


def _pixels(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)


_ROWS = 128  # at a time: 28 MB for 8 crops of 384x288, where all of A takes 1.5 GB


def relate(queries: Tensor, keys: Tensor) -> Tensor:
    """(B, S, C) queries and (B, T, C) keys to (B, S, T) A."""
    return (queries @ keys.transpose(1, 2)).sigmoid_()


def rows_mixed(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """(B, S, C) A times (B, T, C) values."""
    if torch.compiler.is_compiling():
        # In an exported graph writing into a whole copies it each time: pieces are joined instead.
        return torch.cat([relate(queries[:, rows], keys) @ values for rows in _slices(queries)], dim=1)
    mixed: Tensor = _Mix.apply(queries, keys, values)
    return mixed


def rows_squared_error(queries: Tensor, keys: Tensor, wanted: Tensor, wanted_keys: Tensor) -> Tensor:
    """(B,) the sum of the squared differences between A and (B, S, 1) times (B, T, 1) labels, transposed."""
    error: Tensor = _SquaredError.apply(queries, keys, wanted, wanted_keys)
    return error


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        ctx.save_for_backward(queries, keys, values)
        mixed = torch.empty_like(queries)
        for rows in _slices(queries):
            mixed[:, rows] = relate(queries[:, rows], keys) @ values
        return mixed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        queries, keys, values = ctx.saved_tensors
        to_values = torch.zeros_like(values)

        def to_relation(rows: slice, relation: Tensor) -> Tensor:
            to_values.baddbmm_(relation.transpose(1, 2), gradient[:, rows])
            upstream: Tensor = gradient[:, rows] @ values.transpose(1, 2)
            return upstream

        return *_through_sigmoid(queries, keys, to_relation), to_values


class _SquaredError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, wanted: Tensor, wanted_keys: Tensor) -> Tensor:
        ctx.save_for_backward(queries, keys, wanted, wanted_keys)
        total: Tensor = queries.new_zeros(queries.shape[0])
        for rows in _slices(queries):
            total += _error(relate(queries[:, rows], keys), wanted[:, rows], wanted_keys).square_().sum((1, 2))
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        queries, keys, wanted, wanted_keys = ctx.saved_tensors

        def to_relation(rows: slice, relation: Tensor) -> Tensor:
            return _error(relation.clone(), wanted[:, rows], wanted_keys).mul_(2 * gradient[:, None, None])

        return *_through_sigmoid(queries, keys, to_relation), None, None


def _error(relation: Tensor, wanted: Tensor, wanted_keys: Tensor) -> Tensor:
    return relation.baddbmm_(wanted, wanted_keys.transpose(1, 2), alpha=-1)


def _through_sigmoid(
    queries: Tensor, keys: Tensor, to_relation: Callable[[slice, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """The gradients of queries and keys, from that of rows of A, which `to_relation` gives."""
    to_queries, to_keys = torch.empty_like(queries), torch.zeros_like(keys)
    for rows in _slices(queries):
        relation = relate(queries[:, rows], keys)
        slope = to_relation(rows, relation).mul_(relation)
        slope.addcmul_(slope, relation, value=-1)  # times A (1 - A)
        to_queries[:, rows] = slope @ keys
        to_keys.baddbmm_(slope.transpose(1, 2), queries[:, rows])
    return to_queries, to_keys


def _slices(queries: Tensor) -> Iterator[slice]:
    for start in range(0, queries.shape[1], _ROWS):
        yield slice(start, start + _ROWS)
