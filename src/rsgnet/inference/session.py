"""Networks in files, opened to be run: one contract for whichever library runs them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from rsgnet.errors import RSGNetError

DEVICES = ("auto", "cpu", "cuda")
_MOST_THREADS = 16


@dataclass(frozen=True)
class Port:
    """An input or output of a network.

    Attributes:
        name: What the file calls it.
        kind: The type of its numbers, as numpy names it: "uint8", "float32".
        shape: Its dimensions, None for those that are free.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]


class Session(Protocol):
    """A network in a file, ready to run; several threads may share it.

    Attributes:
        input: Its first input.
        outputs: All of its outputs.
        metadata: What the file carries beside the network, by the names of `rsgnet.config`.
    """

    input: Port
    outputs: tuple[Port, ...]
    metadata: Mapping[str, str]

    def run(self, names: Sequence[str], tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """The outputs of those names for an input."""
        ...


def check_device(device: str) -> None:
    """Refuses what is no device.

    Raises:
        RSGNetError: It is none of DEVICES.
    """
    if device not in DEVICES:
        raise RSGNetError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")


def allowed_threads() -> int:
    """How many threads a session may use: OMP_NUM_THREADS, else the cores of this process, 16 at most."""
    wish = os.environ.get("OMP_NUM_THREADS", "")
    if wish.isdecimal() and int(wish) > 0:
        return int(wish)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, _MOST_THREADS)
