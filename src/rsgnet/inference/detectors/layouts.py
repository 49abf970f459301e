"""Recognising the layout of a detector file by its inputs and outputs, or, where they do not suffice, by its layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rsgnet.config import DetectorConfig
from rsgnet.errors import WeightsError
from rsgnet.inference.detectors.formats import (
    DetectorFormat,
    DfineFormat,
    PicodetFormat,
    RfdetrFormat,
    RsgnetFormat,
    RtmdetFormat,
    YoloxEndToEndFormat,
    YoloxFormat,
)
from rsgnet.inference.runtime.backends import Backend, TensorSpec

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class _Layout:
    """A published layout.

    Attributes:
        format: Makes the format for width and height of the input.
        default_side: Width and height where the file leaves them free.
        outputs: The names of the outputs that it reads, in order; None where the file does not have this layout.
        layers: A part of the names of layers that only these networks have, for layouts that others share.
    """

    format: Callable[[tuple[int, int]], DetectorFormat]
    default_side: int
    outputs: Callable[[Backend], list[str] | None]
    layers: bytes = b""


def _has_shape(spec: TensorSpec | None, rank: int, last: int | None = None) -> bool:
    return spec is not None and len(spec.shape) == rank and (last is None or spec.shape[-1] in (None, last))


def _yolox_outputs(backend: Backend) -> list[str] | None:
    height, width = backend.input.shape[2:]
    rows = len(YoloxFormat((width or 416, height or 416)).grid()[0])
    (first, *others), shape = backend.outputs, backend.outputs[0].shape
    fits = not others and len(shape) == 3 and shape[1] == rows and (shape[2] or 0) > 5
    return [first.name] if fits else None


def _end_to_end_outputs(backend: Backend) -> list[str] | None:
    named = {spec.name: spec for spec in backend.outputs}
    fits = _has_shape(named.get("dets"), 3, 5) and _has_shape(named.get("labels"), 2)
    return ["dets", "labels"] if fits else None


def _rfdetr_outputs(backend: Backend) -> list[str] | None:
    named = {spec.name: spec for spec in backend.outputs}
    fits = _has_shape(named.get("dets"), 3, 4) and _has_shape(named.get("labels"), 3)
    return ["dets", "labels"] if fits else None


def _dfine_outputs(backend: Backend) -> list[str] | None:
    names = ["labels", "boxes", "scores"]
    has_size = [spec.name for spec in backend.inputs if spec is not backend.input] == ["orig_target_sizes"]
    return names if has_size and set(names) <= {spec.name for spec in backend.outputs} else None


def _picodet_outputs(backend: Backend) -> list[str] | None:
    has_scale = [spec.name for spec in backend.inputs if spec is not backend.input] == ["scale_factor"]
    rows = [spec.name for spec in backend.outputs if _has_shape(spec, 2, 6)]
    counts = [spec.name for spec in backend.outputs if _has_shape(spec, 1)]
    return [*rows, *counts] if has_scale and len(rows) == len(counts) == 1 else None


LAYOUTS = {
    "yolox": _Layout(YoloxFormat, 416, _yolox_outputs),
    "yolox-end2end": _Layout(YoloxEndToEndFormat, 640, _end_to_end_outputs, b"bbox_head.multi_level"),
    "rtmdet": _Layout(RtmdetFormat, 320, _end_to_end_outputs, b"bbox_head.rtm_"),
    "picodet": _Layout(PicodetFormat, 320, _picodet_outputs),
    "d-fine": _Layout(DfineFormat, 640, _dfine_outputs),
    "rf-detr": _Layout(RfdetrFormat, 560, _rfdetr_outputs),
}


def recognise_format(
    backend: Backend, config: DetectorConfig | None, path: Path, layout: str | None = None
) -> tuple[DetectorFormat, list[str]]:
    """Recognises the format of a detector.

    Args:
        backend: The opened network.
        config: The configuration of a detector of this package, None for others.
        path: The file, whose layers' names tell apart what inputs and outputs do not.
        layout: One of LAYOUTS where the user names it.

    Returns:
        The format, and the names of the outputs in the order in which it reads them.

    Raises:
        WeightsError: It is no known format, not the one that is named, or could be several.
    """
    given, names = backend.input, {output.name for output in backend.outputs}
    if layout is not None and layout not in LAYOUTS:
        raise WeightsError(f"{path}: no detector layout {layout!r}; there are {', '.join(LAYOUTS)}")
    if config is not None and given.dtype == "uint8" and {"boxes_xyxy", "scores"} <= names:
        if layout is not None:
            raise WeightsError(f"{path}: a detector of this package; leave out --detector-layout {layout}")
        return RsgnetFormat(config.size_wh, config.nms_threshold), ["boxes_xyxy", "scores"]
    takes_images = given.dtype == "float32" and len(given.shape) == 4 and given.shape[1] in (None, 3)
    fitting = {name: found for name, each in LAYOUTS.items() if takes_images and (found := each.outputs(backend))}
    if layout is not None and layout in fitting:
        return _make(layout, fitting[layout], backend)
    if layout is None and len(fitting) > 1:
        marked = [name for name in fitting if LAYOUTS[name].layers and _contains(path, LAYOUTS[name].layers)]
        if len(marked) != 1:
            choices = " or ".join(f"--detector-layout {name}" for name in fitting)
            raise WeightsError(
                f"{path}: could be {' or '.join(fitting)}, which are fed differently; say which: {choices}"
            )
        fitting = {marked[0]: fitting[marked[0]]}
    if layout is None and len(fitting) == 1:
        ((name, outputs),) = fitting.items()
        return _make(name, outputs, backend)
    inputs = ", ".join(f"{spec.name} {spec.dtype} {spec.shape}" for spec in backend.inputs)
    outputs_text = ", ".join(f"{spec.name} {spec.shape}" for spec in backend.outputs)
    expected = f"the layout {layout}" if layout else f"a detector of a known format: expected {_EXPECTED}"
    raise WeightsError(f"{path}: not {expected}; it takes {inputs} and gives {outputs_text}")


_EXPECTED = (
    "YOLOX (one raw grid output, or `dets` and `labels`), RTMDet (`dets`, `labels`), PicoDet (with `scale_factor`), "
    "D-FINE or RT-DETR (with `orig_target_sizes`), RF-DETR (`dets`, `labels` of logits), or one of this package (uint8 "
    "in; `boxes_xyxy`, `scores`)"
)


def _make(name: str, outputs: list[str], backend: Backend) -> tuple[DetectorFormat, list[str]]:
    layout = LAYOUTS[name]
    height, width = backend.input.shape[2:]
    return layout.format((width or layout.default_side, height or layout.default_side)), outputs


def _contains(path: Path, part: bytes) -> bool:
    """Returns whether a file has some bytes."""
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if part in tail + chunk:
                return True
            tail = chunk[-len(part) :]
    return False
