import pytest

from rsgnet.config import FasterRCNNConfig
from rsgnet.errors import RSGNetError
from rsgnet.training_config import TrainingConfig


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shorter_side_px": ()}, "32 pixels or more"),
        ({"longer_side_px": 8}, "32 pixels or more"),
        ({"proposals": 0}, "must be positive"),
        ({"trained_stages": 6}, "trained_stages 0 to 5"),
        ({"nms_threshold": 0.0}, "in 0..1"),
        ({"training": TrainingConfig(frozen=("layer1",))}, "by trained_stages"),
    ],
)
def test_a_faster_rcnn_that_cannot_be_is_refused(fields, message):
    with pytest.raises(RSGNetError, match=message):
        FasterRCNNConfig("person", **fields)
