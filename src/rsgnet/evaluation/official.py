"""COCO's evaluation as faster-coco-eval implements it, fed with our annotations, results and OKS."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any

import numpy as np
from faster_coco_eval import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster
from faster_coco_eval.faster_eval_api_cpp import COCOevalAccumulate

from rsgnet.annotations.coco import PERSON_CATEGORY
from rsgnet.annotations.people import AnnotatedImage, Annotations, Person
from rsgnet.evaluation.matching import compute_oks
from rsgnet.evaluation.protocol import count_evaluated_keypoints, oks_area
from rsgnet.evaluation.results import Results

ALL_AREAS = slice(1)  # the first of the evaluator's area ranges, which contains everyone
_EVERY_RANGE = slice(None)
NOT_MEASURABLE = -1.0  # as in pycocotools, where no labelled person is in the range of areas or the crowd level


class _Evaluator(COCOeval_faster):  # type: ignore[misc]
    """The official evaluator with OKS from `compute_oks`; it matches once and then accumulates over any images.

    Attributes:
        oks: OKS of predicted and annotated people by image id.
        truths: The annotated people in the official tool's format.
        predictions: The predictions in the official tool's format.
    """

    oks: dict[int, Any]
    truths: list[dict[str, Any]]
    predictions: list[dict[str, Any]]

    def _prepare(self) -> None:
        """Passes annotations and predictions on; the official tool would also index them by image, for masks."""
        for dataset, entries in ((self.gt_dataset, self.truths), (self.dt_dataset, self.predictions)):
            dataset.clean()
            for entry in entries:
                dataset.append_ref(entry["image_id"], PERSON_CATEGORY, entry)

    def computeOks(self, imgId: int, catId: int) -> Any:  # noqa: N802, N803
        """Returns the OKS of one image, which the official tool would compute here."""
        return self.oks.get(imgId, [])

    def match_once(self) -> tuple[list[Any], Any]:
        """Returns the matches, one entry for each range of areas and image, and the parameters of the matching."""
        if not hasattr(self, "_evalImgs_cpp"):
            self.evaluate()
        return self._evalImgs_cpp, self._paramsEval


def build_evaluator(truth: Annotations, results: Results, kind: str, crowdpose: bool = False) -> Any:
    """Creates the official evaluator for annotations and results.

    Args:
        truth: The annotated people.
        results: The predictions.
        kind: "keypoints" or "bbox".
        crowdpose: Whether to apply CrowdPose's rules (`protocol.is_crowdpose`).
    """
    people = [(image.id, person) for image in truth.images for person in image.people]
    frame = COCO({"images": [{"id": image.id} for image in truth.images], "annotations": [], "categories": []})
    evaluator = _Evaluator(frame, frame, kind, kpt_oks_sigmas=list(truth.skeleton.sigmas), separate_eval=True)
    evaluator.params.catIds = [PERSON_CATEGORY]
    # People are numbered from 1, because the evaluator treats the id 0 as "not matched".
    evaluator.truths = [
        _official_truth(index, image_id, person, kind, crowdpose) for index, (image_id, person) in enumerate(people, 1)
    ]
    evaluator.predictions = _official_predictions(results)
    if kind == "keypoints":
        evaluator.oks = compute_oks(truth, results, crowdpose, evaluator.params.maxDets[-1])
    return evaluator


def accumulate(evaluator: Any, images: Iterable[AnnotatedImage], areas: slice = _EVERY_RANGE) -> dict[str, Any]:
    """Computes precision and recall on some of the images.

    Args:
        evaluator: The evaluator, as `build_evaluator` returns it.
        images: The images to evaluate.
        areas: Which of the evaluator's ranges of people's areas to evaluate.

    Returns:
        "precision" of shape (thresholds, recalls, 1, area ranges, limits) and "recall" of shape (thresholds, 1, area
        ranges, limits); -1 where nothing could be measured.
    """
    wanted = {image.id for image in images}
    if not wanted:
        return {"precision": np.full((10, 101, 1, 4, 1), -1.0), "recall": np.full((10, 1, 4, 1), -1.0)}
    matches, parameters = evaluator.match_once()
    rows = [row for row, image_id in enumerate(parameters.imgIds) if image_id in wanted]
    selected = copy(parameters)
    selected.imgIds = [parameters.imgIds[row] for row in rows]
    selected.areaRng = parameters.areaRng[areas]
    starts = range(0, len(matches), len(parameters.imgIds))[areas]
    accumulated = COCOevalAccumulate(selected, [matches[start + row] for start in starts for row in rows])
    return {name: np.asarray(accumulated[name]) for name in ("precision", "recall")}


def mean_valid(values: Any) -> float:
    """Returns the mean of the values that are not -1, or NOT_MEASURABLE if there are none."""
    valid = values[values > -1]
    return float(valid.mean()) if valid.size else NOT_MEASURABLE


def _official_predictions(results: Results) -> list[dict[str, Any]]:
    """Returns predictions in the official tool's format; poses without keypoints, as their OKS is computed already."""
    if not len(results):
        return []
    values = results.values
    is_box = values.ndim == 2
    # The extent of the keypoints in x and y; people are the last axis, over which NumPy is fastest.
    sizes = values[:, 2:] if is_box else np.ptp(np.ascontiguousarray(values[..., :2].transpose(1, 2, 0)), axis=0).T
    # The tool needs areas to ignore unmatched predictions outside a range of areas.
    rows = zip(results.image_ids.tolist(), results.scores.tolist(), sizes.prod(1).tolist(), strict=True)
    predictions: list[dict[str, Any]] = [
        {"id": index, "image_id": image_id, "category_id": PERSON_CATEGORY, "score": score, "area": area}
        for index, (image_id, score, area) in enumerate(rows, 1)
    ]
    if is_box:
        for entry, box in zip(predictions, values.tolist(), strict=True):
            entry["bbox"] = box
    return predictions


def _official_truth(index: int, image_id: int, person: Person, kind: str, crowdpose: bool) -> dict[str, Any]:
    is_ignored = person.is_crowd or (kind == "keypoints" and count_evaluated_keypoints(person, crowdpose) == 0)
    return {
        "id": index,
        "image_id": image_id,
        "category_id": PERSON_CATEGORY,
        "bbox": person.box_xywh.tolist(),
        "area": oks_area(person, crowdpose),
        "iscrowd": int(person.is_crowd),
        "ignore": int(is_ignored),
    }
