"""The lines of a poses.jsonl, one a frame of a clip."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rsgnet.errors import AnnotationError

FRAMES_SUFFIX = ".jsonl"
Told = TypeVar("Told")


def read_frames(path: Path, read: Callable[[Any], Told]) -> list[Told]:
    """What a function makes of each line's content.

    Raises:
        AnnotationError: The file cannot be read; or a line is no JSON, or not what the function asks for: it raises
            KeyError, TypeError or ValueError.
    """
    told: list[Told] = []
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                told.append(read(json.loads(line)))
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(f"{path}: line {len(told) + 1} is none of a poses.jsonl ({error!r})") from error
    return told
