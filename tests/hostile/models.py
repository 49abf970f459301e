"""Hostile weights: pickles that run programs, safetensors whose headers lie, configs that ask for the impossible."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from tests.hostile.cases import Case, Content, Pipe, Sparse, damage, file_case, special_files

TOUCHED_FILE = "owned"
_EPOCH = (1980, 1, 1, 0, 0, 0)


class _Call:
    """An object whose pickle calls a function when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def model_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields all cases; none where PyTorch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return
    yield from _pickles(rng)
    yield from _safetensors(rng)
    yield from _configs()
    yield from _networks(rng)


def _pickles(rng: np.random.Generator) -> Iterator[Case]:
    import os
    import subprocess

    def case(fault: str, content: Content, name: str = "a.pth") -> Case:
        return file_case("models", "published", name, f"a pickle: {fault}", content)

    calls = {
        "a shell": _Call(os.system, f"touch {TOUCHED_FILE}"),
        "a process": _Call(subprocess.check_call, ["touch", TOUCHED_FILE]),
        "a program": _Call(exec, f"open({TOUCHED_FILE!r}, 'w')"),
        "an expression": _Call(eval, f"open({TOUCHED_FILE!r}, 'w')"),
        "an import": _Call(__import__, "antigravity"), "a file": _Call(open, TOUCHED_FILE, "w"),
        "an attribute": _Call(getattr, "a", "upper"), "a huge array": _Call(bytearray, 1 << 40),
    }  # fmt: skip
    for fault, call in calls.items():
        bare = pickle.dumps({"state_dict": call}, 2)
        yield case(f"{fault}, bare", bare)
        yield case(f"{fault}, in an archive", _archive({"data.pkl": bare, "version": b"3\n", "byteorder": b"little"}))
    yield case("a shell, called safetensors", pickle.dumps(calls["a shell"]), "a.safetensors")
    whole = _saved()
    for fault, content in (*damage(whole, rng), *special_files(whole)):
        yield case(fault, content)
    for fault, content in damage(_saved(_use_new_zipfile_serialization=False), rng):
        yield case(f"the old form, {fault}", content)
    yield case("a list", pickle.dumps([1, 2, 3], 2))
    yield case("a tensor of no dictionary", _saved(3))
    yield case("keys that are numbers", _saved({1: 2}))
    yield case("deep", b"\x80\x02" + b"(" * 100_000 + b"N" + b"\x85" * 100_000 + b".")
    yield case("itself", b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.")
    yield case("empty", b"")
    yield case("climbing names", _archive({"../../escaped": b"x", "data.pkl": pickle.dumps({}, 2)}))
    for fault, old, new in (
        ("more numbers than there are", b"K\x06", b"M\xff\xff"),
        ("a stride beyond its end", b"K\x03", b"M\xff\xff"),
    ):
        yield case(f"a tensor of {fault}", _repacked(whole, old, new))
    yield case("a record that unpacks to 3 GB", _bomb(whole))


def _saved(content: Any = None, **options: Any) -> bytes:
    import torch

    file = io.BytesIO()
    weight = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    torch.save({"final_layer.weight": weight} if content is None else content, file, **options)
    return file.getvalue()


def _archive(records: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in records.items():
            archive.writestr(zipfile.ZipInfo(f"archive/{name}", _EPOCH), content)
    return file.getvalue()


def _repacked(whole: bytes, old: bytes, new: bytes) -> bytes:
    """Returns the archive with bytes of its pickle replaced."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        records = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    return _archive({**records, "data.pkl": records["data.pkl"].replace(old, new)})


def _bomb(whole: bytes) -> bytes:
    """Returns the archive with a header that claims 3 GB of compressed numbers, of which hardly any exist."""
    packed = _repacked(whole, b"K\x06", b"J\xff\xff\xff\x2f")
    name = b"archive/data/0"
    place = packed.rindex(name) - 46 + 20  # sizes in the directory
    return packed[:place] + struct.pack("<II", 1000, 3 << 30) + packed[place + 8 :]


def safetensors(header: Any, content: bytes = b"") -> bytes:
    """Returns a safetensors file with a header, which is JSON or bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def _safetensors(rng: np.random.Generator) -> Iterator[Case]:
    def case(fault: str, content: Content) -> Iterator[Case]:
        yield file_case("models", "published", "a.safetensors", f"safetensors, {fault}", content)
        files: dict[str, Content] = {"m/config.json": _config(), "m/model.safetensors": content}
        yield Case(f"models/a model's safetensors, {fault}", "model", "m", files)

    whole = safetensors({"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}, bytes(24))
    for fault, content in damage(whole, rng):
        yield from case(fault, content)
    tensor = {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}
    for fault, changed in (
        ("offsets beyond the end", {"data_offsets": [0, 2**40], "shape": [2**38]}),
        ("offsets that end before they begin", {"data_offsets": [24, 0]}),
        ("negative offsets", {"data_offsets": [-24, 0]}), ("offsets of texts", {"data_offsets": ["0", "24"]}),
        ("a shape larger than the data", {"shape": [2**40]}), ("a shape that overflows", {"shape": [2**33, 2**33]}),
        ("a negative shape", {"shape": [-6]}), ("an unknown type", {"dtype": "F7"}), ("no type", {"dtype": None}),
    ):  # fmt: skip
        yield from case(fault, safetensors({"a": {**tensor, **changed}}, bytes(24)))
    yield from case("two tensors in one place", safetensors({"a": tensor, "b": tensor}, bytes(24)))
    yield from case("a hole between", safetensors({"a": {**tensor, "data_offsets": [8, 32]}}, bytes(32)))
    yield from case("a header of 2^63 bytes", struct.pack("<Q", 2**63 - 1) + bytes(64))
    yield from case("a header of 200 MB", Sparse(struct.pack("<Q", 200 << 20), 201 << 20))
    yield from case("a header of lists", safetensors(b"[" * 100_000))
    yield from case("a header of half characters", safetensors(b'{"\xff": 1}'))
    yield from case("a name of a megabyte", safetensors({"x\x1b[2J" * 200_000: tensor}, bytes(24)))
    yield from case(
        "100000 names", safetensors({f"{n}": {**tensor, "shape": [0], "data_offsets": [0, 0]} for n in range(100_000)})
    )
    yield from case("a named pipe", Pipe())
    yield from case("1 GB behind a head", Sparse(whole, 1 << 30))


def _config(**changed: Any) -> bytes:
    model = {"backbone": "resnet10t", "relation": "none", "skeleton_graph": False, "neck": {"kind": "pyramid"}}
    return json.dumps({"name": "x", "crop": {"size_wh": [64, 64]}, "model": {**model, **changed}}).encode()


def _configs() -> Iterator[Case]:
    """Yields model directories with tiny weights and configs that ask for much more."""
    weights = safetensors({"a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}}, bytes(24))

    def case(fault: str, config: Content) -> Case:
        return Case(
            f"models/a config, {fault}", "model", "m", {"m/config.json": config, "m/model.safetensors": weights}
        )

    for fault, changed in {
        "a wide pyramid": {"neck": {"kind": "pyramid", "width": 10**6}},
        "an endless pyramid": {"neck": {"kind": "pyramid", "residuals": 10**9}},
        "no width": {"neck": {"kind": "pyramid", "width": 0}},
        "a negative width": {"neck": {"kind": "pyramid", "width": -64}},
        "a huge HRNet": {"backbone": "hrnet_w999999999_modules999_blocks9", "neck": {"kind": "none"}},
        "an HRNet of nothing": {"backbone": "hrnet_w0_modules000_blocks0", "neck": {"kind": "none"}},
        "a backbone of the internet": {"backbone": "hf-hub:nobody/nothing"},
        "a backbone of another place": {"backbone": "local-dir:/etc"},
        "a backbone with other weights": {"backbone": "resnet10t.nobody"},
        "a backbone that is a path": {"backbone": "../../etc/passwd"},
        "no backbone": {"backbone": ""},
        "wide clues": {"relation": {"kind": "candidates", "clue_dim": 10**7}},
        "clues of nothing": {"relation": {"kind": "candidates", "clue_dim": 0}},
        "a million peaks": {"relation": {"kind": "candidates", "peaks_per_keypoint": 10**6}},
        "endless convolutions": {"relation": {"kind": "convolutions", "count": 10**9}},
        "a skeleton of a file": {"skeleton": "/dev/zero.toml"},
        "a skeleton of one point twice": {"skeleton": {"name": "x", "keypoints": ["a", "a"], "edges": [],
        "limbs": [], "flip_pairs": [], "sigmas": [1, 1]}},
        "a skeleton of no points": {"skeleton": {"name": "x", "keypoints": [], "edges": [], "limbs": [],
        "flip_pairs": [], "sigmas": []}},
        "a text for a number": {"relation": {"kind": "candidates", "clue_dim": "wide"}},
        "something unknown": {"code": "import os"},
    }.items():  # fmt: skip
        yield case(fault, _config(**changed))
    for fault, crop in (("of 2^40 pixels", [2**40, 2**40]), ("of none", [0, 0]), ("of negative size", [-64, -64]),
                       ("of half a size", [64]), ("that is endless", [1e999, 64])):  # fmt: skip
        yield case(f"a crop {fault}", json.dumps({"name": "x", "crop": {"size_wh": crop}}).encode())
    yield case("a stride of none", json.dumps({"name": "x", "crop": {"size_wh": [64, 64], "stride": 0}}).encode())
    yield case("another kind of network", b'{"name": "x", "proposals": 1000000000, "backbone": "nothing"}')
    yield case(
        "a huge detector",
        b'{"name": "x", "size_wh": [1048576, 1048576], "neck": {"kind": "pyramid", "width": 5000000}}',
    )
    for fault, content in (
        ("empty", b""), ("deep", b'{"crop":' * 100_000), ("half characters", b'{"crop": "\xff"}'), ("a list", b"[1]"),
        *special_files(_config()), ("a number without end", b'{"crop": ' + b"9" * 1_000_000),
    ):  # fmt: skip
        yield case(fault, content)


def _networks(rng: np.random.Generator) -> Iterator[Case]:
    """Yields files for ONNX Runtime."""
    shape = b'\x08\x07\x12\x01x:\x10\n\x0e\n\x01a\x12\x01b"\x08Identity' + bytes(range(200)) * 3
    for fault, content in (
        *damage(shape, rng), ("empty", b""), ("text", b"this is no network" * 9), ("zeros", bytes(9999)),
        *special_files(shape),
    ):  # fmt: skip
        yield file_case("models", "onnx", "a.onnx", f"an ONNX file, {fault}", content)
