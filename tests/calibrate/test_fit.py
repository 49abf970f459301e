import numpy as np
import pytest

from rsgnet.calibrate.fit import CONTESTED, calibrate, fit_logistic, select_outcomes
from rsgnet.calibrate.run import render_reliability
from rsgnet.calibrate.samples import CalibrationSamples, concatenate_samples
from rsgnet.errors import RSGNetError
from rsgnet.inference.ownership import FEATURES


def draw_outcomes(count=20_000, seed=0):
    """Returns features, keypoints and outcomes drawn with weights 2, -1 and 0, and biases -1, 0 and 1."""
    random = np.random.default_rng(seed)
    features = random.normal(3, 2, (count, 3))
    keypoints = random.integers(0, 3, count)
    logits = features @ [2, -1, 0] - 3 + np.array([-1.0, 0, 1])[keypoints]
    return features, keypoints, random.random(count) < 1 / (1 + np.exp(-logits))


def test_fit_recovers_the_true_function():
    fit = fit_logistic(*draw_outcomes(), count=4)
    assert fit.weights == pytest.approx([2, -1, 0], abs=0.1)
    assert fit.biases[:3] == pytest.approx([-4, -3, -2], abs=0.25)
    assert fit.biases[3] == pytest.approx(np.mean(fit.biases[:3]), abs=0.1)  # a keypoint without samples


def test_fit_maximises_the_penalised_likelihood():
    features, keypoints, true = draw_outcomes(500)
    fit = fit_logistic(features, keypoints, true, 3)

    def loss(weights, biases):
        logits = features @ weights + biases[keypoints]
        # For features of unit variance; the biases' mean is not penalised.
        centred = biases + weights @ features.mean(0)
        penalty = ((weights * features.std(0)) ** 2).sum() + ((centred - centred.mean()) ** 2).sum()
        return np.logaddexp(0, np.where(true, -logits, logits)).sum() + penalty / 2

    weights, biases = np.array(fit.weights), np.array(fit.biases)
    best = loss(weights, biases)
    for step in np.eye(6) * 1e-2:
        assert min(loss(weights + s * step[:3], biases + s * step[3:]) for s in (1, -1)) > best - 1e-6


def test_constant_features_have_weight_zero():
    features, keypoints, true = draw_outcomes(500)
    features[:, 2] = 0
    assert fit_logistic(features, keypoints, true, 3).weights[2] == 0


def test_separable_samples_give_finite_weights():
    features = np.linspace(-1, 1, 100)[:, None]
    fit = fit_logistic(features, np.zeros(100, int), features[:, 0] > 0, 1)
    assert np.isfinite(fit.weights[0]) and fit.weights[0] > 1


@pytest.mark.parametrize("true", [np.zeros(5, bool), np.ones(5, bool), np.zeros(0, bool)])
def test_equal_outcomes_raise(true):
    with pytest.raises(RSGNetError, match="more labelled people"):
        fit_logistic(np.zeros((len(true), 2)), np.zeros(len(true), int), true, 1)


NAMES = ("head", "tail")


def draw_samples(count=6000, images=30, seed=0):
    """Draws samples: present by sigmoid(peak), then visible by 0.5 and correct by sigmoid(-rival_peak)."""
    random = np.random.default_rng(seed)
    features = random.normal(0, 1.5, (count, len(FEATURES)))
    features[:, FEATURES.index("contested")] = random.random(count) < 0.3
    probabilities = 1 / (1 + np.exp(-features))
    present = random.random(count) < probabilities[:, FEATURES.index("peak")]
    return CalibrationSamples(
        features=features,
        keypoints=random.integers(0, 2, count),
        images=random.integers(0, images, count),
        present=present,
        visible=present & (random.random(count) < 0.5),
        correct=present & (random.random(count) > probabilities[:, FEATURES.index("rival_peak")]),
    )


def test_probabilities_are_calibrated_on_held_out_images():
    calibration = calibrate(draw_samples(), NAMES, candidates=True, flip_test=False)
    assert set(calibration.qualities) == {"present", "visible", "owned", CONTESTED}
    for name, quality in calibration.qualities.items():
        assert quality.curve.expected_calibration_error < (0.06 if name == CONTESTED else 0.04), name
    # The score alone decides on `present`; a rival's decides on `owned`, too.
    assert all(calibration.qualities[name].auc > calibration.qualities[name].raw_auc for name in ("owned", CONTESTED))
    fit = calibration.ownership
    assert fit.keypoints == NAMES and fit.features == FEATURES and fit.candidates and not fit.flip_test
    assert fit.present.weights[0] == pytest.approx(1, abs=0.15)
    assert fit.owned.weights[FEATURES.index("rival_peak")] == pytest.approx(-1, abs=0.15)
    assert fit.calibration_errors["owned"] == pytest.approx(
        calibration.qualities["owned"].curve.expected_calibration_error, abs=1e-4
    )


def test_owned_is_defined_for_present_keypoints():
    samples = draw_samples()
    rows, outcomes = select_outcomes(samples, "owned")
    assert np.array_equal(rows, samples.present) and np.array_equal(outcomes, samples.correct[samples.present])
    assert select_outcomes(samples, "visible")[0].all()


def test_images_are_not_predicted_by_a_fit_on_themselves():
    # In each image another feature determines the outcome, which a fit on other images cannot know.
    random = np.random.default_rng(0)
    images = np.repeat(np.arange(5), 200)
    features = np.zeros((1000, len(FEATURES)))
    present = random.random(1000) < 0.5
    features[np.arange(1000), images] = present * 2.0 - 1
    samples = CalibrationSamples(
        features, np.zeros(1000, int), images, present, present & (random.random(1000) < 0.5), present
    )
    samples = concatenate_samples(
        [samples, CalibrationSamples(features, samples.keypoints, images, present, present, ~present & present)]
    )
    curve = calibrate(samples, ("head",), False, False).qualities["present"].curve
    assert curve.probabilities.max() - curve.probabilities.min() < 0.2


def test_too_few_images_raise():
    with pytest.raises(RSGNetError, match="5 images or more"):
        calibrate(draw_samples(images=4), NAMES, True, False)


def test_no_samples_raise():
    with pytest.raises(RSGNetError, match="nobody with labelled keypoints"):
        concatenate_samples([])


def test_page_shows_every_curve():
    page = render_reliability(calibrate(draw_samples(), NAMES, True, False), "<owned>")
    assert page.count("<section>") == page.count("<svg") == 4 and "&lt;owned&gt;" in page and "http" not in page
