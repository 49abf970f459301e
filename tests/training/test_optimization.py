"""Learning rates over a run."""

from types import SimpleNamespace

import pytest
import torch

from rsgnet.training.optimization import configure_optimizer, make_rate_factor
from rsgnet.training_config import TrainingConfig


@pytest.mark.parametrize(
    ("epoch", "expected"), [(0, 1.0), (169, 1.0), (170, 0.1), (199, 0.1), (200, 0.01), (209, 0.01)]
)
def test_the_papers_schedule(epoch, expected):
    assert make_rate_factor(TrainingConfig(), 50)(epoch * 50) == pytest.approx(expected)


def test_cosine_falls_to_zero_after_a_linear_warmup():
    factor = make_rate_factor(TrainingConfig(epochs=10, schedule="cosine", warmup_steps=20), 100)
    assert factor(0) == pytest.approx(1 / 20, rel=1e-3)
    assert factor(9) == pytest.approx(0.5, rel=1e-3)
    assert factor(500) == pytest.approx(0.5)
    assert factor(1000) == pytest.approx(0.0)
    assert factor(1001) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_optimizers_decay_no_biases(name, kind):
    config = TrainingConfig(optimizer=name, weight_decay=0.1)
    optimizer = configure_optimizer(torch.nn.Linear(3, 2), config, SimpleNamespace(estimated_stepping_batches=210))[
        "optimizer"
    ]
    assert type(optimizer) is kind
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert optimizer.param_groups[0].get("momentum", 0.9) == 0.9


def test_heads_learn_at_a_rate_of_their_own():
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone, self.head = torch.nn.Linear(3, 2), torch.nn.Linear(2, 1)

    network, trainer = Network(), SimpleNamespace(estimated_stepping_batches=210)
    config = TrainingConfig(learning_rate=0.1, head_rate=10.0, weight_decay=0.3)
    groups = configure_optimizer(network, config, trainer)["optimizer"].param_groups
    rates = {id(weight): (group["initial_lr"], group["weight_decay"]) for group in groups for weight in group["params"]}
    weights = network.backbone.weight, network.backbone.bias, network.head.weight, network.head.bias
    assert [rates[id(weight)] for weight in weights] == [(0.1, 0.3), (0.1, 0.0), (1.0, 0.3), (1.0, 0.0)]
