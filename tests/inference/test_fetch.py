"""Files are fetched from a local server that breaks connections, lies about content, or is not there."""

import hashlib
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rsgnet.errors import RSGNetError
from rsgnet.inference.fetch import PublishedFile, default_folder, fetch_file, read_table
from rsgnet.inference.runtime.network_descriptions import PRESETS, find_description

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def server():
    """A server of CONTENT; `break_after` bytes it cuts a connection, and without `ranges` it starts over."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            start = 0
            if self.server.ranges and "Range" in self.headers:
                start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
                self.send_response(206)
            else:
                self.send_response(200 if "net" in self.path else 404)
            self.server.starts.append(start)
            self.send_header("Content-Length", str(len(self.server.content) - start))
            self.end_headers()
            self.wfile.write(self.server.content[start:][: self.server.break_after])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.break_after, server.ranges, server.starts = CONTENT, None, True, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def published(server, **change):
    fields = {
        "address": f"http://127.0.0.1:{server.server_port}/net.onnx",
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "bytes": len(CONTENT),
        "licence": "Apache-2.0",
        "training_data": "drawn people",
        "score": "AP 0.5",
        "use": "--weights onnx:{path}",
    }
    return PublishedFile(**{**fields, **change})


def test_a_file_is_fetched_once(server, tmp_path):
    path = fetch_file(published(server), tmp_path / "cache")
    assert path == tmp_path / "cache/net.onnx" and path.read_bytes() == CONTENT
    assert fetch_file(published(server), tmp_path / "cache") == path and server.starts == [0]
    path.write_bytes(CONTENT[:-1] + b"?")  # damaged since
    assert fetch_file(published(server), tmp_path / "cache").read_bytes() == CONTENT and server.starts == [0, 0]
    assert list((tmp_path / "cache").iterdir()) == [path]


@pytest.mark.parametrize(("ranges", "starts"), [(True, [0, 300_000, 600_000]), (False, [0, 0])])
def test_a_broken_connection_is_continued(server, tmp_path, ranges, starts):
    server.break_after, server.ranges = 300_000, ranges
    with pytest.raises(RSGNetError, match=r"broke after 300000 of 1024000 bytes; run the command again to continue"):
        fetch_file(published(server), tmp_path)
    assert not (tmp_path / "net.onnx").exists()
    if ranges:
        with pytest.raises(RSGNetError, match="broke after 600000"):
            fetch_file(published(server), tmp_path)
    server.break_after = None
    assert fetch_file(published(server), tmp_path).read_bytes() == CONTENT
    assert server.starts == starts and not list(tmp_path.glob("*.part"))


def test_another_content_is_deleted(server, tmp_path):
    server.content = CONTENT[::-1]
    with pytest.raises(RSGNetError, match=r"its SHA-256 is [0-9a-f]{64}, not .*: deleted"):
        fetch_file(published(server), tmp_path)
    server.content = CONTENT * 2  # an endless file is not read to its end
    with pytest.raises(RSGNetError, match="deleted"):
        fetch_file(published(server), tmp_path)
    assert not list(tmp_path.iterdir())


def archive(**contents):
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as opened:
        for name, content in contents.items():
            opened.writestr(f"2023/{name.replace('_', '.')}", content)
    return written.getvalue()


def zipped(server, **change):
    address = f"http://127.0.0.1:{server.server_port}/rtmpose-net.zip"
    return published(server, address=address, member="end2end.onnx", **change)


class TestArchives:
    @pytest.mark.parametrize(("ranges", "starts"), [(True, [0, 300_000]), (False, [0, 0])])
    def test_the_file_in_an_archive_is_fetched(self, server, tmp_path, ranges, starts):
        server.content = archive(end2end_onnx=CONTENT, __end2end_onnx="?")
        server.break_after, server.ranges = 300_000, ranges
        with pytest.raises(RSGNetError, match=rf"broke after 300000 of {len(server.content)} bytes"):
            fetch_file(zipped(server), tmp_path)
        server.break_after = None
        path = fetch_file(zipped(server), tmp_path)
        assert path == tmp_path / "rtmpose-net.onnx" and path.read_bytes() == CONTENT
        assert fetch_file(zipped(server), tmp_path) == path and server.starts == starts
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (CONTENT, "not a zip file"),
            (archive(a_json="{}"), "holds no end2end.onnx"),
            (archive(end2end_onnx=CONTENT, **{"b/end2end_onnx": CONTENT}), "holds no end2end.onnx"),
            (archive(end2end_onnx=CONTENT * 9), "has 9216000 bytes, not 1024000"),  # however large, it is not unpacked
            (archive(end2end_onnx=CONTENT[::-1]), "its SHA-256 is"),
            (archive(end2end_onnx=CONTENT).replace(CONTENT[:9], b"damaged!!", 1), "Bad CRC-32"),
        ],
    )
    def test_an_archive_without_the_file_is_deleted(self, server, tmp_path, content, message):
        server.content = content
        with pytest.raises(RSGNetError, match=rf"rtmpose-net\.zip: .*{message}.*: deleted"):
            fetch_file(zipped(server), tmp_path)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["missing", None])
def test_without_a_network_it_says_what_to_put_where(server, tmp_path, path):
    address = f"http://127.0.0.1:{server.server_port}/missing" if path else "http://127.0.0.1:9/net.onnx"
    with pytest.raises(RSGNetError, match=rf"cannot be fetched \(.*; run the command again, or put {address} \(SHA"):
        fetch_file(published(server, address=address), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"licence": "AGPL-3.0"}, "licence must be one of Apache-2.0"),
        ({"address": "file:///etc/passwd"}, "must be http"),
        ({"bytes": 0}, "expected 1 to"),
        ({"sha256": "abc"}, "64 digits"),
    ],
)
def test_entries_of_a_table_are_checked(server, change, message):
    with pytest.raises(RSGNetError, match=message):
        published(server, **change)


def test_the_shipped_table_is_valid(monkeypatch, tmp_path):
    table = read_table()
    assert {"rtmpose-m", "vitpose-b", "dwpose-l", "yolox-s"} <= set(table)
    assert all(file.use.format(path="x") and int(file.sha256, 16) for file in table.values())
    assert all(file.file_name.endswith(".onnx") for file in table.values())
    for field in ("sha256", "file_name"):
        assert len({getattr(file, field) for file in table.values()}) == len(table)
    # Each pose network's file name chooses its preset.
    poses = [file.file_name for file in table.values() if file.use.startswith("--weights")]
    assert len(poses) == 6 and all(find_description(Path(name), None) in PRESETS.values() for name in poses)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "rsgnet"


def test_the_command(server, tmp_path, rsgnet):
    code, out, _ = rsgnet("fetch")
    assert code == 0 and "yolox-s: 36 MB, Apache-2.0" in out
    file = published(server)
    keys = [key for key in PublishedFile.__dataclass_fields__ if key != "member"]
    lines = [f"{key} = {getattr(file, key)!r}".replace("'", '"') for key in keys]
    (tmp_path / "mirror.toml").write_text("[mine]\n" + "\n".join(lines))
    options = "--table", tmp_path / "mirror.toml", "--out", tmp_path / "nets"
    code, out, _ = rsgnet("fetch", "mine", *options)
    assert code == 0 and f"--weights onnx:{tmp_path / 'nets/net.onnx'}" in out and "trained on: drawn people" in out
    code, _, errors = rsgnet("fetch", "theirs", *options)
    assert code == 2 and errors == ["error: no published file 'theirs'; there are mine"]
    (tmp_path / "mirror.toml").write_text("[mine]\naddress = 3")
    code, _, errors = rsgnet("fetch", "mine", *options)
    assert code == 2 and "not a table of published files" in errors[0]
