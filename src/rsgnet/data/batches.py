"""Batches of samples, the seeded order in which samples are drawn, and a cache of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch.utils.data import Sampler
from typing_extensions import Self

from rsgnet.geometry import Floats
from rsgnet.images import RGBImage, read_image


class TensorRecord:
    """Base class of dataclasses whose fields are all tensors."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def to(self, device: torch.device) -> Self:
        """Returns the record on another device."""
        return type(self)(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    @classmethod
    def stack(cls, records: Sequence[Self]) -> Self:
        """Returns a batch: every field stacked along a new first dimension."""
        return cls(
            **{field.name: torch.stack([getattr(record, field.name) for record in records]) for field in fields(cls)}
        )


class Draw(NamedTuple):
    """A draw from a data set: the index of the entry, and the seed of its augmentation."""

    entry: int
    seed: int


class SeededDraws(Sampler[Draw]):
    """Random draws that depend only on the seed and the epoch, so that a resumed run draws what it would have drawn.

    Args:
        weights: (N,) how often each entry is drawn relative to the others.
        count: Draws in an epoch, of all processes together.
        seed: The run's seed.
        rank: Index of this process.
        world: Number of processes that share the epoch.
    """

    def __init__(self, weights: Floats, count: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self._shares = weights / weights.sum()
        self._count = count
        self._seed = seed
        self._rank, self._world = rank, world
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch; the Trainer calls this."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._count // self._world

    def __iter__(self) -> Iterator[Draw]:
        random = np.random.default_rng((self._seed, self._epoch))
        # Systematic sampling: the number of draws of an entry differs from its expectation by less than one.
        steps = (np.arange(self._count) + random.random()) / self._count
        indices = np.searchsorted(np.cumsum(self._shares), steps, side="right").clip(max=len(self._shares) - 1)
        random.shuffle(indices)
        seeds = random.integers(0, 2**31, self._count)
        of_process = slice(self._rank, len(self) * self._world, self._world)
        for index, seed in zip(indices[of_process], seeds[of_process], strict=True):
            yield Draw(int(index), int(seed))


class ImageCache:
    """A cache of decoded images.

    Args:
        max_bytes: Limit of the cache. Images that do not fit are decoded at each read.
    """

    def __init__(self, max_bytes: int = 2 << 30) -> None:
        self._images: dict[Path, RGBImage] = {}
        self._bytes_left = max_bytes

    def read(self, path: Path) -> RGBImage:
        """Returns the (H, W, 3) RGB image of a file."""
        if path in self._images:
            return self._images[path]
        image = read_image(path)
        if image.nbytes <= self._bytes_left:
            self._images[path] = image
            self._bytes_left -= image.nbytes
        return image
