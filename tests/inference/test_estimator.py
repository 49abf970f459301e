from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import colour_config

from rsgnet.errors import ImageError, RSGNetError
from rsgnet.inference import estimator as module
from rsgnet.inference.detectors.boxes import Boxes, LoadedImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.poses import Poses
from rsgnet.skeletons import COCO17, CROWDPOSE14, PEOPLE19

RED, BLUE, GREEN = (120, 60), (140, 110), (100, 90)
LEFT, RIGHT = COCO17.keypoints.index("left_wrist"), COCO17.keypoints.index("right_wrist")


class Told:
    """A detector that knows the boxes beforehand, by the images' widths."""

    def __init__(self, boxes, scores=None):
        self.boxes, self.scores, self.asked = boxes, scores, []

    def detect(self, photos):
        self.asked.append(len(photos))
        found = []
        for photo in photos:
            boxes = self.boxes.get(photo.size_wh[0], [])
            scores = np.array((self.scores or {}).get(photo.size_wh[0], np.linspace(1, 0.5, len(boxes))))
            found.append(Boxes(np.array(boxes, float).reshape(-1, 4), scores))
        return found


@pytest.fixture
def line(pose_network):
    def make(detector="full", config=None, **options):
        return PoseEstimator(pose_network(config), detector, device="cpu", **options)

    return make


@pytest.fixture
def image(colours):
    return colours((240, 180), RED, BLUE, GREEN)


class TestOneImage:
    def test_keypoints_are_where_their_colours_are(self, line, image):
        poses = line(Told({240: [[80, 40, 170, 140]]}))(image)
        assert isinstance(poses, Poses) and poses.skeleton is COCO17 and len(poses) == 1
        np.testing.assert_allclose(poses.keypoints_xy[0, 0], GREEN, atol=2.5)
        np.testing.assert_allclose(poses.keypoints_xy[0, LEFT], RED, atol=2.5)
        np.testing.assert_allclose(poses.keypoints_xy[0, RIGHT], BLUE, atol=2.5)
        assert poses.boxes_xyxy.tolist() == [[80, 40, 170, 140]] and poses.size_wh == (240, 180)
        assert poses.keypoints_xy.dtype == poses.scores.dtype == np.float32

    def test_the_score_is_the_boxes_times_the_mean_keypoints(self, line, image):
        poses = line(Told({240: [[80, 40, 170, 140]]}, {240: [0.6]}))(image)
        sure = poses.scores[0][poses.scores[0] > 0.2]
        assert poses.pose_scores[0] == pytest.approx(0.6 * sure.mean(), rel=1e-5)
        assert poses.box_scores.tolist() == pytest.approx([0.6])

    def test_people_come_surest_first_and_twins_go(self, line, image):
        near = [[80, 40, 170, 140], [80, 40, 170, 141]]
        poses = line(Told({240: [[0, 100, 60, 180], *near]}, {240: [0.9, 0.4, 0.8]}))(image)
        assert poses.boxes_xyxy.tolist() == [near[1], [0, 100, 60, 180]]  # the first box holds nothing: score 0
        assert poses.pose_scores[1] == 0

    def test_the_mirrored_crop_is_averaged_in(self, line, colours):
        # Every colour in one place: then left and right look alike and averaging changes next to nothing.
        white = colours((240, 180), RED, RED, RED)
        detector = Told({240: [[80, 40, 170, 140]]})
        once, twice = line(detector)(white), line(detector, flip_test=True)(white)
        np.testing.assert_allclose(once.keypoints_xy, twice.keypoints_xy, atol=1.0)
        # Red and blue apart: the mirrored crop's left wrist is the crop's right one, so half of each is seen.
        apart = colours((240, 180), RED, BLUE, GREEN)
        scores = line(detector, flip_test=True)(apart).scores[0]
        plain = line(detector)(apart).scores[0]
        np.testing.assert_allclose(scores[[LEFT, RIGHT]], plain[[LEFT, RIGHT]] / 2, atol=0.02)
        assert scores[0] == pytest.approx(plain[0], abs=0.02)

    def test_flip_as_the_weights_say(self, line):
        assert line(config=colour_config(flip_test=True)).flip_test
        assert not line(config=colour_config(flip_test=True), flip_test=False).flip_test

    def test_the_image_is_kept_to_draw_on(self, line, image):
        poses = line()(image)
        assert np.array_equal(poses.image, image) and poses.draw().size == (240, 180)

    def test_nobody_is_an_empty_answer(self, line, image):
        poses = line(Told({}))(image)
        assert len(poses) == 0 and poses.keypoints_xy.shape == (0, 17, 2) and poses.to_coco() == []
        assert poses.draw().size == (240, 180)

    @pytest.mark.parametrize(
        "boxes",
        [[[np.nan] * 4], [[300, 300, 400, 400]], [[50, 50, 50, 50]], [[90, 90, 10, 10]], [[-np.inf, 0, 50, 50]]],
    )
    def test_boxes_that_are_none_are_dropped(self, line, image, boxes):
        assert len(line(Told({240: boxes}))(image)) == 0

    @pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
    def test_extreme_shapes(self, line, size):
        poses = line()(np.full((size[1], size[0], 3), 200, np.uint8))
        assert len(poses) == 1 and np.isfinite(poses.keypoints_xy).all()


class TestWhatIsTaken:
    def test_paths_arrays_pil_and_tensors_are_one(self, line, image, tmp_path):
        Image.fromarray(image).save(tmp_path / "a.png")
        given = [image, tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(image), image / 255.0]
        try:
            import torch

            given.append(torch.from_numpy(image).permute(2, 0, 1))
        except ImportError:
            pass
        answers = line()(given)
        assert isinstance(answers, list)
        for poses in answers:
            assert np.array_equal(poses.keypoints_xy, answers[0].keypoints_xy)
        assert [Path(poses.file_name).name for poses in answers[:3]] == ["", "a.png", "a.png"]

    def test_a_list_gives_a_list(self, line, image):
        assert line()([]) == [] and len(line()([image])) == 1 and len(line()((image, image))) == 2

    def test_a_bad_one_raises(self, line, image, tmp_path):
        with pytest.raises(ImageError, match="nowhere"):
            line()([image, tmp_path / "nowhere.jpg"])
        with pytest.raises(ImageError):
            line()(np.zeros((4, 4)) - 1)

    def test_the_pixel_limit(self, line, image, tmp_path):
        Image.fromarray(image).save(tmp_path / "a.png")
        with pytest.raises(ImageError, match="limit of 100 pixels"):
            line(max_pixels=100)(tmp_path / "a.png")


class TestMany:
    @pytest.fixture
    def crowd(self, colours):
        """Images of several sizes and their people, none among them."""
        random = np.random.default_rng(5)
        images, boxes = [], {}
        for index in range(23):
            width, height = 100 + index, int(random.integers(60, 200))
            images.append(colours((width, height), *random.uniform(0, 60, (3, 2))))
            corners = random.uniform(0, 60, (index % 5, 2))
            boxes[width] = np.concatenate([corners, corners + random.uniform(20, 60, (index % 5, 2))], 1).tolist()
        return images, Told(boxes)

    @pytest.mark.parametrize("flip", [False, True])
    @pytest.mark.parametrize("batch_size", [1, 7, 32])
    def test_a_batch_equals_singles(self, line, crowd, batch_size, flip):
        images, detector = crowd
        together = line(detector, batch_size=batch_size, flip_test=flip)(images)
        estimator = line(detector, flip_test=flip)
        for poses, image in zip(together, images, strict=True):
            alone = estimator(image)
            np.testing.assert_allclose(poses.keypoints_xy, alone.keypoints_xy, atol=1e-4)
            np.testing.assert_allclose(poses.scores, alone.scores, atol=1e-6)
            np.testing.assert_allclose(poses.boxes_xyxy, alone.boxes_xyxy)

    def test_crops_are_batched_across_people_and_images(self, line, crowd, monkeypatch):
        images, detector = crowd
        estimator = line(detector, batch_size=10)
        sizes, runner = [], estimator.runner
        estimator.runner = lambda crops: sizes.append(len(crops)) or runner(crops)
        estimator(images[:16])
        assert sizes == [10, 10, 10] and detector.asked == [16]  # 0 + 1 + 2 + 3 + 4 people, three times, and 0

    def test_a_bad_image_stops_nothing(self, line, image, tmp_path):
        (tmp_path / "text.jpg").write_text("no image")
        sources = [image, tmp_path / "text.jpg", image, "nowhere.png", image]
        outcomes = list(line().stream(sources))
        assert all(given is source for (given, _), source in zip(outcomes, sources, strict=True))
        assert [isinstance(result, Poses) for _, result in outcomes] == [True, False, True, False, True]
        assert all(isinstance(result, RSGNetError) for _, result in outcomes[1::2])

    def test_a_image_that_the_detector_refuses_stops_nothing(self, line, colours):
        class Picky(Told):
            def detect(self, photos):
                if any(photo.size_wh[0] == 101 for photo in photos):
                    raise RSGNetError("not this one")
                return super().detect(photos)

        images = [colours((width, 80), (9, 9), (9, 9), (9, 9)) for width in (100, 101, 102)]
        results = [result for _, result in line(Picky({100: [[0, 0, 50, 50]], 102: [[0, 0, 50, 50]]})).stream(images)]
        assert [isinstance(result, Poses) and len(result) for result in results] == [1, False, 1]

    def test_boxes_known_beforehand_are_taken_and_the_others_detected(self, line, image):
        known = LoadedImage(image, "known", boxes=Boxes(np.array([[80.0, 40, 999, 140]]), np.ones(1)))
        detector = Told({240: [[70, 30, 160, 130]]})
        results = [poses for _, poses in line(detector).stream([image, known, image])]
        assert detector.asked == [2]
        assert [poses.boxes_xyxy.tolist() for poses in results[::2]] == [[[70, 30, 160, 130]]] * 2
        assert results[1].boxes_xyxy.tolist() == [[80, 40, 240, 140]]  # what lies outside of the image is cut off

    def test_a_stream_is_lazy_and_can_be_left(self, line, image, monkeypatch):
        monkeypatch.setattr("rsgnet.inference.sources.CHUNK_IMAGES", 2)
        drawn = []

        def endless():
            while True:
                drawn.append(1)
                yield image

        stream = line().stream(endless())
        for _ in range(5):
            next(stream)
        stream.close()
        assert len(drawn) < 20


class TestSkeletons:
    @pytest.mark.parametrize(
        ("predicted", "wish", "out"),
        [
            ("people19", None, COCO17),
            ("coco17", None, COCO17),
            ("crowdpose14", None, CROWDPOSE14),
            ("people19", "crowdpose14", CROWDPOSE14),
            ("people19", PEOPLE19, PEOPLE19),
        ],
    )
    def test_what_comes_out(self, line, image, predicted, wish, out):
        poses = line(config=colour_config(predicted), skeleton=wish)(image)
        assert poses.skeleton is out and poses.keypoints_xy.shape == (1, len(out), 2)
        all_of_them = line(config=colour_config(predicted), skeleton=predicted)(image)
        assert np.array_equal(poses.keypoints_xy, all_of_them.to_skeleton(out).keypoints_xy)

    def test_flipping_knows_the_networks_own_order(self, line, colours):
        white = colours((240, 180), RED, RED, RED)
        plain = line(config=colour_config("people19"), skeleton="crowdpose14")(white)
        flipped = line(config=colour_config("people19"), skeleton="crowdpose14", flip_test=True)(white)
        np.testing.assert_allclose(plain.keypoints_xy, flipped.keypoints_xy, atol=4)

    def test_candidates_come_in_the_order_of_the_keypoints(self, image):
        whole, crowd = (
            PoseEstimator("nano", "full", device="cpu", skeleton=skeleton)(image)
            for skeleton in (PEOPLE19, CROWDPOSE14)
        )
        assert crowd.candidates.shape == (1, 14, whole.candidates.shape[2], 4)
        assert np.array_equal(crowd.candidates, whole.to_skeleton(CROWDPOSE14).candidates)
        places = whole.candidates[whole.candidates[..., 2] > 0][:, :2]
        assert len(places) and np.unique(places, axis=0).shape[0] > 1
        assert (np.abs(places - [120, 90]) < 240).all()  # in the crop, which is somewhat larger than the image

    @pytest.mark.parametrize(("wish", "says"), [("crowdpose14", "no head, neck"), ("horse", "coco17")])
    def test_what_cannot_come_out(self, line, wish, says):
        with pytest.raises(RSGNetError, match=says):
            line(skeleton=wish)


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"max_pixels": 0}])
def test_senseless_numbers_are_refused(line, options):
    with pytest.raises(RSGNetError, match="positive"):
        line(**options)


def test_a_runner_of_ones_own(image):
    class Centre:
        config = colour_config()

        def __call__(self, crops):
            maps = np.zeros((len(crops), 17, 16, 12), np.float32)
            maps[:, :, 8, 6] = 1
            return maps

    poses = PoseEstimator(Centre(), "full")(image)
    np.testing.assert_allclose(poses.keypoints_xy, np.broadcast_to([120, 90], (1, 17, 2)), atol=240 * 1.25 / 12)


def test_the_module_says_what_it_does():
    assert "read -> detect -> crop" in module.__doc__
