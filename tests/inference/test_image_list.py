"""COCO's tools load poses.json with images.json beside it, and ids are never ambiguous."""

import json
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.inference.detectors.box_file import BoxFileDetector
from rsgnet.inference.detectors.detector import LoadedImage
from rsgnet.inference.image_list import number_images
from rsgnet.inference.predictions import BoxesOrigin, Origin, RunRecord, write_predictions
from rsgnet.inference.sources import ImageFile
from rsgnet.poses import Poses
from rsgnet.skeletons import COCO17, CROWDPOSE14, Skeleton

RECORD = RunRecord("0", Origin("nano", None), BoxesOrigin("nano", None, None), "coco17", flip_test=False)


def find_people(name, people=2, skeleton: Skeleton = COCO17, image_id=None):
    random = np.random.default_rng(len(name))
    count = len(skeleton)
    return Poses(
        skeleton=skeleton,
        keypoints_xy=random.uniform(20, 90, (people, count, 2)).astype(np.float32),
        scores=random.uniform(0.2, 1.3, (people, count)).astype(np.float32),
        boxes_xyxy=np.tile(np.float32([10, 10, 95, 95]), (people, 1)),
        box_scores=np.linspace(0.9, 0.5, people, dtype=np.float32),
        pose_scores=np.linspace(0.8, 0.4, people, dtype=np.float32),
        size_wh=(120, 100),
        file_name=name,
        image_id=image_id,
    )


def write(folder, *poses):
    outcomes = [(ImageFile(folder / each.file_name, each.file_name), each) for each in poses]
    write_predictions(outcomes, folder, None, lambda *_: None, RECORD)
    return folder / "images.json", folder / "poses.json"


def number(*names, ids=None):
    listed = [
        {"id": image_id, "file_name": name} for name, image_id in zip(names, ids or [None] * len(names), strict=True)
    ]
    results = [[{"file_name": name}] for name in names]
    number_images(listed, results)
    given = [result[0].get("image_id", entry["id"]) for result, entry in zip(results, listed, strict=True)]
    assert given == [entry["id"] for entry in listed] and len(set(given)) == len(given)
    return given


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["000000002532.jpg", "val/000000008211.jpg"], [2532, 8211]),
        (["a.jpg", "b.jpg"], [1, 2]),
        (["a.jpg", "photo1.jpg", "photo2.jpg", "b.jpg"], [3, 1, 2, 4]),
        (["x/1.jpg", "y/1.jpg", "2.jpg"], [3, 4, 2]),
        (["", ""], [1, 2]),
    ],
)
def test_ids_are_the_numbers_of_the_names_or_unused_ones(names, expected):
    assert number(*names) == expected


def test_known_ids_are_kept():
    assert number("5.jpg", "a.jpg", "b.jpg", ids=[None, 5, 7]) == [1, 5, 7]


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14], ids=lambda skeleton: skeleton.name)
@pytest.mark.parametrize(
    ("modules", "evaluator"),
    [
        (("pycocotools.coco", "pycocotools.cocoeval"), "COCOeval"),
        (("faster_coco_eval", "faster_coco_eval"), "COCOeval_faster"),
        (("hotcoco", "hotcoco"), "COCOeval"),
    ],
    ids=["pycocotools", "faster-coco-eval", "hotcoco"],
)
def test_the_tools_of_coco_load_and_evaluate_the_results(tmp_path, modules, evaluator, skeleton):
    coco_class, evaluator_class = pytest.importorskip(modules[0]).COCO, getattr(import_module(modules[1]), evaluator)
    found = [find_people(name, people, skeleton) for name, people in (("a.jpg", 2), ("empty.jpg", 0), ("7.jpg", 3))]
    images, results = write(tmp_path, *found)
    listing = coco_class(str(images))
    assert sorted(listing.getImgIds()) == [1, 2, 7]
    assert listing.loadCats(1)[0]["keypoints"] == list(skeleton.keypoints)
    loaded = listing.loadRes(str(results))
    assert {image: len(loaded.getAnnIds(imgIds=[image])) for image in (1, 2, 7)} == {1: 2, 2: 0, 7: 3}
    # The same people as the truth: every one of them is found.
    entries = json.loads(results.read_text())
    truth = json.loads(images.read_text())
    truth["annotations"] = [
        {**entry, "id": index, "iscrowd": 0, "area": 5000.0, "num_keypoints": len(skeleton)}
        | {"keypoints": [2 if k % 3 == 2 else value for k, value in enumerate(entry["keypoints"])]}
        for index, entry in enumerate(entries, 1)
    ]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    labelled = coco_class(str(tmp_path / "truth.json"))
    evaluation = evaluator_class(labelled, labelled.loadRes(str(results)), "keypoints")
    evaluation.params.kpt_oks_sigmas = np.array(skeleton.sigmas)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


def test_every_result_has_an_id_and_scores_are_in_0_to_1(tmp_path):
    _, results = write(tmp_path, find_people("a.jpg"), find_people("b.jpg"))
    for entry in json.loads(results.read_text()):
        assert isinstance(entry["image_id"], int) and entry["image_id_from"] == "file_name"
        assert 0 <= entry["score"] <= 1 and 0 <= min(entry["keypoints"][2::3]) <= max(entry["keypoints"][2::3]) <= 1


def test_results_of_annotated_images_keep_the_ids(tmp_path):
    _, results = write(tmp_path, find_people("a.jpg", image_id=41))
    assert {(entry["image_id"], "image_id_from" in entry) for entry in json.loads(results.read_text())} == {(41, False)}


def test_readers_of_this_package_go_by_the_name_where_the_id_was_chosen(tmp_path):
    _, results = write(tmp_path, find_people("a.jpg", 1), find_people("b.jpg", 2))
    truth = {
        "images": [
            {"id": id_, "file_name": f"val/{name}.jpg", "width": 120, "height": 100}
            for id_, name in ((1, "b"), (2, "a"))
        ],
        "annotations": [],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.keypoints), "skeleton": []}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    assert read_keypoint_results(results, read_annotations(tmp_path / "truth.json")).image_ids.tolist() == [2, 1, 1]
    image = LoadedImage(np.zeros((100, 120, 3), np.uint8), "b.jpg")
    (boxes,) = BoxFileDetector.read(results).detect([image])
    assert len(boxes) == 2 and boxes.image_id is None


def test_an_interrupted_run_lists_what_is_done(tmp_path):
    def outcomes():
        yield ImageFile(tmp_path / "a.jpg", "a.jpg"), find_people("a.jpg")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_predictions(outcomes(), tmp_path, None, lambda *_: None, replace(RECORD))
    listed = json.loads((tmp_path / "images.partial.json").read_text())["images"]
    assert [image["file_name"] for image in listed] == ["a.jpg"]
    assert {path.name for path in tmp_path.iterdir()} == {"images.partial.json", "poses.partial.json"}
