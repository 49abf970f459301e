from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from tests.evaluation.conftest import random_crowds

from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.assessment import assess
from rsgnet.evaluation.report import render_report
from rsgnet.evaluation.results import read_keypoint_results

EVIL = "<script>alert('x')</script>.json"


class Page(HTMLParser):
    """The tags, attributes and text of a page; fails on tags that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + "\n"


@pytest.fixture
def assessment(truth):
    crowds, results = random_crowds(np.random.default_rng(6), 12)
    annotations = read_annotations(truth(*crowds, crowd_indices=[0.1, 0.5, 0.9] * 4))
    poses, fewer = (read_keypoint_results(entries, annotations) for entries in (results, results[::2]))
    return assess(annotations, replace(poses, origin=EVIL), other=replace(fewer, origin=f"other-{EVIL}"), resamples=50)


def test_report_is_complete(assessment):
    page = Page(render_report(assessment))
    for text in (
        "Official metrics", "Comparison", "Keypoint errors", "People errors", "Precision and recall", "Calibration",
        "Settings", f"{assessment.metrics['AP']:.3f}", "AP_hard",
        f"{assessment.metrics_without_errors['missed']['AP'] - assessment.metrics['AP']:+.3f}",
        "OKS 0.75", "swapped", "duplicate",
        f"{assessment.comparison.differences['AP'].value:+.3f}", f"{assessment.settings.errors_from_score:.3f}",
        f"{assessment.calibration.expected_calibration_error:.3f}", "coco17",
    ):  # fmt: skip
        assert text in page.text, text
    low = assessment.intervals["AP"].low
    assert f"{low:.3f} to" in page.text and page.tags.count("svg") == 5


def test_report_loads_nothing_and_escapes_names(assessment):
    text = render_report(assessment)
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not {"src", "href", "onload", "onclick"} & {name for name, _ in page.attributes}
    assert "url(" not in text and "@import" not in text and "http" not in text
    assert EVIL in page.text and EVIL not in text and f"other-{EVIL}" in page.text


def test_report_supports_phones_and_dark_mode(assessment):
    text = render_report(assessment)
    assert 'name="viewport" content="width=device-width' in text and "color-scheme: light dark" in text
    assert text.startswith("<!doctype html>") and '<meta charset="utf-8">' in text


def test_report_without_comparison_levels_or_people(truth):
    annotations = read_annotations(truth([]))
    text = render_report(assess(annotations, read_keypoint_results([], annotations), resamples=2))
    page = Page(text)
    assert "Comparison" not in page.text and "nan" not in page.text and "-1.0" not in page.text


def test_metrics_on_few_images_are_warned_of(assessment):
    page = Page(render_report(assessment))
    behind = assessment.images_behind  # of the twelve images two show nobody who is evaluated
    assert behind["AP"] == 10 and behind["AP_easy"] + behind["AP_medium"] + behind["AP_hard"] == 10
    assert "On fewer than 10 images, so that the intervals mean little: AP_easy" in page.text
    assert all(f"AP_{level} ({behind[f'AP_{level}']})" in page.text for level in ("easy", "medium", "hard"))
    assert "AP (10)" not in page.text


def test_a_single_image_has_no_interval(truth):
    crowds, results = random_crowds(np.random.default_rng(6), 1)
    annotations = read_annotations(truth(*crowds, crowd_indices=[0.5]))
    assessment = assess(annotations, read_keypoint_results(results, annotations), resamples=5)
    page = Page(render_report(assessment))
    assert assessment.intervals == {} and assessment.images_behind["AP"] == 1 and "AP (1)" in page.text


@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_fits_the_screen(assessment, browser, tmp_path, width):
    path = tmp_path / "report.html"
    path.write_text(render_report(assessment), encoding="utf-8")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.as_uri())
    too_wide = browser.execute_script(
        "return [document.documentElement, ...document.querySelectorAll('section')]"
        ".filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.innerText.slice(0, 40))"
    )
    assert too_wide == []
