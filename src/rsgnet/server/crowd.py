"""Drawn crowds for the page: one at a time, the last few remembered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from threading import Lock

from PIL import Image

from rsgnet.crowds.simulator.crowd import rendered_crowd
from rsgnet.server.worker import Busy

HIGHEST_CROWD_INDEX = 1.2
_REMEMBERED = 16
_RETRY_AFTER_S = 3


@dataclass(frozen=True)
class DrawnCrowd:
    """A crowd, ready to be sent.

    Attributes:
        png: The image.
        truth: Its annotations, a COCO file.
    """

    png: bytes
    truth: bytes


class CrowdPainter:
    """Draws crowds, one at a time: whoever comes meanwhile is turned away, as the network needs the processor."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._drawn = lru_cache(_REMEMBERED)(_draw)

    def __call__(self, crowd_index: float, seed: int) -> DrawnCrowd:
        """The crowd of that crowd index, to 0.05, and seed.

        Raises:
            Busy: Another is being drawn.
            RSGNetError: No crowd has that index.
        """
        if not self._lock.acquire(timeout=_RETRY_AFTER_S):
            raise Busy("another crowd is being drawn; try again", _RETRY_AFTER_S)
        try:
            return self._drawn(crowd_index, seed)
        finally:
            self._lock.release()


def _draw(crowd_index: float, seed: int) -> DrawnCrowd:
    scene = rendered_crowd(seed, crowd_index)
    file = BytesIO()
    Image.fromarray(scene.image).save(file, "png")
    return DrawnCrowd(file.getvalue(), json.dumps(scene.annotations).encode())
