import json

import numpy as np
import pytest

from rsgnet.annotations.masks import decode_segmentation, encode_mask, mask_to_xyxy, read_segmentations
from rsgnet.errors import AnnotationError

SQUARE = np.zeros((20, 30), np.bool_)
SQUARE[4:10, 5:17] = True


@pytest.mark.parametrize(
    "segmentation",
    [
        [[5, 4, 17, 4, 17, 10, 5, 10]],
        [[5, 4, 11, 4, 11, 10, 5, 10], [11, 4, 17, 4, 17, 10, 11, 10]],
        encode_mask(SQUARE),
        {"size": [20, 30], "counts": [5 * 20 + 4, *[6, 14] * 11, 6, 270]},
    ],
    ids=["polygon", "two polygons", "compressed", "uncompressed"],
)
def test_every_kind_of_segmentation_is_decoded(segmentation):
    np.testing.assert_array_equal(decode_segmentation(segmentation, (30, 20)), SQUARE)


def test_run_lengths_survive_json():
    random = np.random.default_rng(0).random((37, 23)) > 0.6
    again = json.loads(json.dumps(encode_mask(random)))
    np.testing.assert_array_equal(decode_segmentation(again, (23, 37)), random)


@pytest.mark.parametrize("segmentation", [{"size": [20, 30]}, [["a"]], {"size": [3, 3], "counts": "04"}, [[1, 2]]])
def test_an_invalid_segmentation_is_refused(segmentation):
    with pytest.raises(AnnotationError, match="a segmentation"):
        decode_segmentation(segmentation, (30, 20))


def test_mask_to_xyxy_returns_pixel_edges():
    assert mask_to_xyxy(SQUARE) == (5, 4, 17, 10)


def test_files_without_segmentations_have_none(tmp_path):
    (tmp_path / "a.json").write_text(
        json.dumps({"annotations": [{"id": 1}, {"id": 2, "segmentation": [[1, 1, 2, 2]]}]})
    )
    assert read_segmentations(tmp_path / "a.json") == {2: [[1, 1, 2, 2]]}
    assert read_segmentations(tmp_path / "data.yaml") == {}
