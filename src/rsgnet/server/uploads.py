"""What a client sends becomes images: counted while it comes in, so that no more is kept than is allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from fastapi import HTTPException, Request
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.types import Message, Receive

from rsgnet.errors import RSGNetError
from rsgnet.geometry import xywh_to_xyxy
from rsgnet.inference.detectors.boxes import Boxes
from rsgnet.inference.sources import SentImage
from rsgnet.server.limits import Limits
from rsgnet.server.worker import Busy

BOXES_FIELD = "boxes"
_RETRY_AFTER_S = 5
_BOXES = TypeAdapter(list[list[tuple[float, float, float, float]] | None])

# What FastAPI cannot see, as the form is read by hand.
FORM_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["images"],
                    "properties": {
                        "images": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "JPEG, PNG, WebP, GIF, BMP, TIFF or PPM files.",
                        },
                        BOXES_FIELD: {
                            "type": "string",
                            "description": "Boxes of your own, as JSON: for each image a list of [left, top, width, "
                            "height], or null where people are to be found.",
                        },
                    },
                }
            }
        },
    }
}


class Held:
    """Counts the bytes of all requests that are coming in or wait, so that many of them together fit, too.

    Args:
        most: How many there may be.
    """

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0

    @contextmanager
    def request(self) -> Iterator[Callable[[int], None]]:
        """Yields what is told of each part of a request that comes in; forgets them all once the block is left.

        Raises:
            Busy: By the function that is yielded: there is no room for that part.
        """
        own = 0

        def take(count: int) -> None:
            nonlocal own
            if self._held + count > self._most:
                raise Busy("too much is being sent at once; try again later", _RETRY_AFTER_S)
            own += count
            self._held += count

        try:
            yield take
        finally:
            self._held -= own


async def read_images(request: Request, limits: Limits, take: Callable[[int], None]) -> list[SentImage]:
    """The images of a request's form, whatever the fields of the files are called.

    Args:
        request: Its body has not been read.
        limits: How many images and bytes it may hold, and people where it brings boxes.
        take: Told of the number of bytes of each part, before the next is asked for.

    Raises:
        HTTPException: It is too large (413), no form (415), a broken one or one of too many files (400).
        Busy: There is no room for it among the others.
        RSGNetError: There is no image in it, or its boxes do not fit.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "multipart/form-data":
        raise HTTPException(415, "send images as multipart/form-data: curl -F images=@photo.jpg URL")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.request_bytes:
        raise _too_large(limits)
    counted = Request(request.scope, _counted(request.receive, limits, take))
    async with counted.form(max_files=limits.images, max_fields=1) as form:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise RSGNetError("the form holds no image: curl -F images=@photo.jpg URL")
        boxes = _read_boxes(form, len(files), limits.people)
        return [
            SentImage(await file.read(), file.filename or f"image {number}", own)
            for number, (file, own) in enumerate(zip(files, boxes, strict=True), 1)
        ]


def _too_large(limits: Limits) -> HTTPException:
    return HTTPException(
        413, f"the request is over the limit of {limits.request_bytes} bytes; send fewer or smaller images"
    )


def _counted(receive: Receive, limits: Limits, take: Callable[[int], None]) -> Receive:
    """Receives until there is too much."""
    total = 0

    async def more() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limits.request_bytes:
            raise _too_large(limits)
        take(len(message.get("body", b"")))
        return message

    return more


def _read_boxes(form: FormData, images: int, people: int) -> list[Boxes | None]:
    text = form.get(BOXES_FIELD)
    if not isinstance(text, str):
        return [None] * images
    try:
        given = _BOXES.validate_json(text)
    except ValidationError as error:
        raise RSGNetError(
            f"{BOXES_FIELD}: expected JSON, for each image a list of [left, top, width, height] or null "
            f"({error.errors()[0]['msg']})"
        ) from error
    if len(given) != images:
        raise RSGNetError(f"{BOXES_FIELD}: of {len(given)} images, but there are {images}")
    if any(len(own or ()) > people for own in given):
        raise RSGNetError(f"{BOXES_FIELD}: more than the limit of {people} people in an image")
    return [own if own is None else _boxes(own) for own in given]


def _boxes(boxes_xywh: list[tuple[float, float, float, float]]) -> Boxes:
    return Boxes(xywh_to_xyxy(np.reshape(boxes_xywh, (-1, 4))), np.ones(len(boxes_xywh)))
