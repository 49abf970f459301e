"""What a scenario tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """One row of the table.

    Attributes:
        tried: What was done to what.
        times: How often.
        lost: What was lost by it, "" for nothing.
    """

    tried: str
    times: int
    lost: str


# Given a folder of its own, and whether it shall be short.
Scenario = Callable[[Path, bool], Outcome]
