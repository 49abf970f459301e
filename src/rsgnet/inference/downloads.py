"""Images that are named by an address: https://..., fetched when they are read."""

from __future__ import annotations

from http.client import HTTPException
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from rsgnet.errors import ImageError

MAX_DOWNLOAD_BYTES = 200_000_000
_TIMEOUT_S = 30
_SCHEMES = ("http", "https")


def is_url(source: object) -> bool:
    """Returns whether a source is the http or https address of an image."""
    return isinstance(source, str) and source.partition("://")[0].lower() in _SCHEMES and "://" in source


def name_in_url(url: str) -> str:
    """Returns the file name at the end of an address's path, for results; the host's name where there is none."""
    parts = urlsplit(url)
    return PurePosixPath(unquote(parts.path)).name or parts.hostname or "image"


def download_image(url: str) -> bytes:
    """Returns the content of a file at an http or https address.

    Raises:
        ImageError: The server cannot be reached, refuses, or sends more than MAX_DOWNLOAD_BYTES.
    """
    try:
        request = Request(url, headers={"User-Agent": "rsgnet"})
        with urlopen(request, timeout=_TIMEOUT_S) as answer:
            content: bytes = answer.read(MAX_DOWNLOAD_BYTES + 1)
    except (OSError, ValueError, HTTPException) as error:
        raise ImageError(f"{url}: cannot be fetched ({getattr(error, 'reason', None) or error})") from error
    if len(content) > MAX_DOWNLOAD_BYTES:
        raise ImageError(f"{url}: larger than {MAX_DOWNLOAD_BYTES / 1e6:.0f} MB; fetch it yourself and name the file")
    return content
