"""`rsgnet predict` on images, and `rsgnet demo`."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from tests.cli.conftest import list_files

from rsgnet.defaults import DEFAULT_DETECTOR, DEFAULT_WEIGHTS
from rsgnet.inference import weights


def test_a_folder(rsgnet, pipeline, images, tmp_path):
    code, _, errors = rsgnet("predict", images, "--out", tmp_path / "out", *pipeline)
    assert code == 0 and errors == [f"3 of 3 images, 3 people -> {tmp_path / 'out'}"]
    assert list_files(tmp_path / "out") == ["a.jpg", "b.jpg", "images.json", "poses.json", "run.json", "sub/a.jpg"]
    results = json.loads((tmp_path / "out" / "poses.json").read_text())
    assert [result["file_name"] for result in results] == ["a.png", "b.jpg", "sub/a.png"]
    assert results[0]["bbox"] == [5, 5, 45, 55] and len(results[0]["keypoints"]) == 51


def test_files_patterns_and_no_overlay(rsgnet, pipeline, images, tmp_path):
    sources = [images / "a.png", images / "*.jpg"]
    code, *_ = rsgnet("predict", *sources, "--out", tmp_path / "out", "--no-overlay", *pipeline)
    assert code == 0 and list_files(tmp_path / "out") == ["images.json", "poses.json", "run.json"]
    assert len(json.loads((tmp_path / "out" / "poses.json").read_text())) == 2


def test_bad_images_are_reported_and_the_others_processed(rsgnet, pipeline, images, tmp_path):
    (images / "empty.jpg").write_bytes(b"")
    (images / "text.jpg").write_text("no image\n" * 9)
    (images / "cut.jpg").write_bytes((images / "b.jpg").read_bytes()[:200])
    Image.new("RGB", (300, 300)).save(images / "large.png")
    arguments = ["--out", tmp_path / "out", "--max-pixels", 80_000, *pipeline]
    code, _, errors = rsgnet("predict", images, "nowhere.jpg", *arguments)
    assert code == 1 and len(errors) == 6 and errors[-1].startswith("3 of 8 images")
    for error, (name, reason) in zip(
        errors,
        [
            ("cut.jpg", "truncated"),
            ("empty.jpg", "empty"),
            ("large.png", "over the limit of 80000 pixels"),
            ("text.jpg", "not an image"),
            ("nowhere.jpg", "no such file"),
        ],
        strict=False,
    ):
        assert error.startswith("error: ") and name in error and reason in error
    assert list_files(tmp_path / "out") == ["a.jpg", "b.jpg", "images.json", "poses.json", "run.json", "sub/a.jpg"]


def test_boxes_from_a_file(rsgnet, pose_network, images, tmp_path):
    entries = [{"id": 4, "file_name": "a.png"}, {"id": 5, "file_name": "sub/a.png"}, {"id": 6, "file_name": "b.jpg"}]
    people = [
        {"image_id": 5, "bbox": [1, 2, 30, 40], "num_keypoints": 3},
        {"image_id": 6, "bbox": [1, 2, 30, 40], "num_keypoints": 0},
        {"image_id": 6, "bbox": [float("nan"), 2, 30, 40], "num_keypoints": 3},
    ]
    (tmp_path / "b.json").write_text(json.dumps({"images": entries, "annotations": people}))
    arguments = ["--detector", f"boxes:{tmp_path / 'b.json'}", "--weights", pose_network()]
    code, *_ = rsgnet("predict", images, "--out", tmp_path / "out", *arguments)
    results = json.loads((tmp_path / "out" / "poses.json").read_text())
    assert code == 0 and [(r["image_id"], r["bbox"]) for r in results] == [(5, [1, 2, 30, 40])]


def test_boxes_of_other_images(rsgnet, pose_network, images, tmp_path):
    (tmp_path / "b.json").write_text(json.dumps([{"file_name": "x.jpg", "bbox": [1, 2, 30, 40], "score": 1}]))
    arguments = ["--detector", f"boxes:{tmp_path / 'b.json'}", "--weights", pose_network()]
    code, _, errors = rsgnet("predict", images, "--out", tmp_path / "out", *arguments)
    assert code == 1 and "boxes for none of these images" in errors[-1]


def test_options_reach_the_pipeline(rsgnet, pipeline, images, colours, tmp_path):
    Image.fromarray(colours((64, 64), (20, 20), (40, 40), (30, 30))).save(images / "a.png")

    def scores(*switches):
        assert rsgnet("predict", images / "a.png", "--out", tmp_path / "out", *pipeline, *switches)[0] == 0
        return json.loads((tmp_path / "out" / "poses.json").read_text())

    assert scores("--detector", "full")[0]["bbox"] == [0, 0, 64, 64]
    assert scores("--box-threshold", "0.95") == []
    assert scores("--flip", "--batch-size", "1")[0]["keypoints"] != scores("--no-flip")[0]["keypoints"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["empty"], "no images in this folder"),
        (["images", "--weights", "giant"], "no weights 'giant'"),
        (["images", "--weights", "cut.onnx"], "cut.onnx"),
        (["images", "--weights", "boxes"], "not the weights of a pose network"),
        (["images", "--detector", "eyes"], "no detector 'eyes'"),
        (["images", "--detector", "boxes:none.json"], "none.json: cannot be read"),
        (["images", "--device", "abacus"], "auto, cpu, cuda"),
        (["images", "--backend", "caffe"], "onnx, torch, openvino"),
        (["images", "--backend", "onnx", "--precision", "bf16"], "use --backend torch or openvino"),
        (["images", "--skeleton", "horse"], "no skeleton is named 'horse'"),
        (["images/b.jpg", "--out", "images"], "would overwrite"),
        (["images", "--out", "images/a.png/x"], "images/a.png"),
    ],
    ids=str,
)
def test_bad_input_is_reported_in_one_line(rsgnet, pipeline, working_folder, arguments, message):
    (working_folder / "empty").mkdir()
    (working_folder / "cut.onnx").write_bytes((pipeline[1] / "model.onnx").read_bytes()[:150])
    code, printed, errors = rsgnet("predict", "--out", "out", *pipeline, *arguments)
    assert code == 2 and printed == "" and len(errors) == 1
    assert errors[0].startswith("error: ") and message in errors[0]


def test_openvino_finds_the_same(rsgnet, pipeline, images, tmp_path):
    pytest.importorskip("openvino")
    found = {}
    for backend in ("onnx", "openvino"):
        code, _, errors = rsgnet("predict", images, "--out", tmp_path / backend, *pipeline, "--backend", backend)
        assert code == 0, errors
        found[backend] = json.loads((tmp_path / backend / "poses.json").read_text())
        assert json.loads((tmp_path / backend / "run.json").read_text())["backend"] == backend
    assert [r["bbox"] for r in found["onnx"]] == [r["bbox"] for r in found["openvino"]]
    for one, other in zip(found["onnx"], found["openvino"], strict=True):
        np.testing.assert_allclose(one["keypoints"], other["keypoints"], atol=0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_its_results(pipeline, images, tmp_path, number):
    for index in range(2000):
        os.link(images / "a.png", images / f"x{index:04}.png")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "rsgnet", "predict", images, "--out", out, *pipeline]
    process = subprocess.Popen(
        [*map(str, command)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Processes in the background, and so their children, ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    end = time.monotonic() + 300
    while len(list(out.glob("*.jpg"))) < 20 and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(number)
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors
    results = json.loads((out / "poses.partial.json").read_text())
    assert not [path for path in out.rglob("*") if path.name.startswith(".") or path.name in ("poses.json", "run.json")]
    overlays = len(list(out.rglob("*.jpg")))
    assert 20 <= len(results) < 2000 and abs(overlays - len(results)) <= 1


@pytest.fixture
def install_weights(pose_network, box_network, tmp_path, monkeypatch):
    def install(score):
        pose_network(name=DEFAULT_WEIGHTS)
        box_network([[6 * x, 10, 6 * x + 16, 50] for x in range(8)], [score] * 8, name=f"detector-{DEFAULT_DETECTOR}")
        monkeypatch.setattr(weights, "SHIPPED", tmp_path)

    return install


@pytest.mark.parametrize(("score", "message"), [(0.9, None), (0.0, "found only 0 of them by itself")])
def test_demo(rsgnet, install_weights, tmp_path, score, message):
    install_weights(score)
    code, printed, errors = rsgnet("demo", "--out", tmp_path / "out")
    assert code == 0 and errors == [] and "Try next:" in printed and str(tmp_path / "out" / "crowd.jpg") in printed
    assert (message in printed) if message else ("true boxes" not in printed)
    found = json.loads((tmp_path / "out/poses.json").read_text())
    assert f"{len(found)} poses" in printed and "8 drawn people" in printed
    assert list_files(tmp_path / "out") == [
        "crowd.jpg",
        "crowd.json",
        "crowd.png",
        "images.json",
        "poses.json",
        "run.json",
    ]


def test_the_commands_that_the_demo_prints_run_as_they_stand(rsgnet, install_weights, images, tmp_path):
    install_weights(0.9)
    _, printed, _ = rsgnet("demo", images / "a.png", "--out", tmp_path / "my demo")
    commands = [shlex.split(line) for line in printed.partition("Try next:\n")[2].splitlines()]
    assert [command[:2] for command in commands] == [["rsgnet", "show"], ["rsgnet", "evaluate"]]
    for command in commands:
        code, shown, errors = rsgnet(*command[1:])
        assert code == 0, errors
    # One image: no intervals and no -1, which COCO's tools give to what cannot be measured.
    assert " to " not in shown.partition("keypoints:")[0] and "-1.0" not in shown


def test_demo_without_weights(rsgnet, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    code, _, errors = rsgnet("demo", "--out", tmp_path / "out")
    assert code == 2 and len(errors) == 1 and f"no weights '{DEFAULT_WEIGHTS}'" in errors[0]
