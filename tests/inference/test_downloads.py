"""Images are fetched from a local HTTP server; every failure is one line that names the address."""

import io
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from rsgnet.errors import ImageError, RSGNetError
from rsgnet.inference import downloads
from rsgnet.inference.downloads import download_image, is_url, name_in_url
from rsgnet.inference.sources import find_images, load_image


def encode_png(value=5):
    file = io.BytesIO()
    Image.fromarray(np.full((3, 4, 3), value, np.uint8)).save(file, "png")
    return file.getvalue()


@contextmanager
def serve(answers):
    """Serves contents by path; other paths are not found. Yields the address of the server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = answers.get(self.path)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("https://example.org/a.jpg", True),
        ("HTTP://example.org/a.jpg", True),
        ("http:/a.jpg", False),
        ("ftp://example.org/a.jpg", False),
        ("s3://bucket/a.jpg", False),
        ("photos/https.jpg", False),
        ("camera:0", False),
        (None, False),
    ],
)
def test_addresses_are_told_from_paths(source, expected):
    assert is_url(source) is expected


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/x/a%20b.jpg?size=2", "a b.jpg"),
        ("https://example.org", "example.org"),
        ("https://example.org/..%2f..%2fevil.jpg", "evil.jpg"),
    ],
)
def test_names_in_results(url, name):
    assert name_in_url(url) == name


def test_an_image_is_fetched():
    with serve({"/a.png?x=1": encode_png()}) as host:
        loaded = load_image(f"{host}/a.png?x=1", 100)
    assert (loaded.pixels == 5).all() and loaded.file_name == f"{host}/a.png?x=1" and loaded.path is None


def test_equal_names_of_different_hosts_are_kept_apart(tmp_path):
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "a.png")
    first, second, third = find_images([tmp_path / "a.png", "https://one.org/a.png", "https://two.org/a.png"])
    assert first.file_name == (tmp_path / "a.png").as_posix()
    assert (second.file_name, third.file_name) == ("one.org/a.png", "two.org/a.png")
    assert find_images(["https://one.org/a.png"] * 2)[0].file_name == "a.png"


@pytest.mark.parametrize(
    ("path", "message"), [("/missing.png", "cannot be fetched .*Not Found"), ("/text", "not an image")]
)
def test_what_is_no_image_is_one_line(path, message):
    with serve({"/text": b"hello"}) as host:
        error = load_image(host + path, 100)
    assert isinstance(error, RSGNetError) and str(error).startswith(host + path)
    with pytest.raises(ImageError, match=message):
        raise error


def test_large_images_are_refused(monkeypatch):
    with serve({"/a.png": encode_png()}) as host:
        assert "over the limit of 5 pixels" in str(load_image(f"{host}/a.png", 5))
        monkeypatch.setattr(downloads, "MAX_DOWNLOAD_BYTES", 10)
        assert "larger than" in str(load_image(f"{host}/a.png", 100))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.png", "http://[/a.png", "http://a b/c", "http://127.0.0.1:x/a"])
def test_servers_that_cannot_be_reached(url):
    with pytest.raises(ImageError, match="cannot be fetched"):
        download_image(url)
