"""What `rsgnet.heatmaps` and the flip test do in numpy, as parts of a graph: no shape depends on a value."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rsgnet.config import DetectorConfig, ExportOptions, PoseConfig, Refinement
from rsgnet.geometry import invert_affine
from rsgnet.heatmaps import expected_oks, heatmap_affine, peak_offset, refinable, second_heights
from rsgnet.model import DenseRSGNet, ModelOutput, PersonDetector, RSGNet
from rsgnet.model.layers import normalise
from rsgnet.model.relation_parser import candidate_table
from rsgnet.skeletons import skeleton_named

_Heatmaps = Float[Tensor, "batch keypoints height width"]
_Tables = Float[Tensor, "batch keypoints peaks 4"]


def decode(
    heatmaps: _Heatmaps, refinement: Refinement, sigmas: Sequence[float] = ()
) -> tuple[Float[Tensor, "batch keypoints 2"], Float[Tensor, "batch keypoints"]]:
    """`rsgnet.heatmaps.decode`, in the precision of the heatmaps."""
    if refinement == "expected_oks":
        highest = heatmaps.amax((2, 3))
        places, _ = decode(expected_oks(heatmaps, sigmas), "taylor")
        return torch.where((highest > 0)[..., None], places, 0.0), highest
    shape_hw = heatmaps.shape[2], heatmaps.shape[3]
    flat = heatmaps.flatten(2)
    best, scores = flat.argmax(-1), flat.amax(-1)
    column, row = best % shape_hw[1], best // shape_hw[1]
    places = torch.stack([column, row], -1).to(heatmaps.dtype)
    if refinement != "none":
        inside = refinable(column, row, shape_hw, refinement)
        offset = peak_offset(_surroundings(heatmaps, row, column), refinement)
        places = places + torch.where(inside[..., None], offset, 0.0)
    return torch.where((scores > 0)[..., None], places, 0.0), scores


def _surroundings(heatmaps: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """(B, K, 5, 5) about one place in each heatmap."""
    padded = F.pad(heatmaps, (2, 2, 2, 2), mode="replicate")
    offsets = torch.arange(5, device=row.device)
    down, across = row[..., None] + offsets, column[..., None] + offsets
    index = down[..., :, None] * padded.shape[3] + across[..., None, :]
    return padded.flatten(2).gather(2, index.flatten(2)).reshape(index.shape)


def average_flip(heatmaps: _Heatmaps, mirrored: _Heatmaps, flip_indices: Tensor, pixel_centre: float) -> _Heatmaps:
    """The mean of crops' heatmaps and those of their mirror images, moved by a pixel where `pixel_centre` is 0."""
    back = mirrored[:, flip_indices].flip(-1)
    if pixel_centre == 0:
        back = torch.cat([back[..., :1], back[..., :-1]], -1)
    return (heatmaps + back) * 0.5


def flip_candidates(table: _Tables, flip_indices: Tensor, last: int) -> _Tables:
    """The candidates of mirrored crops as they would be of the crops themselves; padding stays 0.

    Args:
        table: x, y, height and support of each.
        flip_indices: (K,) where each keypoint stands after mirroring.
        last: Where column 0 goes.
    """
    back = table[:, flip_indices]
    x = torch.where(back[..., 2:3] > 0, last - back[..., :1], 0.0)
    return torch.cat([x, back[..., 1:]], -1)


class PoseGraph(nn.Module):
    """What is exported of a pose network.

    Args:
        model: The network.
        config: Its configuration.
        form: What of the line the graph does itself.
    """

    flip_indices: Tensor

    def __init__(self, model: RSGNet | DenseRSGNet, config: PoseConfig, form: ExportOptions | None = None) -> None:
        super().__init__()
        self.model, self.config, self.form = model, config, form or ExportOptions()
        skeleton = skeleton_named(config.model.skeleton)
        self.sigmas = skeleton.sigmas
        self.register_buffer("flip_indices", torch.from_numpy(skeleton.flip_indices))
        self.input_name = "crops"
        self.output_names = self._output_names()
        self.size_wh = config.crop.size_wh

    def _output_names(self) -> list[str]:
        names = ["keypoints_xy", "scores", "second_scores"] if self.form.decoding else ["target_heatmaps"]
        if self.config.model.candidates is None:
            return names
        if self.form.flip_test:
            return [*names, "candidates", "mirrored_candidates"]
        return [*names, "candidates"] if self.form.decoding else [*names, "candidate_heatmaps", "candidates"]

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, 3) uint8 RGB to what `output_names` says.

        Target heatmaps, and candidate heatmaps where only the network runs, are (B, K, h, w). Keypoints are (B, K, 2)
        in crop pixels, scores the heights of the target heatmaps there, second scores (B, K) as
        `heatmaps.second_heights` has them. With everyone's heatmaps come the (B, K, P, 4) candidates of
        `candidate_table`; with the flip test also those of the mirrored crops, brought back.
        """
        heatmaps, candidate_heatmaps, tables = self._averaged(crops) if self.form.flip_test else self._once(crops)
        if not self.form.decoding:
            return heatmaps, *candidate_heatmaps, *tables
        places, scores = decode(heatmaps, self.config.decode.refinement, self.sigmas)
        to_crop = invert_affine(heatmap_affine(self.config.crop.stride, self.config.crop.pixel_centre))
        keypoints_xy = places * float(to_crop[0, 0]) + float(to_crop[0, 2])
        return keypoints_xy, scores, second_heights(heatmaps, places), *tables

    def _once(self, crops: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Target heatmaps; where the network has them candidate heatmaps, and candidates."""
        output: ModelOutput = self.model(normalise(crops, self.config.crop.mean, self.config.crop.std))
        if output.candidates is None or output.candidate_heatmaps is None:
            return output.target_heatmaps, [], []
        table = candidate_table(output.candidates, output.relation)
        return output.target_heatmaps, [output.candidate_heatmaps], [table]

    def _averaged(self, crops: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The mean target heatmaps of crops and mirrored crops, no candidate heatmaps, candidates of both."""
        pairs = torch.stack([crops, crops.flip(2)], 1).flatten(0, 1)
        heatmaps, _, tables = self._once(pairs)
        own, mirrored = _unpaired(heatmaps)
        pixel_centre = self.config.crop.pixel_centre
        mean = average_flip(own, mirrored, self.flip_indices, pixel_centre)
        if not tables:
            return mean, [], []
        own, mirrored = _unpaired(tables[0])
        last = heatmaps.shape[3] - (1 if pixel_centre else 0)
        return mean, [], [own, flip_candidates(mirrored, self.flip_indices, last)]


def _unpaired(values: Tensor) -> tuple[Tensor, Tensor]:
    """(2 B, ...) of crops each followed by its mirror image, as those of the crops and those of the images."""
    pairs = values.reshape(-1, 2, *values.shape[1:])
    return pairs[:, 0], pairs[:, 1]


class DetectorGraph(nn.Module):
    """What is exported of a detector.

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
        """(B, H, W, 3) uint8 RGB to (B, M, 4) boxes in input pixels and (B, M) scores, highest first."""
        found = self.model(normalise(images, self.config.mean, self.config.std))
        return self.model.find_boxes(found)
