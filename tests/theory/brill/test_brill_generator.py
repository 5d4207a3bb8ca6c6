"""Cluster sizes, trees, targets, nearest training sites: exact values, grown clusters, brute force."""

from __future__ import annotations

from collections import Counter
from itertools import product
from math import comb

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from scipy.stats import chisquare, kstest

from opalesce.errors import InputError
from opalesce.theory.brill import bethe, trees
from opalesce.theory.brill.nearest import _choose, nearest, shrunk, squared_errors
from opalesce.theory.brill.targets import random_walk_targets

ALARM = 1e-4  # each chi-square or Kolmogorov-Smirnov test fails by chance once in 10,000


def grown(degree: int, p: float, rng: np.random.Generator, most: int) -> tuple[int, ...] | None:
    """Slow twin: grow a cluster site by site; numbers of children in depth-first order, None if too large."""
    counts, waiting = [], 1
    while waiting:
        waiting -= 1
        children = int(rng.binomial(degree - (counts != []), p))
        counts.append(children)
        waiting += children
        if len(counts) > most:
            return None
    return tuple(counts)


def children(parent: np.ndarray) -> tuple[int, ...]:
    """Numbers of children in depth-first order, which tell the ordered tree."""
    return tuple(np.bincount(parent[1:], minlength=parent.size).tolist())


@pytest.mark.parametrize(
    ("degree", "p", "mean"), [(3, 0.3, 3.25), (4, 0.2, 3.0), (200, 0.004, (1.004) / (1 - 0.796))]
)
def test_sizes_sum_to_one_with_the_exact_mean(degree, p, mean):  # mean (1 + p)/(1 - (z-1)p)
    s = np.arange(1, 60_000)
    chance = np.exp(bethe.log_size_probability(s, degree, p))
    assert chance.sum() == pytest.approx(1, abs=1e-9)
    assert s @ chance == pytest.approx(mean, rel=1e-8)


def test_tail_at_the_threshold():
    # P(S >= 300) = 0.0464478 for z = 200, summed exactly elsewhere; with S <= 3e7, 0.04630
    assert bethe.tail_probability(300, 200, 1 / 199) == pytest.approx(0.0464478, abs=1e-6)
    kept = bethe.tail_probability(300, 200, 1 / 199) - bethe.tail_probability(30_000_001, 200, 1 / 199)
    assert kept == pytest.approx(0.04630, abs=1e-5)
    assert bethe.tail_probability(1, 200, 1 / 199) == pytest.approx(1, abs=1e-11)
    for s in (10**5, 10**8):  # z/(z-1) sqrt(2 / (pi (1-p) s)): Stirling's formula in the size law
        law = 200 / 199 * np.sqrt(2 / (np.pi * (198 / 199) * s))
        assert bethe.tail_probability(s, 200, 1 / 199) == pytest.approx(law, rel=2 / s**0.5)


def test_both_formulas_of_the_size_law_agree():
    for p in (0.02, 1 / 19, 0.09):  # below, at, above the threshold of z = 20
        s = np.array([bethe.SMALL - 1, bethe.SMALL, bethe.SMALL + 1], float)
        series = bethe._log_binomial(s, 20, p) + np.log(20 * p) - np.log(s - 1)
        small = [float(bethe.log_size_probability([1.0 * v], 20, p)[0]) for v in s]
        np.testing.assert_allclose(series, small, atol=1e-12)


@pytest.mark.parametrize("p", [0.3, 0.5, 0.6, 0.75])
def test_finite_clusters_and_their_tail(p):
    # z = 3 bonds: Q = (1-p)/p above 1/2, P_inf = 1 - Q^3 (0.703704 at 0.6, 0.962963 at 0.75)
    finite = min(1.0, ((1 - p) / p) ** 3)
    assert bethe.finite_probability(3, p) == pytest.approx(finite, rel=1e-12)
    assert bethe.tail_probability(1, 3, p) == pytest.approx(finite, rel=1e-9)
    start = 6000  # beyond the sum: the integral alone against brute force
    brute = np.exp(bethe.log_size_probability(np.arange(start, start + 400_000), 3, p)).sum()
    if p != 0.5:
        assert bethe.tail_probability(start, 3, p) == pytest.approx(brute, rel=1e-7, abs=1e-200)


def test_cutoff_is_exact():
    for p in (0.003, 0.0049, 0.0051, 0.008):
        s = np.array([400.0, 4000.0])
        gap = bethe.log_size_probability(s, 200, p) - bethe.log_size_probability(s, 200, 1 / 199)
        assert -np.diff(gap)[0] / 3600 == pytest.approx(1 / bethe.cutoff_size(200, p), rel=1e-8)
    near = [bethe.cutoff_size(200, (1 + e) / 199) for e in (1e-3, 1e-4)]  # 1/sigma = 2
    assert near[1] / near[0] == pytest.approx(100, rel=0.01)
    assert bethe.cutoff_size(200, 1 / 199) == np.inf


@pytest.mark.parametrize(("p", "degree"), [(None, 200), (0.0045, 200), (0.0056, 200), (0.2, 5)])
def test_drawn_sizes_follow_the_law(p, degree):
    rng = np.random.default_rng(5)
    low, high, n = 30, 3000, 20_000
    drawn = bethe.draw_sizes(n, degree, rng, low, high, p)
    s = np.arange(low, high + 1)
    chance = np.exp(bethe.log_size_probability(s, degree, 1 / (degree - 1) if p is None else p))
    chance /= chance.sum()
    bins = np.searchsorted(np.cumsum(chance), np.linspace(0, 1, 41)[1:-1])
    expected = np.diff(np.r_[0, np.cumsum(chance)[bins], 1]) * n
    got = np.diff(np.r_[0, np.searchsorted(np.sort(drawn), s[bins], side="right"), n])
    keep = expected > 0
    assert chisquare(got[keep], expected[keep]).pvalue > ALARM
    assert drawn.min() >= low
    assert drawn.max() <= high


def test_discarded_clusters():
    rng = np.random.default_rng(8)
    small, large = np.array([bethe.draw_discarded(316, 200, rng) for _ in range(400)]).T
    keep = 0.0463010  # test_tail_at_the_threshold
    mean, sd = 316 * (1 - keep) / keep, np.sqrt(316 * (1 - keep)) / keep
    assert (small + large).mean() == pytest.approx(mean, abs=4 * sd / 400**0.5)
    expected = 316 * bethe.tail_probability(30_000_001, 200, 1 / 199) / keep  # 1.0
    assert large.mean() == pytest.approx(expected, abs=4 * (expected / 400) ** 0.5)


def test_share_of_large_clusters_by_growing_them():  # slow twin of the size law at z = 200
    rng, n = np.random.default_rng(1), 6000
    large = 0
    for _ in range(n):
        live, size = 1, 1
        while live and size < 300:
            live = int(rng.binomial(199 * live + (size == 1), 1 / 199))
            size += live
        large += size >= 300
    assert large / n == pytest.approx(0.0464478, abs=3.5 * (0.0464 / n) ** 0.5)


@pytest.mark.parametrize(("degree", "size"), [(3, 5), (4, 4), (200, 5)])
def test_trees_have_the_law_of_grown_clusters(degree, size):
    """Exact law by enumeration of depth-first child counts: product of binomial coefficients."""
    law: dict[tuple[int, ...], float] = {}
    for counts in product(range(size), repeat=size):
        if sum(counts) != size - 1:
            continue
        left = np.cumsum(np.array(counts) - 1) + 1
        if (left[:-1] <= 0).any():
            continue
        law[counts] = comb(degree, counts[0]) * np.prod([float(comb(degree - 1, c)) for c in counts[1:]])
    total, n = sum(law.values()), 8000
    rng = np.random.default_rng(2)
    seen = Counter(children(trees.bethe_tree(size, degree, rng)) for _ in range(n))
    assert set(seen) <= set(law)
    keys = [k for k in law if law[k] / total * n > 5]
    expected = np.array([law[k] / total * n for k in keys])
    got = np.array([seen[k] for k in keys], float)
    rest = n - expected.sum()
    if rest > 1:
        expected, got = np.append(expected, rest), np.append(got, n - got.sum())
    assert chisquare(got, expected * got.sum() / expected.sum()).pvalue > ALARM


def test_trees_against_grown_clusters():
    rng, size = np.random.default_rng(4), 12
    depth = []
    while len(depth) < 1500:
        counts = grown(4, 1 / 3, rng, size)
        if counts is not None and len(counts) == size:
            parent = trees.parents_depth_first(counts[0], np.array(counts[1:], np.uint8), 0)
            depth.append(trees.depths(parent).sum())
    ours = [trees.depths(trees.bethe_tree(size, 4, rng)).sum() for _ in range(6000)]
    assert abs(np.mean(depth) - np.mean(ours)) < 4 * np.std(ours) * (1 / 1500 + 1 / 6000) ** 0.5


def test_depth_of_large_trees():
    """Mean depth over sqrt(pi s / 2 sigma^2), sigma^2 = 1 - p, tends to 1 (its mean; the law has sd 0.3)."""
    rng, s, n = np.random.default_rng(0), 20_000, 150
    depth = np.array([trees.depths(trees.bethe_tree(s, 200, rng)).mean() for _ in range(n)])
    ratio = depth / np.sqrt(np.pi * s / 2 / (198 / 199))
    assert ratio.mean() == pytest.approx(1, abs=4 * ratio.std() / n**0.5 + s**-0.5)


def test_sites_are_numbered_depth_first():
    parent = trees.bethe_tree(5000, 200, np.random.default_rng(1))
    below = np.ones(parent.size, int)
    for i in range(parent.size - 1, 0, -1):
        below[parent[i]] += below[i]
    for i in range(1, parent.size):  # every site lies in its parent's stretch, which begins at the parent
        assert parent[i] < i < parent[i] + below[parent[i]]
    assert children(trees.bethe_tree(1, 3, np.random.default_rng(0))) == (0,)
    assert children(trees.bethe_tree(2, 3, np.random.default_rng(0))) == (1, 0)


def test_targets_are_a_standardised_walk():
    rng = np.random.default_rng(6)
    parent = trees.bethe_tree(50_000, 200, rng)
    y = random_walk_targets(parent, rng).astype(float)
    assert y.mean() == pytest.approx(0, abs=1e-5)
    assert y.std() == pytest.approx(1, abs=1e-5)
    step = y[1:] - y[parent[1:]]
    assert kstest(step / step.std(), "norm").pvalue > ALARM
    assert random_walk_targets(np.array([-1], np.int32), rng)[0] == 0


@pytest.mark.parametrize("size", [1, 2, 30, 400])
@pytest.mark.parametrize("count", [0, 1, 3, 20])
def test_nearest_against_dijkstra(size, count):
    rng = np.random.default_rng([size, count])
    parent = trees.bethe_tree(size, 20, rng)
    training = rng.choice(size, min(count, size), replace=False)
    distance, site = nearest(parent, training)
    if training.size == 0:
        assert (site == -1).all()
        return
    i = np.arange(1, size)
    graph = coo_array((np.ones(size - 1), (i, parent[1:])), shape=(size, size))
    far = dijkstra(graph, directed=False, indices=training, unweighted=True)
    np.testing.assert_array_equal(distance, far.min(axis=0))
    order = {int(t): k for k, t in enumerate(training)}
    np.testing.assert_array_equal(distance, [far[order[int(s)], v] for v, s in enumerate(site)])


def test_estimator_is_the_posterior_mean():  # eqs 38-42: prior N(0,1), likelihood N(y; r/sqrt s)
    grid = np.linspace(-12, 12, 20_001)
    for y, r, s in ((1.3, 7, 400), (-0.4, 0, 9), (2.0, 40, 100)):
        noise = r / s**0.5
        if noise == 0:
            assert shrunk(y, r, s) == y
            continue
        weight = np.exp(-(grid**2) / 2 - (y - grid) ** 2 / (2 * noise))
        assert float(shrunk(y, r, s)) == pytest.approx(weight @ grid / weight.sum(), rel=1e-9)


def test_choice_is_uniform_and_distinct():
    rng, n = np.random.default_rng(9), 30_000
    mark, picks = np.full(6, -1, np.int32), np.empty(4, np.int32)
    seen: Counter[tuple[int, ...]] = Counter()
    for i in range(n):
        _choose(mark, 4 * i, picks, 4, 2, 6, rng)
        validation, training = sorted(picks[:2].tolist()), sorted(picks[2:].tolist())
        assert len({*validation, *training}) == 4
        seen[(*validation, *training)] += 1
    assert len(seen) == 90  # C(6, 2) validation sets times C(4, 2) training sets
    assert chisquare(list(seen.values())).pvalue > ALARM


def test_squared_errors_against_the_whole_sweep():
    """Slow twin: draw sites with numpy, sweep the whole tree, average; same mean within 4 s.e."""
    rng = np.random.default_rng(10)
    parent = trees.bethe_tree(3000, 200, rng)
    y = random_walk_targets(parent, rng)
    for count in (0, 1, 5, 60, 2900):
        fast = squared_errors(parent, y, np.full(400, count), 10, rng) / 10
        slow = np.empty(150)
        for i in range(slow.size):
            picks = rng.permutation(3000)[: 10 + count]
            distance, site = nearest(parent, picks[10:])
            v = picks[:10]
            guess = shrunk(y[site[v]], distance[v], 3000) if count else np.zeros(10)
            slow[i] = ((y[v] - guess) ** 2).mean()
        error = np.sqrt(fast.var() / fast.size + slow.var() / slow.size)
        assert fast.mean() == pytest.approx(slow.mean(), abs=4 * error)


def test_squared_errors_edges():
    rng = np.random.default_rng(0)
    parent = trees.bethe_tree(50, 5, rng)
    y = random_walk_targets(parent, rng)
    assert squared_errors(parent, y, [10, 20], 0, rng).tolist() == [0, 0]
    assert squared_errors(parent, y, [0], 50, rng)[0] == pytest.approx((y.astype(float) ** 2).sum(), rel=1e-6)
    assert np.isfinite(squared_errors(parent, y, [10**9], 25, rng)).all()


RNG = np.random.default_rng(0)
TREE = np.array([-1, 0, 0, 1], np.int32)


@pytest.mark.parametrize(
    "call",
    [
        lambda: bethe.threshold(2),
        lambda: bethe.log_size_probability(0, 3, 0.3),
        lambda: bethe.log_size_probability(5, 3, 1.0),
        lambda: bethe.draw_sizes(5, 200, RNG, 400, 300),
        lambda: bethe.draw_sizes(0, 200, RNG),
        lambda: bethe.tail_probability(2.5, 3, 0.3),
        lambda: trees.bethe_tree(2**31, 200, RNG),
        lambda: trees.bethe_tree(0, 200, RNG),
        lambda: trees.bethe_tree(10, 1000, RNG),
        lambda: trees.depths(np.array([-1, 5, 0], np.int32)),
        lambda: trees.depths(np.array([-1, 0, 0])),
        lambda: random_walk_targets(np.array([], np.int32), RNG),
        lambda: nearest(TREE, [4]),
        lambda: nearest(TREE, [-1]),
        lambda: shrunk(1.0, 1, 0),
        lambda: squared_errors(TREE, np.zeros(3, np.float32), [1], 1, RNG),
        lambda: squared_errors(TREE, np.zeros(4, np.float32), [-1], 1, RNG),
        lambda: squared_errors(TREE, np.zeros(4, np.float32), [1], 5, RNG),
        lambda: squared_errors(TREE, np.zeros(4, np.float32), [], 1, RNG),
    ],
)
def test_bad_input(call):
    with pytest.raises(InputError, match="expected"):
        call()
