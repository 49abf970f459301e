"""What is exported of a network, as a module from pixels to results.

The graph takes 8-bit RGB and normalises it itself, so that every back end is fed alike.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsgnet.config import GraphForm, PoseConfig
from rsgnet.detector_config import DetectorConfig
from rsgnet.export.decoding import average_flip, decode, flip_candidates
from rsgnet.geometry import invert_affine
from rsgnet.heatmaps import heatmap_affine, second_heights
from rsgnet.model import DenseRSGNet, ModelOutput, PersonDetector, RSGNet
from rsgnet.model.candidate_table import candidate_table
from rsgnet.model.pixels import normalise
from rsgnet.skeletons import skeleton_named


class PoseGraph(nn.Module):
    """What is exported of a pose network.

    Args:
        model: The network.
        config: Its configuration.
        form: What of the line the graph does itself.
    """

    flip_indices: Tensor

    def __init__(self, model: RSGNet | DenseRSGNet, config: PoseConfig, form: GraphForm | None = None) -> None:
        super().__init__()
        self.model, self.config, self.form = model, config, form or GraphForm()
        skeleton = skeleton_named(config.model.skeleton)
        self.sigmas = skeleton.sigmas
        self.register_buffer("flip_indices", torch.from_numpy(skeleton.flip_indices))
        self.input_name = "crops"
        self.output_names = self._output_names()
        self.size_wh = config.crop.size_wh

    def _output_names(self) -> list[str]:
        names = ["keypoints_xy", "scores", "second_scores"] if self.form.decoding else ["target_heatmaps"]
        if self.config.model.relation == "none":
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
        table = candidate_table(output, self.config.model.peaks_per_keypoint, self.config.model.candidate_threshold)
        if table is None or output.candidate_heatmaps is None:
            return output.target_heatmaps, [], []
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
