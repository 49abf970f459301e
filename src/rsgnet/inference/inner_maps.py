"""What a network makes of one crop on the way to its answer, to be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import PoseConfig

Maps3 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class InnerMaps:
    """The maps of one crop; what a network, or the file it was read from, does not give is None.

    Attributes:
        target_heatmaps: (K, h, w) of the box's own person.
        candidate_heatmaps: (K, h, w) of everyone in the crop.
        candidates: (K, P, 4) x, y in heatmap pixels, height, support; rows of zeros for none.
        relation: (K P, K P) how likely two candidates are both the box's person's, in 0..1; 0 for none.
        limb_heatmaps: (L, h, w) of the box's person, in 0..1.
    """

    target_heatmaps: Maps3
    candidate_heatmaps: Maps3 | None = None
    candidates: NDArray[np.float32] | None = None
    relation: NDArray[np.float32] | None = None
    limb_heatmaps: Maps3 | None = None


@runtime_checkable
class InnerRunner(Protocol):
    """A pose network that lets one look inside.

    Attributes:
        config: What it was built with.
    """

    config: PoseConfig

    def inner(self, crop: NDArray[np.uint8]) -> InnerMaps:
        """The maps of an (H, W, 3) RGB crop."""
        ...
