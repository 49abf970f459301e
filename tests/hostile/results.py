"""Hostile results: lists of poses and boxes, and the lines of clips."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from tests.hostile.cases import Case, Content, Link, Pipe, Sparse, damaged
from tests.hostile.labels import NASTY_NUMBERS, NASTY_PATHS, coco

TRUTH, TRACKS = "truth.json", "tracks.json"


def result() -> dict[str, Any]:
    """A whole result of one person."""
    return {"image_id": 1, "category_id": 1, "score": 0.5, "keypoints": [5, 6, 1] * 17, "bbox": [1, 2, 20, 25], "id": 3}


def result_cases(rng: np.random.Generator) -> Iterator[Case]:
    """All of them."""
    whole = json.dumps([result(), {**result(), "id": 4, "score": 0.25}]).encode()
    for what, content in damaged(whole, rng):
        yield _results(what, content, what in ("cut to its head", "cut in half"))
    for key in ("image_id", "score", "keypoints", "bbox", "category_id", "id"):
        for what, value in NASTY_NUMBERS.items():
            given = [value] * 4 if key == "bbox" else value
            yield _results(f"{key} is {what}", json.dumps([{**result(), key: given}]).encode(), refused=False)
    for what, path in NASTY_PATHS.items():
        entry = {key: value for key, value in result().items() if key != "image_id"}
        yield _results(f"{what} in it", json.dumps([{**entry, "file_name": path}]).encode())
    for what, content in _texts():
        yield _results(what, content)
    yield from _tracks(rng)


def _results(what: str, content: Content, refused: bool = True) -> Case:
    files: dict[str, Content] = {"a.json": content, TRUTH: json.dumps(coco()).encode()}
    return Case(f"results/{what}", "results", "a.json", files, refused)


def _texts() -> Iterator[tuple[str, Content]]:
    yield "an empty file", b""
    yield "an object", b'{"a": 1}'
    yield "a text", b'"poses"'
    yield "a list of numbers", b"[1, 2]"
    yield "a list of lists", b"[[[]]]"
    yield "deep lists", b"[" * 200_000
    yield "the same entry 2000 times", json.dumps([result()] * 2000).encode()
    yield "keypoints of keypoints", json.dumps([{**result(), "keypoints": [[5, 6, 1]] * 17, "bbox": [[1]]}]).encode()
    yield "a million keypoints", json.dumps([{**result(), "keypoints": [0] * 1_000_000, "bbox": []}]).encode()
    yield "an id that paints on terminals", json.dumps([{**result(), "id": "\x1b[2J" * 3000, "score": "x"}]).encode()
    yield "an image's name that is long", json.dumps([{"file_name": "x" * 1_000_000, "score": 1}]).encode()
    yield "a number of a million digits", b"[" + b"9" * 1_000_000 + b"]"
    yield "a named pipe", Pipe()
    yield "a link to endless zeros", Link("/dev/zero")
    yield "of 4 GB", Sparse(b"[", 4 << 30)


def _tracks(rng: np.random.Generator) -> Iterator[Case]:
    truth = {
        "videos": [{"id": 1, "file_name": "a.mp4"}],
        "images": [{"id": n, "file_name": f"{n}.png", "video_id": 1, "frame_id": n} for n in range(3)],
        "annotations": [{"id": n, "image_id": n, "track_id": 1, "bbox": [0, 0, 9, 9]} for n in range(3)],
    }
    line = {"file_name": "a.mp4", "frame": 0, "time_s": 0.0, "people": [{"track_id": 1, "bbox": [0, 0, 9, 9]}]}
    lines = "".join(json.dumps({**line, "frame": n}) + "\n" for n in range(3)).encode()

    def case(what: str, content: Content, refused: bool = True, about: Any = None) -> Case:
        files: dict[str, Content] = {"a.jsonl": content, TRACKS: json.dumps(about or truth).encode()}
        return Case(f"results/tracks, {what}", "tracks", "a.jsonl", files, refused)

    for what, content in damaged(lines, rng):
        yield case(what, content, refused=False)
    for key in ("frame", "people", "file_name"):
        for what in ("no number", "nothing", "huge", "endless", "not finite"):
            broken = json.dumps({**line, key: NASTY_NUMBERS[what]}).encode()
            yield case(f"{key} is {what}", broken, refused=False)
    for what, person in (("no box", {"track_id": 1}), ("half a box", {"track_id": 1, "bbox": [0, 0]}),
                         ("a box of texts", {"track_id": 1, "bbox": ["a"] * 4}), ("a number", 4),
                         ("a huge track", {"track_id": 10**400, "bbox": [0, 0, 9, 9]})):  # fmt: skip
        yield case(f"a person is {what}", json.dumps({**line, "people": [person]}).encode())
    yield case("deep lists", b"[" * 200_000)
    yield case("half a character", b"\xff\xfe\n")
    yield case("a line of 4 GB", Sparse(lines, 4 << 30))
    yield case("a named pipe", Pipe())
    yield case("a link to endless zeros", Link("/dev/zero"))
    for what, about in (("of lists", {"videos": [[]], "images": [], "annotations": []}), ("of nothing", {"videos": 3}),
                        ("a list", [1]), ("with a huge track",
                        {**truth, "annotations": [{**truth["annotations"][0], "track_id": 1e999}]}),
                        ("with ids that are lists", {**truth, "videos": [{"id": [],
                        "file_name": "a.mp4"}]})):  # fmt: skip
        yield case(f"the truth is {what}", lines, about=about)
