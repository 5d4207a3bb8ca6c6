"""Attention as a flow: rings, reversible walks, simulation of walks."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.percolation.attention_flow import (
    absorption,
    currents,
    depth,
    entropy_production,
    stationary,
)


def ring(n, right, left):
    p = np.zeros((n, n))
    i = np.arange(n)
    p[i, (i + 1) % n], p[i, (i - 1) % n], p[i, i] = right, left, 1 - right - left
    return p


def causal(n, seed=0):
    p = np.tril(np.random.default_rng(seed).random((n, n)) + 0.01)
    return p / p.sum(axis=1, keepdims=True)


def test_a_driven_ring():
    """pi = 1/n, J = (r - l)/n on each bond, entropy production (r - l) ln(r/l)."""
    p = ring(6, 0.5, 0.2)
    assert stationary(p) == pytest.approx(np.full(6, 1 / 6))
    assert currents(p)[0, 1] == pytest.approx(0.3 / 6)
    assert entropy_production(p) == pytest.approx(0.3 * np.log(2.5), rel=1e-12)
    assert entropy_production(ring(6, 0.5, 0.0)) == np.inf


def test_symmetric_conductances_carry_no_current():
    g = np.random.default_rng(1).random((8, 8))
    g += g.T
    p = g / g.sum(axis=1, keepdims=True)
    assert stationary(p) == pytest.approx(g.sum(axis=1) / g.sum(), rel=1e-12)
    assert np.abs(currents(p)).max() < 1e-15
    assert entropy_production(p) == pytest.approx(0, abs=1e-13)


def test_currents_are_conserved():
    p = np.random.default_rng(2).random((9, 9))
    p /= p.sum(axis=1, keepdims=True)
    assert np.abs(currents(p).sum(axis=1)).max() < 1e-14
    assert entropy_production(p) > 0.01


def test_causal_walks_end_at_the_first_key():
    p = causal(7)
    assert stationary(p) == pytest.approx(np.eye(7)[0], abs=1e-12)
    f = absorption(p, 3)
    assert f.sum(axis=1) == pytest.approx(np.ones(4))
    twin = np.linalg.solve(np.eye(4) - p[3:, 3:], p[3:, :3])
    assert f == pytest.approx(twin, rel=1e-12)
    assert depth(p)[1] == pytest.approx(1 / p[1, 0])


def test_absorption_against_walking():
    p, rng, ends, steps = causal(6, 3), np.random.default_rng(0), np.zeros(2), 0
    for _ in range(4000):
        i = 5
        while i >= 2:
            i = int(rng.choice(6, p=p[i]))
        ends[i] += 1
        i = 5
        while i:
            i = int(rng.choice(6, p=p[i]))
            steps += 1
    assert ends / 4000 == pytest.approx(absorption(p, 2)[3], abs=4 * 0.5 / np.sqrt(4000))
    assert steps / 4000 == pytest.approx(depth(p)[5], rel=0.08)  # s.e. about 1.2 %


@pytest.mark.parametrize(
    "call",
    [
        lambda: stationary(np.eye(3)),
        lambda: stationary(np.full((2, 2), 0.4)),
        lambda: stationary(np.ones((2, 3))),
        lambda: stationary(np.array([[1.5, -0.5], [0.5, 0.5]])),
        lambda: stationary(np.full((2, 2), np.nan)),
        lambda: absorption(np.full((2, 2), 0.5)),
        lambda: absorption(np.eye(3)),
        lambda: absorption(causal(3), 3),
        lambda: depth(np.eye(2)),
        lambda: depth(np.full((2, 2), 0.5)),
    ],
)
def test_bad_input_is_named(call):
    with pytest.raises(InputError):
        call()
