"""Opening ONNX files in ONNX Runtime: which device, how many threads, what a broken file says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import onnxruntime

from rsgnet.config import ONNX_CONFIG_PROPERTY, ONNX_OWNERSHIP_PROPERTY
from rsgnet.errors import RSGNetError, WeightsError

Session = Any  # onnxruntime.InferenceSession: the library carries no types
DEVICES = ("auto", "cpu", "cuda")


def open_session(path: Path, device: str = "auto") -> Session:
    """Opens an ONNX file on a device, with as many threads as this process may use.

    Raises:
        WeightsError: The file is missing, truncated or not ONNX.
        RSGNetError: There is no such device here.
    """
    check_device(device)
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    options.log_severity_level = 3  # errors only: they are raised anyway
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=_providers(device))
    except RSGNetError:
        raise
    except Exception as error:  # ONNX Runtime's own classes derive from nothing narrower
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{path}: not an ONNX network that can be read ({reason}); is it truncated?") from error
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise RSGNetError("device cuda asked for, but ONNX Runtime could not start it; use --device cpu")
    return session


def embedded_config(session: Session) -> str | None:
    """The config that an ONNX file carries, None where it carries none."""
    return _embedded(session, ONNX_CONFIG_PROPERTY)


def embedded_ownership(session: Session) -> str | None:
    """The ownership fit that an ONNX file carries, None where it carries none."""
    return _embedded(session, ONNX_OWNERSHIP_PROPERTY)


def _embedded(session: Session, name: str) -> str | None:
    text: str | None = session.get_modelmeta().custom_metadata_map.get(name)
    return text


def check_device(device: str) -> None:
    """Refuses what is no device.

    Raises:
        RSGNetError: It is none of DEVICES.
    """
    if device not in DEVICES:
        raise RSGNetError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")


def _providers(device: str) -> list[str]:
    cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not cuda:
        raise RSGNetError("device cuda asked for, but this ONNX Runtime has none: pip install onnxruntime-gpu")
    return ["CUDAExecutionProvider", "CPUExecutionProvider"] if cuda and device != "cpu" else ["CPUExecutionProvider"]


def _threads() -> int:
    wish = os.environ.get("OMP_NUM_THREADS", "")
    if wish.isdecimal() and int(wish) > 0:
        return int(wish)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, 16)
