"""Learning rates over a run."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from rsgnet.training.optimization import Muon, configure_optimizer, make_rate_factor
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
    ("name", "kind"),
    [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD), ("muon", Muon)],
)
def test_optimizers_decay_no_biases(name, kind):
    config = TrainingConfig(optimizer=name, weight_decay=0.1)
    optimizer = configure_optimizer(torch.nn.Linear(3, 2), config, SimpleNamespace(estimated_stepping_batches=210))[
        "optimizer"
    ]
    assert type(optimizer) is kind
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert optimizer.param_groups[0].get("momentum", 0.9) == 0.9


def given_gradients(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Conv2d(16, 16, 3, groups=16), nn.Conv2d(16, 8, 1))


@pytest.mark.parametrize("shape", [(16, 3, 3, 3), (8, 16, 1, 1), (12, 5)])
def test_the_update_of_a_matrix_is_the_orthogonal_factor_of_its_gradient(shape):
    weight = nn.Parameter(torch.zeros(shape))
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    weight.grad = gradient.clone()
    Muon([weight], lr=1e-2, weight_decay=0.0).step()
    rows, columns = gradient.flatten(1).shape
    moved = -weight.detach().flatten(1) / (1e-2 * 0.2 * max(rows, columns) ** 0.5)
    left, _, right = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    along = left.mT @ moved @ right.mT
    # Five steps of the iteration bring singular values near 1, not to 1: from 0.68 to 1.14 by its author.
    assert along.diagonal().min() > 0.6
    assert along.diagonal().max() < 1.2
    torch.testing.assert_close(along, torch.diag(along.diagonal()), atol=1e-4, rtol=0)


def test_bfloat16_is_exact_enough():
    moved = []
    for dtype in (torch.float32, torch.bfloat16):
        weight = nn.Parameter(torch.zeros(16, 40))
        weight.grad = torch.randn(16, 40, generator=torch.Generator().manual_seed(1))
        Muon([weight], dtype, lr=1e-2).step()
        moved.append(weight.detach())
    exact, rounded = moved
    assert not torch.equal(exact, rounded)
    assert torch.cosine_similarity(exact.flatten(), rounded.flatten(), dim=0) > 0.999


def test_momentum_is_nesterovs():
    first, second = (torch.randn(6, 9, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    weight = nn.Parameter(torch.zeros(6, 9))
    optimizer = Muon([weight], lr=1.0, weight_decay=0.0)
    weight.grad = first.clone()
    optimizer.step()
    before = weight.detach().clone()
    weight.grad = second.clone()
    optimizer.step()
    mean = 0.95 * 0.05 * first + 0.05 * second
    expected = nn.Parameter(torch.zeros(6, 9))
    expected.grad = 0.05 * second + 0.95 * mean
    Muon([expected], lr=1.0, weight_decay=0.0).step()  # lengths do not matter, nor does a first step's momentum
    torch.testing.assert_close(weight.detach() - before, expected.detach(), atol=1e-4, rtol=1e-3)


def test_other_weights_are_updated_as_by_adamw():
    by_muon, by_adamw = network(), network()
    muon = Muon(by_muon.parameters(), lr=1e-2, weight_decay=0.1)
    adamw = torch.optim.AdamW(by_adamw.parameters(), lr=1e-2, weight_decay=0.1)
    for step in range(3):
        given_gradients(by_muon, step)
        given_gradients(by_adamw, step)
        muon.step()
        adamw.step()
    same = {
        name
        for (name, owned), theirs in zip(by_muon.named_parameters(), by_adamw.parameters(), strict=True)
        if torch.equal(owned, theirs)
    }
    assert same == {"0.bias", "1.weight", "1.bias", "2.weight", "2.bias", "3.bias"}  # 2 is depthwise


def test_matrices_are_decayed_in_proportion_to_the_rate():
    weight = nn.Parameter(torch.ones(8, 8))
    weight.grad = torch.zeros(8, 8)
    Muon([weight], lr=0.5, weight_decay=0.1).step()
    torch.testing.assert_close(weight.detach(), torch.full((8, 8), 0.95))


def test_a_resumed_run_continues_as_if_never_stopped():
    model = network()
    optimizer = Muon(model.parameters(), lr=1e-2, fused=True)
    given_gradients(model, 0)
    optimizer.step()
    again = copy.deepcopy(model)
    resumed = Muon(again.parameters(), lr=1e-2, fused=True)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, its_optimizer in ((model, optimizer), (again, resumed)):
        given_gradients(each, 1)
        its_optimizer.step()
    for owned, theirs in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(owned, theirs)


def test_a_closure_is_run_with_gradients_and_its_loss_returned():
    weight = nn.Parameter(torch.ones(4, 4))
    optimizer = Muon([weight], lr=0.1)

    def closure():
        loss = (weight**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 16.0
    assert not torch.equal(weight.detach(), torch.ones(4, 4))
