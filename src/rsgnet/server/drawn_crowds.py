"""Drawn crowds for the page: rendered one at a time, the last ones cached."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from threading import Lock

from PIL import Image

from rsgnet.crowds.simulator.crowd import render_crowd
from rsgnet.server.worker import BusyError

HIGHEST_CROWD_INDEX = 1.2
_CACHED_CROWDS = 16
_RETRY_AFTER_S = 3


@dataclass(frozen=True)
class DrawnCrowd:
    """A drawn crowd, encoded for the response.

    Attributes:
        png: The image.
        truth: The annotations of the image, a COCO file.
    """

    png: bytes
    truth: bytes


class CrowdRenderer:
    """Draws crowds one at a time, because drawing takes processor time from the network.

    A request that waits for more than a few seconds is refused.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._cached_render = lru_cache(_CACHED_CROWDS)(_render)

    def __call__(self, crowd_index: float, seed: int) -> DrawnCrowd:
        """Returns the crowd with this crowd index (met to 0.05) and seed.

        Raises:
            BusyError: Another crowd is being drawn.
            RSGNetError: No crowd has that index.
        """
        if not self._lock.acquire(timeout=_RETRY_AFTER_S):
            raise BusyError("another crowd is being drawn; try again", _RETRY_AFTER_S)
        try:
            return self._cached_render(crowd_index, seed)
        finally:
            self._lock.release()


def _render(crowd_index: float, seed: int) -> DrawnCrowd:
    scene = render_crowd(seed, crowd_index)
    file = BytesIO()
    Image.fromarray(scene.image).save(file, "png")
    return DrawnCrowd(file.getvalue(), json.dumps(scene.annotations).encode())
