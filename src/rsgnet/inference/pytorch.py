"""What the parts that run in PyTorch ask of the installation and the machine."""

from __future__ import annotations

from rsgnet.errors import RSGNetError
from rsgnet.inference.session import check_device


def pytorch_device(device: str) -> str:
    """The device in PyTorch's words: "cuda" for "auto" where there is one.

    Raises:
        RSGNetError: There is no such device here.
    """
    import torch  # noqa: PLC0415

    check_device(device)
    found = torch.cuda.is_available()
    if device == "cuda" and not found:
        raise RSGNetError("device cuda asked for, but PyTorch sees no GPU; use --device cpu")
    return "cuda" if device != "cpu" and found else "cpu"
