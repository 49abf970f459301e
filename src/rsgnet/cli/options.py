"""Options that several commands share, and what they ask of the installation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from rsgnet.errors import RSGNetError

Weights = Annotated[str, typer.Option(help="A shipped name, a model directory, or an .onnx file.", metavar="NAME|PATH")]
Out = Annotated[Path, typer.Option(help="Folder to write into; made if it is missing.", metavar="DIR")]
Flip = Annotated[
    bool | None, typer.Option("--flip/--no-flip", help="Average with the mirrored crop; default: as the weights say.")
]
Backend = Annotated[str, typer.Option(help="onnx (ONNX Runtime) or torch (PyTorch).")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Crops in one run of the network.")]
MaxPixels = Annotated[int, typer.Option(min=1, help="Pictures with more pixels than this are refused.")]


@contextmanager
def needing_the_train_extra() -> Iterator[None]:
    """Names the extra to install where a library is missing."""
    try:
        yield
    except ImportError as error:
        raise RSGNetError(f"this needs {error.name or 'PyTorch'}: pip install 'rsgnet[train]'") from error
