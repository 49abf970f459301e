"""The rules of published benchmarks, held to figures that their own tools computed on the same random people."""

import json
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.conftest import person, random_crowds, result

from rsgnet.annotations.people import AnnotatedImage, Annotations, Person
from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.assessment import assess
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.evaluation.protocol import (
    COCO,
    CROWDPOSE,
    OCHUMAN,
    OKS_PROTOCOLS,
    WHOLEBODY,
    Part,
    choose_protocol,
    crowd_level,
    group_by_level,
)
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.skeletons import AIC14, COCO17, CROWDPOSE14, PEOPLE19, WHOLEBODY133

PARTS = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}


def split_parts(entry):
    """Writes an entry of 133 keypoints as COCO-WholeBody does."""
    ends = np.cumsum([3 * count for count in PARTS.values()])
    parts = np.split(entry["keypoints"], ends[:-1])
    return entry | {name: part.tolist() for name, part in zip(PARTS, parts, strict=True)}


def make_whole_bodies(seed=7, images=30):
    """Returns people of 133 keypoints, some without labels on a part, and poses, some without scores on a part."""
    random = np.random.default_rng(seed)
    crowds, results = random_crowds(random, images, 133)
    for entry in [*(each for group in crowds for each in group), *results]:
        keypoints = np.reshape(entry["keypoints"], (-1, 3))
        start = 0
        for count in PARTS.values():
            keypoints[start : start + count, 2] *= random.random() > 0.2
            start += count
        keypoints[:, :2] = keypoints[:, :2].round(2)
        entry["keypoints"] = keypoints.ravel().tolist()
    for number, entry in enumerate(results):
        entry["score"] = number * 0.37 % 1
    return [[split_parts(each) for each in group] for group in crowds], [split_parts(each) for each in results]


def make_cut_people(seed=11, images=40):
    """Returns people with keypoints outside their box (visibility 3), and poses whose scores say which those are."""
    random = np.random.default_rng(seed)
    crowds, results = [], []
    for image_id in range(1, images + 1):
        group = []
        for _ in range(int(random.integers(1, 4))):
            box = np.array([*random.uniform(0, 300, 2), *random.uniform(60, 200, 2)]).round(1)
            keypoints = np.column_stack([random.random((17, 2)), random.integers(0, 3, 17)])
            outside = random.random(17) < 0.2
            keypoints[outside, :2] += np.where(random.random((outside.sum(), 2)) < 0.5, -1, 1)
            keypoints[outside, 2] = 3
            keypoints[:, 2] *= random.random() > 0.1
            keypoints[:, :2] = (box[:2] + keypoints[:, :2] * box[2:]).round(1)
            group.append(person(keypoints, box, area=0.5 * box[2] * box[3]))
            for _ in range(int(random.integers(0, 3))):
                moved = keypoints[:, :2] + random.normal(0, 1, (17, 2)) * random.uniform(1, 15)
                found = result(moved.round(1), round(float(random.random()), 3), image_id)
                scores = np.where(outside, 0.3, 0.8) + random.uniform(-0.3, 0.2, 17)
                found["keypoints"][2::3] = scores.round(2).tolist()
                results.append(found)
        crowds.append(group)
    return crowds, results


def test_whole_body_equals_xtcocotools(truth):
    """The figures are xtcocotools 1.14.3's with COCO-WholeBody's sigmas."""
    crowds, results = make_whole_bodies()
    metrics = evaluate_keypoints(truth(*crowds), results)
    official = {
        "AP": 0.019883829909885145,
        "AP50": 0.05719124544033351,
        "AP75": 0.007425742574257425,
        "APM": 0.05217821782178218,
        "APL": 0.02319648344144759,
        "AR": 0.07441860465116279,
        "ARM": 0.13333333333333333,
        "ARL": 0.06486486486486487,
        "AP_body": 0.2148929856355599,
        "AR_body": 0.2833333333333333,
        "AP_foot": 0.2990114577068567,
        "AR_foot": 0.3945945945945946,
        "AP_face": 0.0018602791956214254,
        "AR_face": 0.01388888888888889,
        "AP_lefthand": 0.03434743474347435,
        "AR_lefthand": 0.090625,
        "AP_righthand": 0.02947382650352947,
        "AR_righthand": 0.10625,
    }
    assert {name: metrics[name] for name in official} == pytest.approx(official, abs=1e-14)


def test_whole_body_results_may_be_one_list_of_keypoints(truth, tmp_path):
    crowds, results = make_whole_bodies()
    joined = [{**each, "keypoints": [*chain(*(each[part] for part in PARTS))]} for each in results]
    joined = [{key: value for key, value in each.items() if not key.endswith("_kpts")} for each in joined]
    (tmp_path / "results.json").write_text(json.dumps(joined))
    path = truth(*crowds)
    assert evaluate_keypoints(path, tmp_path / "results.json") == evaluate_keypoints(path, results)


def test_extended_oks_equals_exococotools(truth):
    """The figures are exococotools 1.0.0's with extended OKS, a threshold of 0.5 and a padding of 1.25."""
    crowds, results = make_cut_people()
    metrics = evaluate_keypoints(truth(*crowds), results, "ex-oks")
    official = {
        "AP": 0.2572764437676381,
        "AP_v1": 0.15286235592824876,
        "AP_v2": 0.20180206821345723,
        "AP_v3": 0.5887947519239979,
        "AP50": 0.4985940855805904,
        "AP75": 0.1850756375765057,
        "APM": 0.33663366336633666,
        "APL": 0.3495546488594895,
        "AR": 0.3794520547945205,
        "AR50": 0.6027397260273972,
        "AR75": 0.3561643835616438,
        "ARM": 0.33478260869565213,
        "ARL": 0.45555555555555555,
    }
    assert {name: metrics[name] for name in official} == pytest.approx(official, abs=1e-14)
    assert metrics["AP"] > evaluate_keypoints(truth(*crowds), results, "coco")["AP"]


def test_extended_oks_has_intervals_around_its_figures(truth):
    crowds, results = make_cut_people()
    annotations = read_annotations(truth(*crowds))
    assessment = assess(annotations, read_keypoint_results(results, annotations), "ex-oks", resamples=50)
    interval = assessment.intervals["AP"]
    assert interval.low < assessment.metrics["AP"] < interval.high and assessment.settings.protocol == "ex-oks"


def test_ochuman_is_evaluated_by_the_rules_of_coco():
    assert replace(OCHUMAN, name="coco", skeletons=()) == COCO and OCHUMAN.skeletons == (COCO17.name,)


@pytest.mark.parametrize(
    ("crowd_index", "level"),
    [(0.0, "easy"), (0.1999, "easy"), (0.2, "medium"), (0.7999, "medium"), (0.8, "hard"), (1.6, "hard"), (None, None)],
)
def test_crowd_level(crowd_index, level):
    assert crowd_level(AnnotatedImage(1, "a.jpg", (9, 9), (), crowd_index)) == level


def test_group_by_level():
    levels = ["hard", "easy", None, "medium", "hard"]
    assert group_by_level(levels) == {"easy": [1], "medium": [3], "hard": [0, 4], "medium_hard": [0, 3, 4]}
    assert group_by_level([None, None]) == group_by_level([]) == {}


@pytest.mark.parametrize(("protocol", "area"), [(COCO, 20.0), (CROWDPOSE, 0.53 * 100 * 50)])
def test_crowdpose_takes_the_area_from_the_box(protocol, area):
    someone = Person(1, np.array([5.0, 5.0, 100.0, 50.0]), np.zeros((14, 3)), 20.0)
    assert protocol.area(someone) == pytest.approx(area)


@pytest.mark.parametrize(
    ("skeleton", "protocol"),
    [(COCO17, COCO), (PEOPLE19, COCO), (AIC14, COCO), (CROWDPOSE14, CROWDPOSE), (WHOLEBODY133, WHOLEBODY)],
)
def test_the_skeleton_chooses_the_protocol(skeleton, protocol):
    truth = Annotations(Path("a.json"), skeleton, ())
    assert choose_protocol(truth) is protocol and choose_protocol(truth, protocol.name) is protocol


def test_protocols_refuse_other_skeletons():
    truth = Annotations(Path("a.json"), AIC14, ())
    for name, protocol in OKS_PROTOCOLS.items():
        if protocol.skeletons:
            with pytest.raises(RSGNetError, match=f"a.json: the {name} protocol is for .* these are aic14"):
                choose_protocol(truth, name)


def test_parts_and_visibilities():
    visibility = np.array([0.0, 1.0, 2.0, 3.0])
    assert Part(2, 5).keypoints == slice(2, 5)
    assert Part().find_labelled(visibility).tolist() == [False, True, True, True]
    assert Part(visibilities=(1, 3)).find_labelled(visibility).tolist() == [False, True, False, True]
