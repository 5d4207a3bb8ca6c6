"""Networks: closed forms, slow twins, known thresholds, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.percolation.cores import bootstrap, core_numbers, core_threshold
from opalesce.theory.percolation.directed import BOND, SITE, THETA, slope, spread
from opalesce.theory.percolation.exact import layered_giant, poisson_giant
from opalesce.theory.percolation.explosive import grow
from opalesce.theory.percolation.message_passing import giant, threshold
from opalesce.theory.percolation.networks import (
    adjacency,
    configuration,
    degrees,
    erdos_renyi,
    layered,
    molloy_reed,
    simple,
)
from opalesce.theory.percolation.trace import trace


def rng(*key: int) -> np.random.Generator:
    return np.random.default_rng(key or 0)


def slow_core(n: int, edges: np.ndarray) -> list[int]:
    """Prune by hand for every k."""
    core = [0] * n
    near = {v: set() for v in range(n)}
    for a, b in edges.tolist():
        if a != b:
            near[a].add(b)
            near[b].add(a)
    for k in range(1, n):
        alive = set(range(n))
        while True:
            gone = {v for v in alive if len(near[v] & alive) < k}
            if not gone:
                break
            alive -= gone
        for v in alive:
            core[v] = k
    return core


@pytest.mark.parametrize("m", [0, 20, 60, 140])
def test_core_numbers_agree_with_pruning_by_hand(m: int):
    edges = erdos_renyi(25, m, rng(m)) if m else np.empty((0, 2), int)
    assert core_numbers(25, edges).tolist() == slow_core(25, edges)


@pytest.mark.parametrize(
    ("k", "c", "share"),  # reference 01, C7 [N]; recomputed here from the formula
    [(3, 3.350919, 0.267581), (4, 5.149403, 0.438062), (5, 6.799275, 0.538433)],
)
def test_cores_appear_where_the_formula_says(k: int, c: float, share: float):
    got = core_threshold(k)
    assert got[0] == pytest.approx(c, abs=1e-5)
    assert got[1] == pytest.approx(share, abs=1e-5)


def test_the_three_core_of_a_large_graph_jumps_there():
    """n = 2e5: 3 % below c_3 there is none, 3 % above more than its size at the jump."""
    n, c = 200_000, core_threshold(3)[0]
    shares = [(core_numbers(n, erdos_renyi(n, int(f * c * n / 2), rng(3))) >= 3).mean() for f in (0.97, 1.03)]
    assert shares[0] < 0.01
    assert shares[1] > core_threshold(3)[1]


def test_bootstrap_is_the_closure_of_its_seeds():
    path = np.array([[0, 1], [1, 2], [2, 3]])
    assert bootstrap(4, path, [0], 1).all()
    assert bootstrap(4, path, [0, 2], 2).tolist() == [True, True, True, False]
    edges = erdos_renyi(300, 900, rng(1))
    seeds = rng(2).random(300) < 0.1
    active = bootstrap(300, edges, seeds, 2)
    start, link = adjacency(300, edges)
    count = np.array([active[link[start[v] : start[v + 1]]].sum() for v in range(300)])
    assert (active >= seeds).all()
    assert (count[~active] < 2).all()
    assert (count[active & ~seeds] >= 2).all()


def test_the_product_rule_jumps_late():
    """Largest gap near 0.8887 edges a node (reference 01, C7: 0.88867(14) at n = 2^20)."""
    g = grow(2**20, int(0.95 * 2**20), rng(1))
    assert g.gap_at == pytest.approx(0.8887, abs=0.001)
    assert (np.diff(g.largest) >= 0).all()
    plain = grow(2**16, 2**16, rng(2), "random")
    assert plain.largest[2**15 // 2] < 0.01 * 2**16  # c = 1/2
    assert plain.largest[-1] / 2**16 == pytest.approx(poisson_giant(2.0), abs=0.012)  # 3 sd of one graph


def test_directed_percolation_grows_with_its_own_exponent():
    """N(t) ~ t^0.3137 at the threshold; 0.02 allows for corrections to scaling at t = 200."""
    for kind, p_c in (("bond", BOND), ("site", SITE)):
        found = [slope(p_c, 200, 4000, rng(i), kind) for i in range(4)]
        error = np.std(found) / 2
        assert abs(np.mean(found) - THETA) < 4 * error + 0.02
        assert slope(p_c - 0.03, 200, 3000, rng(9), kind) < THETA - 0.1
        assert slope(p_c + 0.03, 200, 3000, rng(9), kind) > THETA + 0.1


def test_directed_percolation_after_one_step_is_known():
    p = 0.4
    survived, active = spread(p, 1, 40_000, rng(3))
    assert survived[0] == pytest.approx(1 - (1 - p) ** 2, abs=4 * np.sqrt(0.25 / 40_000))
    assert active[0] == pytest.approx(2 * p, abs=0.014)  # variance 2 p (1 - p): 4 s.e.


def test_molloy_reed():
    k = np.full(1000, 3)
    ratio, p_c = molloy_reed(k)
    assert ratio == 3
    assert p_c.value == pytest.approx(1 / 2)  # random 3-regular: 1/(z - 1)
    c = 4.0
    assert molloy_reed(rng(1).poisson(c, 200_000))[1].value == pytest.approx(1 / c, rel=0.02)
    assert "nothing can percolate" in molloy_reed(np.ones(10, int))[1].status
    assert "even when every edge" in molloy_reed([2, 2, 1, 1, 1, 1, 1, 1])[1].status


def test_a_configuration_model_has_its_degrees_and_percolates_at_its_threshold():
    k = np.repeat([2, 6], 30_000)
    edges = configuration(k, rng(4))
    assert (degrees(len(k), edges) == k).all()
    p_c = molloy_reed(k)[1].value
    curve = trace((len(k), edges), "bond", rng=rng(5))
    peak = curve.counts[curve.S2.argmax()] / len(edges)
    assert peak == pytest.approx(p_c, rel=0.1)  # finite size: n^(-1/3) = 0.026, several times


def test_layers_are_filled_at_their_density():
    edges = layered([40, 60, 30], 0.1, rng(6))
    cells = 40 * 60 + 60 * 30
    assert abs(len(edges) - 0.1 * cells) < 4 * np.sqrt(0.09 * cells)
    assert len(np.unique(edges, axis=0)) == len(edges)
    assert (edges[:, 0] < edges[:, 1]).all()
    big = layered([20_000, 20_000], 1e-5, rng(7))
    assert len(np.unique(big, axis=0)) == len(big)


def test_message_passing_is_exact_on_a_regular_tree_like_graph():
    """Random 3-regular, p = 0.75: P_inf = 0.962963 (reference 01, C4.2), every node alike."""
    edges = configuration(np.full(3000, 3), rng(8))
    clean = simple(3000, edges)
    regular = np.bincount(clean.ravel(), minlength=3000) == 3
    got = giant(3000, edges, 0.75)
    assert np.median(got.nodes[regular]) == pytest.approx(0.962963, abs=1e-6)


def test_message_passing_agrees_with_erdos_renyi_and_with_layers():
    n, c = 20_000, 3.0
    edges = erdos_renyi(n, int(c * n / 2), rng(9))
    for p in (0.2, 0.5, 0.9):
        assert giant(n, edges, p).share == pytest.approx(poisson_giant(c * p), abs=0.02)  # 4 sd of one graph
    widths = [2000, 3000, 1000]
    share = layered_giant(widths, 0.002)
    expected = share @ np.array(widths) / sum(widths)
    got = giant(6000, layered(widths, 0.002, rng(10)), 1.0).share
    assert got == pytest.approx(expected, abs=0.03)


def test_no_giant_on_a_tree_and_none_below_the_threshold():
    star = np.stack([np.zeros(9, int), np.arange(1, 10)], axis=1)
    assert giant(10, star, 1.0).share == pytest.approx(0, abs=1e-12)
    with pytest.raises(InputError, match="threshold"):
        threshold(10, star)
    edges = erdos_renyi(2000, 3000, rng(11))
    assert giant(2000, edges, 0.2).share < 1e-3  # p_c is about 1/3


@pytest.mark.parametrize("n", [100, 1500])
def test_the_non_backtracking_threshold(n: int):
    """Random 4-regular: exactly 1/3; a complete graph: 1/(n - 2)."""
    edges = configuration(np.full(n, 4), rng(12))
    p_c, carried = threshold(n, simple(n, edges))
    assert p_c.value == pytest.approx(1 / 3, rel=0.03)  # a few repeats are gone
    assert p_c.ok
    assert carried > n / 2
    i, j = np.triu_indices(40, 1)
    assert threshold(40, np.stack([i, j], axis=1))[0].value == pytest.approx(1 / 38, rel=1e-9)


def test_a_small_core_is_not_taken_for_the_network():
    """A clique of 8 on a long cycle: lambda is the clique's 6, the giant needs nearly every edge."""
    n = 600
    cycle = np.stack([np.arange(n), (np.arange(n) + 1) % n], axis=1)
    i, j = np.triu_indices(8, 1)
    p_c, carried = threshold(n, np.concatenate([cycle, np.stack([i, j], axis=1)]))
    assert p_c.value < 0.2
    assert carried < 10
    assert "localised" in p_c.status


@pytest.mark.parametrize(
    "call",
    [
        lambda: erdos_renyi(1, 3, rng()),
        lambda: layered([5], 0.1, rng()),
        lambda: layered([5, 5], 1.5, rng()),
        lambda: configuration([1, 2], rng()),
        lambda: molloy_reed([0, 0]),
        lambda: core_threshold(1),
        lambda: bootstrap(4, [[0, 1]], [7], 1),
        lambda: bootstrap(4, [[0, 9]], [0], 1),
        lambda: grow(10, 0, rng()),
        lambda: grow(10, 5, rng(), "sum"),
        lambda: spread(1.2, 5, 5, rng()),
        lambda: giant(4, [[0, 1]], -1),
        lambda: giant(4, [[0.5, 1]], 0.5),
        lambda: erdos_renyi(2**31, 3, rng()),
    ],
)
def test_bad_input(call):
    with pytest.raises(InputError):
        call()
