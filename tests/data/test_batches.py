"""Draws that a resumed run repeats exactly."""

import numpy as np

from rsgnet.data.batches import SeededDraws

WEIGHTS = np.array([1.0] * 30 + [2.0] * 10)


def drawn(epoch, **options):
    draws = SeededDraws(WEIGHTS, options.pop("count", 100), seed=3, **options)
    draws.set_epoch(epoch)
    return list(draws)


def test_an_epoch_is_the_same_whenever_it_is_drawn():
    assert drawn(4) == drawn(4)
    assert drawn(4) != drawn(5)


def test_entries_are_drawn_by_their_weight():
    counts = np.bincount([draw.entry for draw in drawn(0)], minlength=40)
    assert (np.abs(counts[:30] - 2) <= 1).all()
    assert (np.abs(counts[30:] - 4) <= 1).all()
    assert counts.sum() == 100


def test_processes_share_an_epoch_without_overlap():
    whole, parts = drawn(2), [drawn(2, rank=rank, world=3) for rank in range(3)]
    assert [len(part) for part in parts] == [33, 33, 33]
    assert sorted(draw for part in parts for draw in part) == sorted(whole[:99])


def test_each_entry_is_drawn_once_in_an_epoch_of_equal_weights():
    draws = SeededDraws(np.ones(50), 50, seed=0)
    assert sorted(draw.entry for draw in draws) == list(range(50))
