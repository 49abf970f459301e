"""The file that COCO's keypoints server takes: its name, its fields, its 17 keypoints."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from rsgnet.data.annotations import read_annotations
from rsgnet.data.coco import PERSON_CATEGORY
from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.evaluation.results import ResultsSource, read_keypoint_results
from rsgnet.files import write_text
from rsgnet.skeletons import COCO17

MOST_A_IMAGE = 20  # the server scores no more


def write_submission(
    results: ResultsSource, images: str | Path, out: Path, name: str = "rsgnet", split: str = "test-dev2017"
) -> Path:
    """Writes poses in the form of COCO's keypoints server: of each image the 20 surest.

    Args:
        results: COCO keypoint results, a file or a list, of 17 keypoints.
        images: The list of images: `image_info_test-dev2017.json`.
        out: The folder to write into.
        name: What to call the method: letters, digits, `-` and `_`.
        split: What to call the data set.

    Returns:
        `person_keypoints_<split>_<name>_results.json`.

    Raises:
        AnnotationError: A file is missing or broken, or an entry is not of these images or keypoints.
        RSGNetError: The name does not fit, or there are no poses.
    """
    if not re.fullmatch(r"[\w-]+", name) or not re.fullmatch(r"[\w-]+", split):
        raise RSGNetError(f"names in a submission are letters, digits, - and _, not {name!r} and {split!r}")
    listed = read_annotations(images)
    if listed.skeleton.keypoints != COCO17.keypoints:
        raise AnnotationError(f"{images}: COCO's server takes {COCO17.name}, these are {listed.skeleton.name}")
    found = read_keypoint_results(results, listed)
    if not len(found):
        raise RSGNetError(f"{found.origin}: holds no poses to submit")
    order = np.lexsort((-found.scores, found.image_ids))
    first = np.searchsorted(found.image_ids[order], found.image_ids[order])
    kept = order[np.arange(len(order)) - first < MOST_A_IMAGE]
    entries = [
        {
            "image_id": int(found.image_ids[row]),
            "category_id": PERSON_CATEGORY,
            "keypoints": [round(value, 3) for value in found.values[row].ravel().tolist()],
            "score": float(found.scores[row]),
        }
        for row in kept
    ]
    path = out / f"person_keypoints_{split}_{name}_results.json"
    write_text(path, json.dumps(entries))
    return path
