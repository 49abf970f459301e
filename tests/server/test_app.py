import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from tests.server.conftest import LEFT, PATIENCE_S, WRIST, files, png, three_people

from rsgnet.annotations.readers import read_annotations
from rsgnet.server.app import PAGE, create_app


def metric(client, line):
    found = re.search(rf"^{re.escape(line)} (\S+)$", client.get("/metrics").text, re.M)
    return float(found[1]) if found else None


class TestPoses:
    def test_answers_are_the_entries_of_poses_json(self, client):
        answer = client().post("/v1/poses", files=files("a.png"))
        assert answer.status_code == 200 and answer.json()["skeleton"]["keypoints"][WRIST] == "left_wrist"
        (image,) = answer.json()["images"]
        assert image["people"] == three_people("a.png").to_coco() and "candidates" not in image["people"][0]
        assert (image["file_name"], image["width"], image["height"]) == ("a.png", 320, 240)
        assert {"present", "visible", "owned", "rival", "rival_owned"} <= set(image["people"][0])

    def test_candidates_on_request(self, client):
        answer = client().post("/v1/poses", params={"candidates": True}, files=files("a.png"))
        people = answer.json()["images"][0]["people"]
        assert people == three_people("a.png").to_coco(candidates=True)
        assert people[0]["candidates"][0] == [[LEFT, 35.0, 0.9, 0.6]] and len(people[1]["candidates"][0]) == 2

    def test_a_broken_image_among_others_gets_its_error(self, client):
        answer = client().post("/v1/poses", files=files("a.png", "broken.png", "b.png"))
        assert answer.status_code == 200 and "error" not in answer.json()
        first, broken, last = answer.json()["images"]
        assert len(first["people"]) == len(last["people"]) == 3 and "people" not in broken
        assert broken["error"].startswith("broken.png: not an image")

    def test_nothing_but_broken_images_is_422(self, client):
        answer = client().post("/v1/poses", files=files("broken.png", "broken too.png"))
        assert answer.status_code == 422 and answer.json()["error"].startswith("none of the 2 images can be used")
        assert len(answer.json()["images"]) == 2
        assert client().post("/v1/poses", files=files("broken.png")).json()["error"].startswith("broken.png: not a")

    def test_boxes_of_ones_own(self, client, estimator):
        boxes = json.dumps([[[10, 20, 30, 40]], None, []])
        client().post("/v1/poses", files=files("a", "b", "c"), data={"boxes": boxes}).raise_for_status()
        assert estimator.boxes[0].boxes_xyxy.tolist() == [[10, 20, 40, 60]] and estimator.boxes[0].scores.tolist() == [
            1
        ]
        assert estimator.boxes[1] is None and len(estimator.boxes[2]) == 0

    @pytest.mark.parametrize(
        ("boxes", "says"),
        [("[", "boxes: expected JSON"), ("[[[1, 2, 3]]]", "boxes: expected JSON"), ("[]", "boxes: of 0 images")],
    )
    def test_boxes_that_do_not_fit(self, client, boxes, says):
        answer = client().post("/v1/poses", files=files("a.png"), data={"boxes": boxes})
        assert answer.status_code == 422 and answer.json()["error"].startswith(says)

    @pytest.mark.parametrize(
        ("request_", "status", "says"),
        [
            ({"content": png()}, 415, "multipart/form-data"),
            ({"files": [("note", (None, "hello"))]}, 422, "holds no image"),
            ({"files": files("a.png"), "params": {"candidates": "perhaps"}}, 422, "candidates"),
            ({"files": files("a.png"), "params": {"weights": "huge"}}, 404, "there are nano"),
            ({"content": b"--x", "headers": {"content-type": "multipart/form-data; boundary=y"}}, 400, ""),
        ],
    )
    def test_what_is_no_request(self, client, request_, status, says):
        answer = client().post("/v1/poses", **request_)
        assert answer.status_code == status and says in answer.json()["error"]


class TestLimits:
    def test_of_bytes_declared_or_not(self, client):
        service = client(request_bytes=1000)
        large = files("a.png", content=bytes(2000))
        assert service.post("/v1/poses", files=large).status_code == 413
        boundary = {"content-type": "multipart/form-data; boundary=x"}
        start = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'
        chunks = iter([start, *[bytes(500)] * 10, b"\r\n--x--\r\n"])
        answer = service.post("/v1/poses", content=chunks, headers=boundary)
        assert answer.status_code == 413 and "limit of 1000 bytes" in answer.json()["error"]

    def test_of_images(self, client):
        answer = client(images=2).post("/v1/poses", files=files("a", "b", "c"))
        assert answer.status_code == 400 and "2" in answer.json()["error"]

    def test_of_people_in_boxes_of_ones_own(self, client):
        boxes = json.dumps([[[0, 0, 9, 9]] * 3])
        answer = client(people=2).post("/v1/poses", files=files("a"), data={"boxes": boxes})
        assert answer.status_code == 422 and "limit of 2 people" in answer.json()["error"]

    def test_of_time(self, client, estimator):
        service = client(seconds=1)
        estimator.gate.clear()
        answer = service.post("/v1/poses", files=files("a.png"))
        assert answer.status_code == 504 and "took longer" in answer.json()["error"]
        estimator.gate.set()
        wait_until(lambda: service.post("/v1/poses", files=files("a.png")).status_code == 200)

    def test_of_images_that_wait(self, client, estimator):
        service = client(images=2, waiting=2)
        estimator.gate.clear()
        with ThreadPoolExecutor() as pool:
            first = pool.submit(service.post, "/v1/poses", files=files("a.png"))
            assert estimator.started.wait(PATIENCE_S)
            second = pool.submit(service.post, "/v1/poses", files=files("b.png", "c.png"))
            wait_until(lambda: metric(service, "rsgnet_waiting_images") == 2)
            refused = service.post("/v1/poses", files=files("d.png"))
            estimator.gate.set()
            assert first.result().status_code == second.result().status_code == 200
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1
        assert "2 images wait already" in refused.json()["error"]
        assert estimator.batches == [["a.png"], ["b.png", "c.png"]]


def wait_until(true):
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


class TestBatching:
    def test_the_images_of_several_clients_go_together(self, client, estimator):
        service = client(batch=3)
        estimator.gate.clear()
        with ThreadPoolExecutor() as pool:
            answers = [pool.submit(service.post, "/v1/poses", files=files("0.png"))]
            assert estimator.started.wait(PATIENCE_S)
            answers += [pool.submit(service.post, "/v1/poses", files=files(f"{n}.png")) for n in range(1, 5)]
            wait_until(lambda: metric(service, "rsgnet_waiting_images") == 4)
            estimator.gate.set()
            told = [answer.result().json()["images"][0]["file_name"] for answer in answers]
        assert [len(batch) for batch in estimator.batches] == [1, 3, 1]
        assert told == [f"{n}.png" for n in range(5)]  # each client gets its own


class TestCrash:
    def test_its_requests_get_an_error_and_it_comes_back(self, client, estimator):
        opened = []
        service = client(opening=lambda: opened.append(1) or estimator)
        answer = service.post("/v1/poses", files=files("a.png", "crash.png", "b.png"))
        assert answer.status_code == 500 and "the network failed" in answer.json()["error"]
        wait_until(lambda: service.get("/readyz").status_code == 200)
        assert service.post("/v1/poses", files=files("a.png")).status_code == 200
        assert len(opened) == 2 and metric(service, "rsgnet_worker_crashes_total") == 1

    def test_one_that_cannot_be_opened_again_is_not_ready(self, client, estimator, monkeypatch):
        monkeypatch.setattr("rsgnet.server.worker._REOPEN_EVERY_S", 0.01)
        ways = iter([estimator, None, None])
        healed = []

        def opening():
            if next(ways, None) is None and not healed:
                raise OSError("gone")
            return estimator

        service = client(opening=opening)
        service.post("/v1/poses", files=files("crash.png"))
        wait_until(lambda: service.get("/readyz").status_code == 503)
        assert service.get("/readyz").json() == {"status": "not ready: nano"}
        assert service.get("/healthz").status_code == 200
        healed.append(True)
        assert service.post("/v1/poses", files=files("a.png")).status_code == 200


class TestToken:
    def test_is_wanted_of_all_but_health_and_the_page(self, client):
        service = client(token="secret")
        for path in ("/v1/about", "/v1/crowd", "/metrics"):
            assert service.get(path).status_code == 401
        assert service.post("/v1/poses", content=b"x").headers["www-authenticate"] == "Bearer"
        for path in ("/healthz", "/readyz", "/", "/openapi.json"):
            assert service.get(path).status_code == 200

    @pytest.mark.parametrize(
        ("given", "status"), [("Bearer secret", 200), ("bearer secret", 200), ("Bearer wrong", 401), ("secret", 401)]
    )
    def test_opens(self, client, given, status):
        assert client(token="secret").get("/v1/about", headers={"authorization": given}).status_code == status


class TestAbout:
    def test_metrics_count(self, client):
        service = client()
        service.post("/v1/poses", files=files("a.png", "broken.png"))
        service.get("/nowhere")
        assert metric(service, "rsgnet_people_total") == 3
        assert metric(service, 'rsgnet_images_total{outcome="done"}') == 1
        assert metric(service, 'rsgnet_images_total{outcome="error"}') == 1
        assert metric(service, 'rsgnet_requests_total{path="/v1/poses",status="200"}') == 1
        assert metric(service, 'rsgnet_requests_total{path="page",status="404"}') == 1
        assert metric(service, "rsgnet_batch_images_sum") == 2

    def test_about(self, client):
        told = client(people=7).get("/v1/about").json()
        assert told["weights"] == ["nano"] and told["limits"]["people"] == 7

    def test_openapi_knows_the_form_and_the_answers(self, client):
        paths = client().get("/openapi.json").json()["paths"]
        form = paths["/v1/poses"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert set(form["properties"]) == {"images", "boxes"}
        assert {"/v1/poses", "/v1/crowd", "/v1/about", "/healthz", "/readyz", "/metrics"} == set(paths)

    def test_a_second_network_can_be_asked(self, service, estimator):
        one, other = service(), service()
        both = replace(one, workers={"nano": one.workers["nano"], "hrnet": other.workers["nano"]})
        with TestClient(create_app(both)) as client:
            assert client.get("/v1/about").json()["weights"] == ["nano", "hrnet"]
            for asked, name in (({}, "nano"), ({"weights": "hrnet"}, "hrnet")):
                answer = client.post("/v1/poses", params=asked, files=files("a.png"))
                assert answer.json()["weights"] == name and answer.status_code == 200


class TestPage:
    def test_every_file_comes_with_its_type_and_a_strict_policy(self, client):
        service = client()
        names = [path.name for path in PAGE.iterdir()]
        assert {"index.html", "style.css", "main.js"} <= set(names)
        kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
        for name in names:
            answer = service.get(f"/{name}")
            assert answer.headers["content-type"].split(";")[0] == kinds[name[name.rindex(".") :]]
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy
        assert service.get("/").text == (PAGE / "index.html").read_text(encoding="utf-8")

    def test_nothing_of_it_lies_elsewhere(self):
        for path in PAGE.iterdir():
            foreign = set(re.findall(r"https?://[^\s\"'`]+", path.read_text(encoding="utf-8")))
            assert foreign <= {"http://www.w3.org/2000/svg"}, path.name

    @pytest.mark.parametrize("path", ["/../app.py", "/%2e%2e/app.py", "/..%2fapp.py"])
    def test_nothing_else_is_served(self, client, path):
        assert client().get(path).status_code == 404


class TestCrowd:
    def test_the_image_and_its_truth_belong_together(self, client, tmp_path):
        service = client()
        asked = {"crowd_index": 0.3, "seed": 5}
        image = service.get("/v1/crowd", params=asked)
        assert image.headers["content-type"] == "image/png" and image.content[:4] == b"\x89PNG"
        truth = service.get("/v1/crowd", params={**asked, "truth": True})
        (tmp_path / "crowd.json").write_bytes(truth.content)
        crowd = read_annotations(tmp_path / "crowd.json")
        assert len(crowd.images[0].people) >= 2
        assert truth.json()["images"][0]["crowdIndex"] == pytest.approx(0.3, abs=0.05)

    @pytest.mark.parametrize("asked", [{"crowd_index": 9}, {"crowd_index": "nan"}, {"seed": -1}, {"seed": "x"}])
    def test_what_cannot_be_drawn(self, client, asked):
        answer = client().get("/v1/crowd", params=asked)
        assert answer.status_code == 422 and next(iter(asked)) in answer.json()["error"]


BUSY = """
import time
from rsgnet.server.app import Service
from rsgnet.server.limits import Limits
from rsgnet.server.metrics import Metrics
from rsgnet.server.app import run
from rsgnet.server.worker import Worker
from tests.server.conftest import Told, three_people

class Slow(Told):
    def stream(self, sources):
        print("started", flush=True)
        time.sleep(1)
        for source in sources:
            yield source, three_people(source.file_name)

limits, metrics = Limits(), Metrics()
run(Service({"slow": Worker(Slow, limits, metrics)}, limits, metrics), "127.0.0.1", 0)
"""


@pytest.fixture
def started():
    """Starts a process of this Python; gives it and the address that it serves."""
    processes = []

    def start(*arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
        )  # fmt: skip
        processes.append(process)
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"running on (http://\S+)", line):
                return process, found[1]
        raise AssertionError(said)

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def post(address, token=None):
    body = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n' + png() + b"\r\n--x--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=x", **({"authorization": token} if token else {})}
    with urllib.request.urlopen(urllib.request.Request(f"{address}/v1/poses", body, headers)) as answer:
        return json.load(answer)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to stop by")
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_it_finishes_what_it_took_and_leaves_with_0(started, told):
    process, address = started("-c", BUSY)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post, address)
        assert process.stdout.readline() == "started\n"
        process.send_signal(told)
        assert len(answer.result()["images"][0]["people"]) == 3
    assert process.wait(PATIENCE_S) == 0
    with pytest.raises(urllib.error.URLError):
        post(address)


def test_the_program(started, pose_network, box_network):
    line = ["--weights", pose_network(name="pose"), "--detector", f"onnx:{box_network([[5, 5, 50, 60]], [0.9])}"]
    _, address = started("-m", "rsgnet", "serve", "--port", 0, "--max-people", 3, *line, RSGNET_TOKEN="secret")
    assert address.startswith("http://127.0.0.1:")
    (image,) = post(address, "Bearer secret")["images"]
    assert image["people"][0]["bbox"] == pytest.approx([25, 25, 225, 215], abs=100) and image["width"] == 320
    with pytest.raises(urllib.error.HTTPError, match="401"):
        post(address)


def test_what_the_program_cannot_serve(rsgnet):
    for arguments, says in (
        (["--weights", "nowhere"], "no weights 'nowhere'"),
        (["--detector", "nowhere"], "no detector 'nowhere'"),
        (["--max-waiting", "3"], "could never be taken"),
        (["--compare", "nano"], "--compare"),
    ):
        code, _, errors = rsgnet("serve", "--port", "0", *arguments)
        assert code == 2 and len(errors) == 1 and says in errors[0]


def test_without_the_extra_it_says_what_to_install(rsgnet, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "rsgnet.server.app", raising=False)
    code, _, errors = rsgnet("serve")
    assert code == 2 and errors == ["error: this needs uvicorn: pip install 'rsgnet[serve]'"]
