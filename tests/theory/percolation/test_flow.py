"""Steady flow: laws of Ohm and Kirchhoff, dense twins, duality, conservation."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_array

from opalesce.errors import InputError
from opalesce.theory.percolation import conjugate, flow
from opalesce.theory.percolation.flow import layered_flow, steady_flow


def grid(*shape):
    """Edges of an open box and the node numbers in it."""
    at = np.arange(np.prod(shape)).reshape(shape)
    pairs = [
        np.stack([at.take(range(k - 1), d).ravel(), at.take(range(1, k), d).ravel()], axis=1)
        for d, k in enumerate(shape)
    ]
    return np.concatenate(pairs), at


def dense(n, edges, g, inlet, outlet):
    """Potentials from the full Laplacian with rows of terminals replaced."""
    a = np.zeros((n, n))
    for (u, v), w in zip(edges, g, strict=True):
        a[u, u] += w
        a[v, v] += w
        a[u, v] -= w
        a[v, u] -= w
    b, full = np.zeros(n), a.copy()
    for nodes, value in ((inlet, 1.0), (outlet, 0.0)):
        for i in nodes:
            a[i], b[i] = 0, value
            a[i, i] = 1
    c = np.linalg.solve(a, b)
    return c, float((full @ c)[inlet].sum())


def test_series_and_parallel():
    g = [2.0, 3.0, 6.0]
    line = steady_flow(4, [[0, 1], [1, 2], [2, 3]], g, [0], [3])
    assert line.conductance == pytest.approx(1 / (1 / 2 + 1 / 3 + 1 / 6), rel=1e-14)
    assert line.participation == pytest.approx(1.0, rel=1e-12)
    beside = steady_flow(2, [[0, 1], [1, 0], [0, 1]], g, [0], [1])
    assert beside.conductance == pytest.approx(11.0)
    assert beside.flux.tolist() == [2.0, -3.0, 6.0]
    bridge = steady_flow(4, [[0, 1], [0, 2], [1, 3], [2, 3], [1, 2]], [1, 2, 2, 4, 7.0], [0], [3])
    assert bridge.flux[4] == pytest.approx(0, abs=1e-14)  # a balanced Wheatstone bridge


@pytest.mark.parametrize("size", [5, 12])
def test_unit_square_lattice(size):
    edges, at = grid(size, size)
    found = steady_flow(size**2, edges, np.ones(len(edges)), at[0], at[-1])
    assert found.conductance == pytest.approx(size / (size - 1), rel=1e-13)
    assert found.potential == pytest.approx(1 - at.ravel() // size / (size - 1), abs=1e-13)


def test_against_a_dense_solve():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        n, m = 30, 90
        edges, g = rng.integers(0, n, (m, 2)), np.exp(rng.normal(0, 2, m))
        edges[:29] = np.stack([np.arange(29), np.arange(1, 30)], axis=1)  # in one piece
        found = steady_flow(n, edges, g, [0, 3], [9])
        c, total = dense(n, edges, g, [0, 3], [9])
        assert found.potential == pytest.approx(c, abs=1e-10)
        assert found.conductance == pytest.approx(total, rel=1e-10)
        assert found.residual < 1e-10


def test_pieces_carry_nothing():
    found = steady_flow(7, [[0, 1], [1, 2], [3, 4], [5, 5], [0, 6]], [1.0, 1, 1, 1, 0], [0], [2])
    assert found.conductance == pytest.approx(0.5)
    assert np.isnan(found.potential[3:7]).all()
    assert (found.flux[2:] == 0).all()
    apart = steady_flow(4, [[0, 1], [2, 3]], [1.0, 1.0], [0], [3])
    assert apart.conductance == 0
    assert apart.potential.tolist() == [1, 1, 0, 0]
    assert np.isnan(apart.participation)


def test_keller_dykhne():
    """Reference part D, rows 14 and 15: bonds 1 or 100 with probability 1/2, L = 200, six samples:
    G = sqrt(1 * 100) = 10 by duality (Keller 1964; Dykhne 1971), residual below 1e-10.
    """
    edges, at = grid(200, 201)  # the dual of L x (L + 1) is itself
    found = []
    for seed in range(6):
        g = np.random.default_rng(seed).choice([1.0, 100.0], len(edges))
        one = steady_flow(at.size, edges, g, at[:, 0], at[:, -1])
        assert one.residual <= 1e-10
        assert 0.05 < one.participation < 0.5  # the flux runs through a backbone
        found.append(one.conductance)
    assert np.mean(found) == pytest.approx(10.0, abs=0.4)  # standard error 0.05


def test_iteration_and_factorisation_agree(monkeypatch):
    edges, at = grid(12, 13, 14)
    g = np.exp(np.random.default_rng(0).normal(0, 2, len(edges)))
    a = steady_flow(at.size, edges, g, at[0].ravel(), at[-1].ravel())
    monkeypatch.setattr(flow, "DIRECT", 0)
    b = steady_flow(at.size, edges, g, at[0].ravel(), at[-1].ravel())
    assert b.potential == pytest.approx(a.potential, abs=1e-9)
    assert b.conductance == pytest.approx(a.conductance, rel=1e-10)
    assert max(a.residual, b.residual) < 1e-10


def test_what_does_not_converge_says_so():
    a = csr_array(np.diag([2.0] * 50) - np.diag([1.0] * 49, 1) - np.diag([1.0] * 49, -1))
    assert conjugate.solve(a, np.zeros(50)).tolist() == [0.0] * 50
    rhs = np.random.default_rng(0).random(50)
    assert a @ conjugate.solve(a, rhs) == pytest.approx(rhs, abs=1e-10)
    cycle = a.toarray()
    cycle[0, -1] = cycle[-1, 0] = -0.5  # the incomplete factor of a cycle is not exact
    with pytest.raises(InputError, match="converge"):
        conjugate.solve(csr_array(cycle), rhs, rtol=1e-14, steps=2)


@pytest.mark.parametrize("widths", [(4, 6), (4, 5, 3), (3, 6, 5, 4, 2)])
def test_layers_are_the_same_network(widths):
    rng = np.random.default_rng(1)
    ws = [rng.standard_normal(s) for s in pairwise(widths)]
    at = np.cumsum([0, *widths])
    cells = [np.argwhere(np.ones(w.shape)) + at[i : i + 2] for i, w in enumerate(ws)]
    g = np.abs(np.concatenate([w.ravel() for w in ws]))
    edges = np.concatenate(cells)
    ends = np.arange(widths[0]), np.arange(at[-2], at[-1])
    general, layered = steady_flow(int(at[-1]), edges, g, *ends), layered_flow(ws)
    assert layered.potential == pytest.approx(general.potential, abs=1e-12)
    assert layered.flux == pytest.approx(general.flux, abs=1e-12)
    assert layered.conductance == pytest.approx(general.conductance, rel=1e-12)
    assert layered.residual < 1e-12


@pytest.mark.parametrize(
    "call",
    [
        lambda: steady_flow(3, [[0, 1]], [-1.0], [0], [1]),
        lambda: steady_flow(3, [[0, 1]], [np.nan], [0], [1]),
        lambda: steady_flow(3, [[0, 1]], [1.0, 2.0], [0], [1]),
        lambda: steady_flow(3, [[0, 1]], [1.0], [0], [0]),
        lambda: steady_flow(3, [[0, 1]], [1.0], [], [1]),
        lambda: steady_flow(3, [[0, 4]], [1.0], [0], [1]),
        lambda: steady_flow(3, [[0, 1]], [1.0], [0], [5]),
        lambda: steady_flow(2**31, [[0, 1]], [1.0], [0], [1]),
        lambda: layered_flow([np.zeros((2, 3)), np.zeros((3, 2))]),
        lambda: layered_flow([np.ones((2, 3)), np.ones((2, 3))]),
    ],
)
def test_bad_input_is_named(call):
    with pytest.raises(InputError):
        call()
