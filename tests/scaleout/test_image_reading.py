import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from tests.scaleout.conftest import png, write_tar

from rsgnet.errors import ImageError
from rsgnet.scaleout import image_reading
from rsgnet.scaleout.image_reading import iterate_images, read_file
from rsgnet.scaleout.inputs import InputPart

MAX_PIXELS = 10_000


def outcome(image):
    """Returns the grey of an image, or the message of its error."""
    try:
        return int(image.load_image(MAX_PIXELS).pixels[0, 0, 0])
    except ImageError as error:
        return str(error)


def read(kind, path, **more):
    uri = f"file://{path}"
    images = list(iterate_images([InputPart(kind, uri, path.name, **more)]))
    return [(image.source.removeprefix(uri), image.file_name, outcome(image)) for image in images]


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("b.tgz", "w:gz")])
def test_an_archive(tmp_path, name, mode):
    members = {"x/0.png": png(0), "x/0.json": b"{}", "1.png": png(10), "1.seg.png": png(20), "2.png": b"bad"}
    write_tar(tmp_path / name, members, mode)
    found = read("tar", tmp_path / name)
    assert found[:3] == [("#x/0.png", "x/0.png", 0), ("#1.png", "1.png", 10), ("#1.seg.png", "1.seg.png", 20)]
    assert found[3][0] == "#2.png" and f"{name}#2.png: not an image of a known kind" in found[3][2]
    assert len(found) == 4


@pytest.mark.parametrize("left", [1000, 1024, 1536 + 100, 1536 + 512, 3072])
def test_a_truncated_archive_is_reported(tmp_path, left):
    """Cut inside the second image, in a header, in another member, and before the end mark."""
    whole = write_tar(tmp_path / "a.tar", {"0.png": png(0), "1.txt": b"?" * 600, "2.png": png(20)})
    (tmp_path / "a.tar").write_bytes(whole[:left])
    found = read("tar", tmp_path / "a.tar")
    assert [each[2] for each in found[:-1]] == [0, 20][: len(found) - 1]
    assert "a.tar: cannot be read on from here" in found[-1][2] and "truncated" in found[-1][2]


@pytest.mark.parametrize("content", [None, b"", b"no archive" * 200])
def test_not_an_archive(tmp_path, content):
    if content is not None:
        (tmp_path / "a.tar").write_bytes(content)
    ((_, name, message),) = read("tar", tmp_path / "a.tar")
    assert name == "a.tar" and "a.tar: cannot be read" in message


def test_an_empty_archive(tmp_path):
    write_tar(tmp_path / "a.tar", {})
    assert read("tar", tmp_path / "a.tar") == []


def test_rows_of_bytes(tmp_path):
    values = [png(0), png(10), None, b"bad", png(40), b""]
    pq.write_table(pa.table({"image": values, "more": range(6)}), tmp_path / "p.parquet", row_group_size=2)
    found = read("parquet", tmp_path / "p.parquet", column="image", first=1, stop=3)
    assert [source for source, _, _ in found] == ["#2", "#3", "#4", "#5"] and found[2] == ("#4", "p.parquet#4", 40)
    assert "no image in this row" in found[0][2] and "not an image" in found[1][2]
    assert "the file is empty" in found[3][2]


def test_rows_of_uris_and_of_both(tmp_path):
    (tmp_path / "a.png").write_bytes(png(10))
    uris = [f"file://{tmp_path}/a.png", str(tmp_path / "a.png"), "a.png", "missing.png", "no://x.png"]
    both = [{"bytes": png(20), "path": "b.png"}, {"bytes": None, "path": "a.png"}, None, {"bytes": None, "path": None}]
    pq.write_table(pa.table({"url": uris}), tmp_path / "u.parquet")
    pq.write_table(pa.table({"image": both}), tmp_path / "b.parquet")
    found = read("parquet", tmp_path / "u.parquet")
    assert [grey for _, _, grey in found[:3]] == [10, 10, 10]
    assert "missing.png: no such file" in found[3][2] and "no://x.png: cannot be read" in found[4][2]
    found = read("parquet", tmp_path / "b.parquet")
    assert found[0] == ("#0", "b.png", 20) and found[1] == ("#1", "a.png", 10)
    assert all("no image in this row" in message for _, _, message in found[2:]) and len(found) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_large_values_of_a_small_file_are_expanded_one_at_a_time(tmp_path):
    value = pa.DictionaryArray.from_arrays(pa.array([0] * 32), pa.array([bytes(60_000_000)]))
    pq.write_table(pa.table({"image": value}), tmp_path / "p.parquet", compression="zstd")
    assert (tmp_path / "p.parquet").stat().st_size < 10_000
    script = """
import re, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from rsgnet.inference.sources import chunk_images, read_ahead
from rsgnet.scaleout.image_reading import iterate_images
from rsgnet.scaleout.inputs import InputPart

def peak():
    return int(re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[0]) // 1024

before = peak()
images = iterate_images([InputPart("parquet", f"file://{sys.argv[1]}", "p.parquet")])
found = [image for chunk in chunk_images(read_ahead(images, ThreadPoolExecutor(4), 1000)) for image in chunk]
print(len(found), peak() - before)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "p.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    images, grown_mb = map(int, done.stdout.split())
    assert images == 32 and grown_mb < 800


def test_every_row_of_a_broken_row_group_has_an_error(tmp_path):
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"image": [png(10 * row) for row in range(6)]}), path, row_group_size=2, compression="none")
    at = pq.ParquetFile(path).metadata.row_group(1).column(0).dictionary_page_offset
    content = bytearray(path.read_bytes())
    content[at : at + 40] = b"\xff" * 40
    path.write_bytes(content)
    found = read("parquet", path, column="image", first=0, stop=3)
    assert [source for source, _, _ in found] == [f"#{row}" for row in range(6)]
    assert any("cannot be read" in str(each) for _, _, each in found)


@pytest.mark.parametrize("content", [None, b"", b"PAR1nothingPAR1"])
def test_not_a_parquet_file(tmp_path, content):
    if content is not None:
        (tmp_path / "p.parquet").write_bytes(content)
    ((source, name, message),) = read("parquet", tmp_path / "p.parquet")
    assert (source, name) == ("", "p.parquet") and "p.parquet: cannot be read" in message


def test_limits(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(png(1, (200, 100)))
    write_tar(tmp_path / "a.tar", {"a.png": png(1)})
    assert "over the limit of 10000 pixels" in read("file", tmp_path / "a.png")[0][2]
    monkeypatch.setattr(image_reading, "MAX_FILE_BYTES", 20)
    assert "over 20 bytes" in read("file", tmp_path / "a.png")[0][2]
    assert "over 20 bytes" in read("tar", tmp_path / "a.tar")[0][2]


def test_a_store_that_fails_is_asked_again(tmp_path, monkeypatch):
    attempts, content = [], png(3)

    def failing_open(self, path, mode):
        attempts.append(path)
        if len(attempts) % 3:
            raise TimeoutError("slow down")
        return local_open(self, path, mode)

    (tmp_path / "a.png").write_bytes(content)
    local_open = LocalFileSystem.open
    monkeypatch.setattr(LocalFileSystem, "open", failing_open)
    monkeypatch.setattr(image_reading, "_RETRY_WAIT_S", 0.0)
    assert read_file(str(tmp_path / "a.png")) == content and len(attempts) == 3
    with pytest.raises(ImageError, match="no such file"):
        attempts += ["", ""]  # so that the next attempt succeeds
        read_file(str(tmp_path / "b.png"))
    monkeypatch.setattr(LocalFileSystem, "open", lambda *_: (_ for _ in ()).throw(TimeoutError("never")))
    with pytest.raises(ImageError, match=r"a\.png: cannot be read \(never\)"):
        read_file("a.png")
