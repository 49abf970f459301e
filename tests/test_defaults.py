"""The default networks ship, and every way in has the same ones."""

import inspect

import typer

from rsgnet.cli import app
from rsgnet.defaults import DEFAULT_DETECTOR, DEFAULT_WEIGHTS
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.weights import DETECTOR_PREFIX, list_shipped_weights


def test_the_default_networks_ship():
    assert DEFAULT_WEIGHTS in list_shipped_weights() and DEFAULT_DETECTOR in list_shipped_weights(DETECTOR_PREFIX)


def test_commands_and_class_have_the_same_defaults():
    commands = typer.main.get_command(app).commands
    defaults = {
        (name, option.name): option.default
        for name, command in commands.items()
        for option in command.params
        if option.name in ("weights", "detector") and option.default is not None
    }
    assert {name for name, _ in defaults} == {"predict", "show", "evaluate", "serve", "predict-dataset"}
    for (name, option), default in defaults.items():
        assert default == (DEFAULT_WEIGHTS if option == "weights" else DEFAULT_DETECTOR), name
    parameters = inspect.signature(PoseEstimator).parameters
    assert (parameters["weights"].default, parameters["detector"].default) == (DEFAULT_WEIGHTS, DEFAULT_DETECTOR)
