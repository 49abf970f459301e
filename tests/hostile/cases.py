"""What a hostile case is, and how a whole file is broken in ways that come out the same from the same seed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Sparse:
    """A file that claims to be huge and takes no room on the disk: some bytes, then zeros."""

    start: bytes
    size: int


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True)
class Pipe:
    """A named pipe, which nobody ever writes to."""


Content = bytes | Sparse | Link | Pipe


@dataclass(frozen=True)
class Case:
    """One thing that somebody may give to a reader.

    Attributes:
        name: Its category and what is wrong with it: "images/png cut in half".
        reader: A key of `readers.READERS`.
        target: The file or folder that the reader is given, below the case's own folder.
        files: What lies in that folder; no other case sees it.
        refused: Whether the reader must refuse it; else it may make of it what it can.
        named: What else than its own files messages may name.
    """

    name: str
    reader: str
    target: str
    files: Mapping[str, Content] = field(repr=False)
    refused: bool = True
    named: tuple[str, ...] = ()

    def write(self, folder: Path) -> Path:
        """Lays the files out in a folder; gives the target's path."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, content)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / self.target


def _write(path: Path, content: Content) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, Link):
        path.symlink_to(content.target)
    elif isinstance(content, Pipe):
        os.mkfifo(path)
    else:
        with path.open("wb") as file:
            file.write(content.start)
            file.truncate(content.size)


def lone(
    category: str,
    reader: str,
    name: str,
    what: str,
    content: Content,
    refused: bool = True,
    named: tuple[str, ...] = (),
) -> Case:
    """A case of one file."""
    return Case(f"{category}/{what}", reader, name, {name: content}, refused, named)


def damaged(whole: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """A file cut, flipped, blanked, swollen and with its numbers made huge: what is wrong, and the bytes."""
    size = len(whole)
    yield "cut to its head", whole[: min(24, size // 2)]
    yield "cut in half", whole[: size // 2]
    yield "its end cut", whole[: -max(4, size // 50)]
    flipped = np.frombuffer(whole, np.uint8).copy()
    flipped[rng.integers(0, size, max(4, size // 64))] ^= rng.integers(1, 256, max(4, size // 64), np.uint8)
    yield "flipped bytes", flipped.tobytes()
    head = np.frombuffer(whole, np.uint8).copy()
    head[rng.integers(4, min(64, size), 6)] = 0xFF
    yield "a head of huge numbers", head.tobytes()
    place = int(rng.integers(8, size // 2))
    yield "a blank in it", whole[:place] + bytes(size // 4) + whole[place + size // 4 :]
    yield "a part twice", whole[: size // 2] + whole[size // 4 :]
