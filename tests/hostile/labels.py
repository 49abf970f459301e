"""Hostile label files: COCO, OCHuman, YOLO, CVAT and CSV, skeletons, and masks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
from tests.hostile.cases import Case, Content, Link, Pipe, Sparse, damage, file_case, special_files
from tests.hostile.images import image_file

from rsgnet.skeletons import COCO17

_DEEP = 200_000
NASTY_NUMBERS: dict[str, Any] = {
    "no number": "three", "nothing": None, "a list": [], "an object": {}, "not finite": float("nan"),
    "endless": float("inf"), "huge": 10**400, "huge and negative": -(10**400), "beyond 64 bits": 2**70,
    "a truth value": True,
}  # fmt: skip
NASTY_PATHS = {
    "a climbing path": "../../escaped.png",
    "an absolute path": "/tmp/escaped.png",
    "a Windows path": "C:\\escaped.png",
    "a climbing Windows path": "..\\..\\escaped.png",
    "a path with a null": "a\0.png",
    "an empty path": "",
    "no text for a path": 7,
    "a climbing path behind a folder": "images/../../../escaped.png",
}
YOLO = {
    "data.yaml": b"path: .\ntrain: images/train\nkpt_shape: [17, 3]\nnames: {0: person}\n",
    "images/train/a.png": image_file("a.png", np.random.default_rng(1)),
    "labels/train/a.txt": ("0 0.5 0.5 0.2 0.2 " + "0.5 0.5 2 " * 17).encode(),
}
CVAT = (
    '<annotations><version>1.1</version><image id="1" name="a.png" width="40" height="30">'
    '<skeleton label="person" group_id="1"><points label="head" outside="0" occluded="0" points="3.0,4.0"/>'
    '<points label="feet" outside="0" occluded="1" points="3.0,20.0"/></skeleton>'
    '<box label="box" group_id="1" xtl="1" ytl="1" xbr="9" ybr="25"/></image></annotations>'
)
CSV = (
    "file_name,image_id,person_id,box_left,box_top,box_width,box_height,area,head_x,head_y,head_visibility\n"
    "a.png,1,1,0,0,9,9,81,4,4,2\n"
)
SKELETON = b'name = "owned"\nkeypoints = ["a", "b"]\nedges = [["a", "b"]]\n'


def coco() -> dict[str, Any]:
    """Returns a valid COCO file of one person."""
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "annotations": [
            {"id": 7, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [1, 2, 20, 25], "area": 300.0,
             "keypoints": [5, 6, 2] * 17, "num_keypoints": 17, "segmentation": [[1, 1, 20, 1, 20, 20]]}
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.keypoints), "skeleton": [[1, 2]]}],
    }  # fmt: skip


def label_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields all cases."""
    for fault, content in damage(json.dumps(coco()).encode(), rng):
        yield _labels("a.json", f"COCO {fault}", content, fault in ("cut to its head", "cut in half"))
    yield from _coco_entries()
    for fault, content, refused in _texts():
        yield _labels("a.json", f"COCO, {fault}", content, refused)
    for fault, content in (*special_files(), ("a link to itself", Link("data.yaml"))):
        for name in ("a.json", "a.xml", "a.csv", "data.yaml"):
            yield _labels(name, f"{name} is {fault}", content)
    yield from _yolo(rng)
    yield from _cvat(rng)
    yield from _csv(rng)
    yield from _skeletons()
    yield from _masks()


def _labels(name: str, fault: str, content: Content, refused: bool = True) -> Case:
    return file_case("labels", "labels", name, fault, content, refused)


def _coco_entries() -> Iterator[Case]:
    for part, key in (("images", "id"), ("images", "width"), ("annotations", "image_id"), ("annotations", "bbox"),
                      ("annotations", "keypoints"), ("annotations", "area")):  # fmt: skip
        for fault, value in NASTY_NUMBERS.items():
            content = coco()
            content[part][0][key] = [value] * 4 if key == "bbox" else value
            yield _labels("a.json", f"COCO, {key} of {part} is {fault}", json.dumps(content).encode(), refused=False)
    for fault, path in NASTY_PATHS.items():
        content = coco()
        content["images"][0]["file_name"] = path
        yield _labels("a.json", f"COCO, {fault}", json.dumps(content).encode())
    for key in ("images", "annotations", "categories"):
        for fault, value in (
            ("an object", {}),
            ("a list of lists", [[]]),
            ("a text", "x"),
            ("a list of nothing", [None]),
        ):
            content = {**coco(), key: value}
            yield _labels("a.json", f"COCO, {key} is {fault}", json.dumps(content).encode(), refused=False)
    content = coco()
    content["categories"][0]["keypoints"] = [f"point {number}" for number in range(100_000)]
    yield _labels("a.json", "COCO, 100000 keypoint names", json.dumps(content).encode())
    content = coco()
    content["annotations"] = [
        {**deepcopy(content["annotations"][0]), "id": n, "keypoints": [0] * n} for n in range(1000)
    ]
    yield _labels("a.json", "COCO, people of every number of keypoints", json.dumps(content).encode())
    for fault, size in (("huge", 2**60), ("negative", -5)):
        content = coco()
        content["images"][0] |= {"width": size, "height": size}
        yield _labels("a.json", f"COCO, a {fault} image", json.dumps(content).encode(), refused=False)
    content = coco()
    content["annotations"][0]["id"] = "\x1b[2J" + "x" * 10_000
    yield _labels("a.json", "COCO, an id that paints on terminals", json.dumps(content).encode())


def _texts() -> Iterator[tuple[str, bytes, bool]]:
    yield "an empty file", b"", True
    yield "deep lists", b"[" * _DEEP, True
    yield "deep objects", b'{"a":' * _DEEP + b"1" + b"}" * _DEEP, True
    yield "zeros", bytes(1000), True
    yield "a number of a million digits", b'{"images": [], "annotations": ' + b"9" * 1_000_000 + b"}", True
    yield "half a character", b'{"images": "\xff\xfe"}', True
    yield "UTF-16", json.dumps(coco()).encode("utf-16"), False
    yield "a mark before it", b"\xef\xbb\xbf" + json.dumps(coco()).encode(), False
    yield "a pickle", b"\x80\x04cos\nsystem\n(S'touch owned'\ntR.", True
    yield "the same key 100000 times", b"{" + b'"images": [], ' * 100_000 + b'"annotations": []}', False
    yield "an OCHuman file of nothing", b'{"images": [{"annotations": [{}], "file_name": "a.png"}]}', True
    yield "an OCHuman file of names", b'{"keypoint_names": 3, "images": [{"annotations": []}]}', True
    yield "an OCHuman file of lists", b'{"keypoint_names": [[]], "images": [{"annotations": []}]}', True
    yield "a list", b"[1, 2, 3]", True


def _yolo(rng: np.random.Generator) -> Iterator[Case]:
    def case(fault: str, files: dict[str, Content], refused: bool = True) -> Case:
        return Case(f"labels/YOLO, {fault}", "labels", "data.yaml", {**YOLO, **files}, refused)

    lines = YOLO["labels/train/a.txt"]
    for fault, content in damage(YOLO["data.yaml"] * 3, rng):
        yield case(f"data.yaml {fault}", {"data.yaml": content}, refused=False)
    for fault, content in damage(lines, rng):
        yield case(f"labels {fault}", {"labels/train/a.txt": content}, refused=False)
    for fault, line in (("not finite", b"nan "), ("endless", b"inf "), ("huge", b"1e999 "), ("no numbers", b"x ")):
        yield case(f"labels are {fault}", {"labels/train/a.txt": line * 56})
    yield case("labels are a link to endless zeros", {"labels/train/a.txt": Link("/dev/zero")}, refused=False)
    yield case("labels are a named pipe", {"labels/train/a.txt": Pipe()}, refused=False)
    yield case("labels of 4 GB", {"labels/train/a.txt": Sparse(lines, 4 << 30)})
    yield case("an image is a named pipe", {"images/train/a.png": Pipe()})
    nest = b"a: &a [x, x]\n" + b"".join(
        b"a%d: &a%d [*a%s, *a%s]\n" % (n, n, b"%d" % (n - 1) if n else b"", b"%d" % (n - 1) if n else b"")
        for n in range(60)
    )
    yield case("names that double 60 times", {"data.yaml": nest + b"kpt_shape: [17, 3]\ntrain: *a59\n"})
    shape = b"train: images/train\nnames: {0: person}\nkpt_shape: "
    for fault, value in (
        ("of 10^9", b"[1000000000, 3]"), ("negative", b"[-1, 3]"), ("a truth value", b"[true, 3]"),
        ("of lists", b"[[1], 3]"), ("none", b"[0, 3]"),
    ):  # fmt: skip
        yield case(f"a shape {fault}", {"data.yaml": shape + value})
    yield case("a program", {"data.yaml": b"train: !!python/object/apply:os.system ['touch owned']\n"})
    yield case("deep", {"data.yaml": b"[" * 20_000})
    yield case("itself inside", {"data.yaml": shape + b"[17, 3]\nkpt_names: &a {0: [*a]}\n"})
    yield case("images elsewhere", {"data.yaml": shape.replace(b"images/train", b"../../..") + b"[17, 3]\n"})
    yield case(
        "images everywhere", {"data.yaml": b"path: /\n" + shape.replace(b"images/train", b"/etc") + b"[17, 3]\n"}
    )
    listed = shape.replace(b"images/train", b"list.txt") + b"[17, 3]\n"
    yield case("a list that climbs", {"data.yaml": listed, "list.txt": b"../../escaped.png\n"})
    for fault, content in special_files(b"images/train/a.png\n"):
        yield case(f"a list, {fault}", {"data.yaml": listed, "list.txt": content})
    yield case("a list of half characters", {"data.yaml": listed, "list.txt": b"\xff\xfe\n"})


def _cvat(rng: np.random.Generator) -> Iterator[Case]:
    for fault, content in damage(CVAT.encode(), rng):
        yield _labels("a.xml", f"CVAT {fault}", content, fault in ("cut to its head", "cut in half"))
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha"}">' for n in range(12))
    yield _labels(
        "a.xml", "CVAT, entities of entities", f"<!DOCTYPE a [{laughs}]><annotations>&l11;</annotations>".encode()
    )
    outside = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>'
    yield _labels("a.xml", "CVAT, an entity of another file", outside.encode())
    yield _labels(
        "a.xml", "CVAT, such an entity in UTF-7", b'<?xml version="1.0" encoding="utf-7"?>+ADw-annotations/+AD4-'
    )
    yield _labels("a.xml", "CVAT, entities in UTF-16", outside.encode("utf-16"))
    yield _labels("a.xml", "CVAT, deep", b"<annotations>" + b"<a>" * _DEEP)
    yield _labels(
        "a.xml", "CVAT, deep and whole", b"<annotations>" + b"<a>" * _DEEP + b"</a>" * _DEEP + b"</annotations>"
    )
    many = "".join(f' a{n}="1"' for n in range(50_000))
    yield _labels("a.xml", "CVAT, 50000 attributes", f"<annotations{many}></annotations>".encode())
    for fault, old, new in (
        ("no points", "3.0,4.0", ""), ("points of three", "3.0,4.0", "1,2,3"), ("endless points", "3.0,4.0", "inf,4"),
        ("another encoding", "<annotations>", '<?xml version="1.0" encoding="utf-32"?><annotations>'),
        ("a huge id", 'id="1"', f'id="{"9" * 5000}"'), ("no id", 'id="1"', ""), ("no sides", 'xtl="1"', ""),
        ("a climbing path", "a.png", "../../escaped.png"), ("other points", 'label="feet"', 'label="hand"'),
    ):  # fmt: skip
        yield _labels("a.xml", f"CVAT, {fault}", CVAT.replace(old, new).encode(), refused=False)


def _csv(rng: np.random.Generator) -> Iterator[Case]:
    head, row = CSV.splitlines(keepends=True)
    for fault, content in damage((head + row * 3).encode(), rng):
        yield _labels("a.csv", f"CSV {fault}", content, refused=False)
    for fault, text in (
        ("a cell without end", head + '"' + "x" * 300_000), ("a row too long", head + "1," * 99),
        ("a column twice", head.replace("head_y", "head_x") + row), ("only its head", head.replace("head_x", "x")),
        ("a null", head + row.replace("a.png", "a\0.png")), ("a huge cell", head + "x" * 200_000 + row),
        ("endless numbers", head + row.replace("81", "inf")),
        ("a climbing path", head + row.replace("a.png", "../a.png")),
        ("a huge id", head + row.replace(",1,1,", f",{'9' * 5000},1,")), ("an empty file", ""),
    ):  # fmt: skip
        yield _labels("a.csv", f"CSV, {fault}", text.encode())
    many = head + "".join(row.replace(",1,1,", f",1,{n},") for n in range(3_000))
    yield _labels("a.csv", "CSV, 3000 people in an image", many.encode(), refused=False)
    wide = ",".join(f"k{n}_x,k{n}_y,k{n}_visibility" for n in range(20_000))
    yield _labels("a.csv", "CSV, 20000 keypoints", (head.strip() + "," + wide + "\n").encode(), refused=False)


def _skeletons() -> Iterator[Case]:
    whole = SKELETON
    for fault, content in (
        ("cut", whole[:30]), ("of numbers", b"name = 1\nkeypoints = [1]\nedges = []\n"),
        ("deep", b"a = " + b"[" * 100_000),
        ("an edge to itself", whole.replace(b'["a", "b"]]', b'["a", "a"]]')), ("half characters", b"\xff\xfe"),
        ("endless sigmas", whole + b"sigmas = [inf, nan]\n"), ("unknown", whole + b"code = 'x'\n"),
        ("a long key", b"a." * 50_000 + b"a = 1"), *special_files(whole),
        ("50000 times one name", b'name = "m"\nedges = []\nkeypoints = [' + b'"a",' * 50_000 + b"]"),
    ):  # fmt: skip
        yield file_case("labels", "skeleton", "a.toml", f"a skeleton, {fault}", content)


def _masks() -> Iterator[Case]:
    for fault, segmentation in (
        ("runs longer than the image", {"size": [30, 40], "counts": [0, 4_000_000_000]}),
        ("runs shorter than the image", {"size": [30, 40], "counts": [1, 2]}),
        ("negative runs", {"size": [30, 40], "counts": [-5, 1205]}),
        ("packed runs longer than the image", {"size": [30, 40], "counts": "PPPPPPPPo0"}),
        ("packed runs of noise", {"size": [30, 40], "counts": "\x7f\x01~~~~zzzz"}),
        ("packed runs cut off", {"size": [30, 40], "counts": "oooo"}),
        ("packed runs of half a million", {"size": [30, 40], "counts": "1" * 500_000}),
        ("packed runs in a huge image", {"size": [2**31 - 1, 2**31 - 1], "counts": "0"}),
        ("packed runs in no image", {"size": [0, 0], "counts": "0"}),
        ("packed runs in half a size", {"size": [30], "counts": "0"}),
        ("packed runs in a text", {"size": "ab", "counts": "0"}),
        ("a polygon far away", [[-1e9, -1e9, 1e9, -1e9, 1e9, 1e9]]),
        ("a polygon without end", [[float("inf"), 0, 1, 1, 2, 2]]),
        ("a polygon of no number", [[float("nan"), 0, 1, 1, 2, 2]]),
        ("a polygon of two points", [[1, 1, 2, 2]]), ("an odd polygon", [[1, 1, 2, 2, 3]]),
        ("a polygon of texts", [["a"] * 6]), ("an empty polygon", [[]]), ("half a polygon", [[1, 2, 3, 4, 5, 6], [7]]),
        ("a text", "mask"), ("a number", 3),
    ):  # fmt: skip
        content = coco()
        content["annotations"][0]["segmentation"] = segmentation
        yield file_case(
            "labels",
            "masks",
            "a.json",
            f"a mask, {fault}",
            json.dumps(content).encode(),
            refused=False,
            named=("segmentation",),
        )
