"""Observables of a matrix as a network: planted hubs, planted blocks, closed forms."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from opalesce.nulls.weights import against, matched_gaussian, same_strengths, shuffled
from opalesce.observables.attention import Attention
from opalesce.observables.flow import attention_depth, depth_of_heads, resistance_excess
from opalesce.observables.percolation import (
    WeightGraph,
    giant_share,
    median_breakthrough,
    percolation_ratio,
    percolation_z,
)
from opalesce.observables.pores import graph_thickness
from opalesce.theory.percolation.attention_flow import depth

SHAPE = (120, 200)


def noise(seed, shape=SHAPE):
    return np.random.default_rng(seed).standard_normal(shape)


def hubs(seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(SHAPE) * np.exp(rng.normal(0, 1, (SHAPE[0], 1)))


def test_z_of_noise_is_standard():
    """Mean 0 within 4 standard errors, spread near 1, on 60 independent matrices."""
    z = np.array([percolation_z(WeightGraph(noise(s))) for s in range(60)])
    assert abs(z.mean()) < 4 / np.sqrt(60) + 0.15  # the null's own mean is known to 1/sqrt(100)
    assert 0.7 < z.std(ddof=1) < 1.4


def test_hubs_percolate_early_and_connect_late():
    g = WeightGraph(hubs(0))
    assert percolation_ratio(g) < 0.8
    assert percolation_z(g) < -2
    assert median_breakthrough(g) > 3
    assert giant_share(g) < 0.6


def test_blocks_percolate_late():
    """Two halves that hardly touch: the second largest cluster lives until the bridges come."""
    w = np.abs(noise(1, (200, 200))) + 1
    w[:100, 100:] *= 1e-3
    w[100:, :100] *= 1e-3
    g = WeightGraph(w)
    assert percolation_z(g) > 5
    # bridges carry a share 1e-3 of the current: sigma_2 = 1 - 2e-3, in resistance about 250 beyond noise
    assert resistance_excess(g) > 50


def test_resistance_excess_is_kemenys_constant():
    """From the walk itself: K = sum over j of pi_j m_ij by mean hitting times, both sides of the graph."""
    w = noise(3, (5, 7))
    a = np.zeros((12, 12))
    a[:5, 5:], a[5:, :5] = np.abs(w), np.abs(w.T)
    walk, pi = a / a.sum(axis=1, keepdims=True), a.sum(axis=1) / a.sum()
    kemeny = 0.0
    for j in range(12):
        rest = np.delete(np.arange(12), j)
        hit = np.linalg.solve(np.eye(11) - walk[np.ix_(rest, rest)], np.ones(11))
        kemeny += pi[j] * hit[rest.tolist().index(0 if j else 1)] if j else 0.0  # from node 0
    least = 0.5 + 12 - 2  # all further singular values 0
    m = np.abs(w)
    expected = (kemeny - least) / 2 / (m.std() / m.mean()) ** 2
    assert resistance_excess(WeightGraph(w)) == pytest.approx(expected, rel=1e-10)


def test_a_product_of_strengths_has_no_excess():
    r = np.random.default_rng(0)
    w = np.outer(r.random(20) + 0.1, r.random(30) + 0.1) * r.choice([-1, 1], (20, 30))
    assert resistance_excess(WeightGraph(w)) == pytest.approx(0, abs=1e-10)


def test_pieces_and_equal_entries_have_no_number():
    blocks = np.kron(np.eye(2), noise(0, (5, 6)))
    assert np.isnan(resistance_excess(WeightGraph(blocks)))
    for name in (percolation_ratio, percolation_z, giant_share, resistance_excess, graph_thickness):
        assert np.isnan(name(WeightGraph(np.ones((20, 30))))), name
        assert np.isnan(name(WeightGraph(noise(0, (1, 30))))), name


def test_thickness_from_its_definition():
    """The kept graph and its closed units by sorting, all distances by networkx."""
    w = noise(5, (30, 50))
    size = np.abs(w)
    kept = np.argwhere(size >= np.sort(size.ravel())[-round(4 * np.sqrt(1500))])
    graph = nx.Graph()
    graph.add_nodes_from(range(80))
    graph.add_edges_from((i, 30 + j) for i, j in kept.tolist())
    rows, columns = size.mean(axis=1), size.mean(axis=0)
    shut = {*np.argsort(rows)[: int(0.1 * 29) + 1], *(30 + np.argsort(columns)[: int(0.1 * 49) + 1])}
    d = dict(nx.all_pairs_shortest_path_length(graph))
    radius = {i: min((d[i][c] for c in shut if c in d[i]), default=None) for i in graph}
    centres = [i for i, r in radius.items() if r]
    thick = [max(radius[i] for i in centres if d[i].get(j, 99) <= radius[i]) for j in centres]
    assert graph_thickness(WeightGraph(w)) == pytest.approx(np.mean(thick), rel=1e-12)


def test_shuffled_and_gaussian_are_one_null_and_strengths_explain_hubs():
    w, rng = hubs(2), np.random.default_rng(0)

    def ratio(x):
        return median_breakthrough(WeightGraph(x))

    a, b = (against(w, ratio, null, rng, 40) for null in (shuffled, matched_gaussian))
    spread = np.hypot(a.null.std(), b.null.std()) / np.sqrt(40)
    assert abs(a.null.mean() - b.null.mean()) < 4 * spread
    assert a.z > 10
    assert a.p_value == pytest.approx(2 / 41)
    kept = against(w, ratio, same_strengths, rng, 40)
    assert abs(kept.z) < 4  # the hubs explain it


def attention(p, heads=1, batch=1):
    return Attention(np.tile(p, (batch, heads, 1, 1)), np.full(batch, 2))


def test_attention_depth_of_heads_that_are_known():
    n = 12
    even = np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None]
    first, before = np.eye(n)[np.zeros(n, int)], np.eye(n, k=-1)
    before[0, 0] = 1
    harmonic = (1 / np.arange(1, n)).sum()
    # from row t (even, itself included): E[steps] = t/(t-1) + mean over earlier ones = H_(t-1) + 1
    assert attention_depth(attention(even)) == pytest.approx(harmonic + 1)
    assert attention_depth(attention(first)) == 1
    assert attention_depth(attention(before)) == n - 1
    both = Attention(np.stack([even, before])[None], np.array([2]))
    assert depth_of_heads(both) == pytest.approx([harmonic + 1, n - 1])
    assert depth_of_heads(both)[0] == pytest.approx(depth(even)[-1])
    assert np.isnan(attention_depth(attention(np.eye(n))))
