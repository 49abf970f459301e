import json
from dataclasses import replace

import numpy as np
import pytest
from tests.conftest import colour_config

from rsgnet.config_files import to_json
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.heatmaps import second_heights
from rsgnet.inference.decode import DecodedMaps
from rsgnet.inference.detectors.boxes import Boxes
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.ownership import (
    CROP_FEATURES,
    FEATURES,
    Logistic,
    Ownership,
    find_contests,
    gather,
    ownership_beside,
    read_ownership,
    with_contests,
)
from rsgnet.inference.runtime.network import open_runner
from rsgnet.skeletons import COCO17

COLUMN = {name: index for index, name in enumerate(CROP_FEATURES)}


def heatmaps(*peaks):
    """One crop of 20x16, a heatmap for each list of (x, y, height)."""
    maps = np.zeros((1, len(peaks), 20, 16), np.float32)
    for keypoint, own in enumerate(peaks):
        for x, y, height in own:
            maps[0, keypoint, y, x] = height
    return maps


def evidence(maps, places, *tables):
    places = np.array([places], float)
    readings = DecodedMaps(places, maps.max((-2, -1)), second_heights(maps, places), tables)
    return gather(readings, maps.shape[-2:])


def test_what_the_target_heatmaps_say():
    maps = heatmaps([(3, 4, 0.8), (12, 15, 0.3), (5, 5, 0.6)], [(8, 10, 0.5)], [(0, 0, 0.1)])
    found = evidence(maps, [[3, 4], [8, 10], [0, 0]])[0]
    assert found.shape == (3, len(CROP_FEATURES)) and np.isfinite(found).all()
    assert found[:, COLUMN["peak"]] == pytest.approx([0.8, 0.5, 0.1])
    assert found[:, COLUMN["log_peak"]] == pytest.approx(np.log([0.8, 0.5, 0.1]))
    assert found[:, COLUMN["second"]] == pytest.approx([0.3, 0, 0])  # the 0.6 is the flank of the same peak
    assert found[:, COLUMN["person"]] == pytest.approx([0.3, 0.45, 0.65])
    assert found[:, COLUMN["border"]] == pytest.approx([3.5 / 16, 8.5 / 16 - 1 / 16, 0.5 / 20])
    assert (found[:, COLUMN["candidate"] :] == 0).all()  # a network without candidates


def test_what_the_candidates_say():
    table = np.zeros((1, 1, 4, 4), np.float32)
    table[0, 0, :2] = [[12, 15, 0.9, 0.2], [3, 4, 0.7, 0.6]]
    found = evidence(heatmaps([(3, 4, 0.8)]), [[3, 4]], table)[0, 0]
    assert found[COLUMN["candidate"]] == pytest.approx(0.7, abs=1e-4)
    assert found[COLUMN["support"]] == pytest.approx(0.6, abs=1e-4)
    assert found[COLUMN["other_candidate"]] == pytest.approx(0.9, abs=1e-4)
    assert found[COLUMN["other_support"]] == pytest.approx(0.2, abs=1e-4)


def test_two_passes_are_averaged():
    one, other = np.zeros((2, 1, 1, 1, 4), np.float32)
    one[..., :] = [3, 4, 0.8, 0.6]
    found = evidence(heatmaps([(3, 4, 0.8)]), [[3, 4]], one, other)[0, 0]
    assert found[COLUMN["candidate"]] == pytest.approx(0.4) and found[COLUMN["support"]] == pytest.approx(0.3)


KNEE, OTHER_KNEE = COCO17.keypoints.index("left_knee"), COCO17.keypoints.index("right_knee")


def people(count, knee=None):
    """People far from each other, in boxes of 100x100; `knee`: (person, keypoint, x, y)."""
    places = np.arange(count)[:, None, None] * 1000.0 + np.arange(17)[:, None] * 50 + np.zeros(2)
    for person, keypoint, x, y in knee or ():
        places[person, keypoint] = x, y
    return places, np.full((count, 17), 0.5), np.tile([0.0, 0, 100, 100], (count, 1))


def reach(area):
    """How far a knee may lie for a similarity of 0.5: d^2 = 2 area (2 sigma)^2 ln 2."""
    return np.sqrt(2 * area * (2 * 0.087) ** 2 * np.log(2))


@pytest.mark.parametrize(("share", "contested"), [(0.99, True), (1.01, False)])
@pytest.mark.parametrize("keypoint", [KNEE, OTHER_KNEE])
def test_a_knee_is_contested_by_a_near_knee_of_either_side(share, contested, keypoint):
    away = share * reach(0.53 * 100 * 100)
    found = find_contests(*people(2, [(0, KNEE, 10, 10), (1, keypoint, 10 + away, 10)]), COCO17)
    assert (found.rival[0, KNEE] == 1) == contested and (found.rival[1, keypoint] == 0) == contested
    assert np.count_nonzero(found.rival >= 0) == 2 * contested
    if contested:
        assert found.keypoint[0, KNEE] == keypoint and found.keypoint[1, keypoint] == KNEE


def test_the_smaller_person_sets_the_scale():
    places, scores, boxes = people(2, [(0, KNEE, 10, 10), (1, KNEE, 10 + 0.5 * reach(5300), 10)])
    boxes[1, 2:] = 20
    assert (find_contests(places, scores, boxes, COCO17).rival == -1).all()


def test_of_several_the_one_with_the_highest_heatmap_is_the_rival():
    places, scores, boxes = people(3, [(0, KNEE, 10, 10), (1, KNEE, 11, 10), (2, OTHER_KNEE, 10, 11)])
    scores[2, OTHER_KNEE] = 0.9
    found = find_contests(places, scores, boxes, COCO17)
    assert found.rival[:, KNEE].tolist() == [2, 2, -1] and found.rival[2, OTHER_KNEE] in (0, 1)
    assert found.of_rivals(scores)[0, KNEE] == 0.9 and found.of_rivals(scores)[0, 0] == 0


def test_one_person_found_twice_has_no_rival():
    places, scores, boxes = people(2)
    places[1] = places[0] + 1
    assert (find_contests(places, scores, boxes, COCO17).rival == -1).all()
    places[1, :9] += 500  # half of the pose somewhere else: another person
    assert (find_contests(places, scores, boxes, COCO17).rival[0, 9:] == 1).sum() == 8


def test_nobody_and_somebody_alone_contest_nothing():
    assert find_contests(*people(0), COCO17).rival.shape == (0, 17)
    assert (find_contests(*people(1), COCO17).rival == -1).all()
    nobody = find_contests(*people(0), COCO17)
    assert with_contests(np.zeros((0, 17, len(CROP_FEATURES))), nobody).shape == (0, 17, len(FEATURES))


def test_what_speaks_for_the_rival_is_evidence():
    places, scores, boxes = people(2, [(0, KNEE, 10, 10), (1, OTHER_KNEE, 10, 10)])
    evidence = np.random.default_rng(0).random((2, 17, len(CROP_FEATURES)))
    told = with_contests(evidence, find_contests(places, scores, boxes, COCO17))
    assert np.array_equal(told[..., : len(CROP_FEATURES)], evidence)
    wanted = [1, *(evidence[1, OTHER_KNEE, CROP_FEATURES.index(name)] for name in ("peak", "person", "support"))]
    assert told[0, KNEE, len(CROP_FEATURES) :] == pytest.approx(wanted)
    assert (told[0, OTHER_KNEE, len(CROP_FEATURES) :] == 0).all()


def ownership(keypoints=COCO17.keypoints, **changes):
    """Sure of what is high in its heatmap: present where above 0.3, owned where no rival is higher."""
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
        owned=Logistic(contest, (0.0,) * count),
    )
    return replace(fit, **changes)


def test_a_logistic_by_hand():
    evidence = np.array([[[1.0, 2.0], [0.0, 0.0]]])
    found = Logistic((0.5, -1.0), (0.0, 2.0))(evidence)
    assert found[0] == pytest.approx([1 / (1 + np.exp(1.5)), 1 / (1 + np.exp(-2))])


def test_what_is_visible_is_present():
    told = ownership()(np.random.default_rng(0).random((3, 17, len(FEATURES))))
    assert set(told) == {"present", "visible", "owned"}
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
        (to_json(ownership(owned=Logistic((1.0,), (0.0,) * 17))), "owned: expected 13 weights, 17 biases"),
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
        assert poses.ownership() == {} and "owned" not in poses.to_coco()[0]
        with pytest.raises(RSGNetError, match="rsgnet calibrate"):
            poses.draw(rivals=True)

    def test_with_one_the_two_people_are_rivals(self, pose_network, image):
        directory = pose_network(colour_config(nms_threshold=1.0))
        (directory / "ownership.json").write_text(to_json(ownership()))
        poses = PoseEstimator(directory, Two(), device="cpu")(image)
        assert len(poses) == 2 and len(poses.ownership()) == 5
        # Both see the one red wrist, the second nothing blue.
        assert poses.rival[:, WRIST].tolist() == [1, 0]
        assert poses.rival_owned[:, WRIST] == pytest.approx(poses.owned[::-1, WRIST])
        logit = 10 * (poses.scores[0, WRIST] - poses.scores[1, WRIST])
        assert poses.owned[0, WRIST] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-4)
        assert poses.present[:, WRIST] == pytest.approx(1 / (1 + np.exp(3 - 10 * poses.scores[:, WRIST])), abs=1e-4)
        expected = (poses.present * poses.owned).sum(-1) / poses.present.sum(-1)
        assert poses.pose_scores == pytest.approx(poses.box_scores * expected, rel=1e-5)
        assert poses.pose_scores[0] > poses.pose_scores[1]
        first = json.loads(poses.to_json())[0]
        assert first["rival"][WRIST] == 1 and first["owned"] == pytest.approx(poses.owned[0], abs=1e-4)
        assert poses.draw(rivals=True).size == (240, 180)

    def test_people_come_surest_first_by_what_is_expected_to_be_right(self, pose_network, image):
        directory = pose_network(colour_config(nms_threshold=1.0))
        (directory / "ownership.json").write_text(to_json(ownership()))
        usual = PoseEstimator(directory, Two(), device="cpu")(image)
        # All are as likely present, and right is what no heatmap shows: whoever shows less is surer.
        doubt = Logistic(tuple(-100.0 if name == "peak" else 0.0 for name in FEATURES), (3.0,) * 17)
        doubted = ownership(present=Logistic((0.0,) * len(FEATURES), (0.0,) * 17), owned=doubt)
        (directory / "ownership.json").write_text(to_json(doubted))
        poses = PoseEstimator(directory, Two(), device="cpu")(image)
        assert poses.box_scores.tolist() == usual.box_scores[::-1].tolist()
        assert (np.diff(poses.pose_scores) < 0).all() and poses.rival[:, WRIST].tolist() == [1, 0]

    def test_of_nobody_there_is_nothing_to_tell(self, pose_network, image):
        directory = pose_network()
        (directory / "ownership.json").write_text(to_json(ownership()))
        nobody = type("Nobody", (), {"detect": lambda self, photos: [Boxes.none() for _ in photos]})()
        poses = PoseEstimator(directory, nobody, device="cpu")(image)
        assert poses.owned.shape == poses.rival.shape == (0, 17)

    def test_the_flip_test_averages(self, image):
        plain, both = (PoseEstimator("nano", Two(), device="cpu", flip_test=flip)(image) for flip in (False, True))
        mirrored = PoseEstimator("nano", Two(), device="cpu", flip_test=True)(image)
        assert np.array_equal(both.owned, mirrored.owned) and not np.allclose(plain.owned[:1], both.owned[:1])
        assert all(((value >= 0) & (value <= 1)).all() for value in (both.present, both.visible, both.owned))

    def test_a_lone_file_carries_its_fit(self, pose_network, image):
        exporting = pytest.importorskip("rsgnet.export.directory")
        path = pose_network(lone=True)
        exporting.embed_ownership(path, to_json(ownership()))
        assert open_runner(path, device="cpu").ownership == ownership()
        assert PoseEstimator(path, Two(), device="cpu")(image).owned is not None


def test_onnx_and_pytorch_give_the_shipped_networks_candidates_alike():
    pytest.importorskip("torch")
    crops = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3), np.uint8).repeat(16, 1).repeat(16, 2)
    one, other = (open_runner("nano", backend, "cpu") for backend in ("onnx", "torch"))
    assert one.ownership == other.ownership and one.ownership.candidates and one.gives_candidates
    first, second = one.maps(crops), other.maps(crops)
    assert first.tables[0].shape == (2, 19, one.config.model.candidates.peaks_per_keypoint, 4)
    np.testing.assert_allclose(first.target_heatmaps, second.target_heatmaps, atol=1e-3)
    np.testing.assert_allclose(first.tables[0][..., 2:], second.tables[0][..., 2:], atol=1e-3)
    assert ((first.tables[0][..., 3] >= 0) & (first.tables[0][..., 3] <= 1)).all()
