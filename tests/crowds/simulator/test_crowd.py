import hashlib
import json

import numpy as np
import pytest

from rsgnet.annotations.crowd_index import compute_crowd_index
from rsgnet.annotations.masks import decode_segmentation
from rsgnet.annotations.people import Person
from rsgnet.crowds.simulator.crowd import render_crowd, simulate_crowd
from rsgnet.errors import RSGNetError
from rsgnet.skeletons import COCO17


@pytest.fixture(scope="module")
def scenes():
    return [simulate_crowd(seed, (320, 240), people=6) for seed in range(6)]


def get_keypoints(scene):
    return np.array([truth["keypoints"] for truth in scene.annotations["annotations"]]).reshape(-1, 17, 3)


class TestSimulateCrowd:
    def test_the_same_seed_gives_the_same_bytes_and_another_does_not(self):
        def compute_digest(seed):
            scene = simulate_crowd(seed, (160, 120), people=3)
            return hashlib.sha256(scene.image.tobytes() + json.dumps(scene.annotations).encode()).hexdigest()

        assert compute_digest(3) == compute_digest(3)
        assert compute_digest(3) != compute_digest(4)

    def test_shapes(self, scenes):
        for scene in scenes:
            assert (scene.image.shape, scene.image.dtype) == ((240, 320, 3), np.uint8)
            assert scene.owners.shape == (240, 320)
            assert scene.image.std() > 20

    def test_boxes_and_areas_are_those_of_the_visible_pixels(self, scenes):
        for scene in scenes:
            for truth in scene.annotations["annotations"]:
                rows, columns = np.nonzero(scene.owners == truth["id"])
                x, y, width, height = truth["bbox"]
                assert [x, y, x + width, y + height] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                assert truth["area"] == len(rows)

    def test_everyone_visible_is_annotated(self, scenes):
        for scene in scenes:
            annotated = {truth["id"] for truth in scene.annotations["annotations"]}
            assert set(np.unique(scene.owners)) - {0} == annotated
            assert len(annotated) >= 4

    def test_visible_keypoints_lie_on_their_person(self, scenes):
        visible_on_own, hidden_on_own = [], []
        for scene in scenes:
            for truth, keypoints in zip(scene.annotations["annotations"], get_keypoints(scene), strict=True):
                for x, y, visibility in keypoints[keypoints[:, 2] > 0]:
                    owner = scene.owners[int(np.clip(round(y), 0, 239)), int(np.clip(round(x), 0, 319))]
                    (visible_on_own if visibility == 2 else hidden_on_own).append(owner == truth["id"])
        assert np.mean(visible_on_own) > 0.97  # an ear or a wrist may be just outside the edge of the body
        assert 0.1 < np.mean(hidden_on_own) < 0.8  # some are hidden by their own body, others by another person
        assert min(len(visible_on_own), len(hidden_on_own)) > 50

    def test_keypoints_behind_a_nearer_person_are_hidden(self, scenes):
        """Annotations come nearest first; only a stretched arm can be in front of a nearer person."""
        on_nearer = []
        for scene in scenes:
            for truth, keypoints in zip(scene.annotations["annotations"], get_keypoints(scene), strict=True):
                x, y, _ = np.rint(keypoints[keypoints[:, 2] == 2]).astype(int).T
                owners = scene.owners[y.clip(0, 239), x.clip(0, 319)]
                on_nearer += ((owners > 0) & (owners < truth["id"])).tolist()
        assert np.mean(on_nearer) < 0.02

    def test_keypoints_outside_the_image_are_not_labelled(self, scenes):
        outside = 0
        for scene in scenes:
            for truth, keypoints in zip(scene.annotations["annotations"], get_keypoints(scene), strict=True):
                assert truth["num_keypoints"] == (keypoints[:, 2] > 0).sum()
                unlabelled = keypoints[keypoints[:, 2] == 0]
                assert not unlabelled.any()
                outside += len(unlabelled)
                labelled = keypoints[keypoints[:, 2] > 0, :2]
                assert ((labelled >= -0.5) & (labelled < [319.5, 239.5])).all()
        assert outside > 0

    def test_farther_people_are_smaller_and_higher(self):
        """Over many scenes the hips of later, farther people are higher in the image."""
        hip_rows, torso_heights = [], []
        for seed in range(8):
            for index, keypoints in enumerate(get_keypoints(simulate_crowd(seed, (160, 120), people=6))):
                shoulders, hips = keypoints[[5, 6]], keypoints[[11, 12]]
                if (shoulders[:, 2] > 0).all() and (hips[:, 2] > 0).all():
                    hip_rows.append((index, hips[:, 1].mean()))
                    torso_heights.append((index, np.linalg.norm(shoulders[:, :2].mean(0) - hips[:, :2].mean(0))))
        assert np.corrcoef(*np.transpose(hip_rows))[0, 1] < -0.5
        assert np.corrcoef(*np.transpose(torso_heights))[0, 1] < -0.5

    def test_the_crowd_index_is_computed_from_the_annotations(self, scenes):
        for scene in scenes:
            people = [
                Person(truth["id"], np.array(truth["bbox"]), np.reshape(truth["keypoints"], (17, 3)), truth["area"])
                for truth in scene.annotations["annotations"]
            ]
            given = scene.annotations["images"][0]["crowdIndex"]
            assert given == pytest.approx(compute_crowd_index(people, COCO17), abs=1e-3)
        assert np.std([scene.annotations["images"][0]["crowdIndex"] for scene in scenes]) > 0.05

    @pytest.mark.parametrize(("size_wh", "people"), [((48, 48), 1), ((64, 200), 3), ((200, 64), 3), ((80, 60), 40)])
    def test_extreme_shapes_and_numbers(self, size_wh, people):
        scene = simulate_crowd(1, size_wh, people)
        assert scene.image.shape == (size_wh[1], size_wh[0], 3)

    @pytest.mark.parametrize(("size_wh", "people"), [((47, 480), 8), ((640, 0), 8), ((640, 480), 0), ((640, 480), 201)])
    def test_arguments_out_of_range_are_refused(self, size_wh, people):
        with pytest.raises(RSGNetError, match=f"not {size_wh[0]}x{size_wh[1]} and {people}"):
            simulate_crowd(0, size_wh, people)

    def test_masks_and_hidden_keypoints_agree_with_the_owners(self, scenes):
        for scene in scenes:
            for truth, keypoints in zip(scene.annotations["annotations"], get_keypoints(scene), strict=True):
                np.testing.assert_array_equal(
                    decode_segmentation(truth["segmentation"], (320, 240)), scene.owners == truth["id"]
                )
                for (_, _, visibility), hider in zip(keypoints, truth["hidden_by"], strict=True):
                    assert visibility == 1 or hider == 0

    def test_people_hide_themselves_and_others(self, scenes):
        pairs = [
            (hider, truth["id"])
            for scene in scenes
            for truth in scene.annotations["annotations"]
            for hider in truth["hidden_by"]
            if hider
        ]
        own = [hider == person for hider, person in pairs]
        assert 0.1 < np.mean(own) < 0.9
        assert np.mean([hider < person for hider, person in pairs if hider != person]) > 0.9  # nearest first


class TestRenderCrowd:
    @pytest.mark.parametrize("wanted", [0.05, 0.5, 1.0])
    def test_the_crowd_index_is_reached(self, wanted):
        for seed in range(3):
            assert render_crowd(seed, wanted, (160, 120)).crowd_index == pytest.approx(wanted, abs=0.05)
