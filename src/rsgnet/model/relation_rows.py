"""Products with A = sigmoid(Q K^T) that never hold A: some of its rows at a time, in the backward pass computed anew.

Whatever outlives a step of a loop is allocated before it: memory that is freed in a step serves the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

_ROWS = 128  # at a time: 28 MB for 8 crops of 384x288, where all of A takes 1.5 GB


def relate(queries: Tensor, keys: Tensor) -> Tensor:
    """(B, S, C) queries and (B, T, C) keys to (B, S, T) A."""
    return (queries @ keys.transpose(1, 2)).sigmoid_()


def rows_mixed(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """(B, S, C) A times (B, T, C) values."""
    if torch.compiler.is_compiling():
        # In an exported graph writing into a whole copies it each time: pieces are joined instead.
        return torch.cat([relate(queries[:, rows], keys) @ values for rows in _slices(queries)], dim=1)
    mixed: Tensor = _Mix.apply(queries, keys, values)
    return mixed


def rows_squared_error(queries: Tensor, keys: Tensor, wanted: Tensor, wanted_keys: Tensor) -> Tensor:
    """(B,) the sum of the squared differences between A and (B, S, 1) times (B, T, 1) labels, transposed."""
    error: Tensor = _SquaredError.apply(queries, keys, wanted, wanted_keys)
    return error


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        ctx.save_for_backward(queries, keys, values)
        mixed = torch.empty_like(queries)
        for rows in _slices(queries):
            mixed[:, rows] = relate(queries[:, rows], keys) @ values
        return mixed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        queries, keys, values = ctx.saved_tensors
        to_values = torch.zeros_like(values)

        def to_relation(rows: slice, relation: Tensor) -> Tensor:
            to_values.baddbmm_(relation.transpose(1, 2), gradient[:, rows])
            upstream: Tensor = gradient[:, rows] @ values.transpose(1, 2)
            return upstream

        return *_through_sigmoid(queries, keys, to_relation), to_values


class _SquaredError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, wanted: Tensor, wanted_keys: Tensor) -> Tensor:
        ctx.save_for_backward(queries, keys, wanted, wanted_keys)
        total: Tensor = queries.new_zeros(queries.shape[0])
        for rows in _slices(queries):
            total += _error(relate(queries[:, rows], keys), wanted[:, rows], wanted_keys).square_().sum((1, 2))
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        queries, keys, wanted, wanted_keys = ctx.saved_tensors

        def to_relation(rows: slice, relation: Tensor) -> Tensor:
            return _error(relation.clone(), wanted[:, rows], wanted_keys).mul_(2 * gradient[:, None, None])

        return *_through_sigmoid(queries, keys, to_relation), None, None


def _error(relation: Tensor, wanted: Tensor, wanted_keys: Tensor) -> Tensor:
    return relation.baddbmm_(wanted, wanted_keys.transpose(1, 2), alpha=-1)


def _through_sigmoid(
    queries: Tensor, keys: Tensor, to_relation: Callable[[slice, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """The gradients of queries and keys, from that of rows of A, which `to_relation` gives."""
    to_queries, to_keys = torch.empty_like(queries), torch.zeros_like(keys)
    for rows in _slices(queries):
        relation = relate(queries[:, rows], keys)
        slope = to_relation(rows, relation).mul_(relation)
        slope.addcmul_(slope, relation, value=-1)  # times A (1 - A)
        to_queries[:, rows] = slope @ keys
        to_keys.baddbmm_(slope.transpose(1, 2), queries[:, rows])
    return to_queries, to_keys


def _slices(queries: Tensor) -> Iterator[slice]:
    for start in range(0, queries.shape[1], _ROWS):
        yield slice(start, start + _ROWS)
