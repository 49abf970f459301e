import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from rsgnet import cli
from rsgnet.inference import weights

RSGNET = [sys.executable, "-m", "rsgnet"]


@pytest.fixture
def line(pose_network, box_network):
    return ["--weights", pose_network(name="pose"), "--detector", f"onnx:{box_network([[5, 5, 50, 60]], [0.9])}"]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "sub/a.png"):
        Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def workplace(photos, monkeypatch):
    """The folder of `photos` as the current one."""
    monkeypatch.chdir(photos.parent)
    return photos.parent


def written(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


class TestHelp:
    @pytest.mark.parametrize(
        "command",
        [
            "predict",
            "evaluate",
            "demo",
            "train",
            "train-detector",
            "export",
            "convert",
            "calibrate",
            "info",
            "crowds",
            "evaluate-tracks",
            "serve",
        ],
    )
    def test_teaches_by_example(self, command):
        shown = CliRunner().invoke(cli.app, [command, "--help"])
        assert shown.exit_code == 0 and "Examples:" in shown.output and f"rsgnet {command}" in shown.output

    def test_loads_nothing_heavy(self):
        code = (
            "import sys; from typer.testing import CliRunner; from rsgnet import cli\n"
            "assert CliRunner().invoke(cli.app, ['predict', '--help']).exit_code == 0\n"
            "print([name for name in ('torch', 'onnxruntime', 'numpy', 'PIL') if name in sys.modules])"
        )
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ran.stdout == "[]\n"

    def test_version(self, rsgnet):
        assert rsgnet("--version")[1].startswith("rsgnet ")


class TestPredict:
    def test_a_folder(self, rsgnet, line, photos, tmp_path):
        code, _, errors = rsgnet("predict", photos, "--out", tmp_path / "out", *line)
        assert code == 0 and errors == [f"3 of 3 images, 3 people -> {tmp_path / 'out'}"]
        assert written(tmp_path / "out") == ["a.jpg", "b.jpg", "poses.json", "run.json", "sub/a.jpg"]
        results = json.loads((tmp_path / "out" / "poses.json").read_text())
        assert [result["file_name"] for result in results] == ["a.png", "b.jpg", "sub/a.png"]
        assert results[0]["bbox"] == [5, 5, 45, 55] and len(results[0]["keypoints"]) == 51

    def test_files_patterns_and_no_overlay(self, rsgnet, line, photos, tmp_path):
        sources = [photos / "a.png", photos / "*.jpg"]
        code, *_ = rsgnet("predict", *sources, "--out", tmp_path / "out", "--no-overlay", *line)
        assert code == 0 and written(tmp_path / "out") == ["poses.json", "run.json"]
        assert len(json.loads((tmp_path / "out" / "poses.json").read_text())) == 2

    def test_bad_images_get_a_line_each_and_the_others_are_done(self, rsgnet, line, photos, tmp_path):
        (photos / "empty.jpg").write_bytes(b"")
        (photos / "text.jpg").write_text("no image\n" * 9)
        (photos / "cut.jpg").write_bytes((photos / "b.jpg").read_bytes()[:200])
        Image.new("RGB", (300, 300)).save(photos / "large.png")
        arguments = ["--out", tmp_path / "out", "--max-pixels", 80_000, *line]
        code, _, errors = rsgnet("predict", photos, "nowhere.jpg", *arguments)
        assert code == 1 and len(errors) == 6 and errors[-1].startswith("3 of 8 images")
        for said, (name, reason) in zip(
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
            assert said.startswith("error: ") and name in said and reason in said
        assert written(tmp_path / "out") == ["a.jpg", "b.jpg", "poses.json", "run.json", "sub/a.jpg"]

    def test_boxes_of_a_file(self, rsgnet, pose_network, photos, tmp_path):
        images = [{"id": 4, "file_name": "a.png"}, {"id": 5, "file_name": "sub/a.png"}, {"id": 6, "file_name": "b.jpg"}]
        people = [
            {"image_id": 5, "bbox": [1, 2, 30, 40], "num_keypoints": 3},
            {"image_id": 6, "bbox": [1, 2, 30, 40], "num_keypoints": 0},
            {"image_id": 6, "bbox": [float("nan"), 2, 30, 40], "num_keypoints": 3},
        ]
        (tmp_path / "b.json").write_text(json.dumps({"images": images, "annotations": people}))
        arguments = ["--detector", f"boxes:{tmp_path / 'b.json'}", "--weights", pose_network()]
        code, *_ = rsgnet("predict", photos, "--out", tmp_path / "out", *arguments)
        results = json.loads((tmp_path / "out" / "poses.json").read_text())
        assert code == 0 and [(r["image_id"], r["bbox"]) for r in results] == [(5, [1, 2, 30, 40])]

    def test_boxes_of_a_file_about_other_images(self, rsgnet, pose_network, photos, tmp_path):
        (tmp_path / "b.json").write_text(json.dumps([{"file_name": "x.jpg", "bbox": [1, 2, 30, 40], "score": 1}]))
        arguments = ["--detector", f"boxes:{tmp_path / 'b.json'}", "--weights", pose_network()]
        code, _, errors = rsgnet("predict", photos, "--out", tmp_path / "out", *arguments)
        assert code == 1 and "boxes for none of these images" in errors[-1]

    def test_switches_reach_the_line(self, rsgnet, line, photos, colours, tmp_path):
        Image.fromarray(colours((64, 64), (20, 20), (40, 40), (30, 30))).save(photos / "a.png")

        def scores(*switches):
            assert rsgnet("predict", photos / "a.png", "--out", tmp_path / "out", *line, *switches)[0] == 0
            return json.loads((tmp_path / "out" / "poses.json").read_text())

        assert scores("--detector", "full")[0]["bbox"] == [0, 0, 64, 64]
        assert scores("--box-threshold", "0.95") == []
        assert scores("--flip", "--batch-size", "1")[0]["keypoints"] != scores("--no-flip")[0]["keypoints"]

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["empty"], "no images in this folder"),
            (["photos", "--weights", "giant"], "no weights 'giant'"),
            (["photos", "--weights", "cut.onnx"], "cut.onnx"),
            (["photos", "--weights", "boxes"], "not the weights of a pose network"),
            (["photos", "--detector", "eyes"], "no detector 'eyes'"),
            (["photos", "--detector", "boxes:none.json"], "none.json: cannot be read"),
            (["photos", "--device", "abacus"], "auto, cpu, cuda"),
            (["photos", "--backend", "caffe"], "onnx, torch, openvino"),
            (["photos", "--precision", "bf16"], "use --backend torch or openvino"),
            (["photos", "--skeleton", "horse"], "no skeleton is named 'horse'"),
            (["photos/b.jpg", "--out", "photos"], "would overwrite"),
            (["photos", "--out", "photos/a.png/x"], "photos/a.png"),
        ],
        ids=str,
    )
    def test_bad_input_gets_one_line_and_exit_code_2(self, rsgnet, line, workplace, arguments, says):
        (workplace / "empty").mkdir()
        (workplace / "cut.onnx").write_bytes((line[1] / "model.onnx").read_bytes()[:150])
        code, printed, errors = rsgnet("predict", "--out", "out", *line, *arguments)
        assert code == 2 and printed == "" and len(errors) == 1
        assert errors[0].startswith("error: ") and says in errors[0]

    def test_another_library_finds_the_same(self, rsgnet, line, photos, tmp_path):
        pytest.importorskip("openvino")
        found = {}
        for backend in ("onnx", "openvino"):
            code, _, errors = rsgnet("predict", photos, "--out", tmp_path / backend, *line, "--backend", backend)
            assert code == 0, errors
            found[backend] = json.loads((tmp_path / backend / "poses.json").read_text())
            assert json.loads((tmp_path / backend / "run.json").read_text())["backend"] == backend
        assert [r["bbox"] for r in found["onnx"]] == [r["bbox"] for r in found["openvino"]]
        for one, other in zip(found["onnx"], found["openvino"], strict=True):
            np.testing.assert_allclose(one["keypoints"], other["keypoints"], atol=0.1)

    def test_an_interrupt_keeps_what_is_done(self, line, photos, tmp_path):
        for index in range(2000):
            os.link(photos / "a.png", photos / f"x{index:04}.png")
        out = tmp_path / "out"
        command = [*RSGNET, "predict", photos, "--out", out, *line]
        running = subprocess.Popen(
            [*map(str, command)],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # Whoever runs the tests in the background makes them, and so their children, deaf to SIGINT.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        patience = time.monotonic() + 60
        while len(list(out.glob("*.jpg"))) < 20 and time.monotonic() < patience:
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=60)[1]
        assert running.returncode == 130 and "interrupted" in said and "Traceback" not in said
        results = json.loads((out / "poses.json").read_text())
        overlays = len([path for path in out.rglob("*.jpg") if not path.name.startswith(".")])
        assert 20 <= len(results) < 2000 and abs(overlays - len(results)) <= 1


class TestEvaluate:
    @pytest.fixture
    def truth(self, workplace, photos, colours):
        """Images whose colours are where the keypoints are: the tiny network finds them all."""
        images, people = [], []
        for index in range(3):
            red, blue, green = np.array([[60, 40], [90, 60], [75, 90]]) + 10 * index
            Image.fromarray(colours((160, 160), red, blue, green)).save(photos / f"c{index}.png")
            places = [green if k == 0 else red if k % 2 else blue for k in range(17)]
            keypoints = [float(value) for place in places for value in (*place, 2)]
            images.append({"id": index, "file_name": f"c{index}.png", "width": 160, "height": 160, "crowdIndex": 0.1})
            box = [30.0 + 10 * index, 15.0 + 10 * index, 90.0, 100.0]
            people.append(
                {"id": index + 1, "image_id": index, "category_id": 1, "iscrowd": 0, "bbox": box, "area": 9000.0}
                | {"keypoints": keypoints, "num_keypoints": 17}
            )
        categories = [{"id": 1, "name": "person"}]
        path = workplace / "truth.json"
        path.write_text(json.dumps({"images": images, "annotations": people, "categories": categories}))
        return path

    def test_with_the_truths_boxes(self, rsgnet, truth, photos, pose_network, tmp_path):
        arguments = ["--annotations", truth, "--out", tmp_path / "out"]
        code, printed, errors = rsgnet("evaluate", *arguments, "--images", photos, "--weights", pose_network())
        assert code == 0 and errors == [] and "AP50" in printed
        metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
        assert metrics["AP50"] == pytest.approx(1.0) and metrics["AP_easy"] > 0.5
        assert len(json.loads((tmp_path / "out" / "poses.json").read_text())) == 3
        again = ["--annotations", truth, "--out", tmp_path / "again", "--results", tmp_path / "out" / "poses.json"]
        assert rsgnet("evaluate", *again)[0] == 0
        assert json.loads((tmp_path / "again" / "metrics.json").read_text()) == metrics
        assert "colours, flip test False, boxes gt" in metrics["settings"]["found_by"]

    def test_what_went_wrong_and_a_comparison(self, rsgnet, truth, photos, pose_network, tmp_path):
        arguments = ["--annotations", truth, "--images", photos, "--weights", pose_network(), "--protocol", "coco"]
        assert rsgnet("evaluate", *arguments, "--out", tmp_path / "out", "--bootstrap", 20)[0] == 0
        assert {"metrics.json", "poses.json", "report.html"} <= set(written(tmp_path / "out"))
        poses = json.loads((tmp_path / "out" / "poses.json").read_text())
        other = tmp_path / "other.json"
        other.write_text(json.dumps(poses[1:]))
        arguments = ["--annotations", truth, "--results", tmp_path / "out" / "poses.json", "--compare", other]
        code, printed, errors = rsgnet("evaluate", *arguments, "--out", tmp_path / "again", "--no-report")
        assert code == 0 and errors == [] and "95 % interval" in printed and "swapped" in printed
        assert "report.html" not in written(tmp_path / "again")
        metrics = json.loads((tmp_path / "again" / "metrics.json").read_text())
        assert metrics["comparison"]["differences"]["AR50"]["value"] == pytest.approx(1 / 3)
        assert metrics["settings"]["resamples"] == 1000 and metrics["settings"]["protocol"] == "coco"
        assert metrics["errors"]["all"]["matched_people"] == 3

    def test_with_a_detector_and_a_missing_image(self, rsgnet, truth, photos, line, tmp_path):
        (photos / "c1.png").unlink()
        code, _, errors = rsgnet(
            "evaluate", "--annotations", truth, "--images", photos, "--out", tmp_path / "out", *line, "--no-flip"
        )
        assert code == 1 and len(errors) == 1 and "c1.png: no such file" in errors[0]
        metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
        assert {"AP", "box_AP50", "box_recall50"} <= metrics.keys()
        boxes = json.loads((tmp_path / "out" / "boxes.json").read_text())
        assert boxes and all(box["file_name"] != "c1.png" for box in boxes)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ([], "--images DIR, to predict, or --results"),
            (["--images", "photos", "--results", "r.json"], "--images DIR, to predict, or --results"),
            (["--images", "photos", "--boxes", "gt", "--detector", "full"], "exclude each other"),
            (["--images", "nowhere"], "nowhere: no such folder"),
            (["--images", "photos", "--boxes", "nowhere.json"], "nowhere.json: cannot be read"),
            (["--results", "nowhere.json"], "nowhere.json"),
            (["--results", "truth.json"], "truth.json"),
            (["--results", "wrong.json"], "wrong.json: entry 0 (id 4): truth.json has no image of image_id 99"),
            (["--images", "photos", "--compare", "wrong.json"], "wrong.json: entry 0 (id 4)"),
            (["--images", "photos", "--protocol", "crowdpose"], "the crowdpose protocol is for crowdpose14 people"),
            (["--images", "photos", "--protocol", "mpii"], "no protocol is named 'mpii'"),
        ],
        ids=str,
    )
    def test_bad_input(self, rsgnet, truth, line, arguments, says):
        truth.with_name("wrong.json").write_text('[{"id": 4, "image_id": 99, "score": 1, "keypoints": []}]')
        code, _, errors = rsgnet(
            "evaluate", "--annotations", truth.name, "--out", "out", "--weights", line[1], *arguments
        )
        assert code == 2 and len(errors) == 1 and says in errors[0]

    def test_broken_annotations(self, rsgnet, tmp_path):
        (tmp_path / "t.json").write_text('{"images": [')
        code, _, errors = rsgnet(
            "evaluate", "--annotations", tmp_path / "t.json", "--images", tmp_path, "--out", tmp_path
        )
        assert code == 2 and len(errors) == 1 and "t.json: not valid JSON" in errors[0]


class TestDemo:
    @pytest.fixture
    def ship(self, pose_network, box_network, tmp_path, monkeypatch):
        def weigh(score):
            pose_network(name="nano")
            box_network([[6 * x, 10, 6 * x + 16, 50] for x in range(8)], [score] * 8, name="detector-nano")
            monkeypatch.setattr(weights, "SHIPPED", tmp_path)

        return weigh

    @pytest.mark.parametrize(("score", "says"), [(0.9, None), (0.0, "found 0 of the 8 drawn people: their true boxes")])
    def test_shows_what_to_try_next(self, rsgnet, ship, tmp_path, score, says):
        ship(score)
        code, printed, errors = rsgnet("demo", "--out", tmp_path / "out")
        assert code == 0 and errors == [] and "Try next:" in printed and str(tmp_path / "out" / "crowd.jpg") in printed
        assert (says in printed) if says else ("true boxes" not in printed)
        assert written(tmp_path / "out") == ["crowd.jpg", "crowd.json", "crowd.png", "poses.json", "run.json"]

    def test_without_weights(self, rsgnet, tmp_path, monkeypatch):
        monkeypatch.setattr(weights, "SHIPPED", tmp_path)
        code, _, errors = rsgnet("demo", "--out", tmp_path / "out")
        assert code == 2 and len(errors) == 1 and "no weights 'nano'" in errors[0]


class TestTrain:
    def test_everything_reaches_the_run(self, rsgnet, monkeypatch):
        run = pytest.importorskip("rsgnet.training.run")
        seen = {}

        def train(*arguments, **options):
            seen.update(options, arguments=arguments)
            return Path("runs/x/model")

        monkeypatch.setattr(run, "train", train)
        data = ["--data", "a.json:images,weight=2", "--data", "b.json", "--validate", "v.json"]
        settings = ["--set", "training.epochs=3", "--set", "training.batch_size=8"]
        code, printed, _ = rsgnet("train", "nano", *data, *settings, "--out", "runs/x", "--resume", "--teacher", "nano")
        assert code == 0 and "rsgnet export runs/x/model" in printed
        assert seen["arguments"] == (
            "nano",
            ["training.epochs=3", "training.batch_size=8"],
            ["a.json:images,weight=2", "b.json"],
            Path("runs/x"),
        )
        assert seen["resume"] and seen["validation"] == "v.json" and seen["start_from"] is None
        assert seen["teacher"].open().config.name == "nano" and seen["teacher"].paddings == (1.25,)

    def test_an_unknown_preset(self, rsgnet, tmp_path):
        pytest.importorskip("rsgnet.training.run")
        code, _, errors = rsgnet("train", "giant", "--data", "x.json", "--out", tmp_path / "run")
        assert code == 2 and "no preset is named 'giant'" in errors[-1]

    def test_an_unknown_teacher(self, rsgnet, tmp_path):
        pytest.importorskip("rsgnet.training.run")
        where = ["--data", "x.json", "--out", tmp_path / "run"]
        code, _, errors = rsgnet("train", "nano", *where, "--teacher", "nobody.onnx")
        assert code == 2 and "nobody.onnx" in errors[-1]


@pytest.mark.parametrize(
    "arguments", [["predict"], ["predict", "a.jpg"], ["dance"], ["predict", "a.jpg", "--batch-size", "0"]]
)
def test_wrong_usage_exits_with_2(rsgnet, arguments):
    assert rsgnet(*arguments)[0] == 2
