import json
from dataclasses import replace

import numpy as np
import pytest

from rsgnet.errors import RSGNetError
from rsgnet.poses import Poses, oks
from rsgnet.skeletons import COCO17, CROWDPOSE14, PEOPLE19


def poses(count=2, skeleton=COCO17, **changes):
    random = np.random.default_rng(3)
    keypoints = len(skeleton)
    values = {
        "skeleton": skeleton,
        "keypoints_xy": random.uniform(0, 100, (count, keypoints, 2)).astype(np.float32),
        "scores": random.uniform(0, 1, (count, keypoints)).astype(np.float32),
        "boxes_xyxy": np.tile(np.float32([10, 20, 40, 80]), (count, 1)),
        "box_scores": np.full(count, 0.9, np.float32),
        "pose_scores": np.linspace(0.8, 0.4, count, dtype=np.float32),
        "size_wh": (100, 100),
        "file_name": "a/b.jpg",
    }
    return Poses(**{**values, **changes})


class TestOks:
    def test_of_one_keypoint_by_hand(self):
        # distance 3, area 100, sigma 0.05: exp(-9 / (2 * 100 * (2 * 0.05)^2)) = exp(-4.5)
        assert oks([[[0, 0]]], [[[3, 0]]], [100], [0.05])[0, 0] == pytest.approx(np.exp(-4.5))

    @pytest.mark.parametrize(("name", "sigmas"), [("17", "sigmas_17"), ("14", "sigmas_released_nms_14")])
    def test_equals_the_released_code(self, shared, name, sigmas):
        golden = np.load(shared("golden/ops/oks_nms.npz"))
        keypoints, area = golden[f"kpts_{name}"], golden[f"area_{name}"]
        found = oks(keypoints[..., :2], keypoints[..., :2], (area[:, None] + area) / 2, golden[sigmas])
        np.testing.assert_allclose(found, golden[f"oks_{name}"], atol=1e-12)

    def test_counts_only_what_is_to_count(self):
        first, second = [[[0, 0], [50, 50]]], [[[0, 0], [0, 0]]]
        assert oks(first, second, [100], [0.05, 0.05], [[True, False]])[0, 0] == pytest.approx(1)
        assert oks(first, second, [100], [0.05, 0.05], [[False, False]])[0, 0] == 0

    def test_keypoints_may_weigh_more_or_less(self):
        first, second = [[[0, 0], [50, 50]]], [[[0, 0], [0, 0]]]
        assert oks(first, second, [100], [0.05, 0.05], [[0.9, 0.3]])[0, 0] == pytest.approx(0.75)

    def test_of_nobody_is_empty(self):
        assert oks(np.zeros((0, 17, 2)), np.zeros((3, 17, 2)), np.zeros(0), COCO17.sigmas).shape == (0, 3)


class TestPoses:
    @pytest.mark.parametrize(
        ("field", "shape"),
        [
            ("keypoints_xy", (2, 16, 2)),
            ("keypoints_xy", (2, 17, 3)),
            ("scores", (1, 17)),
            ("boxes_xyxy", (2, 5)),
            ("box_scores", (2, 1)),
            ("pose_scores", (3,)),
            ("candidates", (2, 16, 4, 4)),
            ("candidates", (2, 17, 4)),
            ("candidates", (2, 17, 4, 3)),
            ("track_ids", (3,)),
        ],
    )
    def test_shapes_that_do_not_agree_are_refused(self, field, shape):
        with pytest.raises(RSGNetError, match=field):
            poses(**{field: np.zeros(shape, np.float32)})

    @pytest.mark.parametrize(
        ("people", "scores"),
        [(1, [0.6]), (slice(1, None), [0.6, 0.4]), ([2, 0], [0.4, 0.8]), (np.array([True, False, True]), [0.8, 0.4])],
    )
    def test_selecting_people(self, people, scores):
        chosen = poses(3)[people]
        assert chosen.pose_scores == pytest.approx(scores)
        assert len(chosen.keypoints_xy) == len(chosen.boxes_xyxy) == len(chosen) == len(scores)

    def test_to_coco_says_everything(self):
        people = poses(image_id=7)
        first = people.to_coco()[0]
        assert first["image_id"] == 7 and first["file_name"] == "a/b.jpg" and first["category_id"] == 1
        assert first["bbox"] == [10, 20, 30, 60]
        assert first["score"] == pytest.approx(0.8) and first["box_score"] == pytest.approx(0.9)
        triples = np.array(first["keypoints"]).reshape(17, 3)
        np.testing.assert_allclose(triples[:, :2], people.keypoints_xy[0], atol=1e-4)
        np.testing.assert_allclose(triples[:, 2], people.scores[0], atol=1e-4)

    def test_without_an_id_there_is_none_in_the_results(self):
        assert "image_id" not in poses().to_coco()[0]

    def test_to_json_is_the_coco_results(self):
        people = poses()
        assert json.loads(people.to_json()) == people.to_coco()

    def test_nobody_gives_an_empty_list(self):
        assert poses(0).to_coco() == [] and poses(0).to_json() == "[]" and len(poses(0)) == 0

    def test_to_another_skeleton_goes_by_name(self):
        people = poses(skeleton=PEOPLE19)
        crowd = people.to_skeleton(CROWDPOSE14)
        for index, name in enumerate(CROWDPOSE14.keypoints):
            there = PEOPLE19.keypoints.index(name)
            assert np.array_equal(crowd.keypoints_xy[:, index], people.keypoints_xy[:, there])
            assert np.array_equal(crowd.scores[:, index], people.scores[:, there])

    def test_a_skeleton_that_asks_for_more_is_refused(self):
        with pytest.raises(RSGNetError, match="head, neck"):
            poses().to_skeleton(CROWDPOSE14)

    def test_to_supervision(self):
        pytest.importorskip("supervision")
        people = poses()
        keypoints = people.to_supervision()
        assert np.array_equal(keypoints.xy, people.keypoints_xy) and len(keypoints) == 2

    def test_draw_needs_a_image(self):
        with pytest.raises(RSGNetError, match="draw"):
            poses().draw()
        kept = replace(poses(), image=np.zeros((100, 100, 3), np.uint8))
        assert kept.draw().size == (100, 100)
        assert np.array_equal(np.asarray(kept.draw()), np.asarray(poses().draw(kept.image)))


class TestCandidates:
    @pytest.fixture
    def competing(self):
        table = np.random.default_rng(0).uniform(0.1, 1, (3, 19, 4, 4)).astype(np.float32)
        table[:, :, 2:] = 0
        return poses(3, PEOPLE19, candidates=table)

    def test_go_where_their_people_and_keypoints_go(self, competing):
        assert np.array_equal(competing[[2, 0]].candidates, competing.candidates[[2, 0]])
        crowd = competing.to_skeleton(CROWDPOSE14)
        assert np.array_equal(crowd.candidates[:, -1], competing.candidates[:, PEOPLE19.keypoints.index("neck")])

    def test_are_told_on_request_only_and_without_padding(self, competing):
        assert "candidates" not in competing.to_coco()[0] and "candidates" not in poses().to_coco(candidates=True)[0]
        told = json.loads(json.dumps(competing.to_coco(candidates=True)))[1]["candidates"]
        np.testing.assert_allclose(told, competing.candidates[1, :, :2], atol=1e-4)


class TestOwnership:
    @pytest.fixture
    def claimed(self):
        random = np.random.default_rng(0)
        values = {name: random.random((3, 17)).astype(np.float32) for name in ("present", "visible", "owned")}
        rival = np.full((3, 17), -1)
        rival[0, 4], rival[2, 4], rival[1, 5] = 2, 0, 0
        return poses(3, **values, rival=rival, rival_owned=np.where(rival < 0, 0, 0.5).astype(np.float32))

    def test_selected_people_keep_theirs_and_rivals_are_counted_anew(self, claimed):
        chosen = claimed[[2, 0]]
        assert np.array_equal(chosen.owned, claimed.owned[[2, 0]])
        assert chosen.rival[:, 4].tolist() == [1, 0] and chosen.rival_owned[:, 4].tolist() == [0.5, 0.5]

    def test_who_is_left_out_is_nobodys_rival(self, claimed):
        chosen = claimed[np.array([False, True, True])]
        assert (chosen.rival == -1).all() and (chosen.rival_owned == 0).all()

    def test_another_skeleton_takes_its_columns(self):
        values = {name: np.random.default_rng(0).random((2, 19)) for name in ("present", "visible", "owned")}
        nobody = {"rival": np.full((2, 19), -1), "rival_owned": np.zeros((2, 19))}
        people = poses(skeleton=PEOPLE19, **values, **nobody)
        crowd = people.to_skeleton(CROWDPOSE14)
        assert np.array_equal(crowd.owned[:, -1], people.owned[:, PEOPLE19.keypoints.index("neck")])

    def test_results_carry_it(self, claimed):
        first = json.loads(claimed.to_json())[0]
        assert first["present"] == pytest.approx(claimed.present[0], abs=1e-4) and len(first["visible"]) == 17
        assert first["rival"] == claimed.rival[0].tolist() and first["rival_owned"][4] == 0.5

    def test_supervision_carries_it(self, claimed):
        pytest.importorskip("supervision")
        assert np.array_equal(claimed.to_supervision().data["owned"], claimed.owned)

    def test_all_or_none_of_it(self):
        with pytest.raises(RSGNetError, match="has owned but not all of present, visible, owned, rival, rival_owned"):
            poses(owned=np.zeros((2, 17), np.float32))
        with pytest.raises(RSGNetError, match=r"Poses\.owned must have shape"):
            poses(owned=np.zeros((2, 16), np.float32))


def test_tracks_go_with_their_people():
    tracked = poses(3, track_ids=np.array([4, -1, 9]), image=np.zeros((100, 100, 3), np.uint8))
    assert tracked[[2, 0]].track_ids.tolist() == [9, 4]
    assert [result["track_id"] for result in tracked.to_coco()] == [4, -1, 9]
    assert "track_id" not in poses().to_coco()[0]
    colours = [np.asarray(replace(tracked[[0]], track_ids=np.array([number])).draw()) for number in (4, 4, 9)]
    assert np.array_equal(colours[0], colours[1]) and not np.array_equal(colours[0], colours[2])
