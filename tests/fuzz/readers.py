"""The functions that are fuzzed: each takes bytes and may raise no errors but the documented ones."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rsgnet.annotations.readers import read_annotations
from rsgnet.config_files import parse_network_config
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.results import read_box_results, read_keypoint_results
from rsgnet.evaluation.tracking_metrics import read_clips
from rsgnet.images import decode_image
from rsgnet.skeletons import read_skeleton

_FOLDER = Path(tempfile.mkdtemp(prefix="rsgnet-fuzz-"))
_SUFFIXES = (".json", ".xml", ".csv", ".yaml", ".toml")


def image(content: bytes) -> None:
    with suppress(RSGNetError):
        decode_image(content, "a", 1_000_000)


def labels(content: bytes) -> None:
    """The first byte selects the format."""
    if not content:
        return
    path = _FOLDER / f"labels{_SUFFIXES[content[0] % len(_SUFFIXES)]}"
    path.write_bytes(content[1:])
    with suppress(RSGNetError):
        read_skeleton(path) if path.suffix == ".toml" else read_annotations(path)


def results(content: bytes) -> None:
    from tests.fuzz.seeds import truth_file

    path, truth = _FOLDER / "results.json", truth_file(_FOLDER)
    path.write_bytes(content)
    for read in (read_keypoint_results, read_box_results):
        with suppress(RSGNetError):
            read(path, read_annotations(truth))
    with suppress(RSGNetError):
        read_clips(path, truth)
    with suppress(RSGNetError):
        read_clips(truth, path)


def weights(content: bytes) -> None:
    """A config up to the first null byte, followed by a safetensors file."""
    from rsgnet.checkpoint import read_state_dict

    config, _, tensors = content.partition(b"\0")
    path = _FOLDER / "weights.safetensors"
    path.write_bytes(tensors)
    with suppress(RSGNetError):
        parse_network_config(config, "config.json")
    with suppress(RSGNetError):
        read_state_dict(path)


def upload(content: bytes) -> None:
    """The first line is the end of the content type; the rest is the body, sent in two parts."""
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

    from rsgnet.server.limits import Limits
    from rsgnet.server.uploads import read_images

    kind, _, body = content.partition(b"\n")
    half = len(body) // 2
    parts = [{"type": "http.request", "body": body[:half], "more_body": True},
             {"type": "http.request", "body": body[half:], "more_body": False}]  # fmt: skip

    async def receive() -> Any:
        return parts.pop(0)

    headers = [(b"content-type", b"multipart/form-data;" + kind)]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers, "app": None}
    with suppress(RSGNetError, HTTPException):
        asyncio.run(read_images(Request(scope, receive), Limits(), lambda count: None))


READERS: dict[str, Callable[[bytes], None]] = {
    "image": image,
    "labels": labels,
    "results": results,
    "weights": weights,
    "upload": upload,
}
