import json

import numpy as np
import pytest

from rsgnet.annotations.masks import encoded_mask, extent_xyxy, read_segmentations, segmentation_mask
from rsgnet.errors import AnnotationError

SQUARE = np.zeros((20, 30), np.bool_)
SQUARE[4:10, 5:17] = True


@pytest.mark.parametrize(
    "segmentation",
    [
        [[5, 4, 17, 4, 17, 10, 5, 10]],
        [[5, 4, 11, 4, 11, 10, 5, 10], [11, 4, 17, 4, 17, 10, 11, 10]],
        encoded_mask(SQUARE),
        {"size": [20, 30], "counts": [5 * 20 + 4, *[6, 14] * 11, 6, 270]},
    ],
    ids=["polygon", "two polygons", "compressed", "uncompressed"],
)
def test_every_kind_of_segmentation_gives_its_pixels(segmentation):
    np.testing.assert_array_equal(segmentation_mask(segmentation, (30, 20)), SQUARE)


def test_run_lengths_survive_json():
    random = np.random.default_rng(0).random((37, 23)) > 0.6
    again = json.loads(json.dumps(encoded_mask(random)))
    np.testing.assert_array_equal(segmentation_mask(again, (23, 37)), random)


@pytest.mark.parametrize("segmentation", [{"size": [20, 30]}, [["a"]], {"size": [3, 3], "counts": "04"}, [[1, 2]]])
def test_what_is_no_segmentation_is_refused(segmentation):
    with pytest.raises(AnnotationError, match="a segmentation"):
        segmentation_mask(segmentation, (30, 20))


def test_extents_are_edges():
    assert extent_xyxy(SQUARE) == (5, 4, 17, 10)


def test_files_without_segmentations_have_none(tmp_path):
    (tmp_path / "a.json").write_text(
        json.dumps({"annotations": [{"id": 1}, {"id": 2, "segmentation": [[1, 1, 2, 2]]}]})
    )
    assert read_segmentations(tmp_path / "a.json") == {2: [[1, 1, 2, 2]]}
    assert read_segmentations(tmp_path / "data.yaml") == {}
