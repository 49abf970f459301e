"""OKS of a whole data set at once, beside what the official tool computes image by image."""

from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster

from rsgnet.data.annotations import AnnotatedImage, Annotations, Person
from rsgnet.evaluation.protocol import oks_area
from rsgnet.evaluation.results import Results
from rsgnet.evaluation.similarity import similarities
from rsgnet.skeletons import COCO17

MOST = 20


def crowd(people_in_images, found_in_images, seed=0):
    random, count = np.random.default_rng(seed), len(COCO17)
    images, ids, values = [], [], []
    for row, (people, found) in enumerate(zip(people_in_images, found_in_images, strict=True)):
        labelled = []
        for _ in range(people):
            box = random.uniform(20, 200, 4)
            seen = random.integers(0, 3, (count, 1)) * (len(labelled) != 1)  # the second has no labelled keypoint
            places = box[:2] + random.uniform(0, 1, (count, 2)) * box[2:]
            labelled.append(Person(len(labelled), box, np.hstack([places, seen]), float(box[2] * box[3] * 0.6)))
        images.append(AnnotatedImage(40 - row, f"{row}.jpg", (400, 400), tuple(labelled)))
        ids += [40 - row] * found
        values.append(random.uniform(0, 300, (found, count, 3)))
    order = random.permutation(len(ids))
    scores = random.integers(0, 6, len(ids)) / 5.0  # many are equal
    found = Results("results", np.array(ids)[order], scores, np.concatenate(values)[order])
    return Annotations(Path("people.json"), COCO17, tuple(images)), found


def officially(truth, found, crowdpose):
    """The official tool's own OKS, of the same people."""
    people = [(image.id, person) for image in truth.images for person in image.people]
    truths = [
        {
            "id": index,
            "image_id": image_id,
            "category_id": 1,
            "bbox": person.box_xywh.tolist(),
            "area": oks_area(person, crowdpose),
            "iscrowd": 0,
            "keypoints": person.keypoints.ravel().tolist(),
            "num_keypoints": person.labelled,
        }
        for index, (image_id, person) in enumerate(people, 1)
    ]
    told = [
        {"id": index + 1, "image_id": int(found.image_ids[index]), "category_id": 1, "area": 1.0}
        | {"score": float(found.scores[index]), "keypoints": found.values[index].ravel().tolist()}
        for index in range(len(found))
    ]
    frame = {"images": [{"id": image.id} for image in truth.images], "categories": [{"id": 1}]}
    evaluator = COCOeval_faster(
        COCO({**frame, "annotations": truths}),
        COCO({**frame, "annotations": told}),
        "keypoints",
        kpt_oks_sigmas=list(COCO17.sigmas),
    )
    evaluator.evaluate()
    return {image_id: oks for (image_id, _), oks in evaluator.ious.items() if len(oks)}


@pytest.mark.parametrize("crowdpose", [False, True])
def test_is_what_the_official_tool_computes(crowdpose):
    truth, found = crowd([3, 0, 1, 4, 2], [5, 3, 0, 30, 1])
    ours, wanted = similarities(truth, found, crowdpose, MOST), officially(truth, found, crowdpose)
    assert ours.keys() == wanted.keys() == {40, 37, 36}
    for image_id, oks in wanted.items():
        assert ours[image_id].shape == oks.shape
        np.testing.assert_allclose(ours[image_id], oks, rtol=1e-12, atol=1e-300)
    assert len(ours[37]) == MOST


def test_nobody_found_or_nobody_there():
    nobody = Results("results", np.zeros(0, np.int64), np.zeros(0), np.zeros((0, len(COCO17), 3)))
    assert similarities(crowd([2], [0])[0], nobody, False, MOST) == {}
    truth, found = crowd([0], [3])
    assert similarities(truth, found, False, MOST) == {}
