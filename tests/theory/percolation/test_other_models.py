"""k-cores, bootstrap, explosive and directed percolation."""

from __future__ import annotations

from itertools import product

import networkx as nx
import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.percolation import cores, directed
from opalesce.theory.percolation.explosive import product_rule
from opalesce.theory.percolation.networks import random_graph


@pytest.mark.parametrize(
    ("k", "threshold", "share"),
    [(3, 3.350919, 0.267581), (4, 5.149403, 0.438062), (5, 6.799275, 0.538433)],
)
def test_core_thresholds(k, threshold, share):
    """Reference C7 [N] and part D, row 10: 1e-5."""
    c, start = cores.poisson_core_threshold(k)
    assert c == pytest.approx(threshold, abs=1e-5)
    assert start == pytest.approx(share, abs=1e-5)
    assert cores.poisson_core(c * 0.999, k) == 0
    assert cores.poisson_core(c + 1e-9, k) == pytest.approx(share, abs=1e-3)  # square-root onset
    assert cores.poisson_core(4.0 * k, k) > 0.9


def test_core_appears_in_random_graphs_where_the_formula_says():
    """The edge that makes the 3-core, by bisection in one order; c scatters by about n^-1/2."""
    n, seen, jump = 100_000, [], []
    for seed in range(3):
        edges = random_graph(n, 2 * n, np.random.default_rng(seed))
        low, high = int(1.5 * n), int(1.85 * n)
        while high - low > 1:
            mid = (low + high) // 2
            if (cores.core_numbers(n, edges[:mid]) >= 3).sum() > 100:
                high = mid
            else:
                low = mid
        seen.append(2 * high / n)
        jump.append((cores.core_numbers(n, edges[:high]) >= 3).mean())
    assert np.mean(seen) == pytest.approx(3.350919, abs=0.02)
    assert np.mean(jump) == pytest.approx(0.267581, abs=0.04)
    edges = random_graph(n, 2 * n, np.random.default_rng(9))
    assert (cores.core_numbers(n, edges) >= 3).mean() == pytest.approx(cores.poisson_core(4.0, 3), abs=0.01)
    assert (cores.core_numbers(n, edges[:n]) >= 2).mean() == pytest.approx(
        cores.poisson_core(2.0, 2), abs=0.01
    )


def test_core_numbers_against_networkx():
    for seed in range(5):
        g = nx.gnm_random_graph(60, 160, seed=seed)
        found = cores.core_numbers(60, np.array(g.edges))
        assert found.tolist() == [nx.core_number(g)[i] for i in range(60)]
    assert cores.core_numbers(3, np.zeros((0, 2), int)).tolist() == [0, 0, 0]


def test_bootstrap_against_asking_all_again_and_again():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        g = nx.gnm_random_graph(50, 140, seed=seed)
        on = rng.random(50) < 0.2
        found = cores.bootstrap(50, np.array(g.edges), on, 2)
        again = on.copy()
        for _ in range(50):
            again |= np.array([again[list(g[i])].sum() >= 2 for i in range(50)])
        assert np.array_equal(found, again)


def test_bootstrap_and_cores_are_mirror_images():
    """Nodes of a k-regular graph outside the j-core of what stays off: k - j + 1 gone neighbours remove."""
    g = nx.random_regular_graph(4, 200, seed=1)
    edges = np.array(g.edges)
    on = np.random.default_rng(0).random(200) < 0.15
    grown = cores.bootstrap(200, edges, on, 2)
    left = edges[~on[edges].any(axis=1)]
    core = (cores.core_numbers(200, left) >= 3) & ~on
    assert np.array_equal(grown, ~core)


def test_product_rule_largest_gap():
    """Reference part D, row 11: n = 2^20, 0.8887 +- 0.001 (one run scatters by about 3e-4)."""
    found = [product_rule(2**20, np.random.default_rng(s)) for s in range(2)]
    assert np.mean([f.gap_at for f in found]) == pytest.approx(0.8887, abs=0.001)
    assert found[0].gap > 0.05
    plain = product_rule(2**17, np.random.default_rng(0), choices=1)
    assert 0.45 < plain.gap_at < 0.62  # the ordinary random graph: 1/2, window n^(-1/3)
    assert plain.S1[-1] / 2**17 == pytest.approx(0.796812, abs=0.01)


def test_product_rule_against_relabelling():
    n, draws = 40, 45
    found = product_rule(n, np.random.default_rng(3), draws)
    rng, label, largest = np.random.default_rng(3), np.arange(n), [1]
    for _ in range(draws):
        best = None
        for _ in range(2):
            a, b = label[int(rng.random() * n)], label[int(rng.random() * n)]
            size = (label == a).sum() * (label == b).sum()
            if best is None or size < best[0]:
                best = size, a, b
        label[label == best[2]] = best[1]
        largest.append(int(np.bincount(label).max()))
    assert found.S1.tolist() == largest
    assert product_rule(3, np.random.default_rng(0), 0).gap == 0


@pytest.mark.parametrize(("kind", "p"), [("bond", 0.644700185), ("site", 0.70548522)])
def test_directed_activity_decays_with_its_exponent(kind, p):
    """delta = 0.159464 [M; Jensen 1999] between t = 64 and 1024, 20,000 sites (s.e. 0.01)."""
    rng = np.random.default_rng(0)
    a = directed.directed_activity(20_000, 1024, p, kind, rng=rng)
    assert np.log2(a[64] / a[1024]) / 4 == pytest.approx(directed.DELTA, abs=0.03)
    above = directed.directed_activity(5000, 1024, p + 0.05, kind, rng=rng)
    below = directed.directed_activity(5000, 1024, p - 0.05, kind, rng=rng)
    assert above[1024] > 0.3
    assert below[1024] < 0.01


@pytest.mark.parametrize("kind", ["bond", "site"])
def test_two_directed_steps_by_enumeration(kind):
    """Three sites above two above one: every way the bonds or sites can be open."""
    p, total = 0.6, 0.0
    for open_ in product([0, 1], repeat=6 if kind == "bond" else 3):
        weight = np.prod([p if o else 1 - p for o in open_])
        if kind == "bond":
            left, right = open_[0] or open_[1], open_[2] or open_[3]
            total += weight * ((left and open_[4]) or (right and open_[5]))
        else:
            total += weight * (open_[2] and (open_[0] or open_[1]))
    a = directed.directed_activity(400_000, 2, p, kind, rng=np.random.default_rng(1))
    assert a[2] == pytest.approx(total, abs=4 * 1.5 * 0.5 / np.sqrt(400_000))  # neighbours correlate
    assert a[1] == pytest.approx(1 - 0.4**2 if kind == "bond" else 0.6, abs=4 * 0.5 / np.sqrt(400_000))


def test_absorbed_is_absorbed():
    rng = np.random.default_rng(0)
    assert directed.directed_activity(10, 5, 0.0, rng=rng).tolist() == [1, 0, 0, 0, 0, 0]
    assert directed.directed_activity(10, 3, 1.0, "site", rng=rng).tolist() == [1, 1, 1, 1]
    one = np.arange(6) == 0  # heard by itself and, round the ring, by site 5
    grown = directed.directed_activity(6, 2, 1.0, rng=rng, start=one)
    assert grown.tolist() == [1 / 6, 2 / 6, 3 / 6]


@pytest.mark.parametrize(
    "call",
    [
        lambda: cores.core_numbers(2, [[0, 2]]),
        lambda: cores.poisson_core_threshold(1),
        lambda: cores.poisson_core(-1.0, 3),
        lambda: cores.bootstrap(2, [[0, 1]], np.zeros(3, bool), 2),
        lambda: cores.bootstrap(2, [[0, 1]], np.zeros(2, bool), 0),
        lambda: product_rule(0, np.random.default_rng(0)),
        lambda: product_rule(5, np.random.default_rng(0), choices=0),
        lambda: directed.directed_activity(0, 1, 0.5, rng=np.random.default_rng(0)),
        lambda: directed.directed_activity(5, 1, 1.5, rng=np.random.default_rng(0)),
        lambda: directed.directed_activity(5, 1, 0.5, "edge", rng=np.random.default_rng(0)),
        lambda: directed.directed_activity(5, 1, 0.5, rng=np.random.default_rng(0), start=[True]),
    ],
)
def test_bad_input_is_named(call):
    with pytest.raises(InputError):
        call()
