import numpy as np
import pytest
from PIL import Image
from tests.conftest import colour_config

from rsgnet.errors import RSGNetError
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.inspect_drawing import draw_inspection
from rsgnet.inference.inspect_person import inspect_person, telling_backend

RED, BLUE, GREEN = (120, 60), (140, 110), (100, 90)
BOX = [80.0, 40.0, 90.0, 100.0]


@pytest.fixture
def photo(colours, tmp_path):
    Image.fromarray(colours((240, 180), RED, BLUE, GREEN)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_maps_are_those_of_the_crop(pose_network, photo):
    look = inspect_person(PoseEstimator(pose_network(), "full"), photo, box_xywh=BOX)
    nose = look.maps.target_heatmaps[0]
    y, x = np.unravel_index(nose.argmax(), nose.shape)
    in_image = np.linalg.inv(look.crop.affine[:, :2]) @ (np.array([x, y]) * 4 + 1.5 - look.crop.affine[:, 2])
    np.testing.assert_allclose(in_image, GREEN, atol=8)
    assert np.array_equal(look.maps.candidate_heatmaps, look.maps.target_heatmaps)
    assert look.maps.relation is None and look.maps.limb_heatmaps is None
    assert set(draw_inspection(look)) == {"sheet", "crop", "everyone", "own", "result"}


def test_in_pytorch_there_are_relations_and_limbs(photo):
    torch = pytest.importorskip("torch")
    from rsgnet.checkpoint import load_pose_model
    from rsgnet.inference.weights import SHIPPED

    assert telling_backend("nano") == "torch"
    look = inspect_person(PoseEstimator("nano", "full", backend="torch"), photo, box_xywh=BOX)
    config = look.config
    pixels = torch.from_numpy(look.crop.pixels.copy()).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(each).reshape(3, 1, 1) for each in (config.crop.mean, config.crop.std))
    with torch.inference_mode():
        output = load_pose_model(SHIPPED / "nano")((pixels - mean) / std)
    for found, wanted in (
        (look.maps.relation, output.relation),
        (look.maps.limb_heatmaps, output.limb_heatmaps),
        (look.maps.candidate_heatmaps, output.candidate_heatmaps),
    ):
        np.testing.assert_allclose(found, wanted[0].numpy(), atol=1e-4)
    assert {"relation", "limbs"} <= set(draw_inspection(look))


def test_whom_there_is_not(pose_network, photo):
    estimator = PoseEstimator(pose_network(), "full")
    assert inspect_person(estimator, photo).person == 0
    with pytest.raises(RSGNetError, match="no person 1: 1 people were found"):
        inspect_person(estimator, photo, 1)
    with pytest.raises(RSGNetError, match="the box holds nothing"):
        inspect_person(estimator, photo, box_xywh=[500, 500, 20, 20])


def test_a_runner_that_shows_nothing(photo):
    class Blind:
        config = colour_config()

        def __call__(self, crops):
            return np.zeros((len(crops), 17, 16, 12), np.float32)

    with pytest.raises(RSGNetError, match="--with-decoding"):
        inspect_person(PoseEstimator(Blind(), "full"), photo)


def test_the_command(rsgnet, pose_network, photo, tmp_path):
    weights = ["--weights", pose_network(), "--backend", "onnx"]
    code, told, _ = rsgnet("show", photo, "--box", "80,40,90,100", "--out", tmp_path / "look", *weights)
    assert code == 0 and len(told.splitlines()) == 5
    assert Image.open(tmp_path / "look/result.png").size == (240, 180)
    assert Image.open(tmp_path / "look/crop.png").size == (360, 480)
    for wrong, says in (
        (["--box", "1,2,3"], "LEFT,TOP,WIDTH,HEIGHT"),
        (["--box", "1,2,3,4", "--person", "0"], "exclude"),
    ):
        code, _, errors = rsgnet("show", photo, "--out", tmp_path, *wrong, *weights)
        assert code == 2 and says in errors[0]
