"""Networks compiled for the batch sizes that are used most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Compiled = TypeVar("Compiled")
_USES_UNTIL_FIXED, _MAX_FIXED_BATCHES = 50, 2


class FixedBatches(Generic[Compiled]):
    """Networks compiled for one batch size each, which run faster than one for any size.

    Compiling one takes as long as some fifty runs save, so that only sizes that are used that often get their own.

    Args:
        compile: Compiles the network for a batch size; None where no network can be compiled so.
    """

    def __init__(self, compile: Callable[[int], Compiled] | None) -> None:
        self._compile = compile
        self._networks: dict[int, Compiled] = {}
        self._uses: Counter[int] = Counter()
        self._lock = Lock()

    def find(self, size: int) -> Compiled | None:
        """Returns the network for a batch size that is about to be run, None where it has none of its own (yet)."""
        network = self._networks.get(size)
        if network is not None or self._compile is None or size == 0:
            return network
        with self._lock:
            self._uses[size] += 1
            is_due = self._uses[size] >= _USES_UNTIL_FIXED and len(self._networks) < _MAX_FIXED_BATCHES
            if is_due and size not in self._networks and self._compile is not None:
                try:
                    self._networks[size] = self._compile(size)
                except Exception:  # the libraries' own classes; such a network runs at any size only
                    self._compile = None
            return self._networks.get(size)
