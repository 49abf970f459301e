"""COCO's keypoint JSON in and out, which CrowdPose, OCHuman's COCO files and CVAT's COCO export keep to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rsgnet.annotations.findings import Finding, Report, entry, inner_path
from rsgnet.annotations.keypoint_names import skeleton_of
from rsgnet.annotations.people import SIZE_UNKNOWN, AnnotatedImage, Annotations, Person, area_of
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import COCO17, CROWDPOSE14, Skeleton

PERSON_CATEGORY = 1
_CROWDPOSE_COUNTED = 12  # CrowdPose's num_keypoints leaves head and neck out


def read_coco(
    content: Mapping[str, Any], own: Sequence[Skeleton], called: str, report: Report
) -> tuple[Skeleton, list[AnnotatedImage]]:
    """Reads COCO keypoint annotations, or a COCO list of images that nobody has annotated (COCO's test-dev).

    Args:
        content: An object with `images` and, if anybody is annotated, `annotations`.
        own: Skeletons that may be meant besides the built-in ones.
        called: What to call a skeleton that only the file knows.
        report: Told of each entry that is wrong; entries that cannot be used are left out where it returns.

    Raises:
        AnnotationError: The keypoints fit no skeleton.
    """
    if not all(isinstance(content.get(key) or [], list) for key in ("images", "annotations", "categories")):
        raise AnnotationError("`images`, `annotations` and `categories` must be lists")
    entries = list(_of_people(content))
    skeleton = _skeleton_of(content, [raw for _, raw in entries], own, called)
    images: dict[int, list[AnnotatedImage]] = {}
    for index, raw in enumerate(content["images"]):
        with entry(report, _named("image", raw, index)):
            image = _image(raw)
            images.setdefault(image.id, []).append(image)
    people: dict[int, list[Person]] = {}
    for index, raw in entries:
        with entry(report, _named("annotation", raw, index)):
            image_id = int(raw["image_id"])
            if image_id not in images:
                raise AnnotationError(f"is of image {image_id}, which `images` does not list")
            person = _person(raw, len(skeleton))
            people.setdefault(image_id, []).append(person)
            _look_closer(raw, person, image_id, images[image_id][0].file_name, content, skeleton, report)
    return skeleton, [
        AnnotatedImage(image.id, image.file_name, image.size_wh, tuple(people.pop(image.id, ())), image.crowd_index)
        for alike in images.values()
        for image in alike
    ]


def coco_content(annotations: Annotations) -> dict[str, Any]:
    """Labels as a COCO keypoint file holds them, with CrowdPose's `crowdIndex` where it is known."""
    skeleton = annotations.skeleton
    category = {
        "id": PERSON_CATEGORY,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.keypoints),
        "skeleton": [[first + 1, second + 1] for first, second in skeleton.edges],
    }
    return {
        "images": [_image_entry(image) for image in annotations.images],
        "annotations": [_annotation_entry(person, image.id) for image in annotations.images for person in image.people],
        "categories": [category],
    }


def _image_entry(image: AnnotatedImage) -> dict[str, Any]:
    size = {} if image.size_wh == SIZE_UNKNOWN else dict(zip(("width", "height"), image.size_wh, strict=True))
    index = {} if image.crowd_index is None else {"crowdIndex": image.crowd_index}
    return {"id": image.id, "file_name": image.file_name, **size, **index}


def _annotation_entry(person: Person, image_id: int) -> dict[str, Any]:
    return {
        "id": person.id,
        "image_id": image_id,
        "category_id": PERSON_CATEGORY,
        "iscrowd": int(person.is_crowd),
        "bbox": person.box_xywh.tolist(),
        "area": person.area,
        "keypoints": person.keypoints.ravel().tolist(),
        "num_keypoints": person.labelled,
    }


def coco_results(annotations: Annotations) -> list[dict[str, Any]]:
    """Everyone who has a keypoint as a COCO results list has them; what is labelled scores 1, what is not 0."""
    return [
        _result(person, image)
        for image in annotations.images
        for person in image.people
        if person.labelled and not person.is_crowd
    ]


def _result(person: Person, image: AnnotatedImage) -> dict[str, Any]:
    return {
        "image_id": image.id,
        "file_name": image.file_name,
        "category_id": PERSON_CATEGORY,
        "keypoints": np.column_stack([person.keypoints[:, :2], person.keypoint_sureness]).ravel().tolist(),
        "score": person.sureness,
        "bbox": person.box_xywh.tolist(),
    }


def _named(what: str, raw: object, index: int) -> str:
    """An entry's name, by its id or else its place in the list."""
    identity = raw.get("id") if isinstance(raw, Mapping) else None
    return f"{what} {identity}" if isinstance(identity, (int, str)) else f"{what} entry {index}"


def _of_people(content: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    """The annotations of people with their places in the list, in files that hold other things as well."""
    others = {
        category.get("id")
        for category in content.get("categories") or []
        if isinstance(category, Mapping) and not category.get("keypoints") and category.get("name") != "person"
    }
    for index, raw in enumerate(content.get("annotations") or []):
        if not isinstance(raw, Mapping) or raw.get("category_id") not in others:
            yield index, raw


def _skeleton_of(content: Mapping[str, Any], entries: Sequence[Any], own: Sequence[Skeleton], called: str) -> Skeleton:
    named = next(
        (each for each in content.get("categories") or [] if isinstance(each, Mapping) and each.get("keypoints")), {}
    )
    names = named.get("keypoints")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise AnnotationError(f"a category's `keypoints` must be a list of names, not {names!r}")
    lengths = [len(raw["keypoints"]) for raw in entries if isinstance(raw, Mapping) and _is_list(raw.get("keypoints"))]
    if not names and not lengths and not content.get("annotations"):
        return own[0] if own else COCO17  # a list of images to predict on
    # One entry with another number is that entry's fault, not the skeleton's.
    usual = {max(set(lengths), key=lengths.count) // 3} if lengths and not names else set()
    return skeleton_of(names, usual, named.get("skeleton"), own, called)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and bool(value)


def _person(raw: Mapping[str, Any], count: int) -> Person:
    keypoints = np.asarray(raw.get("keypoints") or [0.0] * 3 * count, np.float64)
    if keypoints.shape != (3 * count,):
        raise AnnotationError(f"expected {3 * count} keypoint numbers, got {keypoints.size}")
    box = np.asarray(raw["bbox"], np.float64)
    if box.shape != (4,) or not np.isfinite(box).all() or not np.isfinite(keypoints).all():
        raise AnnotationError(f"box and keypoints must be finite numbers, box is {raw['bbox']!r}")
    area = area_of(box) if raw.get("area") is None else float(raw["area"])
    if not np.isfinite(area):
        raise AnnotationError(f"area must be a finite number, not {area}")
    return Person(int(raw["id"]), box, keypoints.reshape(count, 3), area, bool(raw.get("iscrowd", 0)))


def _image(raw: Mapping[str, Any]) -> AnnotatedImage:
    crowd_index = raw.get("crowdIndex")
    size_wh = int(raw.get("width") or 0), int(raw.get("height") or 0)
    return AnnotatedImage(
        id=int(raw["id"]),
        file_name=inner_path(raw["file_name"]),
        size_wh=size_wh if min(size_wh) > 0 else SIZE_UNKNOWN,
        people=(),
        crowd_index=None if crowd_index is None else float(crowd_index),
    )


def _look_closer(
    raw: Mapping[str, Any],
    person: Person,
    image_id: int,
    file_name: str,
    content: Mapping[str, Any],
    skeleton: Skeleton,
    report: Report,
) -> None:
    """Reports what only COCO's files can have wrong."""
    categories = content.get("categories") or []
    category = raw.get("category_id")
    if categories and category not in [each.get("id") for each in categories if isinstance(each, Mapping)]:
        what = f"category {category!r} is not listed"
        report(Finding("unknown-category", what, image_id, file_name, person.id))
    counted = person.keypoints[: _CROWDPOSE_COUNTED if skeleton is CROWDPOSE14 else None, 2]
    allowed = {person.labelled, int((counted > 0).sum())}
    given = raw.get("num_keypoints")
    if given is not None and given not in allowed:
        what = f"num_keypoints is {given!r}, labelled are {person.labelled}"
        report(Finding("num-keypoints", what, image_id, file_name, person.id))
