"""A chain of matrices: equal weights, permuted units, and what a bottleneck does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.percolation.chain import chain, drain_layers


def matrices(seed=0, widths=(30, 40, 35, 20)):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((a, b)) for a, b in pairwise(widths)]


def test_equal_weights_conduct_best_and_carry_alike():
    even = chain([np.full((6, 8), 2.0), np.full((8, 6), 3.0)])
    assert even.conductance == pytest.approx(1.0, rel=1e-12)
    assert even.participation == pytest.approx(1.0, rel=1e-12)
    assert even.breakthrough == 1.0  # the heavier matrix first, then all of the other at once


def test_numbers_do_not_see_the_order_of_units_or_the_scale():
    ws = matrices()
    rng = np.random.default_rng(1)
    order = [rng.permutation(n) for n in (30, 40, 35, 20)]
    moved = [0.01 * w[order[i]][:, order[i + 1]] for i, w in enumerate(ws)]
    a, b = chain(ws), chain(moved)
    for name in ("breakthrough", "saturation", "trapped", "conductance", "participation"):
        assert getattr(a, name) == pytest.approx(getattr(b, name), rel=1e-9), name
    assert a.conductance < 1
    assert 0 < a.participation < 1
    assert 30 / 125 < a.saturation < 1


def test_breakthrough_of_the_invasion_is_that_of_the_sweep():
    for seed in range(5):
        ws = matrices(seed)
        every = np.sort(np.abs(np.concatenate([w.ravel() for w in ws])))[::-1]
        kept = round(chain(ws).breakthrough * every.size)
        found = drain_layers(ws, trapping=False)
        assert found.breakthrough_pressure == pytest.approx(1 / every[kept - 1], rel=1e-12)


def test_a_bottleneck_is_seen():
    """One hidden unit carries nearly all: the flux concentrates and the conductance falls."""
    ws = matrices(2, (30, 40, 30))
    narrow = [ws[0].copy(), ws[1].copy()]
    narrow[0][:, 1:] *= 0.01
    narrow[1][1:] *= 0.01
    open_, shut = chain(ws), chain(narrow)
    assert shut.participation < 0.3 * open_.participation
    broken = [
        ws[0] * np.where(np.arange(40) < 20, 1, 0.01),
        ws[1] * np.where(np.arange(40) < 20, 0.01, 1)[:, None],
    ]
    assert chain(broken).conductance < 0.1 * open_.conductance


@pytest.mark.parametrize("bad", [[np.ones((2, 2))], [np.ones((2, 3)), np.ones((2, 3))], []])
def test_bad_input_is_named(bad):
    with pytest.raises(InputError):
        chain(bad)
