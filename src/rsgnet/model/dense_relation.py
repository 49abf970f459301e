"""The relation of the released code: every pixel of the stride-4 map with every other, no candidates chosen.

Where it is not the paper's, which `relation_parser` follows: A is the sigmoid of the products of clues that are at
least 0, so no two pixels are related by less than a half; the category clue is made of learned words, weighed by the
heatmaps; offsets from the centre are in pixels; and what A gathers goes through a convolution and a group
normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rsgnet.errors import RSGNetError
from rsgnet.model.layers import convolution, full_precision, rectified
from rsgnet.model.relation_rows import relate, rows_mixed, rows_squared_error

_NORM_GROUPS = 8


@dataclass(frozen=True)
class DenseRelation:
    """A = sigmoid(X X^T) between the pixels of a map, kept as X: A itself has S x S entries.

    Attributes:
        clues: (B, C, H, W) X, one row for each of the S = H W pixels.
        subsample: Whether the second X holds the highest values in 2x2 windows, T = S / 4 rows, instead of all T = S.
    """

    clues: Float[Tensor, "batch channels height width"]
    subsample: bool = False

    def matrix(self) -> Float[Tensor, "batch pixels keys"]:
        """(B, S, T) A, whole, in 0.5..1."""
        return relate(_pixels(self.clues), self._keys(self.clues))

    def mix(self, values: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """A times the pixels of a map, as a map; some rows of A at a time, which the backward pass computes anew."""
        mixed = rows_mixed(_pixels(self.clues), self._keys(self.clues), self._keys(values))
        return mixed.transpose(1, 2).reshape(values.shape)

    def squared_error(self, wanted: Float[Tensor, "batch 1 height width"]) -> Float[Tensor, " batch"]:
        """(B,) the mean squared difference between A and the product of each two pixels' values; as lean as `mix`."""
        queries, keys = _pixels(self.clues), self._keys(self.clues)
        total = rows_squared_error(queries, keys, _pixels(wanted), self._keys(wanted))
        return total / (queries.shape[1] * keys.shape[1])

    def _keys(self, maps: Tensor) -> Tensor:
        return _pixels(F.max_pool2d(maps, kernel_size=2) if self.subsample else maps)


class DenseClues(nn.Module):
    """What is known about each pixel: how it looks, which keypoints it may be, where it lies.

    Args:
        width: Channels of the visual features, and of each clue.
        keypoints: K, the number of keypoint categories.
        word_width: Numbers in the embedding of a keypoint's name.
        shape_hw: Height and width of the feature map.
    """

    def __init__(self, width: int, keypoints: int, word_width: int, shape_hw: tuple[int, int]) -> None:
        super().__init__()
        self.words = nn.Parameter(torch.randn(keypoints, word_width))
        # Never trained, yet a parameter: published weights hold it, and their authors count it.
        self.places = nn.Parameter(_places(shape_hw), requires_grad=False)
        self.visual = rectified(convolution(width, width, 3))
        self.word_encoder = nn.Sequential(
            nn.Linear(word_width, word_width, bias=False), nn.BatchNorm1d(word_width), nn.ReLU(inplace=True)
        )
        self.category = rectified(convolution(word_width, width, 3))
        self.geometry = rectified(convolution(4, width, 1))
        self.combine = rectified(convolution(3 * width, 3 * width, 3))
        self.project = rectified(convolution(3 * width, width, 3))

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
        if candidate_heatmaps.is_meta:  # where only multiply-adds are counted: those of the network as released
            counted: Tensor = self.category(F.conv2d(candidate_heatmaps, words.T[:, :, None, None]))
            return counted
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
        subsample: Whether each pixel is related to the highest values in 2x2 windows instead of all pixels.

    Raises:
        RSGNetError: The channels do not make 8 groups to normalise.
    """

    def __init__(self, width: int, subsample: bool) -> None:
        super().__init__()
        if width % _NORM_GROUPS:
            raise RSGNetError(f"relation 'dense' needs features of a multiple of {_NORM_GROUPS} channels, not {width}")
        self.subsample = subsample
        self.value = nn.Conv2d(width, width, kernel_size=1)
        self.output = nn.Conv2d(width, width, kernel_size=1)
        self.norm = nn.GroupNorm(_NORM_GROUPS, width)

    def forward(
        self, clues: Float[Tensor, "batch channels height width"]
    ) -> tuple[Float[Tensor, "batch channels height width"], DenseRelation]:
        """(B, C, H, W) clues to as many features that gather everyone related, and the relation."""
        # The sums run over thousands of pixels and differ little: half precision would lose the difference.
        with full_precision(clues.device):
            clues = clues.to(torch.promote_types(clues.dtype, torch.float32))
            relation = DenseRelation(clues, self.subsample)
            output = self.output(relation.mix(self.value(clues)))
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
