"""Simulated crowds as data: an image, what is exactly true of it, and how the wanted crowd index is reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.crowd_index import crowd_index
from rsgnet.annotations.masks import encoded_mask, extent_xyxy
from rsgnet.annotations.readers import Person
from rsgnet.errors import RSGNetError
from rsgnet.geometry import Floats
from rsgnet.images import RGBImage
from rsgnet.skeletons import Skeleton

LEVEL_TOLERANCE = 0.05  # how far a scene's crowd index may lie from the wanted one
_TRIES = 60


@dataclass(frozen=True, eq=False)
class CrowdScene:
    """One simulated image and the truth about it.

    Attributes:
        image: (H, W, 3) RGB.
        annotations: A COCO dict of one image, with its `crowdIndex`, and of its people, nearest first: `keypoints` in
            pixel indices (2 visible, 1 hidden by anyone, themselves included, 0 outside the image or not known),
            `hidden_by` with one annotation id a keypoint (who hides it; 0 where nobody or a thing does); `bbox`, `area`
            and `segmentation` of what is seen of them. Those of whom nothing is seen are left out.
        owners: (H, W) the annotation id of the person seen at each pixel's centre, 0 where nobody is.
    """

    image: RGBImage
    annotations: dict[str, Any]
    owners: NDArray[np.int32]

    @property
    def crowd_index(self) -> float:
        """CrowdPose's crowd index of the image."""
        return float(self.annotations["images"][0]["crowdIndex"])


# Makes a crowd of a seed, a crowd index and a size, None leaving the size to the maker.
CrowdMaker = Callable[[int, float, tuple[int, int] | None], CrowdScene]


class PersonTruth(NamedTuple):
    """What is known of one person of a scene.

    Attributes:
        keypoints: (K, 3) pixel indices, and 2, 1 or 0 as in `CrowdScene`.
        hidden_by: (K,) the number of who hides each keypoint, from 1; 0 where nobody or a thing does.
    """

    keypoints: Floats
    hidden_by: NDArray[np.int64]


class Crowded(Protocol):
    """What has a crowd index."""

    @property
    def crowd_index(self) -> float:
        """CrowdPose's crowd index."""


AnyCrowd = TypeVar("AnyCrowd", bound=Crowded)


def describe_scene(
    image: RGBImage, owners: NDArray[np.int32], people: Sequence[PersonTruth], skeleton: Skeleton, name: str
) -> CrowdScene:
    """A scene of an image, the (H, W) number of who is seen at each pixel, from 1, and the people in that order."""
    seen = set(np.unique(owners).tolist()) - {0}
    truths = [
        _annotation(number, person, owners == number, seen) for number, person in enumerate(people, 1) if number in seen
    ]
    size_wh = image.shape[1], image.shape[0]
    entry = {"id": 1, "file_name": name, "width": size_wh[0], "height": size_wh[1]}
    entry["crowdIndex"] = round(crowd_index([_person(truth) for truth in truths], skeleton), 4)
    return CrowdScene(image, {"images": [entry], "annotations": truths, "categories": [category(skeleton)]}, owners)


def reach_level(make: Callable[[int, float], AnyCrowd | None], wanted: float) -> AnyCrowd:
    """A crowd whose crowd index lies within 0.05 of the wanted one.

    Args:
        make: Makes the crowd of a number, aiming at a crowd index; it need not hit, and may give up.
        wanted: The crowd index.

    Raises:
        RSGNetError: None of 60 crowds hit it.
    """
    aim, reached = wanted, []
    for number in range(_TRIES):
        crowd = make(number, aim)
        if crowd is None:
            continue
        reached.append(crowd.crowd_index)
        if abs(reached[-1] - wanted) <= LEVEL_TOLERANCE:
            return crowd
        aim = float(np.clip(aim + 0.5 * (wanted - reached[-1]), 0, 2 * wanted + 0.2))
    span = f", they lie in {min(reached):.2f}..{max(reached):.2f}" if reached else ""
    raise RSGNetError(f"no crowd of index {wanted:.2f} in {_TRIES} tries{span}: ask for another, or for larger images")


def category(skeleton: Skeleton) -> dict[str, Any]:
    """COCO's category of people with those keypoints."""
    edges = [[first + 1, second + 1] for first, second in skeleton.edges]
    return {"id": 1, "name": "person", "keypoints": list(skeleton.keypoints), "skeleton": edges}


def _annotation(number: int, person: PersonTruth, mask: NDArray[np.bool_], seen: set[int]) -> dict[str, Any]:
    left, top, right, bottom = extent_xyxy(mask)
    return {
        "id": number,
        "image_id": 1,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [float(left), float(top), float(right - left), float(bottom - top)],
        "area": float(mask.sum()),
        "segmentation": encoded_mask(mask),
        "keypoints": [round(float(value), 2) for value in person.keypoints.ravel()],
        "num_keypoints": int((person.keypoints[:, 2] > 0).sum()),
        "hidden_by": [hider if hider in seen else 0 for hider in person.hidden_by.tolist()],
    }


def _person(truth: dict[str, Any]) -> Person:
    return Person(truth["id"], np.array(truth["bbox"]), np.reshape(truth["keypoints"], (-1, 3)), truth["area"])
