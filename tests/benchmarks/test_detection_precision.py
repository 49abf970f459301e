"""Boxes are counted against people by hand."""

import json

import pytest
from benchmarks.detection_precision import count_boxes

from rsgnet.annotations.readers import read_annotations


def test_counts_by_hand(tmp_path):
    def person(box, number, crowd=0):
        labels = {"keypoints": [1, 1, 2] * 17, "num_keypoints": 17, "area": box[2] * box[3]}
        return {"id": number, "image_id": 1, "category_id": 1, "iscrowd": crowd, "bbox": box, **labels}

    content = {
        "images": [{"id": image, "file_name": f"{image}.jpg", "width": 200, "height": 200} for image in (1, 2)],
        "annotations": [
            person([0, 0, 20, 40], 1),
            person([50, 0, 20, 40], 2),
            person([100, 100, 90, 90], 3, crowd=1),
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    found = [
        (1, [0, 0, 20, 40], 0.9),  # right
        (1, [1, 1, 20, 40], 0.8),  # the same person again
        (1, [120, 120, 20, 40], 0.7),  # in the group
        (1, [50, 0, 20, 22], 0.6),  # right: IoU 0.55
        (2, [0, 0, 20, 40], 0.5),  # nobody
    ]
    results = [{"image_id": image, "bbox": box, "score": score} for image, box, score in found]
    counts = count_boxes(read_annotations(tmp_path / "truth.json"), results)
    assert (counts.people, counts.images) == (2, 2)
    assert counts.scores.tolist() == [0.9, 0.8, 0.6, 0.5] and counts.is_right.tolist() == [1, 0, 1, 0]
    assert counts.at(0.55) == pytest.approx((2 / 3, 1, 0.5)) and counts.at(0.95) == (0, 0, 0)
