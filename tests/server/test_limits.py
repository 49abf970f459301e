import numpy as np
import pytest

from rsgnet.errors import RSGNetError
from rsgnet.inference.detectors.boxes import Boxes, LoadedImage, WholeImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.server.limits import BoundedDetector, Limits


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"pixels": 0}, "pixels must be positive, not 0"),
        ({"seconds": -1}, "seconds must be positive"),
        ({"seconds": float("nan")}, "seconds must be positive"),
        ({"images": 9, "waiting": 8}, "a request of 9 could never be taken"),
    ],
)
def test_senseless_ones_are_refused(changes, says):
    with pytest.raises(RSGNetError, match=says):
        Limits(**changes)


class Three:
    def detect(self, photos):
        return [Boxes(np.array([[0.0, 0, 9, 9]] * 3), np.ones(3)) for _ in photos]


def test_a_crowd_over_the_limit_is_refused_and_the_others_are_done(pose_network):
    class Crowded:
        def detect(self, photos):
            return [(Three() if photo.file_name == "crowd" else WholeImage()).detect([photo])[0] for photo in photos]

    grey = np.full((64, 64, 3), 99, np.uint8)
    estimator = PoseEstimator(pose_network(), BoundedDetector(Crowded(), 2), device="cpu")
    outcomes = [
        outcome
        for _, outcome in estimator.stream([LoadedImage(grey, "a"), LoadedImage(grey, "crowd"), LoadedImage(grey, "b")])
    ]
    assert len(outcomes[0]) == len(outcomes[2]) == 1
    assert str(outcomes[1]) == "crowd: 3 people are over the limit of 2; send parts of it"


def test_as_many_as_are_allowed_are_taken():
    assert len(BoundedDetector(Three(), 3).detect([LoadedImage(np.zeros((9, 9, 3), np.uint8))])[0]) == 3
