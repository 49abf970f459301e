"""Whole training runs on drawn crowds: the networks learn, and all files are written."""

import io
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rsgnet.checkpoint import load_model, load_pose_model, read_config
from rsgnet.config import CropConfig, ModelConfig, PoseConfig
from rsgnet.config_files import SHIPPED, with_settings
from rsgnet.data.dataset import DataSource, PoseDataset, Sample
from rsgnet.data.teacher import Teacher
from rsgnet.errors import RSGNetError, RSGNetWarning
from rsgnet.heatmaps import decode
from rsgnet.model import RSGNet
from rsgnet.model.layers import normalise
from rsgnet.presets import detector_nano, preset_named, rsgnet_light
from rsgnet.training.losses import pose_losses
from rsgnet.training.run import train
from rsgnet.training.sources import parse_source

quiet_train = partial(train, workers=0, progress=False)
SHORT = ["size_wh=64,64", "training.batch_size=2", "training.epoch_samples=4"]
DETECTOR = [*SHORT, "training.norm_statistics=batch"]

NARROW = "model.backbone=hrnet_w8_modules111_blocks1"
TINY = [
    "crop.size_wh=64,64", "model.relation.clue_dim=8", "training.batch_size=4", "training.epoch_samples=8",
    "training.epochs=4", "training.precision=32-true", "training.warmup_steps=0",
]  # fmt: skip


@pytest.mark.slow
def test_a_network_overfits_eight_people(crowd):
    """Loss near zero, every keypoint within 2 px of the crop."""
    config = with_settings(rsgnet_light(), ["training.augment.half_body=0"])
    dataset = PoseDataset([parse_source(str(crowd))], config, augmented=False)
    batch = Sample.stack([dataset[index] for index in range(8)])
    torch.manual_seed(0)
    model = RSGNet(config.model).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=(steps := 320))
    crops = normalise(batch.crop, config.crop.mean, config.crop.std)
    losses = []
    for _ in range(steps):
        loss = pose_losses(model(crops), batch, dataset.skeleton, config.training.loss)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.target.item())
    assert losses[-1] < 0.1 * losses[0]
    heatmaps = model(crops).target_heatmaps.detach().numpy()
    found, _ = decode(heatmaps, config.decode.refinement, dataset.skeleton.sigmas)
    errors = np.linalg.norm(found - batch.keypoints_xy[:, 0].numpy(), axis=-1) * config.crop.stride
    height, width = config.crop.heatmap_shape_hw
    places = batch.keypoints_xy[:, 0].numpy()
    judged = batch.labelled[:, 0].numpy() & ((places >= 0) & (places <= [width - 1, height - 1])).all(-1)
    assert judged.sum() > 60
    assert errors[judged].max() < 2.0


def test_a_run_writes_a_model_curves_and_its_config(crowd, tmp_path):
    config = with_settings(rsgnet_light(), TINY)
    with pytest.warns(RSGNetWarning, match="in 8 steps .*=0.999 keeps 99% of the starting weights; 0.688 or less"):
        directory = quiet_train(config, [str(crowd)], tmp_path, validation=str(crowd))
    config = read_config(directory)
    assert config == with_settings(rsgnet_light(), TINY)
    with torch.no_grad():
        assert load_pose_model(directory)(torch.zeros(1, 3, 64, 64)).target_heatmaps.isfinite().all()
    curves = next(tmp_path.glob("curves/*/metrics.csv")).read_text()
    assert "val/oks" in curves
    assert "train/relation" in curves
    shown = EventAccumulator(str(next(tmp_path.glob("tensorboard/version_0"))), {"images": 0}).Reload()
    assert [event.step for event in shown.Images("val/people")] == [2, 4, 6, 8]
    last = Image.open(io.BytesIO(shown.Images("val/people")[-1].encoded_image_string))
    assert np.array_equal(np.asarray(last), np.asarray(Image.open(tmp_path / "samples.png")))
    with pytest.raises(RSGNetError, match="--resume"):
        quiet_train(with_settings(rsgnet_light(), TINY), [str(crowd)], tmp_path)


def test_a_detector_trains_by_the_same_command(crowd, tmp_path):
    directory = quiet_train(with_settings(detector_nano(), DETECTOR), [str(crowd)], tmp_path)
    assert read_config(directory).size_wh == (64, 64)


def test_training_starts_from_shipped_weights_unless_from_scratch(crowd, tmp_path, rsgnet):
    """At a rate of zero they stay what they are."""
    settings = [*SHORT, "training.learning_rate=0"]
    options = [word for setting in settings for word in ("--set", setting)]
    options += ["--data", crowd, "--workers", 0, "--out"]
    code, _, errors = rsgnet("train", "detector-nano", *options, tmp_path / "on")
    assert code == 0, errors
    trained, _ = load_model(tmp_path / "on" / "model")
    shipped, _ = load_model(SHIPPED / "detector-nano")
    for name, value in shipped.named_parameters():
        assert torch.equal(value, trained.get_parameter(name)), name
    code, _, errors = rsgnet("train", "detector-nano", "--from-scratch", *options, tmp_path / "scratch")
    assert code == 2 and "nothing sets them" in errors[-1]


def test_a_detector_has_no_modules_to_freeze(crowd, tmp_path):
    config = with_settings(detector_nano(), [*DETECTOR, "training.frozen=blocks"])
    with pytest.raises(RSGNetError, match=r"leave training\.frozen empty"):
        quiet_train(config, [str(crowd)], tmp_path)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", (1.0, True)),
        (",weight=2", (2.0, True)),
        (",partial,weight=0.5", (0.5, False)),
    ],
)
def test_sources_are_read_from_the_command_line(crowd, options, expected):
    source = parse_source(f"{crowd}:{crowd.parent / 'images'}{options}")
    assert source == DataSource(crowd, crowd.parent / "images", *expected)
    assert parse_source(f"{crowd}{options}") == source


class Nowhere:
    """A teacher that says that every keypoint is at one place, whatever it is shown."""

    config = PoseConfig("still", CropConfig(size_wh=(192, 256)), ModelConfig(skeleton="coco17"))

    def __call__(self, crops):
        heatmaps = np.zeros((len(crops), 17, 64, 48), np.float32)
        heatmaps[:, :, 20, 30] = 1
        return heatmaps


def test_a_teachers_heatmaps_are_learnt(crowd, tmp_path):
    settings = [*TINY, "training.loss.distillation=1", "training.loss.location=0.1"]
    quiet_train(
        with_settings(rsgnet_light(), settings),
        [str(crowd)],
        tmp_path,
        teacher=Teacher("nowhere", Nowhere),
    )
    curves = (tmp_path / "curves" / "version_0" / "metrics.csv").read_text().splitlines()
    column = curves[0].split(",").index("train/distillation")
    assert any(float(row.split(",")[column] or 0) > 0 for row in curves[1:])


def test_shipped_weights_can_be_the_teacher_on_the_command_line(rsgnet, crowd, tmp_path):
    settings = [
        word for setting in [*TINY, "training.epochs=1", "training.loss.distillation=1"] for word in ("--set", setting)
    ]
    options = ["--data", crowd, "--out", tmp_path / "run", "--workers", 0, "--teacher", "nano"]
    assert rsgnet("train", "rsgnet-light", *options, *settings)[0] == 0


def test_a_teacher_without_weight_or_for_a_detector_is_an_error(crowd, tmp_path):
    with pytest.raises(RSGNetError, match=r"training\.loss\.distillation is 0"):
        quiet_train(
            with_settings(rsgnet_light(), TINY),
            [str(crowd)],
            tmp_path,
            teacher=Teacher("nowhere", Nowhere),
        )
    with pytest.raises(RSGNetError, match="detectors do not learn"):
        quiet_train(
            with_settings(detector_nano(), []),
            [str(crowd)],
            tmp_path,
            teacher=Teacher("nowhere", Nowhere),
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [("no.json", "no.json does not exist"), ("{crowd}:nowhere", "no folder nowhere"), ("{crowd},heavy", "'heavy'")],
)
def test_sources_that_do_not_exist_are_named(crowd, text, message):
    with pytest.raises(RSGNetError, match=message):
        parse_source(text.format(crowd=crowd))


def test_an_epoch_too_small_for_a_batch_is_an_error(crowd, tmp_path):
    with pytest.raises(RSGNetError, match="fills no batch"):
        quiet_train(with_settings(rsgnet_light(), [*TINY, "training.batch_size=64"]), [str(crowd)], tmp_path)


@pytest.mark.parametrize(
    ("preset", "settings"),
    [
        ("dense-w32-256x192-coco", [NARROW, "model.relation.embedding_dim=12"]),
        ("dense-w32-256x192-crowdpose", [NARROW, "model.relation.subsample=true"]),
        ("simplebaseline-r50-256x192-coco", ["model.backbone=resnet18"]),
    ],
)
def test_the_released_form_and_the_baseline_train(crowd, tmp_path, preset, settings):
    small = [each for each in TINY if "clue_dim" not in each]  # which only the candidate relation has
    settings = [*small, *settings, "training.pretrained=false", "training.epochs=1"]
    model = quiet_train(
        with_settings(preset_named(preset), settings),
        [str(crowd)],
        tmp_path,
        validation=str(crowd),
    )
    config = read_config(model)
    assert config == with_settings(preset_named(preset), settings)
    output = load_pose_model(model)(torch.rand(1, 3, 64, 64))
    assert output.target_heatmaps.isfinite().all()
    curves = (tmp_path / "curves" / "version_0" / "metrics.csv").read_text().splitlines()[0]
    assert "train/relation" in curves
