"""Abusive clients of a service process: the service refuses them, keeps working, and its memory does not grow."""

import json
import subprocess
import sys
import zlib
from io import BytesIO

import pytest
from PIL import Image
from tests.failing_network import write_failing_network
from tests.hostile.images import png as png_file
from tests.hostile.images import zeros_png
from tests.server import abuse
from tests.server.conftest import png
from tests.server.process import FORM_TYPE, TIMEOUT_S, serving

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc, which is Linux's"),
    pytest.mark.xdist_group("abuse"),  # one worker, so that the service starts once
]

MAX_SECONDS, MAX_CONNECTIONS, MAX_PER_ADDRESS, GROWTH_MB = 4, 100, 60, 200
PART = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'


def white_png():
    file = BytesIO()
    Image.new("RGB", (64, 64), "white").save(file, "png")
    return file.getvalue()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    network = [
        "--weights",
        write_failing_network(folder / "failing"),
        "--detector",
        "full",
        "--max-seconds",
        MAX_SECONDS,
    ]
    limits = ["--max-pixels", 1_000_000, "--max-megabytes", 2, "--max-connections", MAX_CONNECTIONS]
    limits += ["--max-connections-per-address", MAX_PER_ADDRESS]
    with serving(folder / "log", *network, *limits) as server:
        assert server.recovers(png())
        yield server
        assert server.process.poll() is None


@pytest.fixture(autouse=True)
def check_unharmed(server):
    """Checks after each test that an image is answered and that the memory has not grown much."""
    before = server.memory_mb
    yield
    assert server.recovers(png())
    assert server.memory_mb - before < GROWTH_MB


class TestConnections:
    def test_clients_whose_heads_never_end_are_disconnected(self, server):
        assert abuse.send_endless_heads(server, 20) == 20

    def test_a_stalled_body_times_out(self, server):
        assert abuse.send_stalled_body(server) == 504  # MAX_SECONDS, which is less than the time to be found slow

    def test_reset_connections(self, server):
        abuse.reset_connections(server, 100, png())

    def test_a_client_that_reads_no_response_is_disconnected(self, server):
        assert abuse.never_read(server, 20_000)

    def test_too_many_connections(self, server):
        assert abuse.hold_connections(server, MAX_PER_ADDRESS + 20, "127.0.0.1") == 503

    def test_too_many_connections_of_one_address_leave_room_for_others(self, server):
        assert abuse.hold_connections(server, MAX_PER_ADDRESS + 20, "127.0.0.2") == 200

    def test_ten_thousand_tiny_requests(self, server):
        assert abuse.send_tiny_requests(server, 10_000) == {200: 2500, 404: 2500, 422: 2500, 405: 2500}


class TestRequests:
    @pytest.mark.parametrize(
        ("sent", "expected"),
        [
            (b"GET / HTTP/1.1\r\nx: " + b"x" * 1_000_000 + b"\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 50_000 + b"\r\n", 400),
            (b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 400),
            (b"\x16\x03\x01\x02\x00\x01\x00" + bytes(500) + b"\r\n\r\n", 400),
            (b"GET / HTTP/one\r\nhost: x\r\n\r\n", 400),
            (b"POST /v1/poses HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n", 400),
            (b"POST /v1/poses HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", 400),
            (b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\nbad header\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nhost: x\0y\r\n\r\n", 400),
        ],
    )
    def test_malformed_http(self, server, sent, expected):
        assert abuse.status_of(abuse.send_raw(server, sent)) in (expected, 0)  # 0: disconnected while it still sent

    def test_websockets_are_not_opened(self, server):
        upgrade = {
            "connection": "upgrade, close",
            "upgrade": "websocket",
            "sec_websocket_key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        assert server.request("GET", "/v1/poses", **upgrade, sec_websocket_version="13").status == 405

    @pytest.mark.parametrize(
        "kind",
        ["", "text/plain", "application/json", "image/png", "multipart/mixed; boundary=x", "multipart/form-data x"],
    )
    def test_other_content_types(self, server, kind):
        response = server.request("POST", "/v1/poses", png(), content_type=kind)
        assert response.status == 415 and "multipart/form-data" in response.content["error"]

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"", FORM_TYPE),
            (b"--x", FORM_TYPE),
            (b"--x--\r\n", FORM_TYPE),
            (PART + png(), FORM_TYPE),  # never closed
            (PART * 200 + b"\r\n--x--\r\n", FORM_TYPE),
            (b"--x\r\n" + b"y: z\r\n" * 100_000 + b"\r\n--x--\r\n", FORM_TYPE),
            (b"--x\r\nContent-Disposition: form-data\r\n\r\nhello\r\n--x--\r\n", FORM_TYPE),
            (b"--x\r\nContent-Disposition: form-data; name=\r\n\r\nhello\r\n--x--\r\n", FORM_TYPE),
            (
                b'--x\r\nContent-Disposition: form-data; name="boxes"\r\n\r\n' + b"[" * 900_000 + b"\r\n--x--\r\n",
                FORM_TYPE,
            ),
            (
                b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\n' + b"n" * 1_900_000 + b"\r\n--x--\r\n",
                FORM_TYPE,
            ),
            ((b'--x\r\nContent-Disposition: form-data; name="n"\r\n\r\n1\r\n') * 20_000 + b"--x--\r\n", FORM_TYPE),
            (PART + png() + b"\r\n--x--\r\n", "multipart/form-data"),
            (PART + png() + b"\r\n--x--\r\n", "multipart/form-data; boundary=" + "y" * 5000),
            (PART + png() + b"\r\n--x--\r\n", 'multipart/form-data; boundary=""'),
            (b"\r\n" * 500_000, FORM_TYPE),
            (bytes(range(256)) * 1000, FORM_TYPE),
        ],
    )
    def test_broken_forms(self, server, body, kind):
        response = server.request("POST", "/v1/poses", body, content_type=kind)
        assert response.status in (400, 422) and 0 < len(response.content["error"]) < 2000

    def test_too_many_bytes(self, server):
        assert server.post(bytes(3_000_000)).status == 413

    @pytest.mark.parametrize(
        "path",
        ["/../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd",
         "/%00", "/index.html%00.js", "/..%5c..%5cetc%5cpasswd", "/./../app.py", "/../run.py", "/%ff%fe",
         "/~root", "/a/" * 900],
    )  # fmt: skip
    def test_paths_that_leave_the_folder(self, server, path):
        received = abuse.send_raw(
            server, f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
        )
        assert abuse.status_of(received) in (307, 400, 404) and b"root:" not in received and b"import" not in received

    @pytest.mark.parametrize(
        "name", [b"../../escaped.png", b"/etc/passwd", b"a\x00b", b"\xff\xfe", b"x" * 5000, b"CON", b""]
    )
    def test_strange_file_names(self, server, name):
        response = server.post(png(), name)
        assert response.status in (200, 400, 422) and (response.status != 200 or len(response.content["images"]) == 1)


class TestImages:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (png_file((60_000, 60_000), 8, 2, zlib.compress(bytes(99))), "too large to decode"),
            (zeros_png((9_900, 10_000), 1, 0), "over the limit of 1000000 pixels"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "not an image"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
            (b"\x89PNG\r\n\x1a\n" + bytes(100), "a.png: not an image"),
        ],
    )
    def test_bombs_and_other_formats(self, server, content, message):
        response = server.post(content)
        assert response.status == 422 and message in response.content["error"]

    def test_absurd_boxes(self, server):
        for boxes in ([[[0, 0, 1e300, 1e300]]], [[[-1e300, 0, 1, 1]]], [[[0, 0, -5, -5]]], [[[0, 0, 0, 0]]]):
            field = b'--x\r\nContent-Disposition: form-data; name="boxes"\r\n\r\n' + json.dumps(boxes).encode()
            response = server.request(
                "POST", "/v1/poses", field + b"\r\n" + PART + png() + b"\r\n--x--\r\n", content_type=FORM_TYPE
            )
            assert response.status in (200, 422)

    def test_a_network_that_fails_gives_an_error_and_recovers(self, server):
        response = server.post(white_png())
        assert response.status == 500 and "send it again" in response.content["error"]
        assert server.recovers(png())
        assert b"rsgnet_worker_crashes_total 1.0" in server.request("GET", "/metrics").body


def test_the_openapi_description_is_correct(server, tmp_path):
    """schemathesis sends allowed and forbidden requests, but none for drawn crowds, which are slow."""
    pytest.importorskip("schemathesis", reason="needs rsgnet[dev]")
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://{server.host}:{server.port}/openapi.json",
               "--checks", checks, "--max-examples", "15", "--seed", "1", "--exclude-path", "/v1/crowd",
               "--phases", "examples,coverage,fuzzing", "--generation-database", "none",
               "--suppress-health-check", "all"]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=4 * TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
