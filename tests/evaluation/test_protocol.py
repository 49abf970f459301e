from pathlib import Path

import numpy as np
import pytest

from rsgnet.annotations.people import AnnotatedImage, Annotations, Person
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.protocol import (
    COCO,
    CROWDPOSE,
    OKS_PROTOCOLS,
    WHOLEBODY,
    Part,
    choose_protocol,
    crowd_level,
    group_by_level,
)
from rsgnet.skeletons import AIC14, COCO17, CROWDPOSE14, PEOPLE19, WHOLEBODY133


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
    person = Person(1, np.array([5.0, 5.0, 100.0, 50.0]), np.zeros((14, 3)), 20.0)
    assert protocol.area(person) == pytest.approx(area)


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
