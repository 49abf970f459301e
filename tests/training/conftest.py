"""The labels that training runs read."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsgnet.crowds.data_sets import write_crowds


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The annotation file of two drawn images with eight people or more."""
    return write_crowds(tmp_path_factory.mktemp("crowd"), scenes=2, seed=0, crowd_index=(0.8, 1.0))
