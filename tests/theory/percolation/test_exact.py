"""Exact results: numbers of the literature, sums, and random graphs."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import lambertw

from opalesce.errors import InputError
from opalesce.theory.percolation import exact
from opalesce.theory.percolation.canonical import canonical
from opalesce.theory.percolation.lattices import lattice
from opalesce.theory.percolation.sweep import sweep
from opalesce.theory.percolation.trace import trace


def test_chain():
    s = np.arange(1, 2000)
    n = exact.chain_clusters(0.7, s)
    assert (s * n).sum() == pytest.approx(0.7, rel=1e-12)
    assert (s**2 * n).sum() / 0.7 == pytest.approx(exact.chain_mean_size(0.7), rel=1e-12)
    assert exact.chain_correlation_length(math.exp(-0.25)) == pytest.approx(4)
    assert exact.chain_mean_size(1) == exact.chain_correlation_length(1) == math.inf
    assert exact.chain_correlation_length(0) == 0


def test_bethe_giant_of_degree_three():
    # Q = (1 - p)/p in closed form (stauffer1994introduction, eq. 2.17)
    for p in (0.5 + 1e-9, 0.6, 0.75, 0.99):
        q = (1 - p) / p
        assert exact.bethe_giant(3, p) == pytest.approx(1 - q**3, rel=1e-6 if p < 0.51 else 1e-13)
        assert exact.bethe_giant(3, p, "site") == pytest.approx(p * exact.bethe_giant(3, p), rel=1e-13)
    assert exact.bethe_giant(3, 0.6) == pytest.approx(0.7037037037, abs=1e-9)
    assert exact.bethe_giant(3, 0.5) == exact.bethe_giant(2, 0.9) == exact.bethe_giant(5, 0) == 0
    assert exact.bethe_giant(3, 1) == exact.bethe_giant(2, 1) == 1


@pytest.mark.parametrize(("z", "p"), [(3, 0.3), (4, 0.2), (200, 0.003), (2, 0.6)])
def test_bethe_sizes_below_the_threshold(z, p):
    s = np.arange(1, 6000)
    law = exact.bethe_cluster_size(z, p, s)
    assert law.sum() == pytest.approx(1, abs=1e-9)
    assert (s * law).sum() == pytest.approx(exact.bethe_mean_size(z, p), rel=1e-8)
    assert exact.bethe_mean_size(z, exact.bethe_threshold(z)) == math.inf


def test_bethe_sizes_above_the_threshold_leave_the_giant_out():
    law = exact.bethe_cluster_size(4, 0.5, np.arange(1, 3000))
    assert 1 - law.sum() == pytest.approx(exact.bethe_giant(4, 0.5), abs=1e-12)


def test_bethe_tail_of_the_data_model():
    # computed from the law of Fisher and Essam 1961; asymptotic 0.046182, seed of the author 0.0474
    assert exact.bethe_size_tail(200, 1 / 199, 300) == pytest.approx(0.0464478, abs=1e-6)
    small = [exact.bethe_size_tail(200, 1 / 199, s) for s in (1, 2)]
    assert small == pytest.approx([1, 1 - (198 / 199) ** 200])


def test_bethe_law_at_degree_infinity_is_borels():
    s = np.arange(1, 30)
    assert exact.bethe_cluster_size(10**7, 0.8e-7, s) == pytest.approx(
        exact.poisson_cluster_size(0.8, s), rel=1e-4
    )


def test_poisson_graph():
    assert exact.poisson_giant(2) == pytest.approx(0.796812, abs=1e-6)
    for c in (1.0001, 1.5, 3, 30):
        closed = 1 + lambertw(-c * math.exp(-c)).real / c  # newman: S = 1 + W(-c e^-c)/c
        assert exact.poisson_giant(c) == pytest.approx(closed, rel=1e-8)
    assert exact.poisson_giant(1) == exact.poisson_giant(0) == 0
    s = np.arange(1, 4000)
    law = exact.poisson_cluster_size(0.7, s)
    assert (law.sum(), (s * law).sum()) == pytest.approx((1, exact.poisson_mean_size(0.7)))
    assert exact.poisson_cluster_size(0, [1, 2]) == pytest.approx([1, 0])
    assert exact.poisson_mean_size(1) == math.inf


def test_random_graph_has_the_giant_of_the_theory():
    n = 1_000_000  # one graph: standard deviation of S about 0.9/sqrt(n) = 1e-3
    edges = np.random.default_rng(31).integers(0, n, (n, 2))
    t = trace((n, edges), order=np.arange(n), every=n // 4)
    assert t.S1[-1] / n == pytest.approx(exact.poisson_giant(2), abs=3e-3)
    assert t.S1[2] < 0.01 * n  # c = 1
    assert t.S1[3] / n == pytest.approx(exact.poisson_giant(1.5), abs=4e-3)


def test_layered_thresholds():
    # eigenvalue of the tridiagonal T, in closed form for two layers and for equal widths
    assert exact.layered_threshold([512, 2048, 512, 2048, 512]) == pytest.approx(5.63819e-4, abs=1e-9)
    assert exact.layered_threshold([30, 70]) == pytest.approx(1 / math.sqrt(2100), rel=1e-13)
    assert exact.layered_threshold([9] * 6) == pytest.approx(1 / (18 * math.cos(math.pi / 7)), rel=1e-13)
    t = np.diag([20.0, 5, 40], 1) + np.diag([10.0, 20, 5], -1)  # as it is written, not symmetrised
    assert exact.layered_threshold([10, 20, 5, 40]) == pytest.approx(
        1 / np.abs(np.linalg.eigvals(t)).max(), rel=1e-12
    )


@pytest.mark.parametrize("widths", [[1000, 1000], [100, 900, 50], [512, 2048, 512, 2048, 512]])
@pytest.mark.parametrize("ratio", [0.5, 1 + 1e-5, 1.1, 2, 30])
def test_layered_giant_solves_its_equation(widths, ratio):
    n, f = np.array(widths, float), ratio * exact.layered_threshold(widths)
    s = exact.layered_giant(widths, f)
    around = np.append(n[1:] * s[1:], 0) + np.append(0, n[:-1] * s[:-1])
    assert s == pytest.approx(-np.expm1(-f * around), abs=1e-12)
    assert (s > 0).all() == (ratio > 1)
    if ratio == 1 + 1e-5:
        assert s.max() < 1e-3
    if widths == [1000, 1000] and ratio == 2:
        assert s == pytest.approx(exact.poisson_giant(2), abs=1e-12)


def test_layered_graphs_percolate_there():
    widths = [512, 2048, 512, 2048, 512]
    f_c, rng = exact.layered_threshold(widths), np.random.default_rng(32)
    starts = np.cumsum([0, *widths])
    pairs = [a * b for a, b in pairwise(widths)]
    peaks, giants = [], []
    for _ in range(40):
        total = round(3 * f_c * sum(pairs))
        layer = rng.choice(4, total, p=np.array(pairs) / sum(pairs))
        edges = np.stack(
            [starts[layer + k] + rng.integers(0, np.array(widths)[layer + k]) for k in (0, 1)], axis=1
        )
        t = trace((int(starts[-1]), edges), order=np.arange(total))
        peaks.append(t.counts[t.S2.argmax()] / sum(pairs) / f_c)
        giants.append(t.S1[2 * total // 3] / t.n)
    # S2 peaks above f_c by a finite-size shift of order n^-1/3 (computed by us: 1.08)
    assert 1.0 < np.mean(peaks) < 1.2
    expected = exact.layered_giant(widths, 2 * f_c) @ widths / sum(widths)
    assert np.mean(giants) == pytest.approx(expected, abs=0.01)


def test_number_of_clusters_on_the_square_torus():
    # ziff1997universality: (3 sqrt 3 - 5)/2 + 0.8836/L^2; standard error here about 1.1e-4
    assert pytest.approx(0.1015278, abs=1e-7) == exact.square_bond_clusters(16)
    s = sweep(lattice("square", 16), "bond", 40_000, rng=np.random.default_rng(33), window=(0.5, 0.5))
    got, error = canonical(s, "clusters", 0.5)
    assert error[0] / 256 < 1.5e-4
    assert got[0] / 256 == pytest.approx(exact.square_bond_clusters(16), abs=4 * error[0] / 256)


@pytest.mark.parametrize(
    "call",
    [
        lambda: exact.chain_clusters(1.2, 3),
        lambda: exact.bethe_giant(1, 0.5),
        lambda: exact.bethe_giant(3, math.nan),
        lambda: exact.bethe_giant(3, 0.5, "both"),
        lambda: exact.bethe_threshold(2.5),  # type: ignore[arg-type]
        lambda: exact.bethe_cluster_size(3, 0.2, [0]),
        lambda: exact.bethe_cluster_size(3, 0.2, [1.5]),
        lambda: exact.poisson_giant(-1),
        lambda: exact.poisson_giant(math.nan),
        lambda: exact.poisson_mean_size(math.inf),
        lambda: exact.poisson_cluster_size(-1, [1]),
        lambda: exact.layered_threshold([5]),
        lambda: exact.layered_threshold([5, 0]),
        lambda: exact.layered_giant([5, 5], 1.5),
        lambda: exact.square_bond_clusters(0),
    ],
)
def test_out_of_range(call):
    with pytest.raises(InputError):
        call()
