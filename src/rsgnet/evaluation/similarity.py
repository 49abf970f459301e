"""The similarity of found keypoints and annotated people (OKS), of a whole data set at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsgnet.data.annotations import Annotations
from rsgnet.evaluation.protocol import oks_area
from rsgnet.evaluation.results import Results
from rsgnet.geometry import Floats

_AT_ONCE = 4_000  # pairs worked on at once: few enough to stay in a cache


@dataclass(frozen=True, eq=False)
class _People:
    """Everyone who is annotated, image by image, as arrays of rows."""

    x: Floats
    y: Floats
    labelled: Floats
    boxes_xywh: Floats
    areas: Floats

    @classmethod
    def of(cls, truth: Annotations, crowdpose: bool) -> _People:
        people = [person for image in truth.images for person in image.people]
        keypoints = np.array([person.keypoints for person in people]).reshape(-1, len(truth.skeleton), 3)
        x, y, visibility = np.ascontiguousarray(keypoints.transpose(2, 0, 1))
        boxes = np.array([person.box_xywh for person in people]).reshape(-1, 4)
        areas = np.array([oks_area(person, crowdpose) for person in people])
        return cls(x, y, (visibility > 0).astype(np.float64), boxes, areas)


def similarities(truth: Annotations, results: Results, crowdpose: bool, most: int) -> dict[int, Floats]:
    """OKS of found with annotated people, as COCO's tools define it, by the ids of images that have both.

    Args:
        truth: The annotated people.
        results: What was found.
        crowdpose: Whether CrowdPose's rules hold (`protocol.is_crowdpose`).
        most: How many of those found in an image count.

    Returns:
        For each image (D, G): found people, surest first and of equal ones the first, with annotated ones in their
        order. For somebody without labelled keypoints it says how far found keypoints lie off twice the box.
    """
    rows = {image.id: row for row, image in enumerate(truth.images)}
    images = np.array([rows[image_id] for image_id in results.image_ids.tolist()], np.intp)
    order = np.lexsort((-results.scores, images))
    images = images[order]
    place = np.arange(len(order)) - np.searchsorted(images, images)
    order, images = order[place < most], images[place < most]
    counts = np.array([len(image.people) for image in truth.images], np.intp)
    pairs_of_found = counts[images] if len(images) else np.zeros(0, np.intp)
    found = np.repeat(order, pairs_of_found)
    first = np.cumsum(counts) - counts
    ends = np.cumsum(pairs_of_found)
    owner = np.arange(len(found)) - np.repeat(ends - pairs_of_found, pairs_of_found)
    owner += np.repeat(first[images], pairs_of_found) if len(images) else 0
    people, falloff = _People.of(truth, crowdpose), 2 * np.square(2 * np.asarray(truth.skeleton.sigmas))
    values = np.empty(len(found))
    for start in range(0, len(found), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        values[part] = _oks(results.values[found[part], :, :2], people, owner[part], falloff)
    told, begins = np.unique(images, return_index=True)
    sizes = np.diff(np.append(begins, len(images)))
    split = np.split(values, np.cumsum(sizes * counts[told])[:-1]) if len(told) else []
    return {
        truth.images[row].id: own.reshape(size, counts[row])
        for row, size, own in zip(told, sizes, split, strict=True)
        if counts[row]
    }


def _oks(places: Floats, people: _People, owner: NDArray[np.intp], falloff: Floats) -> Floats:
    """(N,) OKS of (N, K, 2) found keypoints with the people of these indices."""
    labelled = people.labelled[owner]
    off_x, off_y = places[..., 0] - people.x[owner], places[..., 1] - people.y[owner]
    unlabelled = np.flatnonzero(~labelled.any(1))
    if len(unlabelled):
        left, top, width, height = people.boxes_xywh[owner[unlabelled], :, None].transpose(1, 0, 2)
        off_x[unlabelled] = _beyond(places[unlabelled, :, 0], left - width, left + 2 * width)
        off_y[unlabelled] = _beyond(places[unlabelled, :, 1], top - height, top + 2 * height)
        labelled[unlabelled] = 1
    scale = people.areas[owner] + np.spacing(1)
    alike = np.exp(-(off_x**2 + off_y**2) / (falloff * scale[:, None]))
    mean: Floats = np.einsum("nk,nk->n", alike, labelled) / labelled.sum(1)
    return mean


def _beyond(places: Floats, low: Floats, high: Floats) -> Floats:
    """How far places lie off a span."""
    beyond: Floats = np.maximum(0, low - places) + np.maximum(0, places - high)
    return beyond
