import numpy as np
import pytest

from rsgnet.errors import RSGNetError
from rsgnet.inference.detectors.detector import Boxes, Detector, LoadedImage, WholeImageDetector
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.server.limits import Limits, PeopleLimitDetector


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixels": 0}, "pixels must be positive, not 0"),
        ({"seconds": -1}, "seconds must be positive"),
        ({"seconds": float("nan")}, "seconds must be positive"),
        ({"images": 9, "waiting": 8}, "a request of 9 could never be accepted"),
    ],
)
def test_contradictory_limits_are_refused(changes, message):
    with pytest.raises(RSGNetError, match=message):
        Limits(**changes)


class ThreePeopleDetector(Detector):
    def detect(self, images):
        return [Boxes(np.array([[0.0, 0, 9, 9]] * 3), np.ones(3)) for _ in images]


def test_an_image_over_the_limit_is_refused_and_the_others_are_processed(pose_network):
    class CrowdDetector(Detector):
        def detect(self, images):
            return [
                (ThreePeopleDetector() if image.file_name == "crowd" else WholeImageDetector()).detect([image])[0]
                for image in images
            ]

    grey = np.full((64, 64, 3), 99, np.uint8)
    estimator = PoseEstimator(pose_network(), PeopleLimitDetector(CrowdDetector(), 2), device="cpu")
    images = [LoadedImage(grey, name) for name in ("a", "crowd", "b")]
    outcomes = [outcome for _, outcome in estimator.stream(images)]
    assert len(outcomes[0]) == len(outcomes[2]) == 1
    assert str(outcomes[1]) == "crowd: 3 people are over the limit of 2; send parts of it"


def test_as_many_people_as_the_limit_are_accepted():
    image = LoadedImage(np.zeros((9, 9, 3), np.uint8))
    assert len(PeopleLimitDetector(ThreePeopleDetector(), 3).detect([image])[0]) == 3
