"""What must hold for every input, for the kinds of faults that an attack found: one test or more for each kind.

The kinds are loops whose cost is not bounded by what they read, waits without a deadline, writes that replace something
finished, names from outside that become a path, a cell or a line of a log, and readers that trust a count.
"""

import ast
import csv
import itertools
import json
import os
import threading
import time
import tracemalloc
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.fuzz.readers import READERS
from tests.fuzz.seeds import SEEDS
from tests.hostile.labels import coco

import rsgnet
from rsgnet.annotations.csv_table import read_csv, to_csv
from rsgnet.annotations.findings import raise_if_broken, validate_file_name
from rsgnet.annotations.masks import decode_segmentation
from rsgnet.annotations.people import AnnotatedImage, Annotations
from rsgnet.annotations.readers import parse_annotations
from rsgnet.draw import arrange_tiles
from rsgnet.errors import AnnotationError, ImageError, RSGNetError
from rsgnet.evaluation.conversion import FOLDER_FORMATS, OUTPUT_FORMATS, convert
from rsgnet.files import escape_name
from rsgnet.inference import downloads
from rsgnet.inference.downloads import name_in_url
from rsgnet.inference.predictions import choose_overlay_paths
from rsgnet.inference.sources import ImageFile
from rsgnet.skeletons import COCO17

SOURCES = sorted(Path(rsgnet.__file__).parent.rglob("*.py"))
quickly = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
names = st.text(st.characters(), min_size=1, max_size=30) | st.text("=+-@'\t\r\n.,/\\:\"\0\ud800a", min_size=1)
huge = st.sampled_from([0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, (1 << 62), (1 << 64) - 1])


def variants(count):
    """Returns names that differ only in case."""
    letters = list(enumerate("abcdefghijklmn"))
    return ["".join(each.upper() if number >> bit & 1 else each for bit, each in letters) for number in range(count)]


def draw_caption(letters):
    return lambda: arrange_tiles([("x" * letters, Image.new("RGB", (300, 10)))], 1)


def choose_paths(count):
    files = [ImageFile(Path(f"in/{name}.png"), f"{name}.png") for name in variants(count)]
    return lambda: choose_overlay_paths(files, Path("out"))


def print_line(letters):
    return lambda: RSGNetError("\ud800" * letters)


@pytest.mark.parametrize(("make", "size"), [(draw_caption, 4000), (choose_paths, 250), (print_line, 100_000)])
def test_the_cost_of_a_loop_grows_no_faster_than_its_input(make, size):
    """Eight times the input takes less than 24 times the time; it would take 64 times where it is quadratic."""

    def measure(scale):
        run, seconds = make(scale * size), []
        for _ in range(3):
            started = time.thread_time()
            run()
            seconds.append(time.thread_time() - started)
        return min(seconds)

    assert measure(8) < 24 * max(measure(1), 0.002)


@quickly
@given(st.lists(st.floats(-1e12, 1e12) | st.just(float("nan")), min_size=6, max_size=6))
@example([0, 0, 1e8, 0, 1e8, 1e8])
def test_a_polygon_takes_no_memory_by_its_length(polygon):
    started = time.thread_time()
    with suppress(AnnotationError):
        assert decode_segmentation([polygon], (40, 30)).shape == (30, 40)
    assert time.thread_time() - started < 1


# Calls that wait for another machine, and the position of their timeout.
NETWORK_CALLS = {"urlopen": 2, "create_connection": 1}


def test_no_wait_for_the_network_is_without_a_timeout():
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            if name in NETWORK_CALLS:
                has_timeout = len(node.args) > NETWORK_CALLS[name] or any(k.arg == "timeout" for k in node.keywords)
                found.append((f"{path}:{node.lineno}", has_timeout))
    assert len(found) >= 3 and [place for place, has_timeout in found if not has_timeout] == []


def test_a_server_that_sends_a_byte_now_and_then_does_not_hold_the_caller(monkeypatch):
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while not stopped.wait(0.05):
                    self.wfile.write(b"x")

        def log_message(self, *_):
            pass

    monkeypatch.setattr(downloads, "_MAX_SECONDS", 0.5)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with pytest.raises(ImageError, match="takes longer than"):
            downloads.download_image(f"http://127.0.0.1:{server.server_port}/a.png")
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("form", sorted(OUTPUT_FORMATS.keys() - {"openpose"}))  # which refuses a folder with results
def test_a_write_that_fails_leaves_each_file_old_or_new(form, tmp_path, monkeypatch):
    """The disk is full at each of the writes of a conversion in turn; no file is partial, and none is left over."""
    source, changed = tmp_path / "a.json", tmp_path / "b.json"
    content = coco()
    source.write_text(json.dumps(content))
    content["annotations"][0]["keypoints"] = [7, 8, 1] * 17
    changed.write_text(json.dumps(content))

    def write(labels, name):
        out = tmp_path / name / ("data" if form in FOLDER_FORMATS else "data.json")
        with suppress(OSError):
            convert(labels, out, form)
        files = (path for path in out.parent.rglob("*") if path.is_file())
        return {path.relative_to(out.parent): path.read_bytes() for path in files}

    replace, new = Path.replace, write(changed, "new")
    for allowed in range(10):
        old, number = write(source, str(allowed)), itertools.count()

        def replace_or_fail(self, target, number=number, allowed=allowed):
            if next(number) >= allowed:
                raise OSError(28, "No space left on device")
            return replace(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", replace_or_fail)
            found = write(changed, str(allowed))
        assert found.keys() == old.keys() == new.keys() and old != new
        assert all(found[path] in (old[path], new[path]) for path in found)
        assert allowed or found == old
        if found == new:
            break
    assert found == new


@quickly
@given(st.lists(names, min_size=1, max_size=5, unique=True))
@example(["..", "/../.", "\0"])
def test_a_name_leads_no_result_out_of_its_folder(texts):
    """The names are of addresses, and of files here."""
    in_urls = [name_in_url(f"https://host/{quote(text, errors='replace')}") for text in texts]
    here = [os.fsdecode(text.encode(errors="replace")) for text in texts if not {"/", "\0"} & set(text)]
    here = sorted({*here, "b\udcff"} - {".", ".."})
    files = [ImageFile(Path("in") / str(number), name) for number, name in enumerate([*here, *in_urls])]
    paths = choose_overlay_paths(files, Path("/out")).values()
    assert all(os.path.normpath(path).startswith("/out/") for path in paths)
    assert len({str(path).casefold() for path in paths}) == len(files)


@quickly
@given(names)
@example(".")
def test_a_name_is_a_file_below_the_images_or_refused(name):
    with suppress(AnnotationError):
        validate_file_name(name)
        assert os.path.normpath(f"/images/{name}").startswith("/images")
        assert not PurePosixPath(name).is_absolute() and "\0" not in name
        name.encode()


@quickly
@given(names)
@example("0\r")
def test_a_name_is_no_formula_of_a_spreadsheet_and_survives(name):
    image = AnnotatedImage(1, name, (40, 30), ())
    with suppress(AnnotationError):
        validate_file_name(name)
        text = to_csv(Annotations(Path("a.json"), COCO17, (image,)))
        assert not list(csv.reader(StringIO(text)))[1][0].startswith(("=", "+", "-", "@", "\t", "\r"))
        assert read_csv(text, (), "a", raise_if_broken)[1][0].file_name == name


@quickly
@given(names)
def test_a_message_is_one_printable_line_of_bounded_length(name):
    message = str(RSGNetError(f"{name * 200}: no such file"))
    assert message.isprintable() and len(message) <= 12 * 1500
    escape_name(name).encode()


@pytest.mark.parametrize("reader", [name for name in READERS if name != "weights"])
def test_a_count_that_is_wrong_takes_no_memory(reader, tmp_path):
    """A count in a header is replaced by a huge one; Python's memory stays below a hundred times the largest file."""
    pytest.importorskip("fastapi" if reader == "upload" else "numpy")
    seeds = SEEDS[reader]()

    @quickly
    @given(st.sampled_from(seeds), st.floats(0, 1), huge, st.sampled_from(["little", "big", "digits"]))
    def read(seed, share, count, kind):
        position = int(share * (len(seed) - 1))
        size = max(1, (count.bit_length() + 7) // 8)
        changed = str(count).encode() if kind == "digits" else count.to_bytes(size, kind)
        tracemalloc.start()
        try:
            READERS[reader](seed[:position] + changed + seed[position + len(changed) :])
            assert tracemalloc.get_traced_memory()[1] < 64 << 20
        finally:
            tracemalloc.stop()

    read()


@quickly
@given(st.lists(st.integers(0, 1 << 40), max_size=6), st.booleans())
@example([0, 1200], True)
@example([0, 1 << 31], True)
def test_run_lengths_are_of_their_image(counts, nested):
    segmentation = {"size": [30, 40], "counts": counts}
    with suppress(AnnotationError):
        mask = decode_segmentation([segmentation] if nested else segmentation, (40, 30))
        assert not nested and sum(counts) == 1200 and mask.sum() == sum(counts[1::2])


def test_labels_of_one_image_each_count_once(tmp_path):
    """Counts in label files are not trusted either: `num_keypoints` of a person is counted again."""
    content = coco()
    for each in content["annotations"]:
        each["num_keypoints"] = 10**9
    (tmp_path / "a.json").write_text(json.dumps(content))
    people = [person for image in parse_annotations(tmp_path / "a.json").images for person in image.people]
    assert people and all(person.num_labelled == int(np.count_nonzero(person.keypoints[:, 2])) for person in people)
