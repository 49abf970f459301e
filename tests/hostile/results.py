"""Hostile results: lists of poses and boxes, and the lines of clips."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from tests.hostile.cases import Case, Content, damage, special_files
from tests.hostile.labels import NASTY_NUMBERS, NASTY_PATHS, coco

TRUTH, TRACKS = "truth.json", "tracks.json"


def make_result() -> dict[str, Any]:
    """Returns a valid result of one person."""
    return {"image_id": 1, "category_id": 1, "score": 0.5, "keypoints": [5, 6, 1] * 17, "bbox": [1, 2, 20, 25], "id": 3}


def result_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields all cases."""
    whole = json.dumps([make_result(), {**make_result(), "id": 4, "score": 0.25}]).encode()
    for fault, content in damage(whole, rng):
        yield _results(fault, content, fault in ("cut to its head", "cut in half"))
    for key in ("image_id", "score", "keypoints", "bbox", "category_id", "id"):
        for fault, value in NASTY_NUMBERS.items():
            given = [value] * 4 if key == "bbox" else value
            yield _results(f"{key} is {fault}", json.dumps([{**make_result(), key: given}]).encode(), refused=False)
    for fault, path in NASTY_PATHS.items():
        entry = {key: value for key, value in make_result().items() if key != "image_id"}
        yield _results(f"{fault} in it", json.dumps([{**entry, "file_name": path}]).encode())
    for fault, content in _texts():
        yield _results(fault, content)
    yield from _tracks(rng)


def _results(fault: str, content: Content, refused: bool = True) -> Case:
    files: dict[str, Content] = {"a.json": content, TRUTH: json.dumps(coco()).encode()}
    return Case(f"results/{fault}", "results", "a.json", files, refused)


def _texts() -> Iterator[tuple[str, Content]]:
    yield "an empty file", b""
    yield "an object", b'{"a": 1}'
    yield "a text", b'"poses"'
    yield "a list of numbers", b"[1, 2]"
    yield "a list of lists", b"[[[]]]"
    yield "deep lists", b"[" * 200_000
    yield "the same entry 2000 times", json.dumps([make_result()] * 2000).encode()
    yield (
        "keypoints of keypoints",
        json.dumps([{**make_result(), "keypoints": [[5, 6, 1]] * 17, "bbox": [[1]]}]).encode(),
    )
    yield "a million keypoints", json.dumps([{**make_result(), "keypoints": [0] * 1_000_000, "bbox": []}]).encode()
    yield (
        "an id that paints on terminals",
        json.dumps([{**make_result(), "id": "\x1b[2J" * 3000, "score": "x"}]).encode(),
    )
    yield "an image's name that is long", json.dumps([{"file_name": "x" * 1_000_000, "score": 1}]).encode()
    yield "a number of a million digits", b"[" + b"9" * 1_000_000 + b"]"
    yield from special_files(b"[")


def _tracks(rng: np.random.Generator) -> Iterator[Case]:
    truth = {
        "videos": [{"id": 1, "file_name": "a.mp4"}],
        "images": [{"id": n, "file_name": f"{n}.png", "video_id": 1, "frame_id": n} for n in range(3)],
        "annotations": [{"id": n, "image_id": n, "track_id": 1, "bbox": [0, 0, 9, 9]} for n in range(3)],
    }
    line = {"file_name": "a.mp4", "frame": 0, "time_s": 0.0, "people": [{"track_id": 1, "bbox": [0, 0, 9, 9]}]}
    lines = "".join(json.dumps({**line, "frame": n}) + "\n" for n in range(3)).encode()

    def case(fault: str, content: Content, refused: bool = True, tracks: Any = None) -> Case:
        files: dict[str, Content] = {"a.jsonl": content, TRACKS: json.dumps(tracks or truth).encode()}
        return Case(f"results/tracks, {fault}", "tracks", "a.jsonl", files, refused)

    for fault, content in damage(lines, rng):
        yield case(fault, content, refused=False)
    for key in ("frame", "people", "file_name"):
        for fault in ("no number", "nothing", "huge", "endless", "not finite"):
            broken = json.dumps({**line, key: NASTY_NUMBERS[fault]}).encode()
            yield case(f"{key} is {fault}", broken, refused=False)
    for fault, person in (("no box", {"track_id": 1}), ("half a box", {"track_id": 1, "bbox": [0, 0]}),
                         ("a box of texts", {"track_id": 1, "bbox": ["a"] * 4}), ("a number", 4),
                         ("a huge track", {"track_id": 10**400, "bbox": [0, 0, 9, 9]})):  # fmt: skip
        yield case(f"a person is {fault}", json.dumps({**line, "people": [person]}).encode())
    yield case("deep lists", b"[" * 200_000)
    yield case("half a character", b"\xff\xfe\n")
    for fault, content in special_files(lines):
        yield case(fault, content)
    for fault, bad_truth in (
        ("of lists", {"videos": [[]], "images": [], "annotations": []}), ("of nothing", {"videos": 3}), ("a list", [1]),
        ("with a huge track", {**truth, "annotations": [{**truth["annotations"][0], "track_id": 1e999}]}),
        ("with ids that are lists", {**truth, "videos": [{"id": [], "file_name": "a.mp4"}]}),
    ):  # fmt: skip
        yield case(f"the truth is {fault}", lines, tracks=bad_truth)
