"""Reading and writing COCO's keypoint JSON, the format also of CrowdPose, OCHuman's COCO files and CVAT's export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from rsgnet.annotations.findings import Finding, FindingHandler, report_entry_errors, validate_file_name
from rsgnet.annotations.people import SIZE_UNKNOWN, AnnotatedImage, Annotations, Person, estimate_area
from rsgnet.annotations.skeleton_matching import match_skeleton
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import COCO17, CROWDPOSE14, WHOLEBODY133, Skeleton

PERSON_CATEGORY = 1
_ID_TYPES = (int, str)
_PARTS = ("foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")  # of COCO-WholeBody, besides the body
_CROWDPOSE_COUNTED = 12  # CrowdPose's num_keypoints does not count the last two keypoints, head and neck


def read_coco(
    content: Mapping[str, Any], custom_skeletons: Sequence[Skeleton], fallback_name: str, on_finding: FindingHandler
) -> tuple[Skeleton, list[AnnotatedImage]]:
    """Reads COCO keypoint annotations, or a COCO list of images without annotations (COCO's test-dev).

    Args:
        content: An object with `images` and, if anybody is annotated, `annotations`.
        custom_skeletons: Skeletons to consider besides the built-in ones.
        fallback_name: The name of a skeleton built from the names of the file.
        on_finding: Called with each problem. Unless it raises, entries that cannot be used are left out.

    Raises:
        AnnotationError: The keypoints fit no skeleton, or `images`, `annotations` or `categories` is not a list.
    """
    if not all(isinstance(content.get(key) or [], list) for key in ("images", "annotations", "categories")):
        raise AnnotationError("`images`, `annotations` and `categories` must be lists")
    entries, category_ids = list(_iterate_people(content)), _read_ids(content.get("categories") or [])
    skeleton = _find_skeleton(content, [raw for _, raw in entries], custom_skeletons, fallback_name)
    images: dict[int, list[AnnotatedImage]] = {}
    for index, raw in enumerate(content["images"]):
        with report_entry_errors(on_finding, _name_entry("image", raw, index)):
            image = _parse_image(raw)
            images.setdefault(image.id, []).append(image)
    people: dict[int, list[Person]] = {}
    for index, raw in entries:
        with report_entry_errors(on_finding, _name_entry("annotation", raw, index)):
            image_id = int(raw["image_id"])
            if image_id not in images:
                raise AnnotationError(f"is of image {image_id}, which `images` does not list")
            person = _parse_person(raw, len(skeleton))
            people.setdefault(image_id, []).append(person)
            for kind, what in _check_entry(raw, person, category_ids, skeleton):
                on_finding(Finding(kind, what, image_id, images[image_id][0].file_name, person.id))
    return skeleton, [
        replace(image, people=tuple(people.pop(image.id, ()))) for same_id in images.values() for image in same_id
    ]


def join_whole_body(entry: Any) -> Any:
    """Returns an entry in which COCO-WholeBody's parts, lists of their own, are joined to its keypoints."""
    if not isinstance(entry, dict) or _PARTS[0] not in entry:
        return entry
    if not all(isinstance(entry.get(key), list) for key in ("keypoints", *_PARTS)):
        return entry
    keypoints = [*entry["keypoints"], *chain.from_iterable(entry[key] for key in _PARTS)]
    return {**entry, "keypoints": keypoints, "num_keypoints": None}  # that of the file counts the body only


def to_coco(annotations: Annotations) -> dict[str, Any]:
    """Converts labels to the content of a COCO keypoint file, with CrowdPose's `crowdIndex` where it is known."""
    skeleton = annotations.skeleton
    category = {
        "id": PERSON_CATEGORY,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.keypoints),
        "skeleton": [[first + 1, second + 1] for first, second in skeleton.edges],
    }
    return {
        "images": [_image_to_coco(image) for image in annotations.images],
        "annotations": [_person_to_coco(person, image.id) for image in annotations.images for person in image.people],
        "categories": [category],
    }


def to_coco_results(annotations: Annotations) -> list[dict[str, Any]]:
    """Converts everyone with a keypoint to a COCO results list; labelled keypoints score 1, other keypoints 0."""
    return [
        {
            "image_id": image.id,
            "file_name": image.file_name,
            "category_id": PERSON_CATEGORY,
            "keypoints": np.column_stack([person.keypoints[:, :2], person.keypoint_confidences]).ravel().tolist(),
            "score": person.confidence,
            "bbox": person.box_xywh.tolist(),
        }
        for image in annotations.images
        for person in image.people
        if person.num_labelled and not person.is_crowd
    ]


def _image_to_coco(image: AnnotatedImage) -> dict[str, Any]:
    size = {} if image.size_wh == SIZE_UNKNOWN else dict(zip(("width", "height"), image.size_wh, strict=True))
    index = {} if image.crowd_index is None else {"crowdIndex": image.crowd_index}
    return {"id": image.id, "file_name": image.file_name, **size, **index}


def _person_to_coco(person: Person, image_id: int) -> dict[str, Any]:
    return {
        "id": person.id,
        "image_id": image_id,
        "category_id": PERSON_CATEGORY,
        "iscrowd": int(person.is_crowd),
        "bbox": person.box_xywh.tolist(),
        "area": person.area,
        "keypoints": person.keypoints.ravel().tolist(),
        "num_keypoints": person.num_labelled,
    }


def _name_entry(item: str, raw: object, index: int) -> str:
    """Returns the name of an entry for messages: its id, or else its index in the list."""
    identity = raw.get("id") if isinstance(raw, Mapping) else None
    return f"{item} {identity}" if isinstance(identity, (int, str)) else f"{item} entry {index}"


def _iterate_people(content: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    """Yields the index and content of the annotations of people, leaving out those of other categories."""
    categories = [each for each in content.get("categories") or [] if isinstance(each, Mapping)]
    other_ids = _read_ids(each for each in categories if not each.get("keypoints") and each.get("name") != "person")
    for index, raw in enumerate(content.get("annotations") or []):
        category_id = raw.get("category_id") if isinstance(raw, Mapping) else None
        if not (isinstance(category_id, _ID_TYPES) and category_id in other_ids):
            yield index, join_whole_body(raw)


def _read_ids(entries: Iterable[Any]) -> frozenset[int | str]:
    """Returns the ids of the entries that have one; an id of another type, such as a list, is none."""
    ids = (each.get("id") for each in entries if isinstance(each, Mapping))
    return frozenset(each for each in ids if isinstance(each, _ID_TYPES))


def _find_skeleton(
    content: Mapping[str, Any], entries: Sequence[Any], custom_skeletons: Sequence[Skeleton], fallback_name: str
) -> Skeleton:
    categories = [each for each in content.get("categories") or [] if isinstance(each, Mapping)]
    category = next((each for each in categories if each.get("keypoints")), {})
    names = category.get("keypoints")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise AnnotationError(f"a category's `keypoints` must be a list of names, not {names!r}")
    keypoint_lists = [raw.get("keypoints") for raw in entries if isinstance(raw, Mapping)]
    lengths = [len(each) for each in keypoint_lists if isinstance(each, list) and each]
    if names and len(names) == len(COCO17) and {*lengths} == {3 * len(WHOLEBODY133)}:
        names = None  # COCO-WholeBody's files name the body only
    if not names and not lengths and not content.get("annotations"):
        return custom_skeletons[0] if custom_skeletons else COCO17  # a list of images to predict on
    # The most frequent number decides: an entry with another number is reported as broken by itself.
    usual = {Counter(lengths).most_common(1)[0][0] // 3} if lengths and not names else set()
    return match_skeleton(names, usual, category.get("skeleton"), custom_skeletons, fallback_name)


def _parse_person(raw: Mapping[str, Any], keypoint_count: int) -> Person:
    keypoints = np.asarray(raw.get("keypoints") or [0.0] * 3 * keypoint_count, np.float64)
    if keypoints.shape != (3 * keypoint_count,):
        raise AnnotationError(f"expected {3 * keypoint_count} keypoint numbers, got {keypoints.size}")
    head = np.asarray(raw["bbox_head"], np.float64) if raw.get("bbox_head") else None
    if head is not None and not (head.shape == (4,) and np.isfinite(head).all()):
        raise AnnotationError(f"bbox_head must be left, top, width and height, not {raw['bbox_head']!r}")
    # PoseTrack has people of whom only the head has a box.
    box = head if head is not None and "bbox" not in raw else np.asarray(raw["bbox"], np.float64)
    if box.shape != (4,) or not np.isfinite(box).all() or not np.isfinite(keypoints).all():
        raise AnnotationError(f"box and keypoints must be finite numbers, box is {raw.get('bbox')!r}")
    area = estimate_area(box) if raw.get("area") is None else float(raw["area"])
    if not np.isfinite(area):
        raise AnnotationError(f"area must be a finite number, not {area}")
    keypoints = keypoints.reshape(keypoint_count, 3)
    return Person(int(raw["id"]), box, keypoints, area, bool(raw.get("iscrowd", 0)), head_box_xywh=head)


def _parse_image(raw: Mapping[str, Any]) -> AnnotatedImage:
    crowd_index = raw.get("crowdIndex")
    size_wh = int(raw.get("width") or 0), int(raw.get("height") or 0)
    return AnnotatedImage(
        id=int(raw["id"]),
        file_name=validate_file_name(raw["file_name"]),
        size_wh=size_wh if min(size_wh) > 0 else SIZE_UNKNOWN,
        people=(),
        crowd_index=None if crowd_index is None else float(crowd_index),
        ignored_regions=tuple(
            np.array([x, y], np.float64).T
            for x, y in zip(raw.get("ignore_regions_x") or (), raw.get("ignore_regions_y") or (), strict=True)
        ),
    )


def _check_entry(
    raw: Mapping[str, Any], person: Person, category_ids: frozenset[int | str], skeleton: Skeleton
) -> Iterator[tuple[str, str]]:
    """Yields the kind and the description of the problems that only COCO's format can have."""
    category = raw.get("category_id")
    if category_ids and not (isinstance(category, _ID_TYPES) and category in category_ids):
        yield "unknown-category", f"category {category!r} is not listed"
    counted = person.keypoints[: _CROWDPOSE_COUNTED if skeleton is CROWDPOSE14 else None, 2]
    given = raw.get("num_keypoints")
    if given is not None and given not in {person.num_labelled, int((counted > 0).sum())}:
        yield "num-keypoints", f"num_keypoints is {given!r}, but {person.num_labelled} are labelled"
