"""Simulated crowds as data: an image with its exact labels, and the search for a crowd of a given crowd index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.crowd_index import compute_crowd_index
from rsgnet.annotations.masks import Mask, encode_mask, mask_to_xyxy
from rsgnet.annotations.people import Person
from rsgnet.errors import RSGNetError
from rsgnet.geometry import Floats
from rsgnet.images import RGBImage
from rsgnet.skeletons import Skeleton

CROWD_INDEX_TOLERANCE = 0.05  # the largest difference between a scene's crowd index and the requested one
_TRIES = 60


@dataclass(frozen=True, eq=False)
class CrowdScene:
    """A simulated image and its ground truth.

    Attributes:
        image: (H, W, 3) RGB.
        annotations: A COCO dict of the image, with its `crowdIndex`, and of its people, nearest first: `keypoints` in
            pixel indices (2 visible, 1 hidden by anyone, themselves included, 0 outside the image or not known);
            `hidden_by` with one annotation id per keypoint (the person who hides it; 0 where nobody or an object does);
            `bbox`, `area` and `segmentation` of the visible part. People without a visible pixel are left out.
        owners: (H, W) the annotation id of the person visible at each pixel's centre; 0 where there is nobody.
    """

    image: RGBImage
    annotations: dict[str, Any]
    owners: NDArray[np.int32]

    @property
    def crowd_index(self) -> float:
        """CrowdPose's crowd index of the image."""
        return float(self.annotations["images"][0]["crowdIndex"])


# Makes a crowd from a seed, a crowd index, and a width and height; None leaves the size to the maker.
CrowdMaker = Callable[[int, float, tuple[int, int] | None], CrowdScene]


class PersonTruth(NamedTuple):
    """The ground truth of one person of a scene.

    Attributes:
        keypoints: (K, 3) pixel indices, and 2, 1 or 0 as in `CrowdScene`.
        hidden_by: (K,) the number, from 1, of the person who hides each keypoint; 0 where nobody or an object does.
    """

    keypoints: Floats
    hidden_by: NDArray[np.int64]


def build_scene(
    image: RGBImage, owners: NDArray[np.int32], people: Sequence[PersonTruth], skeleton: Skeleton, name: str
) -> CrowdScene:
    """Builds a scene with its COCO annotations.

    Args:
        image: (H, W, 3) RGB.
        owners: (H, W) the number, from 1, of the person visible at each pixel; 0 where there is nobody.
        people: The ground truth of the people in the order of their numbers.
        skeleton: Their keypoints.
        name: The file name of the image.
    """
    visible = set(np.unique(owners).tolist()) - {0}
    people_entries = [
        _build_annotation(number, person, owners == number, visible)
        for number, person in enumerate(people, 1)
        if number in visible
    ]
    image_entry = {"id": 1, "file_name": name, "width": image.shape[1], "height": image.shape[0]}
    image_entry["crowdIndex"] = round(
        compute_crowd_index([_parse_person(each) for each in people_entries], skeleton), 4
    )
    edges = [[first + 1, second + 1] for first, second in skeleton.edges]
    category = {"id": 1, "name": "person", "keypoints": list(skeleton.keypoints), "skeleton": edges}
    content = {"images": [image_entry], "annotations": people_entries, "categories": [category]}
    return CrowdScene(image, content, owners)


def search_crowd(make: Callable[[int, float], CrowdScene | None], crowd_index: float) -> CrowdScene:
    """Makes crowds until one has a crowd index within 0.05 of the requested one.

    Args:
        make: Makes the crowd of an attempt from the attempt's number and a target crowd index, which it may miss; None
            where the attempt fails.
        crowd_index: The requested crowd index.

    Raises:
        RSGNetError: None of 60 crowds has that index.
    """
    target, reached = crowd_index, []
    for attempt in range(_TRIES):
        scene = make(attempt, target)
        if scene is None:
            continue
        reached.append(scene.crowd_index)
        if abs(reached[-1] - crowd_index) <= CROWD_INDEX_TOLERANCE:
            return scene
        target = float(np.clip(target + 0.5 * (crowd_index - reached[-1]), 0, 2 * crowd_index + 0.2))
    span = f", their indices are {min(reached):.2f}..{max(reached):.2f}" if reached else ""
    raise RSGNetError(
        f"no crowd of index {crowd_index:.2f} in {_TRIES} tries{span}; ask for another index or for larger images"
    )


def _build_annotation(number: int, person: PersonTruth, mask: Mask, visible: set[int]) -> dict[str, Any]:
    left, top, right, bottom = mask_to_xyxy(mask)
    return {
        "id": number,
        "image_id": 1,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [float(left), float(top), float(right - left), float(bottom - top)],
        "area": float(mask.sum()),
        "segmentation": encode_mask(mask),
        "keypoints": [round(float(value), 2) for value in person.keypoints.ravel()],
        "num_keypoints": int((person.keypoints[:, 2] > 0).sum()),
        "hidden_by": [hider if hider in visible else 0 for hider in person.hidden_by.tolist()],
    }


def _parse_person(entry: dict[str, Any]) -> Person:
    return Person(entry["id"], np.array(entry["bbox"]), np.reshape(entry["keypoints"], (-1, 3)), entry["area"])
