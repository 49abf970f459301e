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
from rsgnet.inference.runtime.backends import Backend, thread_limit
from rsgnet.inference.runtime.network import NetworkCapabilities, PoseNetwork
from rsgnet.inference.runtime.outputs import (
    DecodedOutput,
    HeatmapOutput,
    InnerMaps,
    build_decoded_output,
    build_heatmap_output,
)

# Of the crops that a processor works on at once. More would not stay in its caches: `small` takes 1.37 times as long
# for 32 crops at once as for 4 at a time (docs/log.md).
_PIXELS_AT_ONCE, _PIXELS_PER_THREAD = 200_000, 50_000
_CANDIDATE_HEATMAPS = "candidate_heatmaps"
# One for each pass through the network. Files of older versions have none.
_CANDIDATE_TABLES = ("candidates", "mirrored_candidates")


class GraphNetwork(PoseNetwork):
    """A pose network in an ONNX or OpenVINO file.

    Args:
        backend: The opened file.
        config: What the network was built with.
        options: What the file does inside.
        path: The file.

    Raises:
        WeightsError: The file's input is not that of a pose network of this config.
    """

    def __init__(self, backend: Backend, config: PoseConfig, options: ExportOptions, path: Path) -> None:
        _check_input(backend, config, path)
        self.config, self.path = config, path
        self._backend = backend
        width, height = config.crop.size_wh
        pixels = max(_PIXELS_AT_ONCE, thread_limit() * _PIXELS_PER_THREAD)
        self._crops_at_once = max(1, pixels // (width * height))
        self._output_names = [output.name for output in backend.outputs]
        self._table_names = [name for name in _CANDIDATE_TABLES if name in self._output_names]
        self.capabilities = NetworkCapabilities(
            export_options=options, gives_candidates=bool(self._table_names), shows_inner_maps=not options.decoding
        )

    def run(self, crops: NDArray[np.uint8]) -> HeatmapOutput | DecodedOutput:
        """Returns what the file gives of (B, H, W, 3) RGB crops; raises as `PoseNetwork.run` does."""
        if self.capabilities.export_options.decoding:
            return self._run_decoding(crops)
        return self._run_heatmaps(crops)

    def inspect(self, crop: NDArray[np.uint8]) -> InnerMaps:
        """Returns the heatmaps and candidates of an (H, W, 3) RGB crop. No file holds the relation or the limbs."""
        if not self.capabilities.shows_inner_maps:
            return super().inspect(crop)
        output = self._run_heatmaps(crop[None])
        candidate_heatmaps = None
        if _CANDIDATE_HEATMAPS in self._output_names:
            candidate_heatmaps = self._backend.run([_CANDIDATE_HEATMAPS], crop[None])[0][0]
        candidates = output.candidate_tables[0][0] if output.candidate_tables else None
        return InnerMaps(output.target_heatmaps[0], candidate_heatmaps, candidates)

    def _run_backend(self, names: Sequence[str], crops: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """Returns outputs for all crops; a processor gets a few at a time."""
        step = self._crops_at_once
        if len(crops) <= step or not self._backend.is_on_processor:
            return self._backend.run(names, crops)
        pieces = [self._backend.run(names, crops[start : start + step]) for start in range(0, len(crops), step)]
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]

    def _run_heatmaps(self, crops: NDArray[np.uint8]) -> HeatmapOutput:
        heatmaps, *tables = self._run_backend([self._output_names[0], *self._table_names], crops)
        return build_heatmap_output(heatmaps, tables, self.config, len(crops), self.path)

    def _run_decoding(self, crops: NDArray[np.uint8]) -> DecodedOutput:
        names = ["keypoints_xy", "scores", "second_scores", *self._table_names]
        keypoints_px, scores, second_scores, *tables = self._run_backend(names, crops)
        # Such files give keypoints in crop pixels.
        to_heatmap = heatmap_affine(self.config.crop.stride, self.config.crop.pixel_centre)
        keypoints_xy = apply_affine(to_heatmap, keypoints_px)
        return build_decoded_output(keypoints_xy, scores, second_scores, tables, self.config, len(crops), self.path)


def _check_input(backend: Backend, config: PoseConfig, path: Path) -> None:
    (width, height), shape = config.crop.size_wh, backend.input.shape
    expected = None, height, width, 3
    fits = len(shape) == 4 and all(side in (None, known) for side, known in zip(shape[1:], expected[1:], strict=True))
    if backend.input.dtype != "uint8" or not fits:
        raise WeightsError(
            f"{path}: not a pose network of this package: its input is {_describe(backend.input.dtype, shape)}, "
            f"expected {_describe('uint8', expected)}"
        )


def _describe(dtype: str, shape: Sequence[int | None]) -> str:
    return f"{dtype} [{', '.join('any' if side is None else str(side) for side in shape)}]"
