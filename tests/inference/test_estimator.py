"""The whole pipeline on tiny networks whose answers can be worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import ConstantNetwork, colour_config

from rsgnet.errors import ImageError, RSGNetError
from rsgnet.inference import estimator as module
from rsgnet.inference.detectors.detector import Boxes, Detector, LoadedImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.runtime.network import PoseNetwork
from rsgnet.poses import Poses
from rsgnet.skeletons import COCO17, CROWDPOSE14, PEOPLE19

RED, BLUE, GREEN = (120, 60), (140, 110), (100, 90)
LEFT, RIGHT = COCO17.keypoints.index("left_wrist"), COCO17.keypoints.index("right_wrist")
BOX = [80, 40, 170, 140]


class FixedDetector(Detector):
    """A detector that returns given boxes by the widths of the images; counts the images of each call."""

    def __init__(self, boxes, scores=None):
        self.boxes, self.scores, self.calls = boxes, scores or {}, []

    def detect(self, images):
        self.calls.append(len(images))
        found = []
        for image in images:
            boxes = self.boxes.get(image.size_wh[0], [])
            scores = np.array(self.scores.get(image.size_wh[0], np.linspace(1, 0.5, len(boxes))))
            found.append(Boxes(np.array(boxes, float).reshape(-1, 4), scores))
        return found


class CountingNetwork(PoseNetwork):
    """Runs another network and counts the crops of each call."""

    def __init__(self, network):
        self.network, self.config, self.calls = network, network.config, []

    def run(self, crops):
        self.calls.append(len(crops))
        return self.network.run(crops)


@pytest.fixture
def pipeline(pose_network):
    def make(detector="full", config=None, **options):
        return PoseEstimator(pose_network(config), detector, device="cpu", **options)

    return make


@pytest.fixture
def image(colours):
    return colours((240, 180), RED, BLUE, GREEN)


class TestOneImage:
    def test_keypoints_are_where_their_colours_are(self, pipeline, image):
        poses = pipeline(FixedDetector({240: [BOX]}))(image)
        assert isinstance(poses, Poses) and poses.skeleton is COCO17 and len(poses) == 1
        np.testing.assert_allclose(poses.keypoints_xy[0, 0], GREEN, atol=2.5)
        np.testing.assert_allclose(poses.keypoints_xy[0, LEFT], RED, atol=2.5)
        np.testing.assert_allclose(poses.keypoints_xy[0, RIGHT], BLUE, atol=2.5)
        assert poses.boxes_xyxy.tolist() == [BOX] and poses.size_wh == (240, 180)
        assert poses.keypoints_xy.dtype == poses.scores.dtype == np.float32

    def test_pose_score_is_box_score_times_mean_keypoint_score(self, pipeline, image):
        poses = pipeline(FixedDetector({240: [BOX]}, {240: [0.6]}))(image)
        counted = poses.scores[0][poses.scores[0] > 0.2]
        assert poses.pose_scores[0] == pytest.approx(0.6 * counted.mean(), rel=1e-5)
        assert poses.box_scores.tolist() == pytest.approx([0.6])

    def test_people_are_sorted_by_score_and_duplicates_dropped(self, pipeline, image):
        duplicates = [BOX, [80, 40, 170, 141]]
        detector = FixedDetector({240: [[0, 100, 60, 180], *duplicates]}, {240: [0.9, 0.4, 0.8]})
        poses = pipeline(detector)(image)
        # The first box holds nothing, so its pose scores 0.
        assert poses.boxes_xyxy.tolist() == [duplicates[1], [0, 100, 60, 180]]
        assert poses.pose_scores[1] == 0

    def test_flip_test_averages_with_the_mirrored_crop(self, pipeline, colours):
        # Every colour in one place: then left and right look alike and averaging changes next to nothing.
        white = colours((240, 180), RED, RED, RED)
        detector = FixedDetector({240: [BOX]})
        plain, flipped = pipeline(detector)(white), pipeline(detector, flip_test=True)(white)
        np.testing.assert_allclose(plain.keypoints_xy, flipped.keypoints_xy, atol=1.0)
        # Red and blue apart: the mirrored crop's left wrist is the crop's right one, so half of each remains.
        apart = colours((240, 180), RED, BLUE, GREEN)
        flipped_scores = pipeline(detector, flip_test=True)(apart).scores[0]
        plain_scores = pipeline(detector)(apart).scores[0]
        np.testing.assert_allclose(flipped_scores[[LEFT, RIGHT]], plain_scores[[LEFT, RIGHT]] / 2, atol=0.02)
        assert flipped_scores[0] == pytest.approx(plain_scores[0], abs=0.02)

    def test_flip_test_defaults_to_the_config(self, pipeline):
        assert pipeline(config=colour_config(flip_test=True)).flip_test
        assert not pipeline(config=colour_config(flip_test=True), flip_test=False).flip_test

    def test_the_image_is_kept_for_drawing(self, pipeline, image):
        poses = pipeline()(image)
        assert np.array_equal(poses.image, image) and poses.draw().size == (240, 180)

    def test_an_image_without_people(self, pipeline, image):
        poses = pipeline(FixedDetector({}))(image)
        assert len(poses) == 0 and poses.keypoints_xy.shape == (0, 17, 2) and poses.to_coco() == []
        assert poses.draw().size == (240, 180)

    @pytest.mark.parametrize(
        "boxes",
        [[[np.nan] * 4], [[300, 300, 400, 400]], [[50, 50, 50, 50]], [[90, 90, 10, 10]], [[-np.inf, 0, 50, 50]]],
    )
    def test_invalid_boxes_are_dropped(self, pipeline, image, boxes):
        assert len(pipeline(FixedDetector({240: boxes}))(image)) == 0

    @pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
    def test_images_of_extreme_shape(self, pipeline, size):
        poses = pipeline()(np.full((size[1], size[0], 3), 200, np.uint8))
        assert len(poses) == 1 and np.isfinite(poses.keypoints_xy).all()


class TestInputs:
    def test_a_folder_stands_for_its_images(self, pipeline, image, tmp_path):
        (tmp_path / "photos/deep").mkdir(parents=True)
        for name in ("a.png", "b.png", "deep/c.png"):
            Image.fromarray(image).save(tmp_path / "photos" / name)
        for folder in (tmp_path / "photos", str(tmp_path / "photos"), [tmp_path / "photos"]):
            assert [poses.file_name for poses in pipeline()(folder)] == ["a.png", "b.png", "deep/c.png"]
        sources = [tmp_path / "photos", image]
        assert [source is sources[0] for source, _ in pipeline().stream(sources)] == [True, True, True, False]
        (tmp_path / "empty").mkdir()
        with pytest.raises(RSGNetError, match="empty: no images in this folder"):
            pipeline()(tmp_path / "empty")

    def test_stream_takes_several_sources(self, pipeline):
        with pytest.raises(RSGNetError, match=r"several sources, not one path: pass \['a.png'\]"):
            next(pipeline().stream("a.png"))

    def test_paths_arrays_pil_images_and_tensors_give_the_same(self, pipeline, image, tmp_path):
        Image.fromarray(image).save(tmp_path / "a.png")
        given = [image, tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(image), image / 255.0]
        try:
            import torch

            given.append(torch.from_numpy(image).permute(2, 0, 1))
        except ImportError:
            pass
        results = pipeline()(given)
        assert isinstance(results, list)
        for poses in results:
            assert np.array_equal(poses.keypoints_xy, results[0].keypoints_xy)
        assert [Path(poses.file_name).name for poses in results[:3]] == ["", "a.png", "a.png"]

    def test_a_list_gives_a_list(self, pipeline, image):
        assert pipeline()([]) == [] and len(pipeline()([image])) == 1 and len(pipeline()((image, image))) == 2

    def test_a_broken_image_raises(self, pipeline, image, tmp_path):
        with pytest.raises(ImageError, match="nowhere"):
            pipeline()([image, tmp_path / "nowhere.jpg"])
        with pytest.raises(ImageError):
            pipeline()(np.zeros((4, 4)) - 1)

    def test_pixel_limit(self, pipeline, image, tmp_path):
        Image.fromarray(image).save(tmp_path / "a.png")
        with pytest.raises(ImageError, match="limit of 100 pixels"):
            pipeline(max_pixels=100)(tmp_path / "a.png")


class TestManyImages:
    @pytest.fixture
    def crowd(self, colours):
        """Images of several sizes with 0 to 4 people each, and the detector of their boxes."""
        random = np.random.default_rng(5)
        images, boxes = [], {}
        for index in range(23):
            width, height = 100 + index, int(random.integers(60, 200))
            images.append(colours((width, height), *random.uniform(0, 60, (3, 2))))
            corners = random.uniform(0, 60, (index % 5, 2))
            boxes[width] = np.concatenate([corners, corners + random.uniform(20, 60, (index % 5, 2))], 1).tolist()
        return images, FixedDetector(boxes)

    @pytest.mark.parametrize("flip_test", [False, True])
    @pytest.mark.parametrize("batch_size", [1, 7, 32])
    def test_a_batch_equals_single_images(self, pipeline, crowd, batch_size, flip_test):
        images, detector = crowd
        together = pipeline(detector, batch_size=batch_size, flip_test=flip_test)(images)
        estimator = pipeline(detector, flip_test=flip_test)
        for poses, image in zip(together, images, strict=True):
            alone = estimator(image)
            np.testing.assert_allclose(poses.keypoints_xy, alone.keypoints_xy, atol=1e-4)
            np.testing.assert_allclose(poses.scores, alone.scores, atol=1e-6)
            np.testing.assert_allclose(poses.boxes_xyxy, alone.boxes_xyxy)

    def test_crops_are_batched_across_people_and_images(self, pipeline, crowd):
        images, detector = crowd
        estimator = pipeline(detector, batch_size=10)
        estimator.network = network = CountingNetwork(estimator.network)
        estimator(images[:16])
        # 0 + 1 + 2 + 3 + 4 people, three times, and 0
        assert network.calls == [10, 10, 10] and detector.calls == [16]

    def test_broken_images_do_not_stop_the_others(self, pipeline, image, tmp_path):
        (tmp_path / "text.jpg").write_text("no image")
        sources = [image, tmp_path / "text.jpg", image, "nowhere.png", image]
        outcomes = list(pipeline().stream(sources))
        assert all(given is source for (given, _), source in zip(outcomes, sources, strict=True))
        assert [isinstance(result, Poses) for _, result in outcomes] == [True, False, True, False, True]
        assert all(isinstance(result, RSGNetError) for _, result in outcomes[1::2])

    def test_an_image_that_the_detector_refuses_does_not_stop_the_others(self, pipeline, colours):
        class RefusingDetector(FixedDetector):
            def detect(self, images):
                if any(image.size_wh[0] == 101 for image in images):
                    raise RSGNetError("not this one")
                return super().detect(images)

        images = [colours((width, 80), (9, 9), (9, 9), (9, 9)) for width in (100, 101, 102)]
        detector = RefusingDetector({100: [[0, 0, 50, 50]], 102: [[0, 0, 50, 50]]})
        results = [result for _, result in pipeline(detector).stream(images)]
        assert [isinstance(result, Poses) and len(result) for result in results] == [1, False, 1]

    def test_a_detector_must_return_boxes_of_every_image(self, pipeline, image):
        class ForgetfulDetector(Detector):
            name = "forgetful"

            def detect(self, images):
                return []

        with pytest.raises(RSGNetError, match="forgetful returned boxes of 0 images for 1"):
            pipeline(ForgetfulDetector())(image)

    def test_known_boxes_are_used_and_the_others_detected(self, pipeline, image):
        known = LoadedImage(image, "known", boxes=Boxes(np.array([[80.0, 40, 999, 140]]), np.ones(1)))
        detector = FixedDetector({240: [[70, 30, 160, 130]]})
        results = [poses for _, poses in pipeline(detector).stream([image, known, image])]
        assert detector.calls == [2]
        assert [poses.boxes_xyxy.tolist() for poses in results[::2]] == [[[70, 30, 160, 130]]] * 2
        assert results[1].boxes_xyxy.tolist() == [[80, 40, 240, 140]]  # clipped to the image

    def test_a_stream_is_lazy_and_can_be_closed(self, pipeline, image, monkeypatch):
        monkeypatch.setattr("rsgnet.inference.sources.CHUNK_IMAGES", 2)
        read = []

        def endless():
            while True:
                read.append(1)
                yield image

        stream = pipeline().stream(endless())
        for _ in range(5):
            next(stream)
        stream.close()
        assert len(read) < 20


class TestSkeletons:
    @pytest.mark.parametrize(
        ("predicted", "requested", "expected"),
        [
            ("people19", None, COCO17),
            ("coco17", None, COCO17),
            ("crowdpose14", None, CROWDPOSE14),
            ("people19", "crowdpose14", CROWDPOSE14),
            ("people19", PEOPLE19, PEOPLE19),
        ],
    )
    def test_skeleton_of_the_results(self, pipeline, image, predicted, requested, expected):
        poses = pipeline(config=colour_config(predicted), skeleton=requested)(image)
        assert poses.skeleton is expected and poses.keypoints_xy.shape == (1, len(expected), 2)
        all_keypoints = pipeline(config=colour_config(predicted), skeleton=predicted)(image)
        assert np.array_equal(poses.keypoints_xy, all_keypoints.to_skeleton(expected).keypoints_xy)

    def test_flip_test_uses_the_networks_own_order(self, pipeline, colours):
        white = colours((240, 180), RED, RED, RED)
        plain = pipeline(config=colour_config("people19"), skeleton="crowdpose14")(white)
        flipped = pipeline(config=colour_config("people19"), skeleton="crowdpose14", flip_test=True)(white)
        np.testing.assert_allclose(plain.keypoints_xy, flipped.keypoints_xy, atol=4)

    def test_candidates_have_the_order_of_the_keypoints(self, light_directory, image):
        whole, crowd = (
            PoseEstimator(light_directory, "full", device="cpu", skeleton=skeleton)(image)
            for skeleton in (PEOPLE19, CROWDPOSE14)
        )
        assert crowd.candidates.shape == (1, 14, whole.candidates.shape[2], 4)
        assert np.array_equal(crowd.candidates, whole.to_skeleton(CROWDPOSE14).candidates)
        candidates_xy = whole.candidates[whole.candidates[..., 2] > 0][:, :2]
        assert len(candidates_xy) and np.unique(candidates_xy, axis=0).shape[0] > 1
        assert (np.abs(candidates_xy - [120, 90]) < 240).all()  # the crop is somewhat larger than the image

    @pytest.mark.parametrize(("requested", "message"), [("crowdpose14", "no head, neck"), ("horse", "coco17")])
    def test_a_skeleton_that_is_not_predicted_raises(self, pipeline, requested, message):
        with pytest.raises(RSGNetError, match=message):
            pipeline(skeleton=requested)


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"max_pixels": 0}])
def test_numbers_must_be_positive(pipeline, options):
    with pytest.raises(RSGNetError, match="positive"):
        pipeline(**options)


def test_a_network_of_ones_own(image):
    poses = PoseEstimator(ConstantNetwork(), "full")(image)
    np.testing.assert_allclose(poses.keypoints_xy, np.broadcast_to([120, 90], (1, 17, 2)), atol=240 * 1.25 / 12)


def test_the_module_docstring_lists_the_steps():
    assert "read -> detect -> crop" in module.__doc__
