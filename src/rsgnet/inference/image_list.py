"""The list of a run's images in COCO's format, and ids for images that have none: COCO's tools know images by ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import PurePosixPath
from typing import Any

from rsgnet.poses import Poses
from rsgnet.skeletons import Skeleton

_NUMBERED_FROM = "image_id_from"


def list_image(poses: Poses) -> dict[str, Any]:
    """Returns the COCO entry of an image; its id is None where none is known."""
    width, height = poses.size_wh
    return {"id": poses.image_id, "file_name": poses.file_name, "width": width, "height": height}


def number_images(listed: Sequence[dict[str, Any]], results_of: Sequence[Sequence[dict[str, Any]]]) -> None:
    """Gives each image without an id one that no other image has, and its results that `image_id`.

    It is the number at the end of the file name, as in COCO, where no other image has that number, else an unused one.
    These results say `"image_id_from": "file_name"`: readers of this package then go by the file name.

    Args:
        listed: The images' entries; they are modified.
        results_of: The results of each image; they are modified.
    """
    known = {image["id"] for image in listed}
    numbers = [_number_at_end(image["file_name"]) for image in listed]
    counts, taken = Counter(numbers), known | set(numbers)
    unused = (number for number in count(1) if number not in taken)
    for image, number, results in zip(listed, numbers, results_of, strict=True):
        if image["id"] is None:
            is_unique = number is not None and counts[number] == 1 and number not in known
            image["id"] = number if is_unique else next(unused)
            for result in results:
                result.update({"image_id": image["id"], _NUMBERED_FROM: "file_name"})


def _number_at_end(file_name: str) -> int | None:
    found = re.search(r"\d{1,15}$", PurePosixPath(file_name).stem)
    return None if found is None else int(found[0])


def make_image_list(listed: Sequence[dict[str, Any]], skeleton: Skeleton) -> dict[str, Any]:
    """Returns a COCO file without annotations."""
    edges = [[first + 1, second + 1] for first, second in skeleton.edges]
    category = {"id": 1, "name": "person", "keypoints": list(skeleton.keypoints), "skeleton": edges}
    return {"info": {}, "images": list(listed), "annotations": [], "categories": [category]}
