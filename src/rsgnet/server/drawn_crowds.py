"""Drawn crowds for the page: rendered one at a time, the last ones cached."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from rsgnet.crowds.simulator.crowd import render_crowd
from rsgnet.server.worker import BusyError

HIGHEST_CROWD_INDEX = 1.2
_CACHED_CROWDS = 16
_MAX_UNFINISHED = 2  # one that is rendered, one that waits
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

    It has a thread of its own; further requests are refused at once, so that they hold up nothing else.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rsgnet-crowd")
        self._crowds: OrderedDict[tuple[float, int], Future[DrawnCrowd]] = OrderedDict()  # used last: at the end

    async def __call__(self, crowd_index: float, seed: int) -> DrawnCrowd:
        """Returns the crowd with this crowd index (met to 0.05) and seed.

        Raises:
            BusyError: Other crowds are being drawn.
            RSGNetError: No crowd has that index.
        """
        key = (crowd_index, seed)
        crowd = self._crowds.pop(key, None)
        if crowd is None or (crowd.done() and crowd.exception()):
            if sum(not each.done() for each in self._crowds.values()) >= _MAX_UNFINISHED:
                raise BusyError("other crowds are being drawn; try again", _RETRY_AFTER_S)
            crowd = self._thread.submit(_render, crowd_index, seed)
        self._crowds[key] = crowd
        if len(self._crowds) > _CACHED_CROWDS:
            self._crowds.popitem(last=False)
        return await asyncio.shield(asyncio.wrap_future(crowd))  # others may wait for it after this client hung up


def _render(crowd_index: float, seed: int) -> DrawnCrowd:
    scene = render_crowd(seed, crowd_index)
    file = BytesIO()
    Image.fromarray(scene.image).save(file, "png")
    return DrawnCrowd(file.getvalue(), json.dumps(scene.annotations).encode())
