"""Pose networks of other projects: heatmap networks (ViTPose, HRNet, PP-TinyPose) and SimCC networks (RTMPose).

The file shows its input size, the kind of its outputs, the number of keypoints and the batch; a `NetworkDescription`
says the rest. Where both speak, they must agree.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import CropConfig, DecodeConfig, ModelConfig, PoseConfig
from rsgnet.errors import RSGNetError, RSGNetWarning, WeightsError
from rsgnet.files import get_regular_size
from rsgnet.heatmaps import find_peaks
from rsgnet.images import normalise_images
from rsgnet.inference.decode import SIMCC_STRIDE
from rsgnet.inference.runtime.backends import Backend, TensorSpec
from rsgnet.inference.runtime.network import NetworkCapabilities, PoseNetwork
from rsgnet.inference.runtime.network_descriptions import NetworkDescription, choose_skeleton
from rsgnet.inference.runtime.outputs import HeatmapOutput, InnerMaps, SimccOutput

MAX_NETWORK_BYTES = 2 << 30  # an ONNX file cannot be larger
_PEAKS, _PEAK_THRESHOLD = 4, 0.1  # of a heatmap: how many become candidates, and how high they must be
_COLOURS = 3
_WOULD_FIT = (
    "expected heatmaps (batch, keypoints, height / stride, width / stride), or SimCC scores (batch, keypoints, "
    "ratio * width) and (batch, keypoints, ratio * height)"
)


@dataclass(frozen=True)
class OutputLayout:
    """The outputs of a network that hold its prediction.

    Attributes:
        kind: What they are.
        names: The heatmaps' output; or those of columns and of rows.
        keypoints: How many keypoints they hold.
        scale: Crop pixels per heatmap pixel, or positions per crop pixel.
    """

    kind: Literal["heatmaps", "simcc"]
    names: tuple[str, ...]
    keypoints: int
    scale: int


def check_network_size(path: Path) -> None:
    """Checks a network file, and the .bin beside an .xml, against MAX_NETWORK_BYTES.

    Raises:
        WeightsError: It is larger, or no regular file.
    """
    files = [path, path.with_suffix(".bin")] if path.suffix.lower() == ".xml" else [path]
    for file in files:
        try:
            size = get_regular_size(file)
        except OSError as error:
            raise WeightsError(f"{file}: cannot be read: {error.strerror}") from error
        if size > MAX_NETWORK_BYTES:
            raise WeightsError(f"{file}: {size} bytes; networks of more than {MAX_NETWORK_BYTES} are not read")


class PublishedNetwork(PoseNetwork):
    """A pose network of another project, in an ONNX or OpenVINO file.

    Further peaks of its heatmaps are given as candidates, whose support, which only this package's networks know, is 0.

    Args:
        backend: The opened file.
        description: What the file does not say.
        path: The file.

    Raises:
        WeightsError: The file takes or gives something else, or contradicts the description.
    """

    def __init__(self, backend: Backend, description: NetworkDescription, path: Path) -> None:
        size_wh = _input_size(backend, description, path)
        self.path, self._backend = path, backend
        self._batch = backend.input.shape[0]
        self._is_bgr = description.channels == "bgr"
        self._dtype = np.dtype(backend.input.dtype)
        self._layout = layout = find_layout(self._probe_outputs(size_wh), size_wh, path)
        if description.outputs not in (None, layout.kind):
            raise WeightsError(f"{path}: gives {layout.kind}, but its description says {description.outputs}")
        skeleton = choose_skeleton(description, layout.keypoints, path)
        try:
            self.config = PoseConfig(
                path.stem,
                crop=CropConfig(
                    size_wh=size_wh,
                    stride=layout.scale if layout.kind == "heatmaps" else SIMCC_STRIDE,
                    padding=description.padding,
                    alignment=description.alignment,
                    mean=description.mean,
                    std=description.std,
                ),
                model=ModelConfig("published", skeleton, relation=None, skeleton_graph=False),
                decode=DecodeConfig(
                    flip_test=description.flip_test,
                    refinement=description.refinement,
                    flip_shift=description.flip_shift,
                ),
            )
        except RSGNetError as error:
            raise WeightsError(f"{path}: {error}") from error
        self.capabilities = NetworkCapabilities(gives_candidates=True, shows_inner_maps=True)
        if self._batch == 1:
            warnings.warn(
                f"{path}: takes one crop at a time, which is slow; export it with a dynamic batch",
                RSGNetWarning,
                stacklevel=2,
            )

    def run(self, crops: NDArray[np.uint8]) -> HeatmapOutput | SimccOutput:
        """Returns the outputs for (B, H, W, 3) RGB crops; raises as `PoseNetwork.run` does."""
        outputs = self._run_batches(self._prepare(crops))
        (width, height), keypoints = self.config.crop.size_wh, self._layout.keypoints
        if self._layout.kind == "simcc":
            scale = self._layout.scale
            shapes = [(len(crops), keypoints, scale * width), (len(crops), keypoints, scale * height)]
            across, down = (self._checked(*pair) for pair in zip(outputs, shapes, strict=True))
            return SimccOutput(across, down, scale * SIMCC_STRIDE)
        heatmaps = self._checked(outputs[0], (len(crops), keypoints, *self.config.crop.heatmap_shape_hw))
        return HeatmapOutput(heatmaps, (_candidates(heatmaps),))

    def inspect(self, crop: NDArray[np.uint8]) -> InnerMaps:
        """Returns the heatmaps of an (H, W, 3) RGB crop, and their peaks; SimCC scores as heatmaps."""
        output = self.run(crop[None])
        heatmaps = output.to_heatmaps() if isinstance(output, SimccOutput) else output.target_heatmaps
        return InnerMaps(heatmaps[0], candidates=_candidates(heatmaps)[0])

    def _prepare(self, crops: NDArray[np.uint8]) -> NDArray[Any]:
        """Returns the network's (B, 3, H, W) input for (B, H, W, 3) RGB crops."""
        crop = self.config.crop
        order = slice(None, None, -1 if self._is_bgr else 1)
        mean, std = np.multiply(crop.mean, 255)[order], np.multiply(crop.std, 255)[order]
        return normalise_images(crops[..., order], mean, std).astype(self._dtype, copy=False)

    def _run_batches(self, pixels: NDArray[Any]) -> list[NDArray[Any]]:
        """Runs the network on all crops, in batches of the size that it takes."""
        if self._batch is None:
            return self._run_once(pixels)
        parts = []
        for start in range(0, max(len(pixels), 1), self._batch):
            part = pixels[start : start + self._batch]
            padding = np.zeros((self._batch - len(part), *part.shape[1:]), part.dtype)
            given = np.concatenate([part, padding]) if len(padding) else part
            parts.append([output[: len(part)] for output in self._run_once(given)])
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _run_once(self, pixels: NDArray[Any], names: Sequence[str] = ()) -> list[NDArray[Any]]:
        try:
            return self._backend.run(names or self._layout.names, pixels)
        except Exception as error:  # the libraries' own classes derive from nothing narrower
            reason = str(error).strip().splitlines()[0]
            raise WeightsError(f"{self.path}: cannot run on crops of shape {pixels.shape}: {reason}") from error

    def _probe_outputs(self, size_wh: tuple[int, int]) -> tuple[TensorSpec, ...]:
        """Returns the outputs with their shapes for one batch; where the file leaves sides free, it is run once."""
        specs = self._backend.outputs
        if all(spec.shape and None not in spec.shape[1:] for spec in specs):
            return specs
        pixels = np.zeros((self._batch or 1, _COLOURS, size_wh[1], size_wh[0]), self._dtype)
        given = self._run_once(pixels, [spec.name for spec in specs])
        return tuple(TensorSpec(spec.name, spec.dtype, array.shape) for spec, array in zip(specs, given, strict=True))

    def _checked(self, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
        array = np.asarray(values, np.float32)
        if array.shape != shape:
            raise WeightsError(f"{self.path}: gave an output of shape {array.shape} for {shape[0]} crops, not {shape}")
        if not np.isfinite(array).all():
            raise WeightsError(f"{self.path}: gave outputs that are not finite; its weights are broken")
        return array


def find_layout(outputs: Sequence[TensorSpec], size_wh: tuple[int, int], path: Path) -> OutputLayout:
    """Finds the heatmaps or SimCC scores among the outputs of a network.

    Args:
        outputs: All outputs, with the shapes that they have for crops of that size.
        size_wh: Width and height of the crops.
        path: The file, for messages.

    Raises:
        WeightsError: No outputs fit, or several do.
    """
    layouts = _heatmap_layouts(outputs, size_wh) or _simcc_layouts(outputs, size_wh)
    if len(layouts) == 1:
        return layouts[0]
    found = ", ".join(f"{spec.name} {_shape_text(spec.shape)}" for spec in outputs)
    number = f"{len(layouts)} of its outputs could be" if layouts else "none of its outputs are"
    raise WeightsError(
        f"{path}: {number} a pose of crops of width {size_wh[0]} and height {size_wh[1]}: it gives {found}; "
        f"{_WOULD_FIT}"
    )


def _heatmap_layouts(outputs: Sequence[TensorSpec], size_wh: tuple[int, int]) -> list[OutputLayout]:
    layouts = []
    for spec in outputs:
        if len(spec.shape) != 4 or None in spec.shape[1:]:
            continue
        _, keypoints, height, width = (side or 0 for side in spec.shape)
        stride = size_wh[0] // max(width, 1)
        if stride and (width * stride, height * stride) == tuple(size_wh) and keypoints:
            layouts.append(OutputLayout("heatmaps", (spec.name,), keypoints, stride))
    return layouts


def _simcc_layouts(outputs: Sequence[TensorSpec], size_wh: tuple[int, int]) -> list[OutputLayout]:
    """Returns the pairs of outputs that fit; for square crops columns come before rows, as in MMPose."""
    axes = [spec for spec in outputs if len(spec.shape) == 3 and None not in spec.shape[1:]]
    layouts = []
    for index, across in enumerate(axes):
        for other, down in enumerate(axes):
            (_, keypoints, columns), (_, others, rows) = ((side or 0 for side in spec.shape) for spec in (across, down))
            ratio = columns // size_wh[0]
            fits = ratio > 0 and (ratio * size_wh[0], ratio * size_wh[1]) == (columns, rows)
            if index != other and fits and keypoints == others and (size_wh[0] != size_wh[1] or index < other):
                layouts.append(OutputLayout("simcc", (across.name, down.name), keypoints, ratio))
    return layouts


def _input_size(backend: Backend, description: NetworkDescription, path: Path) -> tuple[int, int]:
    """Returns width and height of the crops that a network takes."""
    spec = backend.input
    fits = len(spec.shape) == 4 and spec.shape[1] in (None, _COLOURS) and spec.dtype in ("float32", "float16")
    if not fits or len(backend.inputs) != 1:
        inputs = ", ".join(f"{each.name} {each.dtype} {_shape_text(each.shape)}" for each in backend.inputs)
        raise WeightsError(
            f"{path}: takes {inputs}; expected one input of crops, float32 (batch, {_COLOURS}, height, width)"
        )
    height, width = spec.shape[2:]
    wanted = description.size_wh
    if wanted is None and (width is None or height is None):
        raise WeightsError(
            f"{path}: takes crops of any size; say which in {path.with_suffix('.toml').name} beside it, "
            "such as size_wh = [192, 256]"
        )
    if wanted is not None and any(a not in (None, b) for a, b in zip((width, height), wanted, strict=True)):
        raise WeightsError(f"{path}: takes crops of {width}x{height}, but its description says {wanted[0]}x{wanted[1]}")
    return wanted or (int(width or 0), int(height or 0))


def _candidates(heatmaps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the (B, K, P, 4) candidates of (B, K, h, w) heatmaps; their support is not known and 0."""
    peaks = find_peaks(heatmaps, _PEAKS, _PEAK_THRESHOLD)
    return np.concatenate([peaks, np.zeros_like(peaks[..., :1])], -1)


def _shape_text(shape: Sequence[int | None]) -> str:
    return f"({', '.join('any' if side is None else str(side) for side in shape)})"
