"""Hostile cases, and the variants of a valid file that are damaged in ways determined by a seed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Sparse:
    """A file of some bytes followed by zeros, with a huge size and hardly any blocks on the disk."""

    start: bytes
    size: int


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True)
class Pipe:
    """A named pipe that nobody writes to."""


Content = bytes | Sparse | Link | Pipe


@dataclass(frozen=True)
class Case:
    """A hostile input for a reader.

    Attributes:
        name: Its category and what is wrong with it: "images/png cut in half".
        reader: A key of `readers.READERS`.
        target: The file or folder that the reader is given, relative to the case's own folder.
        files: The files in that folder; no other case uses it.
        refused: Whether the reader must refuse it; otherwise it may also read it.
        named: What messages may name besides the case's files.
    """

    name: str
    reader: str
    target: str
    files: Mapping[str, Content] = field(repr=False)
    refused: bool = True
    named: tuple[str, ...] = ()

    def write(self, folder: Path) -> Path:
        """Writes the files into a folder and returns the path of the target."""
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


def file_case(
    category: str,
    reader: str,
    name: str,
    fault: str,
    content: Content,
    refused: bool = True,
    named: tuple[str, ...] = (),
) -> Case:
    """Returns a case of one file; its name is the category and the fault."""
    return Case(f"{category}/{fault}", reader, name, {name: content}, refused, named)


def damage(valid: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yields damaged variants of a valid file: the fault, and the bytes."""
    size = len(valid)
    yield "cut to its head", valid[: min(24, size // 2)]
    yield "cut in half", valid[: size // 2]
    yield "its end cut", valid[: -max(4, size // 50)]
    flipped = np.frombuffer(valid, np.uint8).copy()
    flipped[rng.integers(0, size, max(4, size // 64))] ^= rng.integers(1, 256, max(4, size // 64), np.uint8)
    yield "flipped bytes", flipped.tobytes()
    head = np.frombuffer(valid, np.uint8).copy()
    head[rng.integers(4, min(64, size), 6)] = 0xFF
    yield "a head of huge numbers", head.tobytes()
    start = int(rng.integers(8, size // 2))
    yield "zeros in it", valid[:start] + bytes(size // 4) + valid[start + size // 4 :]
    yield "a part twice", valid[: size // 2] + valid[size // 4 :]


def special_files(start: bytes = b"") -> Iterator[tuple[str, Content]]:
    """Yields files that never end or are huge, which begin with some bytes: the fault, and the content."""
    yield "a named pipe", Pipe()
    yield "a link to endless zeros", Link("/dev/zero")
    yield "of 4 GB", Sparse(start, 4 << 30)
