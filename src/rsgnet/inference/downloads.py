"""Images that are named by an address: https://..., fetched when they are read."""

from __future__ import annotations

import time
from http.client import HTTPException
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from rsgnet.errors import ImageError

MAX_DOWNLOAD_BYTES = 200_000_000
_TIMEOUT_S = 30  # without an answer
_MAX_SECONDS = 300.0  # for the whole file, as a server may send a byte now and then
_CHUNK_BYTES = 1 << 20
_SCHEMES = ("http", "https")


def is_url(source: object) -> bool:
    """Returns whether a source is the http or https address of an image."""
    return isinstance(source, str) and source.partition("://")[0].lower() in _SCHEMES and "://" in source


def name_in_url(url: str) -> str:
    """Returns the file name at the end of an address's path, for results; the host's name where there is none."""
    parts = urlsplit(url)
    name = PurePosixPath(unquote(parts.path)).name
    return name if name not in ("", "..") and "\0" not in name else parts.hostname or "image"


def download_image(url: str) -> bytes:
    """Returns the content of a file at an http or https address.

    Raises:
        ImageError: The server cannot be reached, refuses, is too slow, or sends more than MAX_DOWNLOAD_BYTES.
    """
    content, end_s = bytearray(), time.monotonic() + _MAX_SECONDS
    try:
        request = Request(url, headers={"User-Agent": "rsgnet"})
        with urlopen(request, timeout=_TIMEOUT_S) as answer:
            while len(content) <= MAX_DOWNLOAD_BYTES and (chunk := answer.read1(_CHUNK_BYTES)):
                content += chunk
                if time.monotonic() > end_s:
                    raise TimeoutError(f"takes longer than {_MAX_SECONDS:.0f} s")
            if answer.length and len(content) <= MAX_DOWNLOAD_BYTES:
                raise OSError(f"{answer.length} bytes are missing")
    except (OSError, ValueError, HTTPException) as error:
        raise ImageError(f"{url}: cannot be fetched ({getattr(error, 'reason', None) or error})") from error
    if len(content) > MAX_DOWNLOAD_BYTES:
        raise ImageError(f"{url}: larger than {MAX_DOWNLOAD_BYTES / 1e6:.0f} MB; fetch it yourself and name the file")
    return bytes(content)
