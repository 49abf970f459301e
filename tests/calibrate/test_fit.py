import numpy as np
import pytest

from rsgnet.calibrate.claims import Claims, join
from rsgnet.calibrate.fit import CONTESTED, calibrate, outcomes
from rsgnet.calibrate.report import reliability_html
from rsgnet.errors import RSGNetError
from rsgnet.inference.evidence import FEATURES

NAMES = ("head", "tail")


def claims(count=6000, images=30, seed=0):
    """What is present with probability sigmoid(peak), visible in half of that, right with sigmoid(-rival_peak)."""
    random = np.random.default_rng(seed)
    evidence = random.normal(0, 1.5, (count, len(FEATURES)))
    evidence[:, FEATURES.index("contested")] = random.random(count) < 0.3
    sure = 1 / (1 + np.exp(-evidence))
    present = random.random(count) < sure[:, FEATURES.index("peak")]
    return Claims(
        evidence=evidence,
        keypoints=random.integers(0, 2, count),
        images=random.integers(0, images, count),
        present=present,
        visible=present & (random.random(count) < 0.5),
        right=present & (random.random(count) > sure[:, FEATURES.index("rival_peak")]),
    )


def test_probabilities_of_images_left_out_can_be_believed():
    found = calibrate(claims(), NAMES, candidates=True, flip_test=False)
    assert set(found.curves) == {"present", "visible", "mine", CONTESTED}
    for name, curve in found.curves.items():
        assert curve.expected_calibration_error < (0.06 if name == CONTESTED else 0.04), name
    fit = found.ownership
    assert fit.keypoints == NAMES and fit.features == FEATURES and fit.candidates and not fit.flip_test
    assert fit.present.weights[0] == pytest.approx(1, abs=0.15)
    assert fit.mine.weights[FEATURES.index("rival_peak")] == pytest.approx(-1, abs=0.15)
    assert fit.calibration_errors["mine"] == pytest.approx(found.curves["mine"].expected_calibration_error, abs=1e-4)


def test_mine_is_asked_of_what_is_present():
    found = claims()
    asked, true = outcomes(found, "mine")
    assert np.array_equal(asked, found.present) and np.array_equal(true, found.right[found.present])
    assert outcomes(found, "visible")[0].all()


def test_a_fit_never_sees_the_image_that_it_is_measured_on():
    # In each image a feature of its own tells everything; other images know nothing of it.
    random = np.random.default_rng(0)
    images = np.repeat(np.arange(5), 200)
    evidence = np.zeros((1000, len(FEATURES)))
    present = random.random(1000) < 0.5
    evidence[np.arange(1000), images] = present * 2.0 - 1
    found = Claims(evidence, np.zeros(1000, int), images, present, present & (random.random(1000) < 0.5), present)
    found = join([found, Claims(evidence, found.keypoints, images, present, present, ~present & present)])
    curve = calibrate(found, ("head",), False, False).curves["present"]
    assert curve.probabilities.max() - curve.probabilities.min() < 0.2


def test_too_few_images_are_refused():
    with pytest.raises(RSGNetError, match="5 images or more"):
        calibrate(claims(images=4), NAMES, True, False)


def test_nobody_is_refused():
    with pytest.raises(RSGNetError, match="nobody with labelled keypoints"):
        join([])


def test_the_page_shows_every_curve():
    page = reliability_html(calibrate(claims(), NAMES, True, False), "<mine>")
    assert page.count("<section>") == page.count("<svg") == 4 and "&lt;mine&gt;" in page and "http" not in page
