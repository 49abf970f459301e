"""The JSON bodies that clients receive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import WithJsonSchema

from rsgnet.poses import Poses
from rsgnet.server.limits import Limits
from rsgnet.skeletons import Skeleton


def _list_schema(description: str, kind: str = "number") -> dict[str, Any]:
    return {"type": "array", "items": {"type": kind}, "description": description}


# An entry of poses.json, as `Poses.to_coco` makes it.
PERSON_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Person",
    "required": ["keypoints", "score", "bbox", "box_score"],
    "properties": {
        "file_name": {"type": "string"},
        "category_id": {"type": "integer", "const": 1},
        "keypoints": _list_schema("x, y and confidence (0 to 1) of each keypoint, in pixels of the upright image."),
        "score": {"type": "number", "description": "Of the person, 0 to 1."},
        "bbox": _list_schema("Left, top, width and height of the person's box in pixels."),
        "box_score": {"type": "number", "description": "Of the detector, 0 to 1."},
        "present": _list_schema("For each keypoint the probability that it is in the crop."),
        "visible": _list_schema("For each keypoint the probability that it is visible."),
        "owned": _list_schema("For each keypoint the probability that its place is right and this person's."),
        "rival": _list_schema("For each keypoint the index of who may own it instead; -1: nobody.", "integer"),
        "rival_owned": _list_schema("For each keypoint that person's probability; 0 where there is nobody."),
        "candidates": {
            "type": "array",
            "description": "On request: for each keypoint a list of [x, y, height, relation to the person].",
            "items": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        },
    },
}


@dataclass(frozen=True)
class SkeletonResponse:
    """The keypoints of the people in a response.

    Attributes:
        name: Such as coco17.
        keypoints: Names of the keypoints, in the order of every list that has one entry per keypoint.
        edges: Pairs of keypoint indices that are connected when people are drawn.
    """

    name: str
    keypoints: list[str]
    edges: list[tuple[int, int]]


@dataclass(frozen=True)
class ImageResponse:
    """The people found in one image, or why the image cannot be used.

    Attributes:
        file_name: The name that the client sent.
        width: Width of the upright image in pixels.
        height: Height of the upright image in pixels.
        people: The image's entries of poses.json, a COCO results list; with `candidates` on request.
        error: What is wrong with the image; the fields above are then None.
    """

    file_name: str
    width: int | None = None
    height: int | None = None
    people: Annotated[list[dict[str, Any]] | None, WithJsonSchema({"type": "array", "items": PERSON_SCHEMA})] = None
    error: str | None = None


@dataclass(frozen=True)
class PosesResponse:
    """The people found in the images of a request.

    Attributes:
        weights: Name of the network.
        skeleton: The keypoints of the people.
        images: One entry per image, in the order of the request.
        error: What is wrong with all of the images; None where at least one can be used.
    """

    weights: str
    skeleton: SkeletonResponse
    images: list[ImageResponse]
    error: str | None = None


@dataclass(frozen=True)
class AboutResponse:
    """The version, networks and limits of this service.

    Attributes:
        rsgnet: The version of the package.
        weights: Names of the networks that a request may ask for; the first is the default.
        limits: The limits of the service.
    """

    rsgnet: str
    weights: list[str]
    limits: Limits


@dataclass(frozen=True)
class ErrorResponse:
    """Why a request was refused or failed.

    Attributes:
        error: One line.
    """

    error: str


@dataclass(frozen=True)
class StatusResponse:
    """The state of the service.

    Attributes:
        status: "ok", or which networks are not ready.
    """

    status: str


def build_image_response(file_name: str, outcome: Poses | Exception, with_candidates: bool) -> ImageResponse:
    """Returns the response for one image.

    Args:
        file_name: The name that the client sent.
        outcome: The poses in the image, or the error that prevented them.
        with_candidates: Whether each person lists the candidates of each keypoint.
    """
    if isinstance(outcome, Exception):
        return ImageResponse(file_name, error=str(outcome))
    width, height = outcome.size_wh
    return ImageResponse(file_name, width, height, outcome.to_coco(with_candidates))


def build_poses_response(weights: str, skeleton: Skeleton, images: list[ImageResponse]) -> PosesResponse:
    """Returns the response for a request; it has an error only where none of the images can be used."""
    errors = [image.error for image in images if image.error is not None]
    error = errors[0] if len(errors) == len(images) else None
    if error and len(images) > 1:
        error = f"none of the {len(images)} images can be used; the first: {error}"
    keypoints = SkeletonResponse(skeleton.name, list(skeleton.keypoints), list(skeleton.edges))
    return PosesResponse(weights, keypoints, images, error)
