import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

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
    def test_one_keypoint_by_hand(self):
        # distance 3, area 100, sigma 0.05: exp(-9 / (2 * 100 * (2 * 0.05)^2)) = exp(-4.5)
        assert oks([[[0, 0]]], [[[3, 0]]], [100], [0.05])[0, 0] == pytest.approx(np.exp(-4.5))

    @pytest.mark.parametrize(("name", "sigmas"), [("17", "sigmas_17"), ("14", "sigmas_released_nms_14")])
    def test_equals_the_released_code(self, shared, name, sigmas):
        golden = np.load(shared("golden/ops/oks_nms.npz"))
        keypoints, area = golden[f"kpts_{name}"], golden[f"area_{name}"]
        found = oks(keypoints[..., :2], keypoints[..., :2], (area[:, None] + area) / 2, golden[sigmas])
        np.testing.assert_allclose(found, golden[f"oks_{name}"], atol=1e-12)

    def test_keypoints_of_weight_zero_do_not_count(self):
        first, second = [[[0, 0], [50, 50]]], [[[0, 0], [0, 0]]]
        assert oks(first, second, [100], [0.05, 0.05], [[True, False]])[0, 0] == pytest.approx(1)
        assert oks(first, second, [100], [0.05, 0.05], [[False, False]])[0, 0] == 0

    def test_keypoints_are_weighted(self):
        first, second = [[[0, 0], [50, 50]]], [[[0, 0], [0, 0]]]
        assert oks(first, second, [100], [0.05, 0.05], [[0.9, 0.3]])[0, 0] == pytest.approx(0.75)

    def test_no_poses(self):
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
    def test_inconsistent_shapes_raise(self, field, shape):
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

    def test_to_coco(self):
        people = poses(image_id=7)
        first = people.to_coco()[0]
        assert first["image_id"] == 7 and first["file_name"] == "a/b.jpg" and first["category_id"] == 1
        assert first["bbox"] == [10, 20, 30, 60]
        assert first["score"] == pytest.approx(0.8) and first["box_score"] == pytest.approx(0.9)
        triples = np.array(first["keypoints"]).reshape(17, 3)
        np.testing.assert_allclose(triples[:, :2], people.keypoints_xy[0], atol=1e-4)
        np.testing.assert_allclose(triples[:, 2], people.scores[0], atol=1e-4)

    def test_scores_in_results_are_in_0_to_1(self):
        high = np.full((2, 17), 1.4, np.float32)
        high[0] = -0.2
        result, other = poses(
            scores=high, pose_scores=np.float32([-0.1, 1.2]), box_scores=np.float32([1.5, -1])
        ).to_coco()
        assert set(result["keypoints"][2::3]) == {0} and set(other["keypoints"][2::3]) == {1}
        assert (result["score"], other["score"], result["box_score"], other["box_score"]) == (0, 1, 1, 0)

    def test_results_without_image_id(self):
        assert "image_id" not in poses().to_coco()[0]

    def test_to_json_is_the_coco_results(self):
        people = poses()
        assert json.loads(people.to_json()) == people.to_coco()

    def test_no_people_give_an_empty_list(self):
        assert poses(0).to_coco() == [] and poses(0).to_json() == "[]" and len(poses(0)) == 0

    def test_to_skeleton_matches_keypoints_by_name(self):
        people = poses(skeleton=PEOPLE19)
        crowd = people.to_skeleton(CROWDPOSE14)
        for index, name in enumerate(CROWDPOSE14.keypoints):
            source = PEOPLE19.keypoints.index(name)
            assert np.array_equal(crowd.keypoints_xy[:, index], people.keypoints_xy[:, source])
            assert np.array_equal(crowd.scores[:, index], people.scores[:, source])

    def test_to_skeleton_with_missing_keypoints_raises(self):
        with pytest.raises(RSGNetError, match="head, neck"):
            poses().to_skeleton(CROWDPOSE14)

    def test_to_supervision(self):
        pytest.importorskip("supervision")
        people = poses()
        keypoints = people.to_supervision()
        assert np.array_equal(keypoints.xy, people.keypoints_xy) and len(keypoints) == 2

    def test_repr_is_one_line(self):
        assert repr(poses(25, size_wh=(512, 363))) == "Poses(25 people, coco17, 512x363)"
        assert repr(poses(1)) == "Poses(1 person, coco17, 100x100)"

    def test_notebooks_show_the_drawing(self):
        assert poses()._repr_png_() is None
        kept = replace(poses(), image=np.zeros((100, 100, 3), np.uint8))
        shown = Image.open(io.BytesIO(kept._repr_png_()))
        assert shown.format == "PNG" and np.array_equal(np.asarray(shown), np.asarray(kept.draw()))

    def test_iteration_gives_people(self):
        people = poses(3)
        each = list(people)
        assert [len(person) for person in each] == [1, 1, 1]
        assert [person.pose_scores[0] for person in each] == people.pose_scores.tolist()

    def test_filtering(self):
        people = poses(3)
        assert people[people.pose_scores > 0.5].pose_scores == pytest.approx([0.8, 0.6])
        assert len(people[people.pose_scores > 1]) == 0 and len(people[[]]) == 0
        assert people[-1].pose_scores == pytest.approx([0.4])

    @pytest.mark.parametrize("people", [3, -4, [0, 3], np.array([True, False])])
    def test_people_who_are_not_there_raise(self, people):
        with pytest.raises(IndexError):
            poses(3)[people]

    def test_draw_options(self):
        image, people = np.zeros((100, 100, 3), np.uint8), poses()
        plain = np.asarray(people.draw(image))
        for options in ({"boxes": True}, {"scores": True}, {"labels": True}, {"line_width": 5}, {"colour_by": "side"}):
            assert not np.array_equal(np.asarray(people.draw(image, **options)), plain)
        with pytest.raises(RSGNetError, match="colour_by is one of person, side, owned"):
            people.draw(image, colour_by="mood")
        with pytest.raises(RSGNetError, match="no owned: the weights have no ownership fit"):
            people.draw(image, colour_by="owned")

    def test_draw_needs_an_image(self):
        with pytest.raises(RSGNetError, match="draw"):
            poses().draw()
        kept = replace(poses(), image=np.zeros((100, 100, 3), np.uint8))
        assert kept.draw().size == (100, 100)
        assert np.array_equal(np.asarray(kept.draw()), np.asarray(poses().draw(kept.image)))


class TestCandidates:
    @pytest.fixture
    def with_candidates(self):
        table = np.random.default_rng(0).uniform(0.1, 1, (3, 19, 4, 4)).astype(np.float32)
        table[:, :, 2:] = 0
        return poses(3, PEOPLE19, candidates=table)

    def test_are_selected_with_people_and_keypoints(self, with_candidates):
        assert np.array_equal(with_candidates[[2, 0]].candidates, with_candidates.candidates[[2, 0]])
        crowd = with_candidates.to_skeleton(CROWDPOSE14)
        assert np.array_equal(crowd.candidates[:, -1], with_candidates.candidates[:, PEOPLE19.keypoints.index("neck")])

    def test_are_in_results_only_on_request_and_without_padding(self, with_candidates):
        assert (
            "candidates" not in with_candidates.to_coco()[0] and "candidates" not in poses().to_coco(candidates=True)[0]
        )
        written = json.loads(json.dumps(with_candidates.to_coco(candidates=True)))[1]["candidates"]
        np.testing.assert_allclose(written, with_candidates.candidates[1, :, :2], atol=1e-4)


class TestOwnership:
    @pytest.fixture
    def with_ownership(self):
        random = np.random.default_rng(0)
        values = {name: random.random((3, 17)).astype(np.float32) for name in ("present", "visible", "owned")}
        rival = np.full((3, 17), -1)
        rival[0, 4], rival[2, 4], rival[1, 5] = 2, 0, 0
        return poses(3, **values, rival=rival, rival_owned=np.where(rival < 0, 0, 0.5).astype(np.float32))

    def test_selection_renumbers_rivals(self, with_ownership):
        chosen = with_ownership[[2, 0]]
        assert np.array_equal(chosen.owned, with_ownership.owned[[2, 0]])
        assert chosen.rival[:, 4].tolist() == [1, 0] and chosen.rival_owned[:, 4].tolist() == [0.5, 0.5]

    def test_rivals_that_are_not_selected_are_removed(self, with_ownership):
        chosen = with_ownership[np.array([False, True, True])]
        assert (chosen.rival == -1).all() and (chosen.rival_owned == 0).all()

    def test_to_skeleton_selects_columns(self):
        values = {name: np.random.default_rng(0).random((2, 19)) for name in ("present", "visible", "owned")}
        nobody = {"rival": np.full((2, 19), -1), "rival_owned": np.zeros((2, 19))}
        people = poses(skeleton=PEOPLE19, **values, **nobody)
        crowd = people.to_skeleton(CROWDPOSE14)
        assert np.array_equal(crowd.owned[:, -1], people.owned[:, PEOPLE19.keypoints.index("neck")])

    def test_confidences_in_results_are_probabilities(self, with_ownership):
        triples = np.array([result["keypoints"] for result in with_ownership.to_coco()]).reshape(3, 17, 3)
        np.testing.assert_allclose(triples[..., 2], with_ownership.present * with_ownership.owned, atol=1e-4)

    def test_results_contain_it(self, with_ownership):
        first = json.loads(with_ownership.to_json())[0]
        assert first["present"] == pytest.approx(with_ownership.present[0], abs=1e-4) and len(first["visible"]) == 17
        assert first["rival"] == with_ownership.rival[0].tolist() and first["rival_owned"][4] == 0.5

    def test_supervision_contains_it(self, with_ownership):
        pytest.importorskip("supervision")
        covariances = np.tile(np.diag([4.0, 9.0]), (3, 17, 1, 1)).astype(np.float32)
        people = replace(with_ownership, covariances=covariances, track_ids=np.array([3, -1, 1], np.intp))
        keypoints = people.to_supervision()
        assert np.array_equal(keypoints.data["owned"], people.owned)
        assert np.array_equal(keypoints.visible, people.visible >= 0.5)
        assert np.array_equal(keypoints.data["covariance"], covariances)
        assert keypoints.data["tracker_id"].tolist() == [3, -1, 1]
        assert keypoints[[1]].data["covariance"].shape == (1, 17, 2, 2)

    def test_supervision_draws_the_covariance(self, with_ownership):
        supervision = pytest.importorskip("supervision")
        if not hasattr(supervision, "VertexEllipseAreaAnnotator"):
            pytest.skip("this version of supervision draws no covariances")
        covariances = np.tile(np.diag([40.0, 90.0]), (3, 17, 1, 1)).astype(np.float32)
        keypoints = replace(with_ownership, covariances=covariances).to_supervision()
        scene = np.zeros((200, 200, 3), np.uint8)
        assert supervision.VertexEllipseAreaAnnotator().annotate(scene, keypoints).any()

    def test_fiftyone_gets_shares_of_the_image(self, with_ownership):
        fiftyone = pytest.importorskip("fiftyone")
        found = replace(with_ownership, track_ids=np.array([3, -1, 1], np.intp)).to_fiftyone()
        assert isinstance(found, fiftyone.Keypoints) and [each.index for each in found.keypoints] == [3, None, 1]
        points = np.array(found.keypoints[0].points) * with_ownership.size_wh
        np.testing.assert_allclose(points, with_ownership.keypoints_xy[0], rtol=1e-5)
        assert found.keypoints[1].confidence == pytest.approx(with_ownership.owned[1])

    def test_without_fiftyone_it_says_what_to_install(self, with_ownership, monkeypatch):
        monkeypatch.setitem(sys.modules, "fiftyone", None)
        with pytest.raises(RSGNetError, match="pip install fiftyone"):
            with_ownership.to_fiftyone()

    def test_fields_are_all_given_or_none(self):
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
