"""What `rsgnet.heatmaps` and the flip test do in numpy, as parts of a graph: no shape depends on a value."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rsgnet.config import Refinement
from rsgnet.heatmaps import expected_oks, peak_offset, refinable

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
