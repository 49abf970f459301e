"""Published networks in every command that takes weights, as a user runs it."""

import json

import numpy as np
import pytest
from PIL import Image
from tests.published_networks import NETWORKS, write_constant_network, write_network, write_published

from rsgnet.inference.estimator import PoseEstimator

SKELETONS_BY_LENGTH = {17: "coco17", 26: "halpe26", 133: "wholebody133"}


@pytest.fixture
def photo(tmp_path, colours):
    """An image of two people, as far as the stubs see, and the boxes of both."""
    image = np.maximum(
        colours((300, 220), (70, 70), (90, 130), (80, 40)), colours((300, 220), (220, 90), (240, 150), (230, 60))
    )
    Image.fromarray(image).save(tmp_path / "photo.png")
    boxes = [{"file_name": "photo.png", "image_id": 1, "bbox": [left, 20, 90, 150], "score": 1} for left in (35, 185)]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    return tmp_path / "photo.png", f"boxes:{tmp_path / 'boxes.json'}"


@pytest.mark.parametrize("name", NETWORKS)
def test_predict(rsgnet, tmp_path, photo, name):
    path, boxes = photo
    network = write_published(tmp_path, name)
    code, _, errors = rsgnet(
        "predict", path, "--out", tmp_path / "out", "--weights", f"onnx:{network}", "--detector", boxes, "--no-flip"
    )
    assert code == 0, errors
    people = json.loads((tmp_path / "out/poses.json").read_text())
    assert len(people) == 2 and (tmp_path / "out/photo.jpg").is_file()
    for person in people:
        left = person["bbox"][0]
        keypoints = np.reshape(person["keypoints"], (-1, 3))
        np.testing.assert_allclose(keypoints[1, :2], (left + 35, 70 if left < 100 else 90), atol=1.6)
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert run["weights"]["name"] == f"onnx:{network}" and len(run["weights"]["sha256"]) == 64


def test_openvino_and_a_named_network(rsgnet, tmp_path, photo):
    pytest.importorskip("openvino")
    path, boxes = photo
    network = write_network(tmp_path / "theirs.onnx", "heatmaps", 17)
    options = "predict", path, "--out", tmp_path / "out", "--detector", boxes, "--weights", f"openvino:{network}"
    code, _, errors = rsgnet(*options)
    assert (code, len(errors)) == (2, 1) and "say what it is: --network vitpose or" in errors[0]
    code, _, errors = rsgnet(*options, "--network", "vitpose")
    assert code == 0, errors
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert (run["backend"], run["weights"]["name"]) == ("openvino", f"openvino:{network}@vitpose")
    code, _, errors = rsgnet(*options, "--network", "vitpose", "--backend", "torch")
    assert code == 2 and "leave out --backend" in errors[0]
    code, _, errors = rsgnet("predict", path, "--out", tmp_path / "out", "--network", "vitpose")
    assert code == 2 and "--network vitpose describes a file" in errors[0]


def test_a_batch_of_one_is_said_to_be_slow_once(rsgnet, tmp_path, photo):
    path, boxes = photo
    network = write_constant_network(tmp_path / "vitpose.onnx", np.ones((17, 64, 48)), (192, 256))
    options = "predict", path, "--out", tmp_path / "out", "--detector", boxes, "--weights", f"onnx:{network}"
    code, _, errors = rsgnet(*options)
    assert code == 0 and sum(line.startswith("warning: ") and "slow" in line for line in errors) == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_clips(rsgnet, tmp_path, clip, name):
    pytest.importorskip("scipy")
    network, out = write_published(tmp_path, name), tmp_path / "out"
    code, _, errors = rsgnet(
        "predict", clip(frames=2), "--out", out, "--no-overlay", "--weights", f"onnx:{network}", "--detector", "full",
        "--track-threshold", 0.01, "--skeleton", SKELETONS_BY_LENGTH[NETWORKS[name][1]],
    )  # fmt: skip
    assert code == 0, errors
    frames = [json.loads(line)["people"] for line in (out / "poses.jsonl").read_text().splitlines()]
    assert [[person["track_id"] for person in people] for people in frames] == [[1], [1]]
    assert len(frames[0][0]["keypoints"]) == 3 * NETWORKS[name][1]


@pytest.mark.parametrize("name", NETWORKS)
def test_evaluate(rsgnet, tmp_path, people_set, name):
    labels, images = people_set
    network = write_published(tmp_path, name)
    code, out, errors = rsgnet(
        "evaluate", "--annotations", labels, "--images", images, "--weights", f"onnx:{network}", "--out",
        tmp_path / "out", "--bootstrap", 10,
    )  # fmt: skip
    assert code == 0 and "AP" in out, errors
    assert json.loads((tmp_path / "out/metrics.json").read_text())["AP"] >= 0


def test_compare(rsgnet, tmp_path, photo):
    path, boxes = photo
    for name in ("vitpose-b", "hrnet-w32"):
        network = write_published(tmp_path, name)
        rsgnet("predict", path, "--out", tmp_path / name, "--weights", f"onnx:{network}", "--detector", boxes)
    results = [tmp_path / name / "poses.json" for name in ("vitpose-b", "hrnet-w32")]
    code, _, errors = rsgnet("compare", *results, "--images", tmp_path, "--out", tmp_path / "differences")
    assert code == 0, errors
    assert json.loads((tmp_path / "differences/differences.json").read_text())[0]["file_name"] == "photo.png"


@pytest.mark.parametrize("name", ["vitpose-s", "rtmpose-m"])
def test_a_teacher_of_a_training_run(rsgnet, tmp_path, people_set, name):
    pytest.importorskip("torch")
    labels, images = people_set
    settings = [
        "crop.size_wh=64,64", "model.backbone=test_efficientnet", "model.neck.kind=pyramid", "model.neck.width=8",
        "training.epochs=1", "training.batch_size=2", "training.epoch_samples=4", "training.precision=32-true",
        "training.norm_statistics=batch", "training.loss.distillation=1",
    ]  # fmt: skip
    options = [word for setting in settings for word in ("--set", setting)]
    code, _, errors = rsgnet(
        "train", "nano", "--data", f"{labels}:{images}", "--out", tmp_path / "run", "--from-scratch", "--workers", 0,
        "--teacher", f"onnx:{write_published(tmp_path, name)}", *options,
    )  # fmt: skip
    assert code == 0, errors
    header, *_, last = next((tmp_path / "run").glob("curves/*/metrics.csv")).read_text().splitlines()
    assert float(dict(zip(header.split(","), last.split(","), strict=True))["train/distillation"]) > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_show(rsgnet, tmp_path, photo, name):
    path, boxes = photo
    network = write_published(tmp_path, name)
    code, _, errors = rsgnet(
        "show", path, "--out", tmp_path / "out", "--weights", f"onnx:{network}", "--detector", boxes
    )
    assert code == 0, errors
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"sheet.png", "crop.png", "own.png", "result.png"}


def test_serve(tmp_path, photo):
    testclient = pytest.importorskip("fastapi.testclient")
    from rsgnet.server.app import Service, create_app
    from rsgnet.server.decoding import Decoders
    from rsgnet.server.limits import Limits
    from rsgnet.server.metrics import Metrics
    from rsgnet.server.worker import Worker

    path, boxes = photo
    name = f"onnx:{write_published(tmp_path, 'rtmpose-halpe26')}"
    limits, metrics = Limits(), Metrics()
    decoders = Decoders(limits, processes=1)
    worker = Worker(lambda: PoseEstimator(name, boxes, skeleton="people19"), decoders, limits, metrics)
    service = Service({name: worker}, decoders, limits, metrics, None, frozenset({"testserver"}))
    with testclient.TestClient(create_app(service)) as client:
        answer = client.post("/v1/poses", files={"images": ("photo.png", path.read_bytes())})
    assert answer.status_code == 200, answer.text
    people = answer.json()["images"][0]["people"]
    assert len(people) == 2 and len(people[0]["keypoints"]) == 3 * 19


@pytest.mark.slow
def test_predict_dataset(rsgnet, tmp_path, photo):
    pytest.importorskip("ray")
    path, boxes = photo
    network = write_published(tmp_path, "vitpose-b")
    code, _, errors = rsgnet(
        "predict-dataset", path, "--out", tmp_path / "store", "--weights", f"onnx:{network}", "--detector", boxes,
        "--workers", 1,
    )  # fmt: skip
    assert code == 0 and any("1 of 1 images, 2 people" in line for line in errors), errors
