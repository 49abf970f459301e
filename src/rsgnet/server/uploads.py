"""Reads the images of a request, and counts their bytes while they arrive so that no more is held than allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import numpy as np
from fastapi import HTTPException, Request
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.types import Message, Receive

from rsgnet.errors import RSGNetError
from rsgnet.geometry import xywh_to_xyxy
from rsgnet.inference.detectors.detector import Boxes
from rsgnet.inference.sources import UploadedImage
from rsgnet.server.limits import Limits
from rsgnet.server.worker import BusyError

BOXES_FIELD = "boxes"
# FastAPI cannot derive this description, because `read_images` reads the form itself.
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
                            "description": "Boxes of people as JSON: for each image a list of [left, top, width, "
                            "height] in pixels, or null to detect the people.",
                        },
                    },
                }
            }
        },
    }
}
_RETRY_AFTER_S = 5
_SLOW_START_S, _SLOWEST_BYTES_PER_S = 5.0, 4000  # a client that is slower, after a start, only holds a connection
_BOXES_JSON = TypeAdapter(list[list[tuple[float, float, float, float]] | None])


class HeldBytes:
    """Counts the bytes of all requests that are being received or wait, to limit their sum.

    Args:
        limits: The limits of the sum, and of each client's share.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = Counter[str]()  # by client

    @contextmanager
    def request(self, client: str) -> Iterator[Callable[[int], None]]:
        """Yields a function that reserves bytes for one request; releases them at the end of the block.

        The function raises `BusyError` where the bytes exceed the limit.
        """
        reserved = 0

        def reserve(count: int) -> None:
            nonlocal reserved
            held, of_client = self._held.total() + count, self._held[client] + count
            if held > self._limits.held_bytes or of_client > self._limits.held_bytes_per_client:
                raise BusyError("too much is being sent at once; try again later", _RETRY_AFTER_S)
            reserved += count
            self._held[client] += count

        try:
            yield reserve
        finally:
            self._held[client] -= reserved
            if not self._held[client]:
                del self._held[client]


async def read_images(request: Request, limits: Limits, reserve: Callable[[int], None]) -> list[UploadedImage]:
    """Returns the images of a request's form. The names of the form's file fields do not matter.

    Args:
        request: A request whose body has not been read.
        limits: The limits of bytes and images, and of people where the form has boxes.
        reserve: Called with the number of bytes of each part of the body, before the next part is received.

    Raises:
        HTTPException: The request is too large (413), too slow (408) or not a form (415), or the form is broken or has
            too many files (400).
        BusyError: The requests that are being received hold too many bytes together.
        RSGNetError: The form has no image, or its boxes do not fit the images.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "multipart/form-data":
        raise HTTPException(415, "send images as multipart/form-data: curl -F images=@photo.jpg URL")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.request_bytes:
        raise _too_large_error(limits)
    bounded = Request(request.scope, _bounded_receive(request.receive, limits, reserve))
    try:
        form = await bounded.form(max_files=limits.images, max_fields=1)
    except (ValueError, LookupError) as error:  # such as a charset with a null byte
        raise HTTPException(400, f"the form is broken ({error})") from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise RSGNetError("the form holds no image: curl -F images=@photo.jpg URL")
        boxes = _read_boxes(form, len(files), limits.people)
        return [
            UploadedImage(await file.read(), file.filename or f"image {number}", image_boxes)
            for number, (file, image_boxes) in enumerate(zip(files, boxes, strict=True), 1)
        ]
    finally:
        await form.close()


def _bounded_receive(receive: Receive, limits: Limits, reserve: Callable[[int], None]) -> Receive:
    """Wraps the receive function of a request so that it raises once the body is too large, or arrives too slowly."""
    total, started_s = 0, anyio.current_time()

    async def receive_bounded() -> Message:
        nonlocal total
        deadline_s = started_s + _SLOW_START_S + total / _SLOWEST_BYTES_PER_S
        with anyio.move_on_after(deadline_s - anyio.current_time()) as timer:
            message = await receive()
        if timer.cancelled_caught:
            raise HTTPException(408, f"the request arrives at less than {_SLOWEST_BYTES_PER_S} bytes a second")
        count = len(message.get("body", b""))
        total += count
        if total > limits.request_bytes:
            raise _too_large_error(limits)
        reserve(count)
        return message

    return receive_bounded


def _too_large_error(limits: Limits) -> HTTPException:
    return HTTPException(
        413, f"the request is over the limit of {limits.request_bytes} bytes; send fewer or smaller images"
    )


def _read_boxes(form: FormData, images: int, people: int) -> list[Boxes | None]:
    """Returns the boxes for each image: None where the people are to be detected."""
    text = form.get(BOXES_FIELD)
    if not isinstance(text, str):
        return [None] * images
    try:
        boxes_per_image = _BOXES_JSON.validate_json(text)
    except ValidationError as error:
        raise RSGNetError(
            f"{BOXES_FIELD}: expected JSON, for each image a list of [left, top, width, height] or null "
            f"({error.errors()[0]['msg']})"
        ) from error
    if len(boxes_per_image) != images:
        raise RSGNetError(f"{BOXES_FIELD}: of {len(boxes_per_image)} images, but the form has {images}")
    if any(len(boxes_xywh or ()) > people for boxes_xywh in boxes_per_image):
        raise RSGNetError(f"{BOXES_FIELD}: more than the limit of {people} people in an image")
    return [None if boxes_xywh is None else _given_boxes(boxes_xywh) for boxes_xywh in boxes_per_image]


def _given_boxes(boxes_xywh: list[tuple[float, float, float, float]]) -> Boxes:
    return Boxes(xywh_to_xyxy(np.reshape(boxes_xywh, (-1, 4))), np.ones(len(boxes_xywh)))
