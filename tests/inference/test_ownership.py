import json
from dataclasses import replace

import numpy as np
import pytest
from tests.conftest import colour_config

from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.inference.boxes import Boxes
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.evidence import FEATURES
from rsgnet.inference.ownership import Logistic, Ownership, ownership_beside, read_ownership
from rsgnet.inference.runner import open_runner
from rsgnet.settings import to_json
from rsgnet.skeletons import COCO17


def ownership(keypoints=COCO17.keypoints, **changes):
    """Sure of what is high in its heatmap: present where above 0.3, mine where no rival is higher."""
    peak = tuple(10.0 if name == "peak" else 0.0 for name in FEATURES)
    contest = tuple({"peak": 10.0, "rival_peak": -10.0}.get(name, 0.0) for name in FEATURES)
    count = len(keypoints)
    fit = Ownership(
        keypoints,
        FEATURES,
        candidates=False,
        flip_test=False,
        present=Logistic(peak, (-3.0,) * count),
        visible=Logistic(peak, (-2.0,) * count),
        mine=Logistic(contest, (0.0,) * count),
    )
    return replace(fit, **changes)


def test_a_logistic_by_hand():
    evidence = np.array([[[1.0, 2.0], [0.0, 0.0]]])
    found = Logistic((0.5, -1.0), (0.0, 2.0))(evidence)
    assert found[0] == pytest.approx([1 / (1 + np.exp(1.5)), 1 / (1 + np.exp(-2))])


def test_what_is_visible_is_present():
    told = ownership()(np.random.default_rng(0).random((3, 17, len(FEATURES))))
    assert set(told) == {"present", "visible", "mine"}
    assert (told["visible"] <= told["present"]).all()
    assert all(((values > 0) & (values < 1)).all() for values in told.values())


def test_reading_what_was_written(tmp_path):
    config = colour_config()
    assert ownership_beside(tmp_path, config, False) is None
    (tmp_path / "ownership.json").write_text(to_json(ownership()))
    assert ownership_beside(tmp_path, config, False) == ownership()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not a Ownership"),
        ("{}", "keypoints"),
        (to_json(ownership(features=("peak",))), "other evidence"),
        (to_json(ownership(keypoints=COCO17.keypoints[:3])), "other keypoints"),
        (to_json(ownership(candidates=True)), "export it anew"),
        (to_json(ownership(mine=Logistic((1.0,), (0.0,) * 17))), "mine: expected 13 weights, 17 biases"),
        (to_json(ownership(present=Logistic((1.0,) * 13, (0.0,)))), "present: expected"),
    ],
)
def test_a_bad_fit_is_named(text, says):
    with pytest.raises(WeightsError, match=f"runs/ownership.json.*{says}"):
        read_ownership(text, colour_config(), False, "runs/ownership.json")


def test_a_broken_file_beside_the_weights_is_named(pose_network):
    directory = pose_network()
    (directory / "ownership.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"ownership\.json"):
        open_runner(directory, device="cpu")
    assert open_runner(directory, device="cpu", ownership=False).ownership is None


WRIST = COCO17.keypoints.index("left_wrist")


class Two:
    def detect(self, photos):
        return [Boxes(np.array([[40.0, 30, 150, 130], [100.0, 0, 170, 75]]), np.array([0.9, 0.8])) for _ in photos]


class TestTheWholeLine:
    @pytest.fixture
    def image(self, colours):
        return colours((240, 180), (120, 60), (140, 110), (100, 90))

    def test_without_a_fit_nothing_is_told(self, pose_network, image):
        poses = PoseEstimator(pose_network(), Two(), device="cpu")(image)
        assert poses.ownership() == {} and "mine" not in poses.to_coco()[0]
        with pytest.raises(RSGNetError, match="rsgnet calibrate"):
            poses.draw(rivals=True)

    def test_with_one_the_two_people_are_rivals(self, pose_network, image):
        directory = pose_network(colour_config(nms_threshold=1.0))
        (directory / "ownership.json").write_text(to_json(ownership()))
        poses = PoseEstimator(directory, Two(), device="cpu")(image)
        assert len(poses) == 2 and len(poses.ownership()) == 5
        # Both see the one red wrist, the second nothing blue.
        assert poses.rival[:, WRIST].tolist() == [1, 0]
        assert poses.rival_claim[:, WRIST] == pytest.approx(poses.mine[::-1, WRIST])
        logit = 10 * (poses.scores[0, WRIST] - poses.scores[1, WRIST])
        assert poses.mine[0, WRIST] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-4)
        assert poses.present[:, WRIST] == pytest.approx(1 / (1 + np.exp(3 - 10 * poses.scores[:, WRIST])), abs=1e-4)
        expected = (poses.present * poses.mine).sum(-1) / poses.present.sum(-1)
        assert poses.pose_scores == pytest.approx(poses.box_scores * expected, rel=1e-5)
        assert poses.pose_scores[0] > poses.pose_scores[1]
        first = json.loads(poses.to_json())[0]
        assert first["rival"][WRIST] == 1 and first["mine"] == pytest.approx(poses.mine[0], abs=1e-4)
        assert poses.draw(rivals=True).size == (240, 180)

    def test_people_come_surest_first_by_what_is_expected_to_be_right(self, pose_network, image):
        directory = pose_network(colour_config(nms_threshold=1.0))
        (directory / "ownership.json").write_text(to_json(ownership()))
        usual = PoseEstimator(directory, Two(), device="cpu")(image)
        # All are as likely present, and right is what no heatmap shows: whoever shows less is surer.
        doubt = Logistic(tuple(-100.0 if name == "peak" else 0.0 for name in FEATURES), (3.0,) * 17)
        doubted = ownership(present=Logistic((0.0,) * len(FEATURES), (0.0,) * 17), mine=doubt)
        (directory / "ownership.json").write_text(to_json(doubted))
        poses = PoseEstimator(directory, Two(), device="cpu")(image)
        assert poses.box_scores.tolist() == usual.box_scores[::-1].tolist()
        assert (np.diff(poses.pose_scores) < 0).all() and poses.rival[:, WRIST].tolist() == [1, 0]

    def test_of_nobody_there_is_nothing_to_tell(self, pose_network, image):
        directory = pose_network()
        (directory / "ownership.json").write_text(to_json(ownership()))
        nobody = type("Nobody", (), {"detect": lambda self, photos: [Boxes.none() for _ in photos]})()
        poses = PoseEstimator(directory, nobody, device="cpu")(image)
        assert poses.mine.shape == poses.rival.shape == (0, 17)

    def test_the_flip_test_averages(self, image):
        plain, both = (PoseEstimator("nano", Two(), device="cpu", flip_test=flip)(image) for flip in (False, True))
        mirrored = PoseEstimator("nano", Two(), device="cpu", flip_test=True)(image)
        assert np.array_equal(both.mine, mirrored.mine) and not np.allclose(plain.mine[:1], both.mine[:1])
        assert all(((value >= 0) & (value <= 1)).all() for value in (both.present, both.visible, both.mine))

    def test_a_lone_file_carries_its_fit(self, pose_network, image):
        exporting = pytest.importorskip("rsgnet.export.directory")
        path = pose_network(lone=True)
        exporting.embed_ownership(path, to_json(ownership()))
        assert open_runner(path, device="cpu").ownership == ownership()
        assert PoseEstimator(path, Two(), device="cpu")(image).mine is not None


def test_onnx_and_pytorch_give_the_shipped_networks_candidates_alike():
    pytest.importorskip("torch")
    crops = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3), np.uint8).repeat(16, 1).repeat(16, 2)
    one, other = (open_runner("nano", backend, "cpu") for backend in ("onnx", "torch"))
    assert one.ownership == other.ownership and one.ownership.candidates and one.gives_candidates
    first, second = one.maps(crops), other.maps(crops)
    assert first.tables[0].shape == (2, 19, one.config.model.peaks_per_keypoint, 4)
    np.testing.assert_allclose(first.target_heatmaps, second.target_heatmaps, atol=1e-3)
    np.testing.assert_allclose(first.tables[0][..., 2:], second.tables[0][..., 2:], atol=1e-3)
    assert ((first.tables[0][..., 3] >= 0) & (first.tables[0][..., 3] <= 1)).all()
