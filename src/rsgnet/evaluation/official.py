"""The official evaluation, run by faster-coco-eval on our truth and results."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any

import numpy as np
from faster_coco_eval import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster
from faster_coco_eval.faster_eval_api_cpp import COCOevalAccumulate

from rsgnet.annotations.coco import PERSON_CATEGORY
from rsgnet.annotations.readers import AnnotatedImage, Annotations, Person
from rsgnet.evaluation.matching import similarities
from rsgnet.evaluation.protocol import asked_for, oks_area
from rsgnet.evaluation.results import Results

EVERY_SIZE = slice(1)  # everyone, whatever their size
_ALL_SIZES = slice(None)
NOTHING_TO_MEASURE = -1.0  # as pycocotools: no labelled person in that range of sizes or crowding


class _Evaluator(COCOeval_faster):  # type: ignore[misc]
    """The official tool. OKS comes from `similarities`, and images are matched once, whichever of them are asked for.

    Attributes:
        oks: By image, found with annotated people.
        truths: Everyone annotated, as the official tool takes it.
        found: Everything found, likewise.
    """

    oks: dict[int, Any]
    truths: list[dict[str, Any]]
    found: list[dict[str, Any]]

    def _prepare(self) -> None:
        """Hands both sides over. The official tool first indexes them by image, for masks that are not here."""
        for dataset, entries in ((self.gt_dataset, self.truths), (self.dt_dataset, self.found)):
            dataset.clean()
            for entry in entries:
                dataset.append_ref(entry["image_id"], PERSON_CATEGORY, entry)

    def computeOks(self, imgId: int, catId: int) -> Any:  # noqa: N802, N803
        """What the official tool computes here, image by image."""
        return self.oks.get(imgId, [])

    def matched_once(self) -> tuple[list[Any], Any]:
        """What came of matching: an entry for each range of sizes and image, and the parameters it was done by."""
        if not hasattr(self, "_evalImgs_cpp"):
            self.evaluate()
        return self._evalImgs_cpp, self._paramsEval


def official_evaluator(truth: Annotations, results: Results, kind: str, crowdpose: bool = False) -> Any:
    """The official tool, loaded.

    Args:
        truth: The annotated people.
        results: What was found.
        kind: "keypoints" or "bbox".
        crowdpose: Whether CrowdPose's rules hold (`protocol.is_crowdpose`).
    """
    people = [(image.id, person) for image in truth.images for person in image.people]
    # Ids are counted anew from 1: the evaluator takes an id of 0 for "not matched".
    frame = COCO({"images": [{"id": image.id} for image in truth.images], "annotations": [], "categories": []})
    evaluator = _Evaluator(frame, frame, kind, kpt_oks_sigmas=list(truth.skeleton.sigmas), separate_eval=True)
    evaluator.params.catIds = [PERSON_CATEGORY]
    evaluator.truths = [
        _truth(index, image_id, person, kind, crowdpose) for index, (image_id, person) in enumerate(people, 1)
    ]
    evaluator.found = _found(results)
    if kind == "keypoints":
        evaluator.oks = similarities(truth, results, crowdpose, evaluator.params.maxDets[-1])
    return evaluator


def accumulate(evaluator: Any, images: Iterable[AnnotatedImage], sizes: slice = _ALL_SIZES) -> dict[str, Any]:
    """Precision (thresholds, recalls, 1, sizes, limits) and recall (thresholds, 1, sizes, limits) on some images.

    Args:
        evaluator: What matched them.
        images: Which of them count.
        sizes: Which of the evaluator's ranges of people's sizes; the first takes everyone.
    """
    wanted = {image.id for image in images}
    if not wanted:
        return {"precision": np.full((10, 101, 1, 4, 1), -1.0), "recall": np.full((10, 1, 4, 1), -1.0)}
    matched, done_by = evaluator.matched_once()
    rows = [row for row, image_id in enumerate(done_by.imgIds) if image_id in wanted]
    some = copy(done_by)
    some.imgIds = [done_by.imgIds[row] for row in rows]
    some.areaRng = done_by.areaRng[sizes]
    starts = range(0, len(matched), len(done_by.imgIds))[sizes]
    told = COCOevalAccumulate(some, [matched[start + row] for start in starts for row in rows])
    return {name: np.asarray(told[name]) for name in ("precision", "recall")}


def mean_measured(values: Any) -> float:
    """The mean of what was measured, or -1 where nothing was."""
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else NOTHING_TO_MEASURE


def _found(results: Results) -> list[dict[str, Any]]:
    """What was found, as the official tool takes it; of keypoints it gets their similarities instead."""
    if not len(results):
        return []
    values = results.values
    is_box = values.ndim == 2
    # Spans of x and y over the keypoints; people last, as numpy is quickest over the last axis.
    sizes = values[:, 2:] if is_box else np.ptp(np.ascontiguousarray(values[..., :2].transpose(1, 2, 0)), axis=0).T
    # Unmatched poses and boxes outside a range of sizes cost nothing in it: hence the areas.
    rows = zip(results.image_ids.tolist(), results.scores.tolist(), sizes.prod(1).tolist(), strict=True)
    found: list[dict[str, Any]] = [
        {"id": index, "image_id": image_id, "category_id": PERSON_CATEGORY, "score": score, "area": area}
        for index, (image_id, score, area) in enumerate(rows, 1)
    ]
    if is_box:
        for entry, box in zip(found, values.tolist(), strict=True):
            entry["bbox"] = box
    return found


def _truth(index: int, image_id: int, person: Person, kind: str, crowdpose: bool) -> dict[str, Any]:
    unasked = kind == "keypoints" and asked_for(person, crowdpose) == 0
    return {
        "id": index,
        "image_id": image_id,
        "category_id": PERSON_CATEGORY,
        "bbox": person.box_xywh.tolist(),
        "area": oks_area(person, crowdpose),
        "iscrowd": int(person.is_crowd),
        "ignore": int(person.is_crowd or unasked),
    }
