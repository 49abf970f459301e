import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from tests.evaluation.conftest import person, result
from tests.evaluation.test_report import Page

from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.figure import render_figure, render_figure_page
from rsgnet.evaluation.paired_errors import judge_results
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.skeletons import COCO17

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
RED, PINK, GREEN = "#ff3b30", "#ff5fd2", "#2ee59d"  # missed, swapped, right
POSE = {index: (200 + 20 * (index % 4), 140 + 40 * (index // 4)) for index in range(17)}
OTHER = {index: (x + 9, y + 17) for index, (x, y) in POSE.items()}
EVIL = "<script>&.json"


@pytest.fixture
def judged(truth):
    """A person with a wrong nose in the first result, and one who has no pose in the second."""
    path = truth([person(POSE, (190, 130, 80, 180), area=100.0), person(OTHER, (199, 147, 80, 180), area=100.0)])
    annotations = read_annotations(path)
    first = [result({**POSE, 0: OTHER[0], 1: (640, 479)}, 0.9), result(OTHER, 0.8)]
    second = [result(POSE, 0.9)]
    return judge_results(annotations, *(read_keypoint_results(each, annotations) for each in (first, second)))


@pytest.fixture
def drawn(judged):
    return [(judged[0], np.full((480, 640, 3), (10, 200, 30), np.uint8))]


def rings(svg, colour):
    return [
        [float(each.get(key)) for key in ("cx", "cy")]
        for each in svg.iter(f"{SVG}circle")
        if each.get("stroke") == colour
    ]


def test_errors_have_rings_by_kind_where_they_are(drawn):
    root = ElementTree.fromstring(render_figure(drawn, COCO17, ("one", "two")))
    first, second = root.findall(f".//{SVG}svg")  # the tiles
    (swapped,), (missed,) = rings(first, PINK), rings(first, RED)
    right, greens = rings(second, GREEN), rings(first, GREEN)
    assert len(greens) == 17 and len(right) == 2  # all of the second person; nose and left eye of the first
    assert rings(second, RED) == [] and "no pose" in [each.text for each in second.iter(f"{SVG}text")]
    # Both tiles have one scale: the label of the nose is 9 and 17 px left of and above where the first result puts it.
    scale = (missed[0] - swapped[0]) / (640 - OTHER[0][0])
    nose = min(right, key=lambda each: np.hypot(each[0] - swapped[0], each[1] - swapped[1]))
    assert np.subtract(swapped, nose) == pytest.approx(np.array([9, 17]) * scale, abs=0.2)


def test_the_photo_is_embedded_once_and_nothing_is_loaded(drawn):
    text = render_figure(drawn, COCO17, ("one", "two"))
    root = ElementTree.fromstring(text)
    (image,) = root.iter(f"{SVG}image")
    kind, content = image.get(f"{XLINK}href").split(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as photo:
        assert photo.getpixel((5, 5)) == pytest.approx((10, 200, 30), abs=6)
    links = {each.get(f"{XLINK}href") for each in root.iter(f"{SVG}use")}
    assert links == {f"#{image.get('id')}"}
    assert root.get("width") == "180mm"
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)


def test_figures_of_several_images_are_as_wide_and_higher(drawn):
    one, five = (ElementTree.fromstring(render_figure(drawn * count, COCO17, ("a", "b"))) for count in (2, 5))
    assert one.get("width") == five.get("width")
    assert float(five.get("height")[:-2]) > 2 * float(one.get("height")[:-2])
    assert len({each.get("id") for each in five.iter(f"{SVG}image")}) == 5


def test_the_page_counts_all_images_and_escapes_names(judged, drawn):
    files = [Path(EVIL), Path("two.json"), Path("truth.json")]
    page = Page(render_figure_page(judged, drawn, COCO17, (EVIL, "two"), files))
    assert "script" not in page.tags and EVIL in page.text
    table = page.text[page.text.index("people without a pose") :].split("\n")
    assert table[:3] == ["people without a pose", "0", "1"]
    assert table[3:6] == ["keypoints right in this only", "17", "2"]
    sources = [value for name, value in page.attributes if name in ("src", "href", "xlink:href")]
    assert all(value.startswith(("data:", "#")) for value in sources)
