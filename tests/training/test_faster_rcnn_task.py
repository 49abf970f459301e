"""The paper's detector, tiny: from annotations through the command line to poses in its boxes."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.conftest import run_rsgnet

from rsgnet.checkpoint import build, save_model
from rsgnet.config_files import with_settings
from rsgnet.data.detection import DetectionSample
from rsgnet.errors import RSGNetError
from rsgnet.export.directory import export_onnx
from rsgnet.files import compute_sha256
from rsgnet.images import read_image
from rsgnet.inference.detectors.detector import LoadedImage
from rsgnet.inference.detectors.open_detector import open_detector
from rsgnet.model.faster_rcnn import IGNORED, PERSON
from rsgnet.model.layers import normalise
from rsgnet.presets import faster_rcnn_r101
from rsgnet.training.faster_rcnn_task import make_targets

NAN = torch.nan
TINY = [
    "backbone=resnet18", "shorter_side_px=96", "longer_side_px=160", "proposals=20", "sampled_boxes=32",
    "training.epochs=1", "training.epoch_samples=60", "training.batch_size=2", "training.optimizer=adamw",
    "training.learning_rate=3e-4", "training.warmup_steps=5", "training.schedule=cosine", "training.augment.flip=0",
]  # fmt: skip
COLOURS = ((200, 80, 60), (60, 200, 80), (80, 60, 200))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Two images of two shapes, three people in each, two of whom overlap; in one the third box is a group's."""
    folder, random = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    (folder / "images").mkdir()
    images, annotations = [], []
    for number in (1, 2):
        width, height = (160, 128) if number % 2 else (144, 160)
        image = random.integers(0, 60, (height, width, 3)).astype(np.uint8)
        boxes = [(6 + 4 * number, 20, 44, 90), (26 + 4 * number, 26, 44, 90), (100, 12, 36, 80)]
        for colour, (left, top, wide, high) in zip(COLOURS, boxes, strict=True):
            image[top : top + high, left : left + wide] = colour
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "bbox": [left, top, wide, high]}
                | {"area": wide * high, "iscrowd": int(number == 2 and left == 100)}
                | {"keypoints": [left + 10, top + 10, 2] * 17, "num_keypoints": 17}
            )
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": width, "height": height})
    (folder / "people.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return folder


@pytest.fixture(scope="module")
def start(people, tmp_path_factory):
    """A model directory that stands in for ImageNet's weights: random ones, with batch norms that know the images."""
    torch.manual_seed(0)
    config = with_settings(faster_rcnn_r101(), TINY)
    scratch = build(with_settings(config, ["training.pretrained=false"])).train()
    image = torch.from_numpy(read_image(people / "images" / "1.png"))[None]
    with torch.no_grad():
        for _ in range(30):
            scratch.backbone(normalise(image, config.mean, config.std))
    model = build(config)
    model.load_state_dict({name: scratch.state_dict()[name] for name in model.state_dict()})
    directory = tmp_path_factory.mktemp("start")
    save_model(model, config, directory)
    return directory


@pytest.fixture(scope="module")
def trained(people, start, tmp_path_factory):
    """The model directory that `rsgnet train` leaves; ImageNet's weights are not fetched."""
    out = tmp_path_factory.mktemp("run")
    arguments = ["--data", people / "people.json", "--validate", people / "people.json", "--workers", 0, "--out", out]
    settings = [word for setting in TINY for word in ("--set", setting)]
    assert run_rsgnet("train", "faster-rcnn-r101", "--start-from", start, *arguments, *settings) == 0
    return out / "model"


def test_only_frozen_stages_are_unchanged_by_training(start, trained):
    before, after = (load_file(each / "model.safetensors") for each in (start, trained))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not [name for name in moved if "body.conv1" in name or "body.layer1" in name or ".bn" in name]
    assert "backbone.body.layer2.0.conv1.weight" in moved and "rpn.head.bbox_pred.weight" in moved


def test_it_overfits_a_few_images(trained, people, pose_network, tmp_path):
    pose, truth = pose_network(), people / "people.json"
    arguments = ["--annotations", truth, "--images", people / "images", "--weights", pose, "--out", tmp_path]
    assert run_rsgnet("evaluate", *arguments, "--detector", trained, "--no-report", "--bootstrap", 2) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["box_AP50"] > 0.9 and metrics["box_recall50_overlapping"] > 0.8
    origin = {"name": str(trained), "sha256": compute_sha256(trained / "model.safetensors"), "threshold": 0.05}
    assert metrics["boxes"] == json.loads((tmp_path / "run.json").read_text())["boxes"] == origin
    curves = next(trained.parent.glob("curves/*/metrics.csv")).read_text()
    assert "val/box_AP50" in curves and "train/rpn_box_reg" in curves
    # The boxes that it found, as COCO results, serve as boxes again.
    found = json.loads((tmp_path / "boxes.json").read_text())
    assert {"image_id", "category_id", "bbox", "score"} <= found[0].keys()
    again = [*arguments[:-1], tmp_path / "again", "--boxes", tmp_path / "boxes.json"]
    assert run_rsgnet("evaluate", *again, "--no-report", "--bootstrap", 2) == 0
    assert (tmp_path / "again" / "poses.json").read_bytes() == (tmp_path / "poses.json").read_bytes()
    boxes = json.loads((tmp_path / "again" / "metrics.json").read_text())["boxes"]
    origin = {
        "name": str(tmp_path / "boxes.json"),
        "sha256": compute_sha256(tmp_path / "boxes.json"),
        "threshold": None,
    }
    assert boxes == origin


def test_commands_accept_it_as_a_detector(trained, people, pose_network, tmp_path):
    arguments = [people / "images", "--weights", pose_network(), "--detector", trained, "--no-overlay"]
    assert run_rsgnet("predict", *arguments, "--box-threshold", 0.3, "--out", tmp_path) == 0
    results = json.loads((tmp_path / "poses.json").read_text())
    assert results and all(len(each["bbox"]) == 4 and each["box_score"] >= 0.3 for each in results)
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["boxes"]["name"], run["boxes"]["threshold"]) == (str(trained), 0.3)


def test_its_own_threshold_is_the_default(trained, people):
    photo = LoadedImage(read_image(people / "images" / "1.png"))
    assert open_detector(str(trained)).threshold == 0.5
    counts = [len(open_detector(str(trained), "cpu", at).detect([photo])[0]) for at in (0.0, 0.5, 1.0)]
    assert counts[0] >= counts[1] > counts[2] == 0


def test_export_to_onnx_is_refused(trained, tmp_path):
    with pytest.raises(RSGNetError, match=r"PyTorch only: use --detector"):
        export_onnx(trained)
    with pytest.raises(RSGNetError, match=r"PyTorch only: --detector DIR, without onnx:"):
        open_detector(f"onnx:{trained}")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["yolo"], "no preset is named 'yolo'"),
        (["faster-rcnn-r101", "--set", "backbone=resnet18", "--set", "shorter_side_px=0"], "32 pixels or more"),
    ],
)
def test_unusable_settings_are_refused(people, capsys, tmp_path, arguments, says):
    data = ["--data", people / "people.json", "--out", tmp_path / "run"]
    assert run_rsgnet("train", *arguments, *data) == 2
    assert says in capsys.readouterr().err


def test_targets_are_people_first_then_ignored_boxes():
    sample = DetectionSample(
        torch.zeros(8, 8, 3, dtype=torch.uint8),
        torch.tensor([[0.0, 0, 4, 4], [1, 1, 1.5, 8], [NAN] * 4, [2, 2, 8, 8]]),
        torch.tensor([[NAN] * 4, [0.0, 0, 8, 8]]),
    )
    wanted = make_targets(sample)
    assert wanted["boxes"].tolist() == [[0, 0, 4, 4], [2, 2, 8, 8], [0, 0, 8, 8]]
    assert wanted["labels"].tolist() == [PERSON, PERSON, IGNORED]
