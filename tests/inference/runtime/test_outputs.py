"""A network's raw arrays are checked against its config."""

from dataclasses import replace

import numpy as np
import pytest
from tests.conftest import colour_config

from rsgnet.config import CandidateRelationConfig
from rsgnet.errors import WeightsError
from rsgnet.inference.runtime.outputs import build_heatmap_output


@pytest.fixture
def config():
    """The config of a network with candidates."""
    config = colour_config()
    return replace(config, model=replace(config.model, relation=CandidateRelationConfig()))


@pytest.mark.parametrize("shape", [(2, 17, 4), (2, 16, 4, 4), (2, 17, 3, 4), (2, 17, 4, 5)])
def test_candidates_of_another_shape_raise(config, shape):
    heatmaps = np.zeros((2, 17, 16, 12), np.float32)
    output = build_heatmap_output(heatmaps, [np.zeros((2, 17, 4, 4))], config, 2, "a")
    assert output.candidate_tables[0].dtype == np.float32
    with pytest.raises(WeightsError, match="network gave candidates of shape"):
        build_heatmap_output(heatmaps, [np.zeros(shape)], config, 2, "some.onnx")


def test_candidates_that_are_not_finite_raise(config):
    table = np.full((2, 17, 4, 4), np.nan)
    with pytest.raises(WeightsError, match="candidates that are not finite"):
        build_heatmap_output(np.zeros((2, 17, 16, 12)), [table], config, 2, "some.onnx")
