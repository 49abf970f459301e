"""Inspecting one person: the maps are those of the crop, and they are drawn."""

import numpy as np
import pytest
from PIL import Image
from tests.conftest import ConstantNetwork

from rsgnet.errors import RSGNetError
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.inspection import choose_inspection_backend, draw_inspection, inspect_person

RED, BLUE, GREEN = (120, 60), (140, 110), (100, 90)
BOX = [80.0, 40.0, 90.0, 100.0]


@pytest.fixture
def path(colours, tmp_path):
    Image.fromarray(colours((240, 180), RED, BLUE, GREEN)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_maps_are_those_of_the_crop(pose_network, path):
    inspection = inspect_person(PoseEstimator(pose_network(), "full"), path, box_xywh=BOX)
    nose = inspection.maps.target_heatmaps[0]
    y, x = np.unravel_index(nose.argmax(), nose.shape)
    affine = inspection.crop.affine
    in_image = np.linalg.inv(affine[:, :2]) @ (np.array([x, y]) * 4 + 1.5 - affine[:, 2])
    np.testing.assert_allclose(in_image, GREEN, atol=8)
    assert np.array_equal(inspection.maps.candidate_heatmaps, inspection.maps.target_heatmaps)
    assert inspection.maps.relation is None and inspection.maps.limb_heatmaps is None
    assert set(draw_inspection(inspection)) == {"sheet", "crop", "everyone", "own", "result"}


def test_pytorch_shows_the_relation_and_limbs(light_directory, path):
    torch = pytest.importorskip("torch")
    from rsgnet.checkpoint import load_pose_model

    assert choose_inspection_backend(light_directory) == "torch"
    inspection = inspect_person(PoseEstimator(light_directory, "full", backend="torch"), path, box_xywh=BOX)
    config, maps = inspection.config, inspection.maps
    pixels = torch.from_numpy(inspection.crop.pixels.copy()).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(each).reshape(3, 1, 1) for each in (config.crop.mean, config.crop.std))
    with torch.inference_mode():
        output = load_pose_model(light_directory)((pixels - mean) / std)
    for found, expected in (
        (maps.relation, output.relation),
        (maps.limb_heatmaps, output.limb_heatmaps),
        (maps.candidate_heatmaps, output.candidate_heatmaps),
    ):
        np.testing.assert_allclose(found, expected[0].numpy(), atol=1e-4)
    assert {"relation", "limbs"} <= set(draw_inspection(inspection))


def test_a_person_or_box_that_is_not_there_raises(pose_network, path):
    estimator = PoseEstimator(pose_network(), "full")
    assert inspect_person(estimator, path).person == 0
    with pytest.raises(RSGNetError, match="no person 1: 1 people were found"):
        inspect_person(estimator, path, 1)
    with pytest.raises(RSGNetError, match="the box holds nothing"):
        inspect_person(estimator, path, box_xywh=[500, 500, 20, 20])


def test_a_network_without_inner_maps_raises(path):
    with pytest.raises(RSGNetError, match="--with-decoding"):
        inspect_person(PoseEstimator(ConstantNetwork(), "full"), path)


def test_command_line(rsgnet, pose_network, path, tmp_path):
    weights = ["--weights", pose_network(), "--backend", "onnx"]
    code, output, _ = rsgnet("show", path, "--box", "80,40,90,100", "--out", tmp_path / "look", *weights)
    assert code == 0 and len(output.splitlines()) == 5
    assert Image.open(tmp_path / "look/result.png").size == (240, 180)
    assert Image.open(tmp_path / "look/crop.png").size == (360, 480)
    for arguments, message in (
        (["--box", "1,2,3"], "LEFT,TOP,WIDTH,HEIGHT"),
        (["--box", "1,2,3,4", "--person", "0"], "exclude"),
    ):
        code, _, errors = rsgnet("show", path, "--out", tmp_path, *arguments, *weights)
        assert code == 2 and message in errors[0]
