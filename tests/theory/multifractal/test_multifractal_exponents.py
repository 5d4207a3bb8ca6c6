"""Legendre transforms and the exactly solvable measures and networks of multifractal theory."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.multifractal.exact import (
    bifractal_tau,
    binomial_alpha,
    binomial_cascade,
    binomial_tau,
    flower,
    flower_degrees,
    ifs_tau,
    weighted_fractal,
)
from opalesce.theory.multifractal.exponents import MassExponents, Q, emergence, legendre, slopes
from opalesce.theory.multifractal.graph import (
    lengths,
    masses,
    min_plus,
    node_exponents,
    sandbox_exponents,
    watts_strogatz,
)


def spectrum_of(mass, radii, difference="backward"):
    return legendre(node_exponents(mass, radii), difference)


def test_binomial_cascade_has_its_published_values():  # reference values: theory note A.6.2
    q = [-5, -3, -1, 0, 1, 2, 3, 5]
    tau = [-8.705537, -5.320213, -2.251539, -1, 0, 0.785875, 1.434403, 2.552156]
    assert binomial_tau(q, 0.3) == pytest.approx(tau, abs=1e-6)
    alpha = [1.64776, 1.12577, 0.88129, 0.70425, 0.60377]
    assert binomial_alpha([-3, 0, 1, 2, 3], 0.3) == pytest.approx(alpha, abs=1e-5)
    f = np.array([-3, 0, 1, 2, 3]) * binomial_alpha([-3, 0, 1, 2, 3], 0.3)
    assert f - binomial_tau([-3, 0, 1, 2, 3], 0.3) == pytest.approx(
        [0.37692, 1, 0.88129, 0.62263, 0.37692], abs=1e-5
    )
    assert np.ptp(binomial_alpha([-3, 3], 0.3)) == pytest.approx(1.04399, abs=1e-5)


def test_node_sums_shift_the_moment_by_one():
    """Summed over the cells' points, mu^q scales as tau_box(q + 1): exact on the cascade."""
    levels = range(4, 11)
    deepest = binomial_cascade(0.3, 12)
    log_z = []
    for level in levels:
        cells = deepest.reshape(2**level, -1).sum(axis=1)
        log_z.append([np.log((cells * cells**q).sum()) for q in (-3.0, 0.5, 2.0)])  # each point carries mu
    tau, r2 = slopes(np.array(log_z), -np.array(levels) * np.log(2.0))
    assert tau == pytest.approx(binomial_tau([-2, 1.5, 3], 0.3), abs=1e-9)
    assert r2 == pytest.approx(1.0, abs=1e-12)


def test_cantor_sets():
    assert ifs_tau([0, 2, 5], [0.5, 0.5], [1 / 3, 1 / 3]) == pytest.approx(
        np.array([-1, 1, 4]) * np.log(2) / np.log(3), abs=1e-12
    )
    uneven = ifs_tau(np.array([-0.001, 0.001]), [1 / 3, 2 / 3], [1 / 3, 1 / 3])
    assert np.diff(uneven)[0] / 0.002 == pytest.approx(0.68454, abs=1e-5)
    assert -ifs_tau([0.0], [1 / 3, 2 / 3], [1 / 3, 1 / 3])[0] == pytest.approx(0.63093, abs=1e-5)
    ends = np.diff(ifs_tau([-60.0, -59.0, 59.0, 60.0], [1 / 3, 2 / 3], [1 / 3, 1 / 3]))
    assert ends[[0, 2]] == pytest.approx([1, 0.36907], abs=1e-5)
    assert ifs_tau([2.0], [0.3, 0.7], [0.5, 0.5]) == pytest.approx(binomial_tau([2.0], 0.3), abs=1e-12)


def test_emergence_and_its_edges():
    assert emergence(0.6, 1.5, 0.5, 2.0) == pytest.approx(0.345218, abs=1e-6)  # theory note A.6.1
    assert emergence(0.5, 2.0, 0.5, 2.0) == 0.0
    assert np.isnan(emergence(0.5, 2.0, 0.0, 2.0))


def test_spectra_peak_at_zero_and_the_two_differences_agree():
    q = Q
    m = MassExponents(q, np.log1p(q + 4) - np.log(5), np.ones_like(q), (1, 2))
    back, central = legendre(m, "backward"), legendre(m)
    assert central.f.max() == pytest.approx(0.0, abs=1e-3)
    assert central.alpha0 == pytest.approx(1 / 5, abs=1e-4)
    assert back.alpha0 == pytest.approx(central.alpha0, abs=0.03)
    with pytest.raises(InputError, match="q = 0"):
        legendre(MassExponents(np.array([1.0, 2, 3]), np.ones(3), np.ones(3), (1, 2)))
    with pytest.raises(InputError, match="no such moment"):
        m.at(4.0)


def test_lines():
    x = np.log(np.arange(1.0, 9))
    tau, r2 = slopes(np.column_stack([2 * x + 1, np.full(8, 3.0)]), x)
    assert tau == pytest.approx([2, 0], abs=1e-12)
    assert r2[0] == pytest.approx(1.0)
    assert np.isnan(r2[1])  # a constant has no goodness of fit
    with pytest.raises(InputError):
        slopes(np.ones((3, 2)), np.ones(3))


# ---- networks ------------------------------------------------------------------------------------


def test_flower_counts():
    for u, v, n in [(1, 2, 3), (2, 2, 4), (2, 3, 3)]:
        w = u + v
        nodes, edges = flower(u, v, n)
        assert len(edges) == w**n
        assert nodes == ((w - 2) * w**n + w) // (w - 1)
        degrees, numbers = flower_degrees(u, v, n)
        counted = dict(zip(*np.unique(np.bincount(edges.ravel()), return_counts=True), strict=True))
        assert counted == {int(k): int(m) for k, m in zip(degrees, numbers, strict=True)}


def test_flower_is_bifractal_by_its_degrees():
    """Coarse-grained sums of generations 6..13 reproduce both branches away from the kink."""
    q = np.array([-2.0, 0, 1, 3, 4, 6])
    log_z = []
    for g in range(6, 14):
        k, number = flower_degrees(2, 2, g)
        mu = k / (k @ number)
        log_z.append([np.log(number @ mu**m) for m in q])
    tau, _ = slopes(np.array(log_z), -np.arange(6, 14) * np.log(2.0))
    assert tau == pytest.approx(bifractal_tau(q, 4, 2, 2), abs=2e-3)


def test_flower_by_sandbox():
    """10 % for q <= 2, 3 % above: radii 2^2..2^6 on 43,692 nodes (theory note A.6.4)."""
    n, e = flower(2, 2, 8)
    radii = 2.0 ** np.arange(2, 7)
    centres = np.random.default_rng(4).choice(n, 2500, replace=False)
    q = np.array([0.0, 3, 4, 6])
    tau = sandbox_exponents(masses(lengths(n, e), radii, centres), radii, n, q).tau
    exact = bifractal_tau(q, 4, 2, 2)
    assert tau[0] == pytest.approx(exact[0], rel=0.1)
    assert tau[1:] == pytest.approx(exact[1:], rel=0.03)


def test_fractal_tree_has_its_kink():  # theory note A.6.5, m = 2
    dimension = np.log(5) / np.log(3)
    assert dimension == pytest.approx(1.46497, abs=1e-5)
    tau = bifractal_tau([0.0, 10.0], 5, 3, 2)
    assert tau == pytest.approx([-dimension, 10 * 0.83404], abs=1e-4)
    kink = np.log(5) / np.log(2)
    assert kink == pytest.approx(2.3219, abs=1e-4)
    left, right = bifractal_tau([kink - 1e-9, kink + 1e-9], 5, 3, 2)
    assert left == pytest.approx(right, abs=1e-8)


def test_weighted_fractal_network():
    """s copies scaled by f: dimension ln s / ln(1/f), from the radii of whole copies."""
    for s, f in [(3, 0.5), (4, 1 / 3)]:
        n, e, d = weighted_fractal(s, f, 7)
        assert (n, len(e)) == ((s**8 - 1) // (s - 1), n - 1)
        deep = np.arange(1, n)[-400:]  # leaves inside the smallest copies
        radii = 4 * f ** np.arange(5.0, 0, -1)
        m = masses(lengths(n, e, d), radii, deep)
        got = sandbox_exponents(m, radii, n, np.array([0.0, 1.0, 2.0])).tau
        assert got[2] == pytest.approx(np.log(s) / np.log(1 / f), rel=0.08)


def ring(n: int) -> np.ndarray:
    return np.column_stack([np.arange(n), (np.arange(n) + 1) % n])


def grid(side: int, torus: bool) -> np.ndarray:
    at = np.arange(side * side).reshape(side, side)
    out = []
    for axis in (0, 1):
        a, b = at, np.roll(at, -1, axis)
        if not torus:
            a, b = np.delete(a, -1, axis), np.delete(b, -1, axis)
        out.append(np.column_stack([a.ravel(), b.ravel()]))
    return np.concatenate(out)


def test_vertex_transitive_graphs_have_no_width():  # values: theory note A.6.6
    r = np.arange(1, 1001)
    s = spectrum_of(masses(lengths(2001, ring(2001)), r, np.arange(0, 2001, 500)), r)
    assert s.alpha0 == pytest.approx(0.9904, abs=1e-3)
    assert s.width < 1e-10
    r = np.arange(4, 31)
    torus = spectrum_of(masses(lengths(3721, grid(61, True)), r), r)
    assert torus.alpha0 == pytest.approx(1.908, abs=2e-3)
    assert torus.width < 1e-10
    edge = spectrum_of(masses(lengths(3721, grid(61, False)), r), r)
    assert edge.alpha0 == pytest.approx(1.73, abs=0.01)
    assert edge.width == pytest.approx(0.15, abs=0.01)  # from the boundary alone


def test_watts_strogatz_by_rewiring():
    """One seed each; the theory note finds 1.34 to 1.47 and 2.48 to 2.73, seeds spread by about 0.1."""
    found = {}
    for n in (500, 1000):
        for p in (0.0, 0.01, 1.0):
            g = lengths(n, watts_strogatz(n, 2, p, np.random.default_rng(1)))
            reach = masses(g, np.arange(1, n)).sum(axis=0)
            r = np.arange(1, int(np.argmax(reach == reach.max())) + 2)
            found[n, p] = spectrum_of(masses(g, r), r)
    for n in (500, 1000):
        assert found[n, 0.0].width < 1e-10
        assert found[n, 0.0].alpha0 == pytest.approx(1.0, abs=0.03)
        assert 1.25 < found[n, 0.01].alpha0 < 1.65
    assert found[500, 1.0].alpha0 == pytest.approx(2.48, abs=0.1)
    assert found[1000, 1.0].alpha0 == pytest.approx(2.73, abs=0.1)


def test_node_exponents_against_a_plain_loop():
    rng = np.random.default_rng(8)
    m = np.cumsum(rng.integers(1, 9, (7, 5)), axis=1).astype(float)
    r = np.array([1.0, 2, 4, 5, 9])
    q = np.array([-2.0, -1, 0, 1, 3])
    z = [[sum((m[i, k] / m[i, -1]) ** p for i in range(7)) for p in q] for k in range(5)]
    by_hand = [np.polyfit(np.log(r), np.log([row[j] for row in z]), 1)[0] for j in range(5)]
    assert node_exponents(m, r, q).tau == pytest.approx(by_hand, abs=1e-12)


def test_min_plus_is_the_two_hop_distance():
    rng = np.random.default_rng(2)
    a, b = rng.random((5, 6)), rng.random((6, 4))
    a[0] = np.inf
    by_hand = np.array([[min(a[i, k] + b[k, j] for k in range(6)) for j in range(4)] for i in range(5)])
    assert np.array_equal(min_plus(a, b, block=2), by_hand)
    with pytest.raises(InputError, match="chain"):
        min_plus(a, a)
    with pytest.raises(InputError, match="0 or more"):
        min_plus(-a, b)


def test_weighted_masses_and_bad_graphs():
    g = lengths(3, [[0, 1], [1, 2]], [1.0, 2.0])
    assert masses(g, [0.5, 1, 3], [0], mass=[1, 10, 100]).tolist() == [[1, 11, 111]]
    for edges, length in ([[0, 3]], None), ([[0, 1]], [0.0]), ([[0, 1]], [np.nan]), (np.empty((0, 2)), None):
        with pytest.raises(InputError):
            lengths(3, edges, length)
    with pytest.raises(InputError, match="ascend"):
        masses(g, [2.0, 1.0])
    with pytest.raises(InputError, match="positive"):
        node_exponents([[0.0, 1.0]], [1.0, 2.0])
