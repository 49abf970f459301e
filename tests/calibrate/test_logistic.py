import numpy as np
import pytest

from rsgnet.calibrate.logistic import fit_logistic
from rsgnet.errors import RSGNetError


def drawn(count=20_000, seed=0):
    """Claims whose probabilities are known: weights 2, -1 and 0, biases -1, 0 and 1."""
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
