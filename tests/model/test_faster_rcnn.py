"""torchvision's Faster R-CNN, and the ignored boxes of groups."""

from dataclasses import replace

import pytest
import torch
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from rsgnet.config import FasterRCNNConfig
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.model import PersonRCNN
from rsgnet.model.faster_rcnn import IGNORED, PERSON, is_mostly_within
from rsgnet.presets import faster_rcnn_r101
from rsgnet.training_config import TrainingConfig

TINY = FasterRCNNConfig("tiny", "resnet18", (64,), 96, proposals=20, training=TrainingConfig(pretrained=False))


def test_the_papers_detector_is_torchvisions():
    with torch.device("meta"):
        ours = PersonRCNN(faster_rcnn_r101())
        theirs = FasterRCNN(
            resnet_fpn_backbone(backbone_name="resnet101", weights=None, trainable_layers=3), num_classes=2
        )
    shapes = [{name: value.shape for name, value in each.state_dict().items()} for each in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert sum(each.numel() for each in ours.parameters()) == 60_239_065
    assert [each.requires_grad for each in ours.parameters()] == [each.requires_grad for each in theirs.parameters()]


def test_from_scratch_everything_is_trained():
    model = PersonRCNN(TINY)
    assert all(each.requires_grad for each in model.parameters())
    assert "backbone.body.bn1.num_batches_tracked" in model.state_dict()


@pytest.mark.parametrize("shape_hw", [(64, 64), (40, 120), (301, 33)])
def test_boxes_come_in_pixels_of_the_image(shape_hw):
    torch.manual_seed(0)
    found = PersonRCNN(replace(TINY, max_boxes=7)).eval()([torch.rand(3, *shape_hw)])[0]
    assert found["boxes"].shape == (len(found["scores"]), 4) and 0 < len(found["scores"]) <= 7
    assert found["boxes"].min() >= 0 and (found["boxes"].amax(0)[2:] <= torch.tensor(shape_hw[::-1])).all()
    assert set(found["labels"].tolist()) == {PERSON} and found["scores"].diff().le(0).all()


def test_a_box_lies_within_a_region_with_more_than_half_of_its_area():
    boxes = torch.tensor([[0.0, 0, 10, 10], [4, 0, 14, 10], [6, 0, 16, 10], [50, 50, 60, 60]])
    assert is_mostly_within(boxes, torch.tensor([[0.0, 0, 10, 10], [52, 52, 90, 90]])).tolist() == [
        True,
        True,
        False,
        True,
    ]
    assert is_mostly_within(boxes, torch.zeros(0, 4)).tolist() == [False] * 4


PLACES = torch.tensor([[0.0, 0, 40, 40], [100, 0, 140, 40], [0, 100, 40, 140]])  # a person, a group, nobody
BOXES = torch.tensor([[0.0, 0, 40, 40], [90, -10, 200, 50]])


@pytest.mark.parametrize(
    ("labels", "expected"), [([PERSON, IGNORED], [1, -1, 0]), ([IGNORED, IGNORED], [-1, -1, 0]), ([], [0, 0, 0])]
)
def test_boxes_of_groups_are_neither_people_nor_background(labels, expected):
    model = PersonRCNN(TINY)
    target = {"boxes": BOXES[: len(labels)], "labels": torch.tensor(labels, dtype=torch.int64)}
    first, _ = model.rpn.assign_targets_to_anchors([PLACES], [target])
    _, second = model.roi_heads.assign_targets_to_proposals([PLACES], [target["boxes"]], [target["labels"]])
    assert first[0].tolist() == second[0].tolist() == expected


@pytest.mark.parametrize("labels", [[], [PERSON], [IGNORED], [PERSON, IGNORED]])
def test_every_mixture_of_targets_has_finite_losses_and_gradients(labels):
    torch.manual_seed(0)
    model = PersonRCNN(TINY).train()
    target = {"boxes": BOXES[: len(labels)].clamp(min=0), "labels": torch.tensor(labels, dtype=torch.int64)}
    losses = model([torch.rand(3, 64, 200)], [target])
    assert set(losses) == {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in model.parameters())


def test_backbones_that_do_not_exist_are_named():
    with pytest.raises(RSGNetError, match="no ResNet 'hrnet_w32'"):
        PersonRCNN(replace(TINY, backbone="hrnet_w32"))


def test_without_a_network_imagenets_weights_are_an_error_that_says_what_to_do(monkeypatch):
    def offline(*_, **__):
        raise OSError("<urlopen error Name or service not known>")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(WeightsError, match=r"resnet18 could not be downloaded.*training\.pretrained=false"):
        PersonRCNN(replace(TINY, training=TrainingConfig()), pretrained=True)
