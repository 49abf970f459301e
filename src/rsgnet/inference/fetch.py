"""Fetching published network files: from a table of addresses, cached, checked by SHA-256, and continued if cut off."""

from __future__ import annotations

import http.client
import os
import shutil
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from rsgnet.config_files import validation_reasons
from rsgnet.errors import RSGNetError
from rsgnet.files import compute_sha256, read_toml
from rsgnet.inference.runtime.published_network import MAX_NETWORK_BYTES
from rsgnet.training_config import Strict

TABLE = Path(__file__).with_name("fetch_table.toml")
LICENCES = ("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause")
_TIMEOUT_S = 30
_CHUNK_BYTES = 1 << 18
_PARTIAL_CONTENT, _RANGE_NOT_SATISFIABLE = 206, 416


@dataclass(frozen=True)
class PublishedFile(Strict):
    """A network file on the internet.

    Attributes:
        address: Where it is, http or https.
        sha256: The SHA-256 of its content, in hexadecimal digits.
        bytes: Its size.
        licence: Its licence, one of LICENCES.
        training_data: The data that it was trained on and their terms, as its authors state them.
        score: Its accuracy, as published.
        use: The options of a command that uses it; {path} is where it lies.
        member: Where the address is a .zip that holds the file: the file's name in it, in whatever folder. `sha256` and
            `bytes` are the file's, not the archive's.

    Raises:
        RSGNetError: The address or the licence is of another kind, or a number is out of range.
    """

    address: str
    sha256: str
    bytes: int
    licence: str
    training_data: str
    score: str
    use: str
    member: str | None = None

    def __post_init__(self) -> None:
        if urlsplit(self.address).scheme not in ("http", "https") or not self.file_name:
            raise RSGNetError(f"address must be http(s)://.../FILE, not {self.address}")
        if self.licence not in LICENCES:
            raise RSGNetError(f"licence must be one of {', '.join(LICENCES)}, not {self.licence}")
        if not 0 < self.bytes <= MAX_NETWORK_BYTES or len(self.sha256) != 64:
            raise RSGNetError(f"expected 1 to {MAX_NETWORK_BYTES} bytes and 64 digits, not {self.bytes}, {self.sha256}")

    @property
    def file_name(self) -> str:
        """The last part of the address; where that is an archive, with the suffix of the file in it."""
        name = PurePosixPath(urlsplit(self.address).path)
        return name.name if self.member is None else name.stem + PurePosixPath(self.member).suffix


def read_table(path: Path = TABLE) -> dict[str, PublishedFile]:
    """Reads a table of published files.

    Raises:
        RSGNetError: The file is missing or broken.
    """
    try:
        return TypeAdapter(dict[str, PublishedFile]).validate_python(read_toml(path))
    except ValidationError as error:
        raise RSGNetError(f"{path}: not a table of published files: {validation_reasons(error)}") from error


def default_folder() -> Path:
    """Returns the folder that files are fetched into: rsgnet in XDG_CACHE_HOME, or in .cache of the home folder."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "rsgnet"


def fetch_file(file: PublishedFile, folder: Path, report: Callable[[int], None] = lambda _: None) -> Path:
    """Fetches a file, unless the folder holds it already.

    What a broken connection leaves is kept beside it and continued by the next call.

    Args:
        file: The file.
        folder: Where it goes.
        report: Called with the number of bytes that are there, now and then.

    Returns:
        Its path.

    Raises:
        RSGNetError: The address cannot be reached, the connection broke, or the content is another one, which is
            deleted.
    """
    path = folder / file.file_name
    if path.is_file() and path.stat().st_size == file.bytes and compute_sha256(path) == file.sha256:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    what = file.address if file.member is None else f"{file.member} of {file.address}"
    by_hand = f"or put {what} (SHA-256 {file.sha256}) at {path}"
    try:
        total = _download(file, partial, report)
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise RSGNetError(f"{file.address}: cannot be fetched ({reason}); run the command again, {by_hand}") from error
    size = partial.stat().st_size
    if size < total:
        raise RSGNetError(
            f"{file.address}: the connection broke after {size} of {total} bytes; run the command again to "
            f"continue, {by_hand}"
        )
    if file.member is not None:
        _unpack(partial, file)
    found = compute_sha256(partial)
    if found != file.sha256:
        partial.unlink()
        raise RSGNetError(f"{file.address}: its SHA-256 is {found}, not {file.sha256}: deleted; it is another file")
    partial.replace(path)
    return path


def _download(file: PublishedFile, partial: Path, report: Callable[[int], None]) -> int:
    """Appends to a partial file what is missing of it; starts over where the server cannot continue.

    Returns:
        The size of the whole file; of an archive, what the server says, or else 0.
    """
    start = partial.stat().st_size if partial.is_file() else 0
    if file.member is None and start >= file.bytes:
        return file.bytes
    request = urllib.request.Request(file.address, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != _RANGE_NOT_SATISFIABLE:
            raise
        partial.unlink()
        response = urllib.request.urlopen(file.address, timeout=_TIMEOUT_S)
    continues = response.status == _PARTIAL_CONTENT
    with response, partial.open("ab" if continues else "wb") as out:
        size = out.tell() if continues else 0
        total = file.bytes if file.member is None else size + (response.length or -size)
        while size <= min(total or MAX_NETWORK_BYTES, MAX_NETWORK_BYTES) and (chunk := response.read(_CHUNK_BYTES)):
            out.write(chunk)
            size += len(chunk)
            report(size)
    return total


def _unpack(archive: Path, file: PublishedFile) -> None:
    """Replaces an archive by the file in it.

    Raises:
        RSGNetError: It is no archive that holds the file and is deleted.
    """
    unpacked = archive.with_name(archive.name + ".member")
    try:
        with zipfile.ZipFile(archive) as opened:
            (member,) = (each for each in opened.infolist() if PurePosixPath(each.filename).name == file.member)
            if member.file_size != file.bytes:
                raise ValueError(f"{member.filename} has {member.file_size} bytes, not {file.bytes}")
            with opened.open(member) as source, unpacked.open("wb") as out:
                shutil.copyfileobj(source, out)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        archive.unlink()
        unpacked.unlink(missing_ok=True)
        raise RSGNetError(f"{file.address}: holds no {file.member} that can be read ({error}): deleted") from error
    unpacked.replace(archive)
