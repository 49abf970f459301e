"""The JSON that clients get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from rsgnet.poses import Poses
from rsgnet.server.limits import Limits
from rsgnet.skeletons import Skeleton


@dataclass(frozen=True)
class SkeletonAnswer:
    """The keypoints that people are made of.

    Attributes:
        name: Such as coco17.
        keypoints: Their names, in the order of every list that has one entry a keypoint.
        edges: Pairs of their indices that are joined when people are drawn.
    """

    name: str
    keypoints: list[str]
    edges: list[tuple[int, int]]


@dataclass(frozen=True)
class ImageAnswer:
    """What was found in one image, or why nothing was.

    Attributes:
        file_name: As it was sent.
        width: In pixels, upright.
        height: In pixels, upright.
        people: The image's entries of poses.json, a COCO results list; with `candidates` on request.
        error: What is wrong with the image; the others are then None.
    """

    file_name: str
    width: int | None = None
    height: int | None = None
    people: list[dict[str, Any]] | None = None
    error: str | None = None


@dataclass(frozen=True)
class PosesAnswer:
    """What was found in the images of a request, in their order.

    Attributes:
        weights: Whose poses these are.
        skeleton: Their keypoints.
        images: One each.
        error: What is wrong with all of the images; None where any was done.
    """

    weights: str
    skeleton: SkeletonAnswer
    images: list[ImageAnswer]
    error: str | None = None


@dataclass(frozen=True)
class AboutAnswer:
    """What this service is.

    Attributes:
        rsgnet: The version.
        weights: The names of the networks that may be asked, the first if none is named.
        limits: What is refused.
    """

    rsgnet: str
    weights: list[str]
    limits: Limits


@dataclass(frozen=True)
class ErrorAnswer:
    """Why a request was refused, or failed.

    Attributes:
        error: One line.
    """

    error: str


@dataclass(frozen=True)
class StateAnswer:
    """How the service is.

    Attributes:
        status: "ok", or what it waits for.
    """

    status: str


def skeleton_answer(skeleton: Skeleton) -> SkeletonAnswer:
    """The answer about a skeleton."""
    return SkeletonAnswer(skeleton.name, list(skeleton.keypoints), list(skeleton.edges))


def image_answer(file_name: str, outcome: Poses | Exception, candidates: bool) -> ImageAnswer:
    """The answer about one image.

    Args:
        file_name: As it was sent.
        outcome: Its poses, or what kept it from having any.
        candidates: Whether to tell what competed for each keypoint.
    """
    if isinstance(outcome, Exception):
        return ImageAnswer(file_name, error=str(outcome))
    width, height = outcome.size_wh
    return ImageAnswer(file_name, width, height, outcome.to_coco(candidates))


def poses_answer(weights: str, skeleton: Skeleton, images: list[ImageAnswer]) -> PosesAnswer:
    """The answer to a request."""
    faults = [image.error for image in images if image.error is not None]
    error = faults[0] if len(faults) == len(images) else None
    if error and len(images) > 1:
        error = f"none of the {len(images)} images can be used; the first: {error}"
    return PosesAnswer(weights, skeleton_answer(skeleton), images, error)


def about_answer(workers: Mapping[str, object], limits: Limits) -> AboutAnswer:
    """The answer about a service with workers by the names of their weights."""
    return AboutAnswer(version("rsgnet"), list(workers), limits)
