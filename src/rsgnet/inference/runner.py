"""The one door to a network: crops go in, heatmaps come out, whichever library runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import WEIGHTS_FILE, PoseConfig
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.inference.evidence import Maps
from rsgnet.inference.ownership import Ownership, ownership_beside, read_ownership
from rsgnet.inference.pytorch import needing_pytorch, pytorch_device
from rsgnet.inference.session import Session, check_device, embedded_config, embedded_ownership, open_session
from rsgnet.inference.weights import WeightFiles, config_text, find_weights, read_config
from rsgnet.skeletons import skeleton_named

Backend = Literal["onnx", "torch"]
BACKENDS = ("onnx", "torch")
CANDIDATES_OUTPUT = "candidates"


class Runner(Protocol):
    """A pose network, ready to run.

    Attributes:
        config: What it was built with.
    """

    config: PoseConfig

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, K, h, w) target heatmaps of (B, H, W, 3) RGB crops.

        Raises:
            WeightsError: The network gives another shape, or numbers that are not finite.
        """
        ...


@runtime_checkable
class EvidenceRunner(Runner, Protocol):
    """A pose network that also says what speaks for its keypoints, as those of `open_runner` do.

    Attributes:
        ownership: What turns its evidence to probabilities, None where `rsgnet calibrate` has not been run on it.
        gives_candidates: Whether `maps` holds candidates.
    """

    ownership: Ownership | None
    gives_candidates: bool

    def maps(self, crops: NDArray[np.uint8]) -> Maps:
        """Target heatmaps and candidates of (B, H, W, 3) RGB crops; raises as a call does."""
        ...


def open_runner(
    weights: str | Path, backend: str = "onnx", device: str = "auto", ownership: bool = True
) -> OnnxRunner | TorchRunner:
    """Opens a pose network.

    Args:
        weights: A shipped name, a model directory, or an .onnx file.
        backend: "onnx" (ONNX Runtime) or "torch" (PyTorch, from safetensors).
        device: "auto", "cpu" or "cuda".
        ownership: Whether to read the ownership fit that came with the weights, if one did.

    Raises:
        WeightsError: The weights are missing, broken or of another kind, or their ownership fit is.
        RSGNetError: There is no such backend or device here.
    """
    if backend not in BACKENDS:
        raise RSGNetError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    check_device(device)
    files = find_weights(weights)
    text = config_text(files)
    if backend == "torch":
        if files.directory is None or text is None:
            raise WeightsError(f"{files.onnx}: backend torch needs a model directory, not an .onnx file")
        config = read_config(PoseConfig, text, files.origin)
        fit = ownership_beside(files.directory, config, config.model.relation != "none") if ownership else None
        return TorchRunner(files.directory, config, device, fit)
    session = open_session(files.onnx, device)
    text = text if text is not None else embedded_config(session)
    if text is None:
        raise WeightsError(
            f"{files.onnx}: carries no rsgnet config; use one written by `rsgnet` or its model directory"
        )
    config = read_config(PoseConfig, text, files.origin)
    runner = OnnxRunner(session, config, files.onnx)
    if ownership:
        runner.ownership = _ownership_with(session, config, runner.gives_candidates, files)
    return runner


def _ownership_with(session: Session, config: PoseConfig, candidates: bool, files: WeightFiles) -> Ownership | None:
    """The fit beside the weights in a model directory; of a lone ONNX file, the one inside."""
    if files.directory is not None:
        return ownership_beside(files.directory, config, candidates)
    text = embedded_ownership(session)
    return None if text is None else read_ownership(text, config, candidates, str(files.onnx))


class OnnxRunner:
    """A pose network in ONNX Runtime, from the file `path`; the normalisation of crops is part of the graph."""

    def __init__(self, session: Session, config: PoseConfig, path: Path, ownership: Ownership | None = None) -> None:
        self.config, self.path, self.ownership = config, path, ownership
        self._session = session
        self._input = session.get_inputs()[0]
        names = [output.name for output in session.get_outputs()]
        self._output = names[0]
        self.gives_candidates = CANDIDATES_OUTPUT in names
        width, height = config.crop.size_wh
        shape, wanted = self._input.shape, (height, width, 3)
        fits = len(shape) == 4 and all(
            isinstance(a, str | None) or a == b for a, b in zip(shape[1:], wanted, strict=True)
        )
        if self._input.type != "tensor(uint8)" or not fits:
            raise WeightsError(
                f"{path}: not a pose network of this package: its input is {self._input.type} {shape}, "
                f"expected tensor(uint8) [batch, {height}, {width}, 3]"
            )

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, K, h, w) target heatmaps of (B, H, W, 3) RGB crops."""
        heatmaps = self._session.run([self._output], {self._input.name: crops})[0]
        return _checked(heatmaps, self.config, len(crops), self.path)

    def maps(self, crops: NDArray[np.uint8]) -> Maps:
        """Target heatmaps and candidates of (B, H, W, 3) RGB crops; older files give no candidates."""
        if not self.gives_candidates:
            return Maps(self(crops))
        heatmaps, candidates = self._session.run([self._output, CANDIDATES_OUTPUT], {self._input.name: crops})
        return _checked_maps(heatmaps, candidates, self.config, len(crops), self.path)


class TorchRunner:
    """A pose network in PyTorch, to run weights as they are trained, from the safetensors file `path`."""

    def __init__(self, directory: Path, config: PoseConfig, device: str, ownership: Ownership | None = None) -> None:
        with needing_pytorch("backend torch"):
            import torch  # noqa: PLC0415

            from rsgnet.checkpoint import load_pose_model  # noqa: PLC0415
            from rsgnet.model.candidate_table import candidate_table  # noqa: PLC0415
            from rsgnet.model.pixels import normalise  # noqa: PLC0415
        self.config, self.path, self.ownership = config, directory / WEIGHTS_FILE, ownership
        self.gives_candidates = config.model.relation != "none"
        self._torch, self._normalise, self._device = torch, normalise, pytorch_device(device)
        self._table = candidate_table
        self._model: Any = load_pose_model(directory).to(self._device).eval()

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, K, h, w) target heatmaps of (B, H, W, 3) RGB crops."""
        with self._torch.inference_mode():
            heatmaps = self._output(crops).target_heatmaps.float().cpu().numpy()
        return _checked(heatmaps, self.config, len(crops), self.path)

    def maps(self, crops: NDArray[np.uint8]) -> Maps:
        """Target heatmaps and candidates of (B, H, W, 3) RGB crops."""
        model = self.config.model
        with self._torch.inference_mode():
            output = self._output(crops)
            table = self._table(output, model.peaks_per_keypoint, model.candidate_threshold)
            candidates = None if table is None else table.float().cpu().numpy()
            heatmaps = output.target_heatmaps.float().cpu().numpy()
        return _checked_maps(heatmaps, candidates, self.config, len(crops), self.path)

    def _output(self, crops: NDArray[np.uint8]) -> Any:
        """The network's `ModelOutput`."""
        crop = self.config.crop
        pixels = self._torch.from_numpy(np.ascontiguousarray(crops)).to(self._device)
        return self._model(self._normalise(pixels, crop.mean, crop.std))


def _checked(heatmaps: Any, config: PoseConfig, count: int, origin: object) -> NDArray[np.float32]:
    wanted = (count, len(skeleton_named(config.model.skeleton)), *config.crop.heatmap_shape_hw)
    maps = np.asarray(heatmaps, np.float32)
    if maps.shape != wanted:
        raise WeightsError(f"{origin}: the network gave heatmaps of shape {maps.shape}, its config promises {wanted}")
    if not np.isfinite(maps).all():
        raise WeightsError(f"{origin}: the network gave numbers that are not finite; its weights are broken")
    return maps


def _checked_maps(heatmaps: Any, candidates: Any, config: PoseConfig, count: int, origin: object) -> Maps:
    """Both outputs, of the shapes that the config promises and finite."""
    maps = _checked(heatmaps, config, count, origin)
    if candidates is None:
        return Maps(maps)
    table = np.asarray(candidates, np.float32)
    if table.ndim != 4 or table.shape[:2] != maps.shape[:2] or table.shape[3] != 4 or not np.isfinite(table).all():
        raise WeightsError(f"{origin}: the network gave candidates of shape {table.shape}, or not finite")
    return Maps(maps, table)
