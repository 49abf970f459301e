import hashlib
import json

import numpy as np
import pytest

from rsgnet.annotations.crowd_index import crowd_index
from rsgnet.annotations.masks import segmentation_mask
from rsgnet.annotations.readers import Person
from rsgnet.crowds.simulator.bodies import FOREARM, SHIN, THIGH, UPPER_ARM, Arm, Leg, Stance, pose, random_stance
from rsgnet.crowds.simulator.canvas import Camera, Canvas, Tube
from rsgnet.crowds.simulator.crowd import rendered_crowd, simulate_crowd
from rsgnet.errors import RSGNetError
from rsgnet.skeletons import COCO17

SIDES = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear")


@pytest.fixture(scope="module")
def scenes():
    return [simulate_crowd(seed, (320, 240), people=6) for seed in range(6)]


def keypoints_of(scene):
    return np.array([truth["keypoints"] for truth in scene.annotations["annotations"]]).reshape(-1, 17, 3)


class TestBody:
    @pytest.mark.parametrize(("facing", "left_is_at_larger_x"), [(0, True), (35, True), (180, False), (-140, False)])
    def test_left_is_the_bodys_left(self, facing, left_is_at_larger_x):
        """Who faces the camera has the left hand on the image's right; who turns away on its left."""
        body = pose(Stance(facing=facing), (0.0, 5.0))
        for name in SIDES:
            difference = body.points[f"left_{name}"][0] - body.points[f"right_{name}"][0]
            assert (difference > 0) == left_is_at_larger_x, name

    @pytest.mark.parametrize(("facing", "ahead"), [(0, (0, -1)), (90, (1, 0)), (180, (0, 1)), (-90, (-1, 0))])
    def test_the_nose_and_the_toes_point_where_it_faces(self, facing, ahead):
        body = pose(Stance(facing=facing, nod=0, lean=0), (0.0, 5.0))
        for front, back in (("nose", "head"), ("left_toe", "left_ankle"), ("right_toe", "right_ankle")):
            step = (body.points[front] - body.points[back])[[0, 2]]
            assert step @ ahead > 0.95 * np.linalg.norm(step)

    @pytest.mark.parametrize("seed", range(20))
    def test_bones_keep_their_lengths_and_the_lowest_foot_the_ground(self, seed):
        random = np.random.default_rng(seed)
        body = pose(random_stance(random), (1.0, 6.0), size=0.9)
        for side in ("left", "right"):
            for first, second, length in (
                ("hip", "knee", THIGH),
                ("knee", "ankle", SHIN),
                ("shoulder", "elbow", UPPER_ARM),
                ("elbow", "wrist", FOREARM),
            ):
                bone = body.points[f"{side}_{first}"] - body.points[f"{side}_{second}"]
                assert np.linalg.norm(bone) == pytest.approx(0.9 * length)
        assert min(body.points["left_ankle"][1], body.points["right_ankle"][1]) == pytest.approx(0.9 * 0.08)
        np.testing.assert_allclose(body.points["pelvis"][[0, 2]], [1.0, 6.0])

    def test_raised_arms_are_up_and_bent_knees_bend_backwards(self):
        stance = Stance(left_arm=Arm(spread=160, bend=0), right_leg=Leg(swing=0, bend=60), lean=0)
        body = pose(stance, (0.0, 5.0))
        assert body.points["left_wrist"][1] > body.points["left_elbow"][1] > body.points["left_shoulder"][1]
        assert body.points["right_wrist"][1] < body.points["right_elbow"][1] < body.points["right_shoulder"][1]
        assert body.points["right_ankle"][2] > body.points["right_knee"][2] + 0.2  # away from the camera it faces

    def test_a_standing_body_is_as_tall_as_people_are(self):
        body = pose(Stance(), (0.0, 5.0))
        crown = body.points["head"][1] + 0.12
        assert 1.65 < crown < 1.80


class TestCanvas:
    camera = Camera(focal_px=100, centre_x=50, horizon_y=40, height=1.0)

    def test_projects_by_similar_triangles(self):
        """At 4 m a metre covers 25 pixels; the ground lies a camera's height below the horizon."""
        np.testing.assert_allclose(self.camera.project([[2.0, 0.0, 4.0], [-1, 1, 2]]), [[100, 65, 4], [0, 40, 2]])
        np.testing.assert_allclose(self.camera.scaled(2).project([2.0, 0.0, 4.0]), [200, 130, 4])

    def canvas(self):
        return Canvas(np.zeros((80, 100, 3), np.float32), self.camera)

    def test_a_ball_covers_its_disc(self):
        canvas = self.canvas()
        middle = np.array([0.0, 1.0, 2.0])  # at (50, 40), 50 pixels a metre
        canvas.draw(Tube(middle, middle, (0.2,), (1, 1, 1)), 7)
        y, x = np.mgrid[:80, :100] + 0.5
        np.testing.assert_array_equal(canvas.owners == 7, (x - 50) ** 2 + (y - 40) ** 2 < 10**2)
        assert canvas.depths[39:41, 49:51] == pytest.approx(1.8, abs=0.001)
        assert np.isinf(canvas.depths[0, 0])

    def test_the_nearer_one_is_seen_whichever_is_drawn_first(self):
        near, far = (
            Tube(np.array([x, 1.0, z]), np.array([x, 1.0, z]), (0.3,), (1, 1, 1)) for x, z in ((0, 2), (0.2, 4))
        )
        drawn = []
        for order in ((1, 2), (2, 1)):
            canvas = self.canvas()
            for owner in order:
                canvas.draw(near if owner == 1 else far, owner)
            drawn.append(canvas.owners)
        np.testing.assert_array_equal(drawn[0], drawn[1])
        assert drawn[0][40, 55] == 1
        assert set(np.unique(drawn[0])) == {0, 1}  # 15 pixels about 50 cover 7.5 about 55

    def test_what_lies_outside_or_behind_the_camera_is_not_drawn(self):
        for place in ([50.0, 1.0, 2.0], [0.0, 1.0, -2.0], [0.0, 1.0, 0.1]):
            canvas = self.canvas()
            canvas.draw(Tube(np.array(place), np.array(place), (0.2,), (1, 1, 1)), 1)
            assert not canvas.owners.any()

    @pytest.mark.parametrize(("blunt", "reach"), [(1.0, 10), (4.0, 2.5)])
    def test_a_blunt_end_reaches_less_far(self, blunt, reach):
        canvas = self.canvas()
        canvas.draw(Tube(np.array([0, 1.2, 2.0]), np.array([0, 0.8, 2.0]), (0.2,), (1, 1, 1), blunt=blunt), 1)
        rows = np.flatnonzero(canvas.owners.any(1))
        assert rows[0] == pytest.approx(30 - 10, abs=1)
        assert rows[-1] + 1 == pytest.approx(50 + reach, abs=1)


class TestScene:
    def test_the_same_seed_gives_the_same_bytes_and_another_does_not(self):
        def digest(seed):
            scene = simulate_crowd(seed, (160, 120), people=3)
            return hashlib.sha256(scene.image.tobytes() + json.dumps(scene.annotations).encode()).hexdigest()

        assert digest(3) == digest(3)
        assert digest(3) != digest(4)

    def test_shapes(self, scenes):
        for scene in scenes:
            assert (scene.image.shape, scene.image.dtype) == ((240, 320, 3), np.uint8)
            assert scene.owners.shape == (240, 320)
            assert scene.image.std() > 20

    def test_boxes_and_areas_are_those_of_what_is_seen(self, scenes):
        for scene in scenes:
            for truth in scene.annotations["annotations"]:
                rows, columns = np.nonzero(scene.owners == truth["id"])
                x, y, width, height = truth["bbox"]
                assert [x, y, x + width, y + height] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                assert truth["area"] == len(rows)

    def test_nobody_who_is_seen_is_left_out(self, scenes):
        for scene in scenes:
            named = {truth["id"] for truth in scene.annotations["annotations"]}
            assert set(np.unique(scene.owners)) - {0} == named
            assert len(named) >= 4

    def test_visible_keypoints_lie_on_their_person_and_hidden_ones_mostly_behind_somebody(self, scenes):
        on_own, others = [], []
        for scene in scenes:
            for truth, keypoints in zip(scene.annotations["annotations"], keypoints_of(scene), strict=True):
                for x, y, visibility in keypoints[keypoints[:, 2] > 0]:
                    owner = scene.owners[int(np.clip(round(y), 0, 239)), int(np.clip(round(x), 0, 319))]
                    (on_own if visibility == 2 else others).append(owner == truth["id"])
        assert np.mean(on_own) > 0.97  # an ear or a wrist may come out beside the body's edge
        assert 0.1 < np.mean(others) < 0.8  # hidden by themselves or by somebody else: both happen
        assert min(len(on_own), len(others)) > 50

    def test_nobody_is_visible_through_somebody_nearer(self, scenes):
        """Annotations come nearest first; only a stretched arm reaches over someone who stands before it."""
        through = []
        for scene in scenes:
            for truth, keypoints in zip(scene.annotations["annotations"], keypoints_of(scene), strict=True):
                x, y, _ = np.rint(keypoints[keypoints[:, 2] == 2]).astype(int).T
                owners = scene.owners[y.clip(0, 239), x.clip(0, 319)]
                through += ((owners > 0) & (owners < truth["id"])).tolist()
        assert np.mean(through) < 0.02

    def test_counts_and_places_outside(self, scenes):
        outside = 0
        for scene in scenes:
            for truth, keypoints in zip(scene.annotations["annotations"], keypoints_of(scene), strict=True):
                assert truth["num_keypoints"] == (keypoints[:, 2] > 0).sum()
                unlabelled = keypoints[keypoints[:, 2] == 0]
                assert not unlabelled.any()
                outside += len(unlabelled)
                labelled = keypoints[keypoints[:, 2] > 0, :2]
                assert ((labelled >= -0.5) & (labelled < [319.5, 239.5])).all()
        assert outside > 0

    def test_farther_people_are_smaller_and_higher(self):
        """Over many scenes the hips of the later, farther people lie nearer the horizon."""
        feet, heights = [], []
        for seed in range(8):
            for rank, keypoints in enumerate(keypoints_of(simulate_crowd(seed, (160, 120), people=6))):
                shoulders, hips = keypoints[[5, 6]], keypoints[[11, 12]]
                if (shoulders[:, 2] > 0).all() and (hips[:, 2] > 0).all():
                    feet.append((rank, hips[:, 1].mean()))
                    heights.append((rank, np.linalg.norm(shoulders[:, :2].mean(0) - hips[:, :2].mean(0))))
        assert np.corrcoef(*np.transpose(feet))[0, 1] < -0.5
        assert np.corrcoef(*np.transpose(heights))[0, 1] < -0.5

    def test_the_crowd_index_is_that_of_the_annotations(self, scenes):
        for scene in scenes:
            people = [
                Person(truth["id"], np.array(truth["bbox"]), np.reshape(truth["keypoints"], (17, 3)), truth["area"])
                for truth in scene.annotations["annotations"]
            ]
            given = scene.annotations["images"][0]["crowdIndex"]
            assert given == pytest.approx(crowd_index(people, COCO17), abs=1e-3)
        assert np.std([scene.annotations["images"][0]["crowdIndex"] for scene in scenes]) > 0.05

    @pytest.mark.parametrize(("size_wh", "people"), [((48, 48), 1), ((64, 200), 3), ((200, 64), 3), ((80, 60), 40)])
    def test_extreme_shapes_and_numbers(self, size_wh, people):
        scene = simulate_crowd(1, size_wh, people)
        assert scene.image.shape == (size_wh[1], size_wh[0], 3)

    @pytest.mark.parametrize(("size_wh", "people"), [((47, 480), 8), ((640, 0), 8), ((640, 480), 0), ((640, 480), 201)])
    def test_what_cannot_be_drawn_is_refused(self, size_wh, people):
        with pytest.raises(RSGNetError, match=f"not {size_wh[0]}x{size_wh[1]} and {people}"):
            simulate_crowd(0, size_wh, people)


class TestLevels:
    @pytest.mark.parametrize("wanted", [0.05, 0.5, 1.0])
    def test_the_crowd_index_is_met(self, wanted):
        for seed in range(3):
            assert rendered_crowd(seed, wanted, (160, 120)).crowd_index == pytest.approx(wanted, abs=0.05)

    def test_masks_and_hiders_agree_with_who_is_seen(self, scenes):
        for scene in scenes:
            for truth, keypoints in zip(scene.annotations["annotations"], keypoints_of(scene), strict=True):
                np.testing.assert_array_equal(
                    segmentation_mask(truth["segmentation"], (320, 240)), scene.owners == truth["id"]
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
