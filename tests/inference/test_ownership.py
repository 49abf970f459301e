"""Features, rivals and the probabilities that are fitted on them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.conftest import colour_config

from rsgnet.config_files import to_json
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.heatmaps import second_peak_heights
from rsgnet.inference.detectors.detector import Boxes, Detector
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.ownership import (
    CROP_FEATURES,
    FEATURES,
    Logistic,
    Ownership,
    add_rival_features,
    extract_features,
    find_ownership,
    find_rivals,
    parse_ownership,
)
from rsgnet.inference.runtime.open_network import open_network
from rsgnet.inference.runtime.outputs import DecodedOutput
from rsgnet.skeletons import COCO17

COLUMN = {name: index for index, name in enumerate(CROP_FEATURES)}
LEFT_KNEE, RIGHT_KNEE = COCO17.keypoints.index("left_knee"), COCO17.keypoints.index("right_knee")
WRIST = COCO17.keypoints.index("left_wrist")


class TestFeatures:
    def heatmaps(self, *peaks):
        """One crop of 20x16, a heatmap for each list of (x, y, height)."""
        heatmaps = np.zeros((1, len(peaks), 20, 16), np.float32)
        for keypoint, own_peaks in enumerate(peaks):
            for x, y, height in own_peaks:
                heatmaps[0, keypoint, y, x] = height
        return heatmaps

    def features(self, heatmaps, keypoints_xy, *tables):
        keypoints_xy = np.array([keypoints_xy], float)
        second_scores = second_peak_heights(heatmaps, keypoints_xy)
        decoded = DecodedOutput(keypoints_xy, heatmaps.max((-2, -1)), second_scores, tables)
        return extract_features(decoded, heatmaps.shape[-2:])

    def test_heatmap_features(self):
        heatmaps = self.heatmaps([(3, 4, 0.8), (12, 15, 0.3), (5, 5, 0.6)], [(8, 10, 0.5)], [(0, 0, 0.1)])
        found = self.features(heatmaps, [[3, 4], [8, 10], [0, 0]])[0]
        assert found.shape == (3, len(CROP_FEATURES)) and np.isfinite(found).all()
        assert found[:, COLUMN["peak"]] == pytest.approx([0.8, 0.5, 0.1])
        assert found[:, COLUMN["log_peak"]] == pytest.approx(np.log([0.8, 0.5, 0.1]))
        assert found[:, COLUMN["second"]] == pytest.approx([0.3, 0, 0])  # the 0.6 is the flank of the same peak
        assert found[:, COLUMN["person"]] == pytest.approx([0.3, 0.45, 0.65])
        assert found[:, COLUMN["border"]] == pytest.approx([3.5 / 16, 8.5 / 16 - 1 / 16, 0.5 / 20])
        assert (found[:, COLUMN["candidate"] :] == 0).all()  # a network without candidates

    def test_candidate_features(self):
        table = np.zeros((1, 1, 4, 4), np.float32)
        table[0, 0, :2] = [[12, 15, 0.9, 0.2], [3, 4, 0.7, 0.6]]
        found = self.features(self.heatmaps([(3, 4, 0.8)]), [[3, 4]], table)[0, 0]
        assert found[COLUMN["candidate"]] == pytest.approx(0.7, abs=1e-4)
        assert found[COLUMN["support"]] == pytest.approx(0.6, abs=1e-4)
        assert found[COLUMN["other_candidate"]] == pytest.approx(0.9, abs=1e-4)
        assert found[COLUMN["other_support"]] == pytest.approx(0.2, abs=1e-4)

    def test_candidates_of_two_passes_are_averaged(self):
        one, other = np.zeros((2, 1, 1, 1, 4), np.float32)
        one[..., :] = [3, 4, 0.8, 0.6]
        found = self.features(self.heatmaps([(3, 4, 0.8)]), [[3, 4]], one, other)[0, 0]
        assert found[COLUMN["candidate"]] == pytest.approx(0.4) and found[COLUMN["support"]] == pytest.approx(0.3)


class TestRivals:
    def people(self, count, *knees):
        """Keypoints, scores and 100x100 boxes of people far from each other, some (person, keypoint, x, y) moved."""
        keypoints_xy = np.arange(count)[:, None, None] * 1000.0 + np.arange(17)[:, None] * 50 + np.zeros(2)
        for person, keypoint, x, y in knees:
            keypoints_xy[person, keypoint] = x, y
        return keypoints_xy, np.full((count, 17), 0.5), np.tile([0.0, 0, 100, 100], (count, 1))

    def reach(self, area):
        """The distance at which knees have a similarity of 0.5: d^2 = 2 area (2 sigma)^2 ln 2."""
        return np.sqrt(2 * area * (2 * 0.087) ** 2 * np.log(2))

    @pytest.mark.parametrize(("share", "contested"), [(0.99, True), (1.01, False)])
    @pytest.mark.parametrize("keypoint", [LEFT_KNEE, RIGHT_KNEE])
    def test_a_knee_has_a_near_knee_of_either_side_as_rival(self, share, contested, keypoint):
        distance = share * self.reach(0.53 * 100 * 100)
        found = find_rivals(*self.people(2, (0, LEFT_KNEE, 10, 10), (1, keypoint, 10 + distance, 10)), COCO17)
        assert (found.person[0, LEFT_KNEE] == 1) == contested and (found.person[1, keypoint] == 0) == contested
        assert np.count_nonzero(found.person >= 0) == 2 * contested
        if contested:
            assert found.keypoint[0, LEFT_KNEE] == keypoint and found.keypoint[1, keypoint] == LEFT_KNEE

    def test_the_smaller_person_sets_the_scale(self):
        knees = (0, LEFT_KNEE, 10, 10), (1, LEFT_KNEE, 10 + 0.5 * self.reach(5300), 10)
        keypoints_xy, scores, boxes = self.people(2, *knees)
        boxes[1, 2:] = 20
        assert (find_rivals(keypoints_xy, scores, boxes, COCO17).person == -1).all()

    def test_of_several_the_one_with_the_highest_heatmap_is_the_rival(self):
        knees = (0, LEFT_KNEE, 10, 10), (1, LEFT_KNEE, 11, 10), (2, RIGHT_KNEE, 10, 11)
        keypoints_xy, scores, boxes = self.people(3, *knees)
        scores[2, RIGHT_KNEE] = 0.9
        found = find_rivals(keypoints_xy, scores, boxes, COCO17)
        assert found.person[:, LEFT_KNEE].tolist() == [2, 2, -1] and found.person[2, RIGHT_KNEE] in (0, 1)
        assert found.values_of(scores)[0, LEFT_KNEE] == 0.9 and found.values_of(scores)[0, 0] == 0

    def test_a_duplicate_is_no_rival(self):
        keypoints_xy, scores, boxes = self.people(2)
        keypoints_xy[1] = keypoints_xy[0] + 1
        assert (find_rivals(keypoints_xy, scores, boxes, COCO17).person == -1).all()
        keypoints_xy[1, :9] += 500  # half of the pose elsewhere: another person
        assert (find_rivals(keypoints_xy, scores, boxes, COCO17).person[0, 9:] == 1).sum() == 8

    def test_no_people_and_one_person_have_no_rivals(self):
        nobody = find_rivals(*self.people(0), COCO17)
        assert nobody.person.shape == (0, 17)
        assert (find_rivals(*self.people(1), COCO17).person == -1).all()
        assert add_rival_features(np.zeros((0, 17, len(CROP_FEATURES))), nobody).shape == (0, 17, len(FEATURES))

    def test_rival_features(self):
        keypoints_xy, scores, boxes = self.people(2, (0, LEFT_KNEE, 10, 10), (1, RIGHT_KNEE, 10, 10))
        features = np.random.default_rng(0).random((2, 17, len(CROP_FEATURES)))
        found = add_rival_features(features, find_rivals(keypoints_xy, scores, boxes, COCO17))
        assert np.array_equal(found[..., : len(CROP_FEATURES)], features)
        expected = [1, *(features[1, RIGHT_KNEE, COLUMN[name]] for name in ("peak", "person", "support"))]
        assert found[0, LEFT_KNEE, len(CROP_FEATURES) :] == pytest.approx(expected)
        assert (found[0, RIGHT_KNEE, len(CROP_FEATURES) :] == 0).all()


def ownership(keypoints=COCO17.keypoints, **changes):
    """A fit by the heatmap's height: present above 0.3, owned where no rival is higher."""
    peak = tuple(10.0 if name == "peak" else 0.0 for name in FEATURES)
    difference = tuple({"peak": 10.0, "rival_peak": -10.0}.get(name, 0.0) for name in FEATURES)
    count = len(keypoints)
    fit = Ownership(
        keypoints,
        FEATURES,
        candidates=False,
        flip_test=False,
        present=Logistic(peak, (-3.0,) * count),
        visible=Logistic(peak, (-2.0,) * count),
        owned=Logistic(difference, (0.0,) * count),
    )
    return replace(fit, **changes)


class TestOwnership:
    def test_a_logistic_by_hand(self):
        features = np.array([[[1.0, 2.0], [0.0, 0.0]]])
        found = Logistic((0.5, -1.0), (0.0, 2.0))(features)
        assert found[0] == pytest.approx([1 / (1 + np.exp(1.5)), 1 / (1 + np.exp(-2))])

    def test_visible_is_never_greater_than_present(self):
        found = ownership()(np.random.default_rng(0).random((3, 17, len(FEATURES))))
        assert set(found) == {"present", "visible", "owned"}
        assert (found["visible"] <= found["present"]).all()
        assert all(((values > 0) & (values < 1)).all() for values in found.values())

    def test_round_trip_through_a_file(self, tmp_path):
        config = colour_config()
        assert find_ownership(tmp_path, config, False) is None
        (tmp_path / "ownership.json").write_text(to_json(ownership()))
        assert find_ownership(tmp_path, config, False) == ownership()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "not a Ownership"),
            ("{}", "keypoints"),
            (to_json(ownership(features=("peak",))), "other features"),
            (to_json(ownership(keypoints=COCO17.keypoints[:3])), "other keypoints"),
            (to_json(ownership(candidates=True)), "export it again"),
            (to_json(ownership(owned=Logistic((1.0,), (0.0,) * 17))), "owned: expected 13 weights, 17 biases"),
            (to_json(ownership(present=Logistic((1.0,) * 13, (0.0,)))), "present: expected"),
        ],
    )
    def test_a_broken_fit_is_named(self, text, message):
        with pytest.raises(WeightsError, match=f"runs/ownership.json.*{message}"):
            parse_ownership(text, colour_config(), False, "runs/ownership.json")

    def test_a_broken_file_beside_the_weights_is_named(self, pose_network):
        directory = pose_network()
        (directory / "ownership.json").write_text("{}")
        with pytest.raises(WeightsError, match=r"ownership\.json"):
            open_network(directory, device="cpu")
        assert open_network(directory, device="cpu", ownership=False).ownership is None


class TwoBoxesDetector(Detector):
    def detect(self, images):
        boxes = Boxes(np.array([[40.0, 30, 150, 130], [100.0, 0, 170, 75]]), np.array([0.9, 0.8]))
        return [boxes for _ in images]


class NobodyDetector(Detector):
    def detect(self, images):
        return [Boxes.empty() for _ in images]


class TestPipeline:
    @pytest.fixture
    def image(self, colours):
        return colours((240, 180), (120, 60), (140, 110), (100, 90))

    def test_without_a_fit_there_are_no_probabilities(self, pose_network, image):
        poses = PoseEstimator(pose_network(), TwoBoxesDetector(), device="cpu")(image)
        assert poses.ownership() == {} and "owned" not in poses.to_coco()[0]
        with pytest.raises(RSGNetError, match="rsgnet calibrate"):
            poses.draw(rivals=True)

    def test_two_people_are_rivals_for_one_wrist(self, pose_network, image):
        directory = pose_network(colour_config(nms_threshold=1.0))
        (directory / "ownership.json").write_text(to_json(ownership()))
        poses = PoseEstimator(directory, TwoBoxesDetector(), device="cpu")(image)
        assert len(poses) == 2 and len(poses.ownership()) == 5
        # The red wrist lies in both boxes, nothing blue in the second.
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

    def test_people_are_sorted_by_the_scores_of_the_fit(self, pose_network, image):
        directory = pose_network(colour_config(nms_threshold=1.0))
        (directory / "ownership.json").write_text(to_json(ownership()))
        usual = PoseEstimator(directory, TwoBoxesDetector(), device="cpu")(image)
        # Everything is equally likely present, and owned where the heatmap is low: this reverses the order.
        negative = Logistic(tuple(-100.0 if name == "peak" else 0.0 for name in FEATURES), (3.0,) * 17)
        reversing = ownership(present=Logistic((0.0,) * len(FEATURES), (0.0,) * 17), owned=negative)
        (directory / "ownership.json").write_text(to_json(reversing))
        poses = PoseEstimator(directory, TwoBoxesDetector(), device="cpu")(image)
        assert poses.box_scores.tolist() == usual.box_scores[::-1].tolist()
        assert (np.diff(poses.pose_scores) < 0).all() and poses.rival[:, WRIST].tolist() == [1, 0]

    def test_an_image_without_people(self, pose_network, image):
        directory = pose_network()
        (directory / "ownership.json").write_text(to_json(ownership()))
        poses = PoseEstimator(directory, NobodyDetector(), device="cpu")(image)
        assert poses.owned.shape == poses.rival.shape == (0, 17)

    def test_flip_test_averages_features(self, image):
        plain, flipped, again = (
            PoseEstimator("nano", TwoBoxesDetector(), device="cpu", flip_test=flip_test)(image)
            for flip_test in (False, True, True)
        )
        assert np.array_equal(flipped.owned, again.owned) and not np.allclose(plain.owned[:1], flipped.owned[:1])
        for values in (flipped.present, flipped.visible, flipped.owned):
            assert ((values >= 0) & (values <= 1)).all()

    def test_a_lone_file_carries_its_fit(self, pose_network, image):
        export = pytest.importorskip("rsgnet.export.network_files")
        path = pose_network(lone=True)
        export.embed_ownership(path, to_json(ownership()))
        assert open_network(path, device="cpu").ownership == ownership()
        assert PoseEstimator(path, TwoBoxesDetector(), device="cpu")(image).owned is not None


def test_onnx_and_pytorch_give_the_same_candidates(light_directory):
    crops = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3), np.uint8).repeat(16, 1).repeat(16, 2)
    one, other = (open_network(light_directory, backend, "cpu") for backend in ("onnx", "torch"))
    assert one.ownership == other.ownership and one.ownership.candidates and one.capabilities.gives_candidates
    first, second = one.run(crops), other.run(crops)
    table = first.candidate_tables[0]
    assert table.shape == (2, 19, one.config.model.candidates.peaks_per_keypoint, 4)
    np.testing.assert_allclose(first.target_heatmaps, second.target_heatmaps, atol=1e-3)
    np.testing.assert_allclose(table[..., 2:], second.candidate_tables[0][..., 2:], atol=1e-3)
    assert ((table[..., 3] >= 0) & (table[..., 3] <= 1)).all()
