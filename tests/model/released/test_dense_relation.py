"""Row by row is the same as the whole, forward and backward."""

import pytest
import torch

from rsgnet.model.released.dense_relation import relate, rows_mixed, rows_squared_error

SIZES = [(50, 50), (300, 75), (256, 64)]  # fewer rows than one step takes, several steps, whole steps


@pytest.fixture
def random():
    torch.manual_seed(0)

    def make(*shape):
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    return make


def gradients(value, *inputs):
    return torch.autograd.grad(value, inputs)


@pytest.mark.parametrize(("pixels", "keys"), SIZES)
def test_mixing_is_the_product_with_the_whole_relation(random, pixels, keys):
    inputs = random(2, pixels, 3), random(2, keys, 3), random(2, keys, 3)
    upstream = torch.randn(2, pixels, 3, dtype=torch.float64)
    whole = torch.sigmoid(inputs[0] @ inputs[1].transpose(1, 2)) @ inputs[2]
    mixed = rows_mixed(*inputs)
    torch.testing.assert_close(mixed, whole)
    for one, other in zip(
        gradients((mixed * upstream).sum(), *inputs), gradients((whole * upstream).sum(), *inputs), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("pixels", "keys"), SIZES)
def test_the_squared_error_is_that_of_the_whole_relation(random, pixels, keys):
    queries, others = random(2, pixels, 3), random(2, keys, 3)
    wanted, wanted_keys = torch.rand(2, pixels, 1).double(), torch.rand(2, keys, 1).double()
    upstream = torch.tensor([1.0, -3.0], dtype=torch.float64)
    whole = (relate(queries, others) - wanted @ wanted_keys.transpose(1, 2)).square().sum((1, 2))
    error = rows_squared_error(queries, others, wanted, wanted_keys)
    torch.testing.assert_close(error, whole)
    for one, other in zip(
        gradients(error @ upstream, queries, others), gradients(whole @ upstream, queries, others), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_half_precision_inputs_are_refused_by_nobody(random):
    inputs = [random(1, 200, 4).detach().bfloat16() for _ in range(3)]
    assert rows_mixed(*inputs).dtype == torch.bfloat16
