"""The libraries that run networks: which there are, in which precisions, and opening a file in one of them."""

from __future__ import annotations

from pathlib import Path

from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.inference.session import Session, check_device
from rsgnet.inference.session_onnx import OnnxSession
from rsgnet.inference.session_openvino import OpenVinoSession

PRECISIONS: dict[str, tuple[str, ...]] = {
    "onnx": ("float32",),
    "torch": ("float32", "bf16"),
    "openvino": ("float32", "bf16", "int8"),
}


def check_backend(backend: str, device: str, precision: str) -> None:
    """Refuses what no network can be run with.

    Raises:
        RSGNetError: There is no such back end or device, or the back end has no such precision.
    """
    if backend not in PRECISIONS:
        raise RSGNetError(f"backend must be one of {', '.join(PRECISIONS)}, not {backend!r}")
    if precision not in PRECISIONS[backend]:
        able = " or ".join(name for name, known in PRECISIONS.items() if precision in known)
        hint = f"; use --backend {able}" if able else ""
        has = " or ".join(PRECISIONS[backend])
        raise RSGNetError(f"backend {backend} has precision {has}, not {precision!r}{hint}")
    check_device(device)


def open_session(path: Path, device: str = "auto", backend: str = "onnx", precision: str = "float32") -> Session:
    """Opens a network file.

    Args:
        path: An .onnx file, or for OpenVINO an .xml file.
        device: "auto", "cpu" or "cuda".
        backend: "onnx" (ONNX Runtime) or "openvino".
        precision: One that the back end has.

    Raises:
        WeightsError: The file is missing, truncated or of another kind.
        RSGNetError: There is no such device or precision here, or the library is not installed.
    """
    check_backend(backend, device, precision)
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; `rsgnet export` writes it")
    if backend == "openvino":
        return OpenVinoSession(path, device, precision)
    if path.suffix.lower() == ".xml":
        raise WeightsError(f"{path}: a file of OpenVINO's; use --backend openvino")
    return OnnxSession(path, device)
