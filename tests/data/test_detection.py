"""Detection samples and their labels."""

import json
from dataclasses import replace

import pytest
import torch

from rsgnet.config import DetectorConfig, FasterRCNNConfig
from rsgnet.data.batches import Draw
from rsgnet.data.detection import DetectionDataset
from rsgnet.errors import AnnotationError
from rsgnet.images import CANVAS_GREY, read_image
from rsgnet.training_config import AugmentConfig, TrainingConfig

CONFIG = DetectorConfig(
    name="test", size_wh=(160, 160), training=TrainingConfig(augment=AugmentConfig(scale=0.4, colour=0.0))
)


def test_boxes_shrink_with_the_image(marked):
    sample = DetectionDataset([marked], CONFIG, augmented=False)[0]
    boxes = sample.boxes_xyxy[~sample.boxes_xyxy.isnan().any(1)]
    wanted = torch.tensor([[60.0, 30, 180, 210], [140, 40, 240, 210], [250, 20, 300, 110]]) / 2
    torch.testing.assert_close(boxes, wanted)
    assert (sample.image[120:] == CANVAS_GREY).all()  # 320x240 in a square: nothing below


@pytest.mark.parametrize("seed", range(8))
def test_marks_stay_within_their_persons_box(marked, seed):
    sample = DetectionDataset([marked], CONFIG, augmented=True)[Draw(0, seed)]
    marks = (sample.image[..., 2] > 120).nonzero().float()
    boxes = torch.cat([sample.boxes_xyxy, sample.ignored_xyxy])
    boxes = boxes[~boxes.isnan().any(1)]
    assert len(boxes) == 3
    if len(marks):
        low, high = marks.flip(1).amin(0), marks.flip(1).amax(0)
        assert any((low + 2 >= box[:2]).all() and (high - 2 <= box[2:]).all() for box in boxes)


@pytest.mark.parametrize(("flip", "boxes"), [(0.0, [[60, 30, 180, 210]]), (1.0, [[140, 30, 260, 210]])])
def test_images_of_faster_rcnn_keep_their_size(marked, flip, boxes):
    config = FasterRCNNConfig("test", training=TrainingConfig(augment=AugmentConfig(flip=flip)))
    sample = DetectionDataset([marked], config, augmented=True)[0]
    assert sample.boxes_xyxy[:1].tolist() == boxes
    image = torch.from_numpy(read_image(marked.images / "marked.png"))
    assert torch.equal(sample.image, image.flip(1) if flip else image)


@pytest.mark.parametrize("said", [{"width": 240, "height": 320}, {"width": None, "height": None}])
def test_the_size_of_the_image_file_is_used(marked, tmp_path, said):
    right = DetectionDataset([marked], CONFIG, augmented=False)[0]
    content = json.loads(marked.annotations.read_text())
    content["images"] = [{key: value for key, value in (image | said).items() if value} for image in content["images"]]
    (tmp_path / "wrong.json").write_text(json.dumps(content))
    wrong = DetectionDataset([replace(marked, annotations=tmp_path / "wrong.json")], CONFIG, augmented=False)[0]
    assert torch.equal(wrong.image, right.image)
    torch.testing.assert_close(wrong.boxes_xyxy, right.boxes_xyxy, equal_nan=True)


def test_sets_that_do_not_label_everyone_are_refused(marked):
    with pytest.raises(AnnotationError, match="not everyone"):
        DetectionDataset([replace(marked, everyone_labelled=False)], CONFIG, augmented=True)
