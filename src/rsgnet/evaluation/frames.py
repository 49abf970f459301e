"""The lines of a poses.jsonl, one a frame of a clip."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rsgnet.bounded import regular_size
from rsgnet.errors import AnnotationError

FRAMES_SUFFIX = ".jsonl"
BROKEN = (KeyError, TypeError, ValueError, OverflowError, AttributeError, RecursionError)  # what odd content raises
_LONGEST_LINE = 1 << 26  # bytes: of a frame with 100,000 people
Told = TypeVar("Told")


def read_frames(path: Path, read: Callable[[Any], Told]) -> list[Told]:
    """What a function makes of each line's content.

    Raises:
        AnnotationError: The file cannot be read; or a line is no JSON, too long, or not what the function asks for: it
            raises one of BROKEN.
    """
    told: list[Told] = []
    try:
        regular_size(path)
        with path.open("rb") as lines:
            while line := lines.readline(_LONGEST_LINE):
                if len(line) == _LONGEST_LINE:
                    raise ValueError(f"over {_LONGEST_LINE} bytes")
                told.append(read(json.loads(line)))
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    except BROKEN as error:
        raise AnnotationError(f"{path}: line {len(told) + 1} is none of a poses.jsonl ({error!r})") from error
    return told
