"""Pose networks in files, run by ONNX Runtime or OpenVINO; the normalisation of crops is part of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import ExportOptions, PoseConfig
from rsgnet.errors import WeightsError
from rsgnet.geometry import apply_affine
from rsgnet.heatmaps import heatmap_affine
from rsgnet.inference.decode import DecodedMaps, InnerMaps, Maps, checked_decoded_maps, checked_maps
from rsgnet.inference.ownership import Ownership
from rsgnet.inference.runtime.backends import Backend

_EVERYONE = "candidate_heatmaps"
# Of each pass through the network, where it has them.
_TABLES = ("candidates", "mirrored_candidates")


class _Graph:
    """What both kinds have in common.

    Args:
        session: The opened file.
        config: What the network was built with.
        form: What the file does inside.
        path: The file.

    Raises:
        WeightsError: It is no pose network of that config.
    """

    def __init__(self, session: Backend, config: PoseConfig, form: ExportOptions, path: Path) -> None:
        self.config, self.form, self.path = config, form, path
        self.ownership: Ownership | None = None
        self._session = session
        names = [output.name for output in session.outputs]
        self._tables = [name for name in _TABLES if name in names]
        self.gives_candidates = bool(self._tables)
        width, height = config.crop.size_wh
        wanted, (kind, shape) = (None, height, width, 3), (session.input.kind, session.input.shape)
        fits = len(shape) == 4 and all(one in (None, other) for one, other in zip(shape[1:], wanted[1:], strict=True))
        if kind != "uint8" or not fits:
            raise WeightsError(
                f"{path}: not a pose network of this package: its input is {_told(kind, shape)}, "
                f"expected {_told('uint8', wanted)}"
            )


def _told(kind: str, shape: Sequence[int | None]) -> str:
    return f"{kind} [{', '.join('any' if side is None else str(side) for side in shape)}]"


class GraphRunner(_Graph):
    """A file that gives heatmaps."""

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, K, h, w) target heatmaps of (B, H, W, 3) RGB crops."""
        return self._maps(crops, []).target_heatmaps

    def maps(self, crops: NDArray[np.uint8]) -> Maps:
        """Target heatmaps and candidates of (B, H, W, 3) RGB crops; older files give no candidates."""
        return self._maps(crops, self._tables)

    def inner(self, crop: NDArray[np.uint8]) -> InnerMaps:
        """What the file gives of an (H, W, 3) RGB crop: heatmaps and candidates; no file holds relations or limbs."""
        maps = self._maps(crop[None], self._tables)
        names = [output.name for output in self._session.outputs]
        everyone = self._session.run([_EVERYONE], crop[None])[0][0] if _EVERYONE in names else None
        return InnerMaps(maps.target_heatmaps[0], everyone, maps.tables[0][0] if maps.tables else None)

    def _maps(self, crops: NDArray[np.uint8], tables: list[str]) -> Maps:
        heatmaps, *given = self._session.run([self._session.outputs[0].name, *tables], crops)
        return checked_maps(heatmaps, given, self.config, len(crops), self.path)


class DecodingGraphRunner(_Graph):
    """A file that gives keypoints in crop pixels, their scores and the second peaks."""

    def readings(self, crops: NDArray[np.uint8]) -> DecodedMaps:
        """What the file reads off its maps of (B, H, W, 3) RGB crops."""
        outputs: list[Any] = self._session.run(["keypoints_xy", "scores", "second_scores", *self._tables], crops)
        places = apply_affine(heatmap_affine(self.config.crop.stride, self.config.crop.pixel_centre), outputs[0])
        return checked_decoded_maps(places, outputs[1], outputs[2], outputs[3:], self.config, len(crops), self.path)
