"""torchvision's Faster R-CNN as a person detector."""

import sys

import numpy as np
import pytest

from rsgnet.errors import RSGNetError
from rsgnet.inference.detectors.detector import LoadedImage
from rsgnet.inference.detectors.open_detector import open_detector


def test_missing_torchvision_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(RSGNetError, match=r"pip install 'rsgnet\[train\]'"):
        open_detector("torchvision")


def test_an_unknown_model_names_the_known_ones():
    with pytest.raises(RSGNetError, match="fasterrcnn_resnet50_fpn_v2"):
        open_detector("torchvision:yolo")


def test_a_failed_download_is_explained(monkeypatch):
    detection = pytest.importorskip("torchvision.models.detection")

    def offline(**_):
        raise OSError("<urlopen error Name or service not known>")

    monkeypatch.setattr(detection, "fasterrcnn_mobilenet_v3_large_fpn", offline)
    with pytest.raises(RSGNetError, match=r"could not be fetched .*Name or service not known"):
        open_detector("torchvision")


def test_only_people_above_the_threshold_are_found(monkeypatch):
    torch = pytest.importorskip("torch")
    detection = pytest.importorskip("torchvision.models.detection")
    inputs = []

    class Model(torch.nn.Module):
        def forward(self, images):
            inputs.append(images[0])
            boxes = torch.tensor([[1.0, 2, 30, 40], [5, 5, 9, 9], [0, 0, 500, 500], [3, 3, 4, 9]])
            labels, scores = torch.tensor([1, 18, 1, 1]), torch.tensor([0.9, 0.9, 0.5, 0.1])
            return [{"boxes": boxes, "labels": labels, "scores": scores}]

    monkeypatch.setattr(detection, "fasterrcnn_resnet50_fpn_v2", lambda **_: Model())
    pixels = np.full((60, 80, 3), 51, np.uint8)
    found = open_detector("torchvision:fasterrcnn_resnet50_fpn_v2", "cpu", 0.4).detect([LoadedImage(pixels)])[0]
    assert inputs[0].shape == (3, 60, 80) and inputs[0].mean().item() == pytest.approx(0.2)
    assert found.boxes_xyxy.tolist() == [[1, 2, 30, 40], [0, 0, 80, 60]]
