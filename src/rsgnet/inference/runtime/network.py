"""The one door to a network: crops go in, heatmaps or keypoints come out, whichever library runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import ExportOptions, PoseConfig
from rsgnet.config_files import (
    EXPORT_OPTIONS_PROPERTY,
    ONNX_CONFIG_PROPERTY,
    ONNX_OWNERSHIP_PROPERTY,
    WEIGHTS_FILE,
    from_json,
)
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.inference.decode import DecodedMaps, Maps
from rsgnet.inference.ownership import Ownership, ownership_beside, read_ownership
from rsgnet.inference.runtime.backends import Backend, check_backend, open_backend
from rsgnet.inference.runtime.graph_network import DecodingGraphRunner, GraphRunner
from rsgnet.inference.runtime.torch_network import TorchRunner
from rsgnet.inference.weights import WeightFiles, config_text, find_weights, read_config


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


class _Opened(Protocol):
    """What both kinds of runners that `open_runner` gives have.

    Attributes:
        config: What it was built with.
        ownership: What turns its evidence to probabilities, None where `rsgnet calibrate` has not been run on it.
        gives_candidates: Whether it gives candidates.
        form: What of the line it does inside.
    """

    config: PoseConfig
    ownership: Ownership | None
    gives_candidates: bool
    form: ExportOptions


@runtime_checkable
class EvidenceRunner(_Opened, Runner, Protocol):
    """A pose network that also says what speaks for its keypoints."""

    def maps(self, crops: NDArray[np.uint8]) -> Maps:
        """Target heatmaps and candidates of (B, H, W, 3) RGB crops; raises as a call does."""
        ...


@runtime_checkable
class DecodingRunner(_Opened, Protocol):
    """A pose network that gives keypoints, and the same evidence about them, where others give heatmaps."""

    def readings(self, crops: NDArray[np.uint8]) -> DecodedMaps:
        """What is read off the maps of (B, H, W, 3) RGB crops; raises as a call does."""
        ...


OpenedRunner = EvidenceRunner | DecodingRunner
AnyRunner = Runner | OpenedRunner


def open_runner(
    weights: str | Path,
    backend: str = "onnx",
    device: str = "auto",
    ownership: bool = True,
    precision: str = "float32",
) -> OpenedRunner:
    """Opens a pose network.

    Args:
        weights: A shipped name, a model directory, or an .onnx file; for OpenVINO also an .xml file.
        backend: "onnx" (ONNX Runtime), "torch" (PyTorch, from safetensors) or "openvino".
        device: "auto", "cpu" or "cuda".
        ownership: Whether to read the ownership fit that came with the weights, if one did.
        precision: "float32"; "bf16" in PyTorch and OpenVINO; "int8" in OpenVINO, where it was exported.

    Raises:
        WeightsError: The weights are missing, broken or of another kind, or their ownership fit is.
        RSGNetError: There is no such back end, precision or device here.
    """
    check_backend(backend, device, precision)
    files = find_weights(weights)
    text = config_text(files)
    if backend == "torch":
        return _open_torch(files, text, device, precision, ownership)
    path = files.network(backend, precision)
    session = open_backend(path, device, backend, precision)
    text = text if text is not None else session.metadata.get(ONNX_CONFIG_PROPERTY)
    if text is None:
        raise WeightsError(f"{path}: carries no rsgnet config; use one written by `rsgnet` or its model directory")
    config, form = read_config(PoseConfig, text, files.origin), _form(session, path)
    if precision == "int8" and not form.int8:
        raise WeightsError(f"{path}: its network is not quantised; export it with --calibrate")
    runner = (DecodingGraphRunner if form.decoding else GraphRunner)(session, config, form, path)
    if ownership:
        runner.ownership = _ownership_with(session, config, runner.gives_candidates, files)
    return runner


def _open_torch(files: WeightFiles, text: str | None, device: str, precision: str, ownership: bool) -> OpenedRunner:
    if files.directory is None or text is None:
        raise WeightsError(f"{files.onnx}: backend torch needs a model directory, not a lone file")
    config = read_config(PoseConfig, text, files.origin)
    runner = TorchRunner(files.directory / WEIGHTS_FILE, config, device, precision)
    if ownership:
        runner.ownership = ownership_beside(files.directory, config, runner.gives_candidates)
    return runner


def flip_test_of(runner: AnyRunner, wish: bool | None) -> bool:
    """Whether poses are averaged with those of the mirrored crops: as wished, else as the weights say.

    Raises:
        RSGNetError: The wish is another than what the network's file does inside.
    """
    form: ExportOptions = getattr(runner, "form", ExportOptions())
    if not (form.flip_test or form.decoding):
        return runner.config.decode.flip_test if wish is None else wish
    if wish is not None and wish != form.flip_test:
        inside = "has the flip test inside" if form.flip_test else "decodes inside, without the flip test"
        raise RSGNetError(f"{getattr(runner, 'path', 'the network')} {inside}: export it anew for another")
    return form.flip_test


def _form(session: Backend, path: Path) -> ExportOptions:
    text = session.metadata.get(EXPORT_OPTIONS_PROPERTY)
    if text is None:
        return ExportOptions()
    try:
        return from_json(ExportOptions, text, str(path))
    except RSGNetError as error:
        raise WeightsError(f"{error}; it was written by another version: export it anew") from error


def _ownership_with(session: Backend, config: PoseConfig, candidates: bool, files: WeightFiles) -> Ownership | None:
    """The fit beside the weights in a model directory; of a lone file, the one inside."""
    if files.directory is not None:
        return ownership_beside(files.directory, config, candidates)
    text = session.metadata.get(ONNX_OWNERSHIP_PROPERTY)
    return None if text is None else read_ownership(text, config, candidates, str(files.onnx))
