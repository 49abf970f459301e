"""The outcome of a scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """One row of the table.

    Attributes:
        description: What the scenario broke, and how the results were checked.
        times: How often.
        lost: What was lost, "" for nothing.
    """

    description: str
    times: int
    lost: str


# Takes a folder of its own, and whether to run the short form.
Scenario = Callable[[Path, bool], Outcome]
