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
from tests.hostile.cases import Case, Content, Link, Pipe, Sparse, damaged, lone

OWNED = "owned"
_EPOCH = (1980, 1, 1, 0, 0, 0)


class _Runs:
    """Pickles as a call of what it was given."""

    def __init__(self, what: Any, *arguments: Any) -> None:
        self.call = what, arguments

    def __reduce__(self) -> Any:
        return self.call


def model_cases(rng: np.random.Generator) -> Iterator[Case]:
    """All of them; none where PyTorch is not installed."""
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

    def case(what: str, content: Content, name: str = "a.pth") -> Case:
        return lone("models", "published", name, f"a pickle: {what}", content)

    calls = {
        "a shell": _Runs(os.system, f"touch {OWNED}"), "a process": _Runs(subprocess.check_call, ["touch", OWNED]),
        "a program": _Runs(exec, f"open({OWNED!r}, 'w')"), "an expression": _Runs(eval, f"open({OWNED!r}, 'w')"),
        "an import": _Runs(__import__, "antigravity"), "a file": _Runs(open, OWNED, "w"),
        "an attribute": _Runs(getattr, "a", "upper"), "a huge array": _Runs(bytearray, 1 << 40),
    }  # fmt: skip
    for what, call in calls.items():
        bare = pickle.dumps({"state_dict": call}, 2)
        yield case(f"{what}, bare", bare)
        yield case(f"{what}, in an archive", _archive({"data.pkl": bare, "version": b"3\n", "byteorder": b"little"}))
    yield case("a shell, called safetensors", pickle.dumps(calls["a shell"]), "a.safetensors")
    whole = _saved()
    for what, content in damaged(whole, rng):
        yield case(what, content)
    for what, content in damaged(_saved(_use_new_zipfile_serialization=False), rng):
        yield case(f"the old form, {what}", content)
    yield case("a list", pickle.dumps([1, 2, 3], 2))
    yield case("a tensor of no dictionary", _saved(3))
    yield case("keys that are numbers", _saved({1: 2}))
    yield case("deep", b"\x80\x02" + b"(" * 100_000 + b"N" + b"\x85" * 100_000 + b".")
    yield case("itself", b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.")
    yield case("empty", b"")
    yield case("of 4 GB", Sparse(whole, 4 << 30))
    yield case("a named pipe", Pipe())
    yield case("endless zeros", Link("/dev/zero"))
    yield case("climbing names", _archive({"../../escaped": b"x", "data.pkl": pickle.dumps({}, 2)}))
    for what, old, new in (
        ("more numbers than there are", b"K\x06", b"M\xff\xff"),
        ("a stride beyond its end", b"K\x03", b"M\xff\xff"),
    ):
        yield case(f"a tensor of {what}", _repacked(whole, old, new))
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
    """The archive with its pickle changed."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        records = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    return _archive({**records, "data.pkl": records["data.pkl"].replace(old, new)})


def _bomb(whole: bytes) -> bytes:
    """The archive with its numbers said to be 3 GB that are packed: hardly any of them there."""
    packed = _repacked(whole, b"K\x06", b"J\xff\xff\xff\x2f")
    name = b"archive/data/0"
    place = packed.rindex(name) - 46 + 20  # sizes in the directory
    return packed[:place] + struct.pack("<II", 1000, 3 << 30) + packed[place + 8 :]


def safetensors(header: Any, content: bytes = b"") -> bytes:
    """A safetensors file of that header, which may be JSON or bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def _safetensors(rng: np.random.Generator) -> Iterator[Case]:
    def case(what: str, content: Content) -> Iterator[Case]:
        yield lone("models", "published", "a.safetensors", f"safetensors, {what}", content)
        files: dict[str, Content] = {"m/config.json": _config(), "m/model.safetensors": content}
        yield Case(f"models/a model's safetensors, {what}", "model", "m", files)

    whole = safetensors({"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}, bytes(24))
    for what, content in damaged(whole, rng):
        yield from case(what, content)
    tensor = {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}
    for what, changed in (
        ("offsets beyond the end", {"data_offsets": [0, 2**40], "shape": [2**38]}),
        ("offsets that end before they begin", {"data_offsets": [24, 0]}),
        ("negative offsets", {"data_offsets": [-24, 0]}), ("offsets of texts", {"data_offsets": ["0", "24"]}),
        ("a shape larger than the data", {"shape": [2**40]}), ("a shape that overflows", {"shape": [2**33, 2**33]}),
        ("a negative shape", {"shape": [-6]}), ("an unknown type", {"dtype": "F7"}), ("no type", {"dtype": None}),
    ):  # fmt: skip
        yield from case(what, safetensors({"a": {**tensor, **changed}}, bytes(24)))
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
    """Model directories whose weights would be a moment's work if the config did not ask for more."""
    weights = safetensors({"a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}}, bytes(24))

    def case(what: str, config: Content) -> Case:
        return Case(f"models/a config, {what}", "model", "m", {"m/config.json": config, "m/model.safetensors": weights})

    for what, changed in {
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
        yield case(what, _config(**changed))
    for what, crop in (("of 2^40 pixels", [2**40, 2**40]), ("of none", [0, 0]), ("of negative size", [-64, -64]),
                       ("of half a size", [64]), ("that is endless", [1e999, 64])):  # fmt: skip
        yield case(f"a crop {what}", json.dumps({"name": "x", "crop": {"size_wh": crop}}).encode())
    yield case("a stride of none", json.dumps({"name": "x", "crop": {"size_wh": [64, 64], "stride": 0}}).encode())
    yield case("another kind of network", b'{"name": "x", "proposals": 1000000000, "backbone": "nothing"}')
    yield case(
        "a huge detector",
        b'{"name": "x", "size_wh": [1048576, 1048576], "neck": {"kind": "pyramid", "width": 5000000}}',
    )
    for what, content in (("empty", b""), ("deep", b'{"crop":' * 100_000), ("half characters", b'{"crop": "\xff"}'),
                          ("a list", b"[1]"), ("of 4 GB", Sparse(_config(), 4 << 30)), ("a named pipe", Pipe()),
                          ("endless", Link("/dev/zero")), ("a number without end",
                          b'{"crop": ' + b"9" * 1_000_000)):  # fmt: skip
        yield case(what, content)


def _networks(rng: np.random.Generator) -> Iterator[Case]:
    """Files for ONNX Runtime."""
    shape = b'\x08\x07\x12\x01x:\x10\n\x0e\n\x01a\x12\x01b"\x08Identity' + bytes(range(200)) * 3
    for what, content in (*damaged(shape, rng), ("empty", b""), ("text", b"this is no network" * 9), ("zeros",
        bytes(9999)),
                          ("of 4 GB", Sparse(shape, 4 << 30)), ("endless", Link("/dev/zero")),
                          ("a named pipe", Pipe())):  # fmt: skip
        yield lone("models", "onnx", "a.onnx", f"an ONNX file, {what}", content)
