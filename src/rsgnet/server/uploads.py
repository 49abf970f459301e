"""What a client sends becomes pictures: counted while it comes in, so that no more is kept than is allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import HTTPException, Request
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.types import Message, Receive

from rsgnet.errors import RSGNetError
from rsgnet.geometry import xywh_to_xyxy
from rsgnet.inference.boxes import Boxes
from rsgnet.inference.sources import SentPicture
from rsgnet.server.limits import Limits

BOXES_FIELD = "boxes"
_BOXES = TypeAdapter(list[list[tuple[float, float, float, float]] | None])

# What FastAPI cannot see, as the form is read by hand.
FORM_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["pictures"],
                    "properties": {
                        "pictures": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "JPEG, PNG, WebP, GIF, BMP, TIFF or PPM files.",
                        },
                        BOXES_FIELD: {
                            "type": "string",
                            "description": "Boxes of your own, as JSON: for each picture a list of [left, top, width, "
                            "height], or null where people are to be found.",
                        },
                    },
                }
            }
        },
    }
}


async def read_pictures(request: Request, limits: Limits) -> list[SentPicture]:
    """The pictures of a request's form, whatever the fields of the files are called.

    Args:
        request: Its body has not been read.
        limits: How many pictures and bytes it may hold, and people where it brings boxes.

    Raises:
        HTTPException: It is too large (413), no form (415), a broken one or one of too many files (400).
        RSGNetError: There is no picture in it, or its boxes do not fit.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "multipart/form-data":
        raise HTTPException(415, "send pictures as multipart/form-data: curl -F pictures=@photo.jpg URL")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.request_bytes:
        raise _too_large(limits)
    counted = Request(request.scope, _counted(request.receive, limits))
    async with counted.form(max_files=limits.pictures, max_fields=1) as form:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise RSGNetError("the form holds no picture: curl -F pictures=@photo.jpg URL")
        boxes = _read_boxes(form, len(files), limits.people)
        return [
            SentPicture(await file.read(), file.filename or f"picture {number}", own)
            for number, (file, own) in enumerate(zip(files, boxes, strict=True), 1)
        ]


def _too_large(limits: Limits) -> HTTPException:
    return HTTPException(
        413, f"the request is over the limit of {limits.request_bytes} bytes; send fewer or smaller pictures"
    )


def _counted(receive: Receive, limits: Limits) -> Receive:
    """Receives until there is too much."""
    total = 0

    async def more() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limits.request_bytes:
            raise _too_large(limits)
        return message

    return more


def _read_boxes(form: FormData, pictures: int, people: int) -> list[Boxes | None]:
    text = form.get(BOXES_FIELD)
    if not isinstance(text, str):
        return [None] * pictures
    try:
        given = _BOXES.validate_json(text)
    except ValidationError as error:
        raise RSGNetError(
            f"{BOXES_FIELD}: expected JSON, for each picture a list of [left, top, width, height] or null "
            f"({error.errors()[0]['msg']})"
        ) from error
    if len(given) != pictures:
        raise RSGNetError(f"{BOXES_FIELD}: of {len(given)} pictures, but there are {pictures}")
    if any(len(own or ()) > people for own in given):
        raise RSGNetError(f"{BOXES_FIELD}: more than the limit of {people} people in a picture")
    return [own if own is None else _boxes(own) for own in given]


def _boxes(boxes_xywh: list[tuple[float, float, float, float]]) -> Boxes:
    return Boxes(xywh_to_xyxy(np.reshape(boxes_xywh, (-1, 4))), np.ones(len(boxes_xywh)))
