"""`rsgnet evaluate` and `evaluate-tracks`."""

import json

import numpy as np
import pytest
from PIL import Image
from tests.cli.conftest import list_files


@pytest.fixture
def truth(working_folder, images, colours):
    """Annotated images with colours at the keypoints, which the tiny network finds."""
    entries, people = [], []
    for index in range(3):
        red, blue, green = np.array([[60, 40], [90, 60], [75, 90]]) + 10 * index
        Image.fromarray(colours((160, 160), red, blue, green)).save(images / f"c{index}.png")
        places = [green if k == 0 else red if k % 2 else blue for k in range(17)]
        keypoints = [float(value) for place in places for value in (*place, 2)]
        entries.append({"id": index, "file_name": f"c{index}.png", "width": 160, "height": 160, "crowdIndex": 0.1})
        box = [30.0 + 10 * index, 15.0 + 10 * index, 90.0, 100.0]
        people.append(
            {"id": index + 1, "image_id": index, "category_id": 1, "iscrowd": 0, "bbox": box, "area": 9000.0}
            | {"keypoints": keypoints, "num_keypoints": 17}
        )
    categories = [{"id": 1, "name": "person"}]
    path = working_folder / "truth.json"
    path.write_text(json.dumps({"images": entries, "annotations": people, "categories": categories}))
    return path


def test_true_boxes(rsgnet, truth, images, pose_network, tmp_path):
    arguments = ["--annotations", truth, "--out", tmp_path / "out"]
    code, printed, errors = rsgnet("evaluate", *arguments, "--images", images, "--weights", pose_network())
    assert code == 0 and errors == [] and "AP50" in printed
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["AP50"] == pytest.approx(1.0) and metrics["AP_easy"] > 0.5
    assert len(json.loads((tmp_path / "out" / "poses.json").read_text())) == 3
    again = ["--annotations", truth, "--out", tmp_path / "again", "--results", tmp_path / "out" / "poses.json"]
    assert rsgnet("evaluate", *again)[0] == 0
    assert json.loads((tmp_path / "again" / "metrics.json").read_text()) == metrics
    assert "colours, flip test False, boxes gt" in metrics["settings"]["found_by"]


def test_errors_and_a_comparison(rsgnet, truth, images, pose_network, tmp_path):
    arguments = ["--annotations", truth, "--images", images, "--weights", pose_network(), "--protocol", "coco"]
    assert rsgnet("evaluate", *arguments, "--out", tmp_path / "out", "--bootstrap", 20)[0] == 0
    assert {"metrics.json", "poses.json", "report.html"} <= set(list_files(tmp_path / "out"))
    poses = json.loads((tmp_path / "out" / "poses.json").read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps(poses[1:]))
    arguments = ["--annotations", truth, "--results", tmp_path / "out" / "poses.json", "--compare", other]
    code, printed, errors = rsgnet("evaluate", *arguments, "--out", tmp_path / "again", "--no-report")
    assert code == 0 and errors == [] and "95 % interval" in printed and "swapped" in printed
    assert "report.html" not in list_files(tmp_path / "again")
    metrics = json.loads((tmp_path / "again" / "metrics.json").read_text())
    assert metrics["comparison"]["differences"]["AR50"]["value"] == pytest.approx(1 / 3)
    assert metrics["settings"]["resamples"] == 1000 and metrics["settings"]["protocol"] == "coco"
    assert metrics["errors"]["all"]["matched_people"] == 3


def test_a_detector_and_a_missing_image(rsgnet, truth, images, pipeline, tmp_path):
    (images / "c1.png").unlink()
    code, _, errors = rsgnet(
        "evaluate", "--annotations", truth, "--images", images, "--out", tmp_path / "out", *pipeline, "--no-flip"
    )
    assert code == 1 and len(errors) == 1 and "c1.png: no such file" in errors[0]
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {"AP", "box_AP50", "box_recall50"} <= metrics.keys()
    boxes = json.loads((tmp_path / "out" / "boxes.json").read_text())
    assert boxes and all(box["file_name"] != "c1.png" for box in boxes)


def test_boxes_that_predict_would_not_show_count(rsgnet, truth, images, pose_network, box_network, tmp_path):
    box_network([[5, 5, 50, 60]], [0.1], name="doubtful")
    detector = ["--weights", pose_network(), "--detector", tmp_path / "doubtful", "--out", tmp_path / "out"]
    assert rsgnet("evaluate", "--annotations", truth, "--images", images, *detector)[0] == 0
    boxes = json.loads((tmp_path / "out" / "boxes.json").read_text())
    assert len(boxes) == len(json.loads(truth.read_text())["images"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--images DIR, to predict, or --results"),
        (["--images", "images", "--results", "r.json"], "--images DIR, to predict, or --results"),
        (["--images", "images", "--boxes", "gt", "--detector", "full"], "exclude each other"),
        (["--images", "nowhere"], "nowhere: no such folder"),
        (["--images", "images", "--boxes", "nowhere.json"], "nowhere.json: cannot be read"),
        (["--results", "nowhere.json"], "nowhere.json"),
        (["--results", "truth.json"], "truth.json"),
        (["--results", "wrong.json"], "wrong.json: entry 0 (id 4): truth.json has no image of image_id 99"),
        (["--images", "images", "--compare", "wrong.json"], "wrong.json: entry 0 (id 4)"),
        (["--images", "images", "--protocol", "crowdpose"], "the crowdpose protocol is for crowdpose14 people"),
        (["--images", "images", "--protocol", "mpii"], "the mpii protocol is for mpii16 people"),
        (
            ["--images", "images", "--protocol", "oks"],
            "there are auto, coco, crowdpose, ochuman, wholebody, ex-oks, mpii, posetrack",
        ),
    ],
    ids=str,
)
def test_bad_input(rsgnet, truth, pipeline, arguments, message):
    truth.with_name("wrong.json").write_text('[{"id": 4, "image_id": 99, "score": 1, "keypoints": []}]')
    code, _, errors = rsgnet(
        "evaluate", "--annotations", truth.name, "--out", "out", "--weights", pipeline[1], *arguments
    )
    assert code == 2 and len(errors) == 1 and message in errors[0]


def test_broken_annotations(rsgnet, tmp_path):
    (tmp_path / "t.json").write_text('{"images": [')
    code, _, errors = rsgnet("evaluate", "--annotations", tmp_path / "t.json", "--images", tmp_path, "--out", tmp_path)
    assert code == 2 and len(errors) == 1 and "t.json: not valid JSON" in errors[0]


def test_tracks_in_clips(rsgnet, pose_network, tmp_path):
    """The boxes are the true ones, so everybody is found and only the tracking is measured."""
    pytest.importorskip("av")
    pytest.importorskip("scipy")
    walks = tmp_path / "walks"
    assert rsgnet("crowds", "--out", walks, "--scenes", 1, "--frames", 6, "--walkers", 3, "--size", "160x120")[0] == 0
    truth = json.loads((walks / "crowds.json").read_text())
    for image in truth["images"]:
        image["file_name"] = f"000001.mp4#{image['frame_id']}"
    (tmp_path / "boxes.json").write_text(json.dumps(truth))
    found = ["--out", tmp_path / "out", "--detector", f"boxes:{tmp_path / 'boxes.json'}", "--weights", pose_network()]
    assert rsgnet("predict", walks / "clips", "--no-overlay", *found)[0] == 0
    code, printed, errors = rsgnet(
        "evaluate-tracks", "--annotations", walks / "crowds.json", "--results", tmp_path / "out" / "poses.jsonl"
    )
    assert (code, errors) == (0, [])
    metrics = dict(line.strip("│ ").split("│") for line in printed.splitlines() if line.startswith("│"))
    metrics = {name.strip(): float(value) for name, value in metrics.items()}
    assert metrics["people"] == len(truth["annotations"]) >= 6
    assert metrics["IDF1"] > 0.8 and metrics["false"] <= 2


def test_clips_without_tracks(rsgnet, tmp_path):
    pytest.importorskip("scipy")
    (tmp_path / "a.json").write_text("{}")
    code, _, errors = rsgnet("evaluate-tracks", "--annotations", tmp_path / "a.json", "--results", "b.jsonl")
    assert code == 2 and len(errors) == 1 and "a.json: no clips with tracks" in errors[0]


def test_mpii(rsgnet, tmp_path):
    """The figures of a benchmark without average precision, which has no report and no comparison."""
    keypoints = [value for index in range(16) for value in (10.0 * index, 5.0, 2)]
    people = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 1, "bbox": [0, 0, 99, 99], "bbox_head": [0, 0, 30, 40], "keypoints": keypoints}
        ],
    }
    truth, results, out = tmp_path / "truth.json", tmp_path / "results.json", tmp_path / "out"
    truth.write_text(json.dumps(people))
    keypoints[0] += 100
    results.write_text(json.dumps([{"image_id": 1, "score": 1, "keypoints": keypoints}]))
    arguments = ["--annotations", truth, "--results", results, "--out", out, "--protocol", "mpii"]
    code, printed, errors = rsgnet("evaluate", *arguments)
    assert code == 0 and errors == [] and "PCKh_ankle" in printed
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["PCKh"] == pytest.approx(13 / 14) and metrics["settings"]["protocol"] == "mpii"
    assert list_files(out) == ["metrics.json"]
    code, _, errors = rsgnet("evaluate", *arguments, "--compare", results)
    assert code == 2 and "--compare needs intervals" in errors[0]
