"""Poses in the format of COCO's keypoint evaluation server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from rsgnet.annotations.coco import PERSON_CATEGORY
from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.evaluation.results import ResultsSource, read_keypoint_results
from rsgnet.files import write_text
from rsgnet.skeletons import COCO17

SUBMISSION_POSES_PER_IMAGE = 20  # the server evaluates no more


def write_submission(
    results: ResultsSource, images: str | Path, out: str | Path, name: str = "rsgnet", split: str = "test-dev2017"
) -> Path:
    """Writes the 20 highest-scored poses of each image in the format of COCO's keypoint evaluation server.

    Args:
        results: COCO keypoint results, a file or a list, of 17 keypoints.
        images: The list of images: `image_info_test-dev2017.json`.
        out: The folder to write into.
        name: The name of the method: letters, digits, `-` and `_`.
        split: The name of the data set.

    Returns:
        `person_keypoints_<split>_<name>_results.json`.

    Raises:
        AnnotationError: A file is missing or broken, or an entry has another image or other keypoints.
        RSGNetError: A name has other characters, or there are no poses.
    """
    out = Path(out)
    if not re.fullmatch(r"[\w-]+", name) or not re.fullmatch(r"[\w-]+", split):
        raise RSGNetError(f"names in a submission are letters, digits, - and _, not {name!r} and {split!r}")
    listed = read_annotations(images)
    if listed.skeleton.keypoints != COCO17.keypoints:
        raise AnnotationError(f"{images}: COCO's server accepts {COCO17.name}, these are {listed.skeleton.name}")
    poses = read_keypoint_results(results, listed)
    if not len(poses):
        raise RSGNetError(f"{poses.origin}: holds no poses to submit")
    order = np.lexsort((-poses.scores, poses.image_ids))
    first = np.searchsorted(poses.image_ids[order], poses.image_ids[order])
    kept = order[np.arange(len(order)) - first < SUBMISSION_POSES_PER_IMAGE]
    entries = [
        {
            "image_id": int(poses.image_ids[row]),
            "category_id": PERSON_CATEGORY,
            "keypoints": [round(value, 3) for value in poses.values[row].ravel().tolist()],
            "score": float(poses.scores[row]),
        }
        for row in kept
    ]
    path = out / f"person_keypoints_{split}_{name}_results.json"
    write_text(path, json.dumps(entries))
    return path
