import numpy as np
import pytest

from rsgnet.calibrate.fit import CONTESTED, calibrate, fit_logistic, outcomes
from rsgnet.calibrate.run import reliability_html
from rsgnet.calibrate.samples import CalibrationSamples, join
from rsgnet.errors import RSGNetError
from rsgnet.inference.ownership import FEATURES


def drawn(count=20_000, seed=0):
    """CalibrationSamples whose probabilities are known: weights 2, -1 and 0, biases -1, 0 and 1."""
    random = np.random.default_rng(seed)
    evidence = random.normal(3, 2, (count, 3))
    keypoints = random.integers(0, 3, count)
    logits = evidence @ [2, -1, 0] - 3 + np.array([-1.0, 0, 1])[keypoints]
    return evidence, keypoints, random.random(count) < 1 / (1 + np.exp(-logits))


def test_finds_the_function_that_claims_were_drawn_from():
    fit = fit_logistic(*drawn(), count=4)
    assert fit.weights == pytest.approx([2, -1, 0], abs=0.1)
    assert fit.biases[:3] == pytest.approx([-4, -3, -2], abs=0.25)
    assert fit.biases[3] == pytest.approx(np.mean(fit.biases[:3]), abs=0.1)  # nobody labels it


def test_the_penalised_likelihood_has_its_top_there():
    evidence, keypoints, true = drawn(500)
    fit = fit_logistic(evidence, keypoints, true, 3)

    def loss(weights, biases):
        logits = evidence @ weights + biases[keypoints]
        # In units of the features' spread; biases apart from their mean, which is all but free.
        centred = biases + weights @ evidence.mean(0)
        penalty = ((weights * evidence.std(0)) ** 2).sum() + ((centred - centred.mean()) ** 2).sum()
        return np.logaddexp(0, np.where(true, -logits, logits)).sum() + penalty / 2

    weights, biases = np.array(fit.weights), np.array(fit.biases)
    best = loss(weights, biases)
    for step in np.eye(6) * 1e-2:
        assert min(loss(weights + s * step[:3], biases + s * step[3:]) for s in (1, -1)) > best - 1e-6


def test_evidence_that_never_changes_weighs_nothing():
    evidence, keypoints, true = drawn(500)
    evidence[:, 2] = 0
    assert fit_logistic(evidence, keypoints, true, 3).weights[2] == 0


def test_claims_that_part_cleanly_stay_finite():
    evidence = np.linspace(-1, 1, 100)[:, None]
    fit = fit_logistic(evidence, np.zeros(100, int), evidence[:, 0] > 0, 1)
    assert np.isfinite(fit.weights[0]) and fit.weights[0] > 1


@pytest.mark.parametrize("true", [np.zeros(5, bool), np.ones(5, bool), np.zeros(0, bool)])
def test_nothing_to_tell_apart_is_refused(true):
    with pytest.raises(RSGNetError, match="more labelled people"):
        fit_logistic(np.zeros((len(true), 2)), np.zeros(len(true), int), true, 1)


NAMES = ("head", "tail")


def claims(count=6000, images=30, seed=0):
    """What is present with probability sigmoid(peak), visible in half of that, right with sigmoid(-rival_peak)."""
    random = np.random.default_rng(seed)
    evidence = random.normal(0, 1.5, (count, len(FEATURES)))
    evidence[:, FEATURES.index("contested")] = random.random(count) < 0.3
    sure = 1 / (1 + np.exp(-evidence))
    present = random.random(count) < sure[:, FEATURES.index("peak")]
    return CalibrationSamples(
        evidence=evidence,
        keypoints=random.integers(0, 2, count),
        images=random.integers(0, images, count),
        present=present,
        visible=present & (random.random(count) < 0.5),
        right=present & (random.random(count) > sure[:, FEATURES.index("rival_peak")]),
    )


def test_probabilities_of_images_left_out_can_be_believed():
    found = calibrate(claims(), NAMES, candidates=True, flip_test=False)
    assert set(found.curves) == {"present", "visible", "owned", CONTESTED}
    for name, curve in found.curves.items():
        assert curve.expected_calibration_error < (0.06 if name == CONTESTED else 0.04), name
    fit = found.ownership
    assert fit.keypoints == NAMES and fit.features == FEATURES and fit.candidates and not fit.flip_test
    assert fit.present.weights[0] == pytest.approx(1, abs=0.15)
    assert fit.owned.weights[FEATURES.index("rival_peak")] == pytest.approx(-1, abs=0.15)
    assert fit.calibration_errors["owned"] == pytest.approx(found.curves["owned"].expected_calibration_error, abs=1e-4)


def test_owned_is_asked_of_what_is_present():
    found = claims()
    asked, true = outcomes(found, "owned")
    assert np.array_equal(asked, found.present) and np.array_equal(true, found.right[found.present])
    assert outcomes(found, "visible")[0].all()


def test_a_fit_never_sees_the_image_that_it_is_measured_on():
    # In each image a feature of its own tells everything; other images know nothing of it.
    random = np.random.default_rng(0)
    images = np.repeat(np.arange(5), 200)
    evidence = np.zeros((1000, len(FEATURES)))
    present = random.random(1000) < 0.5
    evidence[np.arange(1000), images] = present * 2.0 - 1
    found = CalibrationSamples(
        evidence, np.zeros(1000, int), images, present, present & (random.random(1000) < 0.5), present
    )
    found = join([found, CalibrationSamples(evidence, found.keypoints, images, present, present, ~present & present)])
    curve = calibrate(found, ("head",), False, False).curves["present"]
    assert curve.probabilities.max() - curve.probabilities.min() < 0.2


def test_too_few_images_are_refused():
    with pytest.raises(RSGNetError, match="5 images or more"):
        calibrate(claims(images=4), NAMES, True, False)


def test_nobody_is_refused():
    with pytest.raises(RSGNetError, match="nobody with labelled keypoints"):
        join([])


def test_the_page_shows_every_curve():
    page = reliability_html(calibrate(claims(), NAMES, True, False), "<owned>")
    assert page.count("<section>") == page.count("<svg") == 4 and "&lt;owned&gt;" in page and "http" not in page
