"""The PyTorch modules that are exported: a network with its preprocessing and, optionally, flip test and decoding.

They compute the same as `rsgnet.heatmaps` and the flip test of `rsgnet.inference` do in NumPy, but no shape depends on
a value, so that they can be exported.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rsgnet.config import DetectorConfig, ExportOptions, PoseConfig, Refinement
from rsgnet.export.in_place_shuffles import make_exportable
from rsgnet.geometry import invert_affine
from rsgnet.heatmaps import (
    blur,
    expected_oks,
    heatmap_affine,
    is_refinable,
    mirrored_shift,
    peak_offset,
    second_peak_heights,
)
from rsgnet.model import DenseRSGNet, ModelOutput, PersonDetector, RSGNet
from rsgnet.model.layers import normalise
from rsgnet.model.relation_parser import candidate_table
from rsgnet.skeletons import get_skeleton

_Heatmaps = Float[Tensor, "batch keypoints height width"]
_Tables = Float[Tensor, "batch keypoints peaks 4"]


class PoseGraph(nn.Module):
    """A pose network with its preprocessing and the steps of the pipeline that are exported with it.

    Args:
        model: The network.
        config: Its configuration.
        options: Which further steps the graph contains; none where None.
    """

    flip_indices: Tensor

    def __init__(self, model: RSGNet | DenseRSGNet, config: PoseConfig, options: ExportOptions | None = None) -> None:
        super().__init__()
        self.model, self.config, self.options = make_exportable(model), config, options or ExportOptions()
        skeleton = get_skeleton(config.model.skeleton)
        self.sigmas = skeleton.sigmas
        self.register_buffer("flip_indices", torch.from_numpy(skeleton.flip_indices))
        self.input_name = "crops"
        self.output_names = self._output_names()
        self.size_wh = config.crop.size_wh

    def _output_names(self) -> list[str]:
        names = ["keypoints_xy", "scores", "second_scores"] if self.options.decoding else ["target_heatmaps"]
        if self.config.model.candidates is None:
            return names
        if self.options.flip_test:
            return [*names, "candidates", "mirrored_candidates"]
        return [*names, "candidates"] if self.options.decoding else [*names, "candidate_heatmaps", "candidates"]

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Computes the outputs named in `output_names` from (B, H, W, 3) uint8 RGB crops.

        Target and candidate heatmaps are (B, K, h, w); the latter are returned without flip test and decoding only.
        Keypoints are (B, K, 2) in crop pixels, scores are the heights of the target heatmaps there, and second scores
        are (B, K) `second_peak_heights`. Networks with candidates also return their (B, K, P, 4) `candidate_table`, and
        with the flip test that of the mirrored crops, mirrored back.
        """
        run = self._run_with_flip if self.options.flip_test else self._run
        heatmaps, candidate_heatmaps, tables = run(crops)
        if not self.options.decoding:
            return heatmaps, *candidate_heatmaps, *tables
        in_heatmap_xy, scores = decode_heatmaps(heatmaps, self.config.decode.refinement, self.sigmas)
        to_crop = invert_affine(heatmap_affine(self.config.crop.stride, self.config.crop.pixel_centre))
        keypoints_xy = in_heatmap_xy * float(to_crop[0, 0]) + float(to_crop[0, 2])
        return keypoints_xy, scores, second_peak_heights(heatmaps, in_heatmap_xy), *tables

    def _run(self, crops: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Returns target heatmaps and, in lists that are empty without them, candidate heatmaps and candidates."""
        output: ModelOutput = self.model(normalise(crops, self.config.crop.mean, self.config.crop.std))
        if output.candidates is None or output.candidate_heatmaps is None:
            return output.target_heatmaps, [], []
        table = candidate_table(output.candidates, output.relation)
        return output.target_heatmaps, [output.candidate_heatmaps], [table]

    def _run_with_flip(self, crops: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Returns the mean target heatmaps of crops and mirrored crops, and the candidates of both."""
        pairs = torch.stack([crops, crops.flip(2)], 1).flatten(0, 1)
        heatmaps, _, tables = self._run(pairs)
        own, mirrored = _split_pairs(heatmaps)
        shift = mirrored_shift(self.config)
        mean = average_flip(own, mirrored, self.flip_indices, shift)
        if not tables:
            return mean, [], []
        own, mirrored = _split_pairs(tables[0])
        last = heatmaps.shape[3] - 1 + shift
        return mean, [], [own, flip_candidates(mirrored, self.flip_indices, last)]


def _split_pairs(values: Tensor) -> tuple[Tensor, Tensor]:
    """Splits (2 B, ...) values, of crops each followed by its mirrored crop, into those of crops and mirrored crops."""
    pairs = values.reshape(-1, 2, *values.shape[1:])
    return pairs[:, 0], pairs[:, 1]


class DetectorGraph(nn.Module):
    """A detector with its preprocessing.

    Args:
        model: The network.
        config: Its configuration.
    """

    def __init__(self, model: PersonDetector, config: DetectorConfig) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.input_name = "images"
        self.output_names = ["boxes_xyxy", "scores"]
        self.size_wh = config.size_wh

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Returns (B, M, 4) boxes in input pixels and (B, M) descending scores of (B, H, W, 3) uint8 RGB images."""
        found = self.model(normalise(images, self.config.mean, self.config.std))
        return self.model.find_boxes(found)


def decode_heatmaps(
    heatmaps: _Heatmaps, refinement: Refinement, sigmas: Sequence[float] = ()
) -> tuple[Float[Tensor, "batch keypoints 2"], Float[Tensor, "batch keypoints"]]:
    """Computes `rsgnet.heatmaps.decode` in the precision of the heatmaps."""
    if refinement == "expected_oks":
        highest = heatmaps.amax((2, 3))
        keypoints_xy, _ = decode_heatmaps(expected_oks(heatmaps, sigmas), "taylor")
        return torch.where((highest > 0)[..., None], keypoints_xy, 0.0), highest
    shape_hw = heatmaps.shape[2], heatmaps.shape[3]
    flat = heatmaps.flatten(2)
    best, scores = flat.argmax(-1), flat.amax(-1)
    column, row = best % shape_hw[1], best // shape_hw[1]
    keypoints_xy = torch.stack([column, row], -1).to(heatmaps.dtype)
    if refinement != "none":
        inside = is_refinable(column, row, shape_hw, refinement)
        windows = _windows(blur(heatmaps) if refinement == "udp" else heatmaps, row, column)
        offset = peak_offset(windows, refinement)
        keypoints_xy = keypoints_xy + torch.where(inside[..., None], offset, 0.0)
    return torch.where((scores > 0)[..., None], keypoints_xy, 0.0), scores


def _windows(heatmaps: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Returns the (B, K, 5, 5) window around one pixel of each heatmap."""
    padded = F.pad(heatmaps, (2, 2, 2, 2), mode="replicate")
    offsets = torch.arange(5, device=row.device)
    down, across = row[..., None] + offsets, column[..., None] + offsets
    index = down[..., :, None] * padded.shape[3] + across[..., None, :]
    return padded.flatten(2).gather(2, index.flatten(2)).reshape(index.shape)


def average_flip(heatmaps: _Heatmaps, mirrored: _Heatmaps, flip_indices: Tensor, shift: int) -> _Heatmaps:
    """Averages heatmaps of crops with those of the mirrored crops, moved by a pixel where `shift` is 1."""
    back = mirrored[:, flip_indices].flip(-1)
    if shift:
        back = torch.cat([back[..., :1], back[..., :-1]], -1)
    return (heatmaps + back) * 0.5


def flip_candidates(table: _Tables, flip_indices: Tensor, last: int) -> _Tables:
    """Mirrors the candidates of mirrored crops, so that they align with the crops; padding stays 0.

    Args:
        table: x, y, height and support of each candidate.
        flip_indices: (K,) index of each keypoint's left/right counterpart.
        last: The column to which column 0 is mirrored.
    """
    back = table[:, flip_indices]
    x = torch.where(back[..., 2:3] > 0, last - back[..., :1], 0.0)
    return torch.cat([x, back[..., 1:]], -1)
