"""Pruning a network that was trained here: what percolates is not yet what works."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.systems.pruning import Trained, prune, train


def test_keeping_everything_changes_nothing_and_order_is_by_scaled_size():
    rng = np.random.default_rng(0)
    weights = (rng.normal(size=(5, 7)), 100 * rng.normal(size=(7, 3)))
    x = rng.normal(size=(50, 5))
    y = (np.maximum(x @ weights[0], 0) @ weights[1]).argmax(1)
    net = Trained(weights, x, y)
    got = prune(net, [0.5, 1.0], rng)
    assert got.magnitude[-1] == got.random[-1] == 1.0
    assert got.largest[-1] == got.open[-1] == 1.0
    assert got.chance == 1 / 3


def test_shares_out_of_range():
    net = Trained((np.ones((2, 2)),), np.ones((3, 2)), np.zeros(3, int))
    for bad in ([0.0], [1.5], []):
        with pytest.raises(InputError):
            prune(net, bad, np.random.default_rng(0))


@pytest.mark.torch
def test_paths_are_open_long_before_anything_works():
    """All inlets reach all outlets at 10 f_c; accuracy there is near chance, and magnitude beats random."""
    pytest.importorskip("torch")
    net = train(1)
    assert net.accuracy(net.weights) > 0.95
    f_c = prune(net, [1.0], np.random.default_rng(0)).critical
    got = prune(net, [0.5 * f_c, 10 * f_c, 0.3], np.random.default_rng(0))
    assert got.largest[0] < 0.15 < 0.99 < got.largest[1]
    assert got.open[1] == 1.0
    assert got.random[1] < 0.3  # chance is 0.125, binomial s.e. 0.005
    assert got.magnitude[2] > got.random[2] + 0.3
    assert 0.5 < got.measured / got.critical < 2.0
