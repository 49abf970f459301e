"""Finds out whether an ONNX file keeps tensors in other files, without reading its tensors or any of those files.

An ONNX file may name any path for a tensor, and versions of ONNX Runtime differ in which paths they open.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path

from rsgnet.errors import WeightsError
from rsgnet.files import get_regular_size

# The fields of ONNX's messages (onnx.proto) that lead to tensors: message, number of the field, message in it.
_FIELDS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}  # fmt: skip
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor; the location is 0 for the file itself
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5  # protobuf's wire types


def check_tensors_inside(path: Path) -> None:
    """Checks that an ONNX file holds all of its tensors.

    Raises:
        WeightsError: It names other files for some, or is not ONNX.
    """
    try:
        get_regular_size(path)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            is_external = _has_external_tensor(content)
    except (OSError, ValueError, IndexError) as error:
        raise WeightsError(f"{path}: not an ONNX network that can be read ({error}); is it truncated?") from error
    if is_external:
        raise WeightsError(f"{path}: keeps tensors in other files, which are not read; save it as a single file")


def _has_external_tensor(content: mmap.mmap) -> bool:
    """Walks the messages that lead to tensors. Raises ValueError or IndexError where they are not protobuf's."""
    messages = [("model", 0, len(content))]
    while messages:
        kind, position, end = messages.pop()
        while position < end:
            key, position = _read_varint(content, position)
            field, wire_type, value = (key & 0xFFFFFFFF) >> 3, key & 7, 0
            if wire_type in (_VARINT, _LENGTH):
                value, position = _read_varint(content, position)
            if kind == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value)):
                return True
            if wire_type == _LENGTH:
                if field in _FIELDS[kind]:
                    messages.append((_FIELDS[kind][field], position, position + value))
                position += value
            elif wire_type in (_EIGHT_BYTES, _FOUR_BYTES):
                position += 8 if wire_type == _EIGHT_BYTES else 4
            elif wire_type != _VARINT:
                raise ValueError(f"a field of type {wire_type}")
        if position > end:
            raise ValueError("a field beyond its end")
    return False


def _read_varint(content: mmap.mmap, position: int) -> tuple[int, int]:
    """Returns an integer of 7 bits per byte, and the position after it."""
    value = shift = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
        if shift >= 70:
            raise ValueError("an endless number")
