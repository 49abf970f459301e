import json

import numpy as np
import pytest
from tests.evaluation.conftest import person, result

from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.skeletons import COCO17, MPII16, POSETRACK17

EARS = [3, 4]
POSETRACK_NAMES = ["nose", "head_bottom", "head_top", *POSETRACK17.keypoints[3:]]


def make_frames(seed=3, count=40):
    """Returns PoseTrack's annotations and poses of frames with people, regions to ignore, and frames without either."""
    random = np.random.default_rng(seed)
    images, annotations, results = [], [], []
    for image_id in range(1, count + 1):
        image = {"id": image_id, "file_name": f"images/val/000342_mpii_test/{image_id:06d}.jpg"}
        if image_id % 3 == 0:
            corners = random.uniform(0, 500, (2, 5)).round(1)
            image |= {"ignore_regions_x": [corners[0].tolist()], "ignore_regions_y": [corners[1].tolist()]}
        images.append(image)
        for _ in range(int(random.integers(0, 5))):
            box = random.uniform([0, 0, 80, 80], [300, 300, 200, 200]).round(1)
            keypoints = np.column_stack([box[:2] + random.random((17, 2)) * box[2:], np.ones(17)]).round(1)
            keypoints[(random.random(17) < 0.2) | (random.random() < 0.1)] = 0
            keypoints[EARS] = 0
            head = [float(box[0]), float(box[1]), *random.uniform(20, 60, 2).round(1).tolist()]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image_id, "track_id": len(annotations), "category_id": 1}
                | {"bbox": box.tolist(), "bbox_head": head, "keypoints": keypoints.ravel().tolist()}
            )
            for _ in range(int(random.integers(0, 3))):
                pose = keypoints.copy()
                pose[:, :2] = (keypoints[:, :2] + random.normal(0, 1, (17, 2)) * random.uniform(1, 15)).round(1)
                pose[:, 2] = random.random(17)
                pose[random.random(17) < 0.1] = 0
                results.append({"image_id": image_id, "score": 0.5, "keypoints": pose.ravel().tolist()})
        if random.random() < 0.3:
            pose = np.column_stack([random.uniform(0, 500, (17, 2)).round(1), random.random(17)])
            results.append({"image_id": image_id, "score": 0.5, "keypoints": pose.ravel().tolist()})
    category = {"id": 1, "name": "person", "keypoints": POSETRACK_NAMES, "skeleton": []}
    return {"images": images, "annotations": annotations, "categories": [category]}, results


def write(tmp_path, truth, results):
    paths = tmp_path / "truth.json", tmp_path / "results.json"
    for path, content in zip(paths, (truth, results), strict=True):
        path.write_text(json.dumps(content))
    return paths


def test_posetrack_equals_poseval(tmp_path):
    """The figures are those of PoseTrack's own tool, poseval, on the same files."""
    truth, results = make_frames()
    del truth["annotations"][4]["bbox"]  # as in some of PoseTrack's files
    metrics = evaluate_keypoints(*write(tmp_path, truth, results), "posetrack")
    official = {
        "AP": 0.1820251293390282,
        "precision": 0.369785925470136,
        "recall": 0.4059761977202918,
        "AP_nose": 0.12878394914829502,
        "AP_neck": 0.09811235737118357,
        "AP_head": 0.21284796456411587,
        "AP_left_shoulder": 0.19864924618409116,
        "AP_right_shoulder": 0.21225340827517594,
        "AP_left_elbow": 0.16945773524720895,
        "AP_right_elbow": 0.25022773390615777,
        "AP_left_wrist": 0.15880229876209118,
        "AP_right_wrist": 0.20953693884764935,
        "AP_left_hip": 0.1608721833721834,
        "AP_right_hip": 0.22941898454511467,
        "AP_left_knee": 0.1809939570793397,
        "AP_right_knee": 0.10859728506787332,
        "AP_left_ankle": 0.2595770090347274,
        "AP_right_ankle": 0.15224588868021582,
    }
    assert metrics == pytest.approx(official, abs=1e-14)


def test_posetrack_without_predictions_is_zero(tmp_path):
    metrics = evaluate_keypoints(*write(tmp_path, make_frames()[0], []), "posetrack")
    assert set(metrics.values()) == {0.0}


def test_figures_without_labels_are_minus_one(tmp_path):
    truth, results = make_frames()
    for entry in truth["annotations"]:
        entry["keypoints"][:3] = [0, 0, 0]
    metrics = evaluate_keypoints(*write(tmp_path, truth, results), "posetrack")
    assert metrics["AP_nose"] == -1 and metrics["AP_neck"] > 0 and 0 < metrics["AP"] < 1
    assert set(evaluate_keypoints(*write(tmp_path, truth | {"annotations": []}, []), "posetrack").values()) == {0.0}


def make_mpii(seed=5, images=30):
    """Returns images of one or two of MPII's people, some of whom have no labels, and a pose of each."""
    random = np.random.default_rng(seed)
    groups, results = [], []
    for image_id in range(1, images + 1):
        group = []
        for _ in range(int(random.integers(1, 3))):
            keypoints = np.column_stack([random.uniform(0, 300, (16, 2)), random.random(16) < 0.8])
            keypoints[:, 2] *= random.random() > 0.1
            group.append(person(keypoints, bbox_head=[10, 10, *random.uniform(20, 80, 2)]))
            offsets = random.normal(0, 1, (16, 2)) * random.uniform(1, 20)
            results.append(result(keypoints[:, :2] + offsets, 0.5, image_id, 16))
        groups.append(group)
    return groups, results


def test_pckh_equals_plain_arithmetic(truth):
    groups, results = make_mpii()
    metrics = evaluate_keypoints(truth(*groups, skeleton=MPII16), results, "mpii")
    hits, near, counts = np.zeros(16), np.zeros(16), np.zeros(16)
    for entry, found in zip([entry for group in groups for entry in group], results, strict=True):
        width, height = entry["bbox_head"][2:]
        for index in range(16):
            x, y, visible = entry["keypoints"][3 * index : 3 * index + 3]
            if visible:
                dx, dy = found["keypoints"][3 * index] - x, found["keypoints"][3 * index + 1] - y
                distance = (dx**2 + dy**2) ** 0.5 / (0.6 * (width**2 + height**2) ** 0.5)
                counts[index] += 1
                hits[index] += distance <= 0.5
                near[index] += distance <= 0.1
    trunk = [MPII16.keypoints.index(name) for name in ("pelvis", "thorax")]
    others = np.delete(np.arange(16), trunk)
    assert metrics["PCKh"] == pytest.approx(hits[others].sum() / counts[others].sum(), abs=1e-15)
    assert metrics["PCKh@0.1"] == pytest.approx(near[others].sum() / counts[others].sum(), abs=1e-15)
    left, right = (MPII16.keypoints.index(f"{side}_wrist") for side in ("left", "right"))
    wrists = (hits[left] / counts[left] + hits[right] / counts[right]) / 2
    assert metrics["PCKh_wrist"] == pytest.approx(wrists, abs=1e-15)
    head = MPII16.keypoints.index("head")
    assert metrics["PCKh_head"] == pytest.approx(hits[head] / counts[head], abs=1e-15)
    assert 0.1 < metrics["PCKh@0.1"] < metrics["PCKh"] < 1


def test_poses_of_people_without_labels_may_be_missing(truth):
    groups, results = make_mpii()
    path = truth(*groups, skeleton=MPII16)
    entries = [entry for group in groups for entry in group]
    labelled = [found for entry, found in zip(entries, results, strict=True) if any(entry["keypoints"][2::3])]
    assert len(labelled) < len(results)
    assert evaluate_keypoints(path, labelled, "mpii") == evaluate_keypoints(path, results, "mpii")


def test_pckh_needs_a_pose_for_each_person(truth):
    groups, results = make_mpii()
    with pytest.raises(AnnotationError, match=r"results: image 1 \(images/1.jpg\) has 0 poses and \d people"):
        evaluate_keypoints(truth(*groups, skeleton=MPII16), [each for each in results if each["image_id"] > 1], "mpii")


def test_heads_are_needed(truth):
    groups, results = make_mpii(images=1)
    for entry in groups[0]:
        del entry["bbox_head"]
    with pytest.raises(AnnotationError, match=r"truth.json: annotation \d has no bbox_head"):
        evaluate_keypoints(truth(*groups, skeleton=MPII16), results, "mpii")


@pytest.mark.parametrize("protocol", ["mpii", "posetrack"])
def test_other_skeletons_are_refused(truth, protocol):
    with pytest.raises(RSGNetError, match=f"the {protocol} protocol is for .* these are {COCO17.name}"):
        evaluate_keypoints(truth([person({0: (1, 1)})]), [], protocol)
