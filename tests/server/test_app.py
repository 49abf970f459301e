import json
import os
import re
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from tests.server.abuse import send_stalled_body
from tests.server.conftest import LEFT, TIMEOUT_S, WRIST, files, png, three_people
from tests.server.process import FORM_TYPE, form, running, serving

from rsgnet.annotations.readers import read_annotations
from rsgnet.defaults import DEFAULT_WEIGHTS
from rsgnet.server.app import _SHUTDOWN_GRACE_S, PAGE, create_app


def metric(client, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.M)
    return float(found[1]) if found else None


class TestPoses:
    def test_people_are_the_entries_of_poses_json(self, client):
        response = client().post("/v1/poses", files=files("a.png"))
        assert response.status_code == 200 and response.json()["skeleton"]["keypoints"][WRIST] == "left_wrist"
        (image,) = response.json()["images"]
        assert image["people"] == three_people("a.png").to_coco() and "candidates" not in image["people"][0]
        assert (image["file_name"], image["width"], image["height"]) == ("a.png", 320, 240)
        assert {"present", "visible", "owned", "rival", "rival_owned"} <= set(image["people"][0])

    def test_candidates_on_request(self, client):
        response = client().post("/v1/poses", params={"candidates": True}, files=files("a.png"))
        people = response.json()["images"][0]["people"]
        assert people == three_people("a.png").to_coco(candidates=True)
        assert people[0]["candidates"][0] == [[LEFT, 35.0, 0.9, 0.6]] and len(people[1]["candidates"][0]) == 2

    def test_a_broken_image_among_others_has_an_error(self, client):
        response = client().post("/v1/poses", files=files("a.png", "broken.png", "b.png"))
        assert response.status_code == 200 and "error" not in response.json()
        first, broken, last = response.json()["images"]
        assert len(first["people"]) == len(last["people"]) == 3 and "people" not in broken
        assert broken["error"].startswith("broken.png: not an image")

    def test_only_broken_images_is_422(self, client):
        response = client().post("/v1/poses", files=files("broken.png", "broken too.png"))
        assert response.status_code == 422 and response.json()["error"].startswith("none of the 2 images can be used")
        assert len(response.json()["images"]) == 2
        assert client().post("/v1/poses", files=files("broken.png")).json()["error"].startswith("broken.png: not a")

    def test_boxes_in_the_request(self, client, estimator):
        boxes = json.dumps([[[10, 20, 30, 40]], None, []])
        client().post("/v1/poses", files=files("a", "b", "c"), data={"boxes": boxes}).raise_for_status()
        first, second, third = estimator.boxes
        assert first.boxes_xyxy.tolist() == [[10, 20, 40, 60]] and first.scores.tolist() == [1]
        assert second is None and len(third) == 0

    @pytest.mark.parametrize(
        ("boxes", "message"),
        [("[", "boxes: expected JSON"), ("[[[1, 2, 3]]]", "boxes: expected JSON"), ("[]", "boxes: of 0 images")],
    )
    def test_boxes_that_do_not_fit(self, client, boxes, message):
        response = client().post("/v1/poses", files=files("a.png"), data={"boxes": boxes})
        assert response.status_code == 422 and response.json()["error"].startswith(message)

    @pytest.mark.parametrize(
        ("request_", "status", "message"),
        [
            ({"content": png()}, 415, "multipart/form-data"),
            ({"files": [("note", (None, "hello"))]}, 422, "holds no image"),
            ({"files": files("a.png"), "params": {"candidates": "perhaps"}}, 422, "candidates"),
            ({"files": files("a.png"), "params": {"weights": "huge"}}, 404, "there are nano"),
            ({"content": b"--x", "headers": {"content-type": "multipart/form-data; boundary=y"}}, 400, ""),
        ],
    )
    def test_unusable_requests(self, client, request_, status, message):
        response = client().post("/v1/poses", **request_)
        assert response.status_code == status and message in response.json()["error"]


class TestLimits:
    def test_bytes_declared_or_not(self, client):
        service = client(request_bytes=1000)
        large = files("a.png", content=bytes(2000))
        assert service.post("/v1/poses", files=large).status_code == 413
        boundary = {"content-type": "multipart/form-data; boundary=x"}
        start = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'
        chunks = iter([start, *[bytes(500)] * 10, b"\r\n--x--\r\n"])
        response = service.post("/v1/poses", content=chunks, headers=boundary)
        assert response.status_code == 413 and "limit of 1000 bytes" in response.json()["error"]

    def test_images(self, client):
        response = client(images=2).post("/v1/poses", files=files("a", "b", "c"))
        assert response.status_code == 400 and "2" in response.json()["error"]

    def test_people_in_boxes_of_the_request(self, client):
        boxes = json.dumps([[[0, 0, 9, 9]] * 3])
        response = client(people=2).post("/v1/poses", files=files("a"), data={"boxes": boxes})
        assert response.status_code == 422 and "limit of 2 people" in response.json()["error"]

    def test_time(self, client, estimator):
        service = client(seconds=1)
        estimator.gate.clear()
        response = service.post("/v1/poses", files=files("a.png"))
        assert response.status_code == 504 and "took longer" in response.json()["error"]
        estimator.gate.set()
        wait_until(lambda: service.post("/v1/poses", files=files("a.png")).status_code == 200)

    def test_waiting_images(self, client, estimator):
        service = client(images=2, waiting=2)
        estimator.gate.clear()
        with ThreadPoolExecutor() as pool:
            first = pool.submit(service.post, "/v1/poses", files=files("a.png"))
            assert estimator.started.wait(TIMEOUT_S)
            second = pool.submit(service.post, "/v1/poses", files=files("b.png", "c.png"))
            wait_until(lambda: metric(service, "rsgnet_decoded_images") == 2)
            refused = service.post("/v1/poses", files=files("d.png"))
            estimator.gate.set()
            assert first.result().status_code == second.result().status_code == 200
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1
        assert "2 images wait already" in refused.json()["error"]
        assert estimator.batches == [["a.png"], ["b.png", "c.png"]]


def wait_until(condition):
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, "timeout"
        time.sleep(0.02)


class TestBatching:
    def test_images_of_several_clients_share_a_batch(self, client, estimator):
        service = client(batch=3)
        estimator.gate.clear()
        with ThreadPoolExecutor() as pool:
            futures = [pool.submit(service.post, "/v1/poses", files=files("0.png"))]
            assert estimator.started.wait(TIMEOUT_S)
            futures += [pool.submit(service.post, "/v1/poses", files=files(f"{n}.png")) for n in range(1, 5)]
            wait_until(lambda: metric(service, "rsgnet_decoded_images") == 4)
            estimator.gate.set()
            names = [future.result().json()["images"][0]["file_name"] for future in futures]
        assert [len(batch) for batch in estimator.batches] == [1, 3, 1]
        assert names == [f"{n}.png" for n in range(5)]  # each client gets its own response


class TestCrash:
    def test_its_requests_get_an_error_and_the_service_recovers(self, client, estimator):
        opened = []
        service = client(open_estimator=lambda: opened.append(1) or estimator)
        response = service.post("/v1/poses", files=files("a.png", "crash.png", "b.png"))
        assert response.status_code == 500 and "the network failed" in response.json()["error"]
        wait_until(lambda: service.get("/readyz").status_code == 200)
        assert service.post("/v1/poses", files=files("a.png")).status_code == 200
        assert len(opened) == 2 and metric(service, "rsgnet_worker_crashes_total") == 1

    def test_a_network_that_cannot_be_opened_again_is_not_ready(self, client, estimator, monkeypatch):
        monkeypatch.setattr("rsgnet.server.worker._REOPEN_INTERVAL_S", 0.01)
        attempts = iter([estimator, None, None])
        repaired = []

        def open_estimator():
            if next(attempts, None) is None and not repaired:
                raise OSError("gone")
            return estimator

        service = client(open_estimator=open_estimator)
        service.post("/v1/poses", files=files("crash.png"))
        wait_until(lambda: service.get("/readyz").status_code == 503)
        assert service.get("/readyz").json() == {"status": "not ready: nano"}
        assert service.get("/healthz").status_code == 200
        repaired.append(True)
        assert service.post("/v1/poses", files=files("a.png")).status_code == 200


class TestStuck:
    def test_a_batch_that_takes_too_long_is_not_ready(self, client, estimator):
        service = client(seconds=1)
        estimator.gate.clear()
        assert service.post("/v1/poses", files=files("a.png")).status_code == 504
        wait_until(lambda: service.get("/readyz").status_code == 503)
        assert service.get("/healthz").status_code == 200
        estimator.gate.set()
        wait_until(lambda: service.get("/readyz").status_code == 200)


class TestToken:
    def test_is_required_except_for_health_and_the_page(self, client):
        service = client(token="secret")
        for path in ("/v1/about", "/v1/crowd", "/metrics"):
            assert service.get(path).status_code == 401
        assert service.post("/v1/poses", content=b"x").headers["www-authenticate"] == "Bearer"
        for path in ("/healthz", "/readyz", "/", "/openapi.json"):
            assert service.get(path).status_code == 200

    @pytest.mark.parametrize(
        ("given", "status"), [("Bearer secret", 200), ("bearer secret", 200), ("Bearer wrong", 401), ("secret", 401)]
    )
    def test_is_checked(self, client, given, status):
        assert client(token="secret").get("/v1/about", headers={"authorization": given}).status_code == status


class TestForeignSites:
    @pytest.mark.parametrize(
        ("host", "status"),
        [("127.0.0.1:8000", 200), ("[::1]:8000", 200), ("testserver:8000", 200), ("TESTSERVER", 200),
         ("evil.test", 403), ("127.0.0.1.evil.test", 403), ("testserver.evil.test", 403),
         ("testserver@evil.test", 403), ("[", 403)],
    )  # fmt: skip
    def test_a_name_that_leads_here_is_refused_unless_it_is_allowed(self, client, host, status):
        for path in ("/", "/v1/about"):
            assert client().get(path, headers={"host": host}).status_code == status

    def test_a_token_allows_every_name(self, client):
        headers = {"host": "evil.test", "authorization": "Bearer secret"}
        assert client(token="secret").get("/v1/about", headers=headers).status_code == 200

    @pytest.mark.parametrize(
        ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
    )
    def test_the_page_of_another_site_may_not_send_images(self, client, site, status):
        response = client().post("/v1/poses", files=files("a.png"), headers={"sec-fetch-site": site})
        assert response.status_code == status
        assert client().get("/", headers={"sec-fetch-site": site}).status_code == 200  # a link to the page


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
        assert metric(service, "rsgnet_batch_images_sum") == 1  # the broken one did not reach the network

    def test_about(self, client):
        about = client(people=7).get("/v1/about").json()
        assert about["weights"] == ["nano"] and about["limits"]["people"] == 7

    def test_openapi_describes_the_form_and_all_paths(self, client):
        paths = client().get("/openapi.json").json()["paths"]
        schema = paths["/v1/poses"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert set(schema["properties"]) == {"images", "boxes"}
        assert {"/v1/poses", "/v1/crowd", "/v1/about", "/healthz", "/readyz", "/metrics"} == set(paths)

    def test_a_second_network(self, service, estimator):
        one = service(compared=estimator)
        both = replace(one, workers={"nano": one.workers["nano"], "hrnet": one.workers["plain"]})
        with TestClient(create_app(both)) as client:
            assert client.get("/v1/about").json()["weights"] == ["nano", "hrnet"]
            for parameters, name in (({}, "nano"), ({"weights": "hrnet"}, "hrnet")):
                response = client.post("/v1/poses", params=parameters, files=files("a.png"))
                assert response.json()["weights"] == name and response.status_code == 200


class TestPage:
    def test_every_file_has_its_type_and_a_strict_policy(self, client):
        service = client()
        names = [path.name for path in PAGE.iterdir()]
        assert {"index.html", "style.css", "main.js"} <= set(names)
        kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
        for name in names:
            response = service.get(f"/{name}")
            assert response.headers["content-type"].split(";")[0] == kinds[name[name.rindex(".") :]]
            policy = response.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy
        assert service.get("/").text == (PAGE / "index.html").read_text(encoding="utf-8")

    def test_no_file_is_loaded_from_another_site(self):
        for path in PAGE.iterdir():
            addresses = set(re.findall(r"https?://[^\s\"'`]+", path.read_text(encoding="utf-8")))
            assert addresses <= {"http://www.w3.org/2000/svg"}, path.name

    @pytest.mark.parametrize("path", ["/../app.py", "/%2e%2e/app.py", "/..%2fapp.py"])
    def test_no_other_file_is_served(self, client, path):
        assert client().get(path).status_code == 404


class TestCrowd:
    def test_the_image_and_its_annotations_belong_together(self, client, tmp_path):
        service = client()
        parameters = {"crowd_index": 0.3, "seed": 5}
        image = service.get("/v1/crowd", params=parameters)
        assert image.headers["content-type"] == "image/png" and image.content[:4] == b"\x89PNG"
        truth = service.get("/v1/crowd", params={**parameters, "truth": True})
        (tmp_path / "crowd.json").write_bytes(truth.content)
        crowd = read_annotations(tmp_path / "crowd.json")
        assert len(crowd.images[0].people) >= 2
        assert truth.json()["images"][0]["crowdIndex"] == pytest.approx(0.3, abs=0.05)

    @pytest.mark.parametrize("parameters", [{"crowd_index": 9}, {"crowd_index": "nan"}, {"seed": -1}, {"seed": "x"}])
    def test_impossible_parameters(self, client, parameters):
        response = client().get("/v1/crowd", params=parameters)
        assert response.status_code == 422 and next(iter(parameters)) in response.json()["error"]


SLOW_SERVICE = """
import sys
import time
from rsgnet.server.app import Service, run_service
from rsgnet.server.decoding import Decoders
from rsgnet.server.limits import Limits
from rsgnet.server.metrics import Metrics
from rsgnet.server.worker import Worker
from tests.server.conftest import FakeEstimator, three_people

class SlowEstimator(FakeEstimator):
    def stream(self, sources):
        print("started", flush=True)
        time.sleep(float(sys.argv[1]))
        for source in sources:
            yield source, three_people(source.file_name)

limits, metrics = Limits(seconds=float(sys.argv[2])), Metrics()
decoders = Decoders(limits)
workers = {"slow": Worker(SlowEstimator, decoders, limits, metrics)}
run_service(Service(workers, decoders, limits, metrics), "127.0.0.1", 0)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_it_finishes_accepted_requests_and_exits_with_0(tmp_path, stop_signal):
    log = tmp_path / "log"
    with running(log, "-c", SLOW_SERVICE, 1, 60) as server:
        with ThreadPoolExecutor() as pool:
            future = pool.submit(server.post, png())
            wait_until(lambda: "started" in log.read_text())
            server.process.send_signal(stop_signal)
            assert len(future.result().content["images"][0]["people"]) == 3
        assert server.process.wait(TIMEOUT_S) == 0
        with pytest.raises(OSError):
            server.post(png())


def test_a_body_that_arrives_too_slowly_is_refused(tmp_path):
    with running(tmp_path / "log", "-c", SLOW_SERVICE, 0, 1000) as server:
        assert send_stalled_body(server) == 408


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_a_network_that_is_stuck_does_not_keep_it_from_stopping(tmp_path):
    log = tmp_path / "log"
    with running(log, "-c", SLOW_SERVICE, 10_000, 1) as server:
        # A busy machine may not even decode the first image in a second.
        wait_until(lambda: server.post(png()).status == 504 and server.request("GET", "/readyz").status == 503)
        server.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        assert server.process.wait(TIMEOUT_S) == 1
        assert time.monotonic() - started < 1 + _SHUTDOWN_GRACE_S + 10  # generous, because the machine may be busy
    assert "the service ends without them" in log.read_text()


def test_the_command(tmp_path, pose_network, box_network):
    pipeline = ["--weights", pose_network(name="pose"), "--detector", f"onnx:{box_network([[5, 5, 50, 60]], [0.9])}"]
    with serving(tmp_path / "log", "--max-people", 3, *pipeline, RSGNET_TOKEN="secret") as server:
        assert server.host == "127.0.0.1"
        with_token = {"content_type": FORM_TYPE, "authorization": "Bearer secret"}
        (image,) = server.request("POST", "/v1/poses", form(png()), **with_token).content["images"]
        assert image["people"][0]["bbox"] == pytest.approx([25, 25, 225, 215], abs=100) and image["width"] == 320
        assert server.post(png()).status == 401


def test_unusable_options(rsgnet):
    for arguments, message in (
        (["--weights", "nowhere"], "no weights 'nowhere'"),
        (["--detector", "nowhere"], "no detector 'nowhere'"),
        (["--max-waiting", "3"], "could never be accepted"),
        (["--compare", DEFAULT_WEIGHTS], "--compare"),
        (["--token", ""], "the token is empty"),
    ):
        code, _, errors = rsgnet("serve", "--port", "0", *arguments)
        assert code == 2 and len(errors) == 1 and message in errors[0]


def test_an_empty_variable_is_no_open_service(rsgnet, monkeypatch):
    monkeypatch.setenv("RSGNET_TOKEN", "")
    code, _, errors = rsgnet("serve", "--port", "0")
    assert code == 2 and "the token is empty" in errors[0]


def test_a_missing_extra_is_named(rsgnet, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "rsgnet.server.app", raising=False)
    code, _, errors = rsgnet("serve")
    assert code == 2 and errors == ["error: rsgnet serve needs uvicorn: pip install 'rsgnet[serve]'"]


class TestDiscovery:
    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("GET", "/v1/poses", "POST"),
            ("POST", "/v1/about", "GET"),
            ("DELETE", "/healthz", "GET"),
            ("PUT", "/v1/crowd", "GET"),
        ],
    )
    def test_a_wrong_method_gets_405(self, client, method, path, allowed):
        answer = client().request(method, path)
        assert answer.status_code == 405 and answer.headers["allow"] == allowed
        assert answer.json() == {"error": f"{path} takes {allowed}, not {method}"}

    def test_docs_lead_to_the_api_page(self, client):
        answer = client().get("/docs", follow_redirects=False)
        assert answer.status_code == 307 and answer.headers["location"] == "api.html"
        assert "RSGNet's API" in client().get("/docs").text

    def test_the_schema_says_what_a_person_has(self, client):
        schemas = client().get("/openapi.json").json()["components"]["schemas"]
        (person,) = (each for each in (schemas["ImageResponse"]["properties"]["people"],) if each)
        described = person["items"]["properties"]
        (entry,) = three_people("a.png")[[0]].to_coco(candidates=True)
        assert set(entry) <= set(described) and set(person["items"]["required"]) <= set(entry)
