"""The official tool, on annotations and results as the tests write them."""

import contextlib
import io
import json

import numpy as np
import pytest

METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")  # in the tool's order


def run_pycocotools(path, results, sigmas=None, prepare=None):
    """Returns pycocotools' evaluator after a run.

    Args:
        path: The annotations.
        results: The list of results.
        sigmas: The OKS sigmas of the keypoints; None to evaluate boxes.
        prepare: Changes an annotation in place beforehand.
    """
    coco = pytest.importorskip("pycocotools.coco").COCO
    evaluator_class = pytest.importorskip("pycocotools.cocoeval").COCOeval
    content = json.loads(path.read_text())
    for entry in content["annotations"]:
        entry["id"] += 1  # 0 counts as not matched
        if prepare is not None:
            prepare(entry)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco()
        truth.dataset = content
        truth.createIndex()
        found = truth.loadRes([dict(entry) for entry in results])
        evaluator = evaluator_class(truth, found, "bbox" if sigmas is None else "keypoints")
        if sigmas is not None:
            evaluator.params.kpt_oks_sigmas = np.array(sigmas)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator
