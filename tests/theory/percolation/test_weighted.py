"""Threshold percolation of weights: against a twin that rebuilds every graph, and the exact null."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from opalesce.errors import InputError
from opalesce.theory.percolation import uniform, weighted
from opalesce.theory.percolation.exact import layered_giant, layered_threshold
from opalesce.theory.percolation.giant import giant_curve
from opalesce.theory.percolation.retention import retention_order
from opalesce.theory.percolation.trace import trace


def chain(widths, rng, levels=None):
    shapes = list(pairwise(widths))
    if levels:
        return [rng.integers(-levels, levels + 1, s).astype(float) for s in shapes]
    return [rng.standard_normal(s) for s in shapes]


def twin(matrices, level):
    """S1, S2, M2, clusters and connected pairs of the graph of |w| >= level, built from nothing."""
    widths = [matrices[0].shape[0], *(w.shape[1] for w in matrices)]
    at = np.cumsum([0, *widths])
    pairs = [np.argwhere(np.abs(w) >= level) + np.array(at[i : i + 2]) for i, w in enumerate(matrices)]
    u, v = np.concatenate(pairs).T
    graph = coo_array((np.ones(len(u)), (u, v)), shape=(at[-1], at[-1]))
    k, label = connected_components(graph, directed=False)
    size = np.sort(np.bincount(label, minlength=2))[::-1]
    inlet, outlet = label[: widths[0]], label[at[-2] :]
    joined = int((inlet[:, None] == outlet).sum())
    return size[0], size[1], int((size**2).sum()), k, joined


@pytest.mark.parametrize("levels", [None, 3])
@pytest.mark.parametrize("widths", [(7, 9), (5, 8, 6), (4, 3, 5, 4)])
def test_every_point_of_the_curve_is_that_of_the_graph_built_anew(widths, levels):
    matrices = chain(widths, np.random.default_rng(5), levels)
    c = weighted.weight_curve(matrices, whole=True)
    values = np.unique(np.abs(np.concatenate([w.ravel() for w in matrices])))[::-1]
    assert np.array_equal(c.weight[1:], values[values > 0])
    for i in range(1, len(c.counts)):
        got = (c.S1[i], c.S2[i], c.M2[i], c.clusters[i], c.pairs[i])
        assert got == twin(matrices, c.weight[i])
    assert c.counts[-1] == sum(np.count_nonzero(w) for w in matrices)
    assert (c.S1[0], c.clusters[0], c.pairs[0]) == (1, sum(widths), 0)


@pytest.mark.parametrize("widths", [(40, 60), (30, 20, 30)])
def test_stopping_early_changes_nothing(widths):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        hubs = [w * np.exp(rng.normal(0, 2, (len(w), 1))) for w in chain(widths, rng)]
        a, b = weighted.weight_curve(hubs), weighted.weight_curve(hubs, whole=True)
        assert np.array_equal(a.peak, b.peak, equal_nan=True)
        assert a.connects() == b.connects()
        assert a.connects(0.5) == b.connects(0.5)
        assert np.array_equal(a.S1, b.S1[: len(a.S1)])


def test_a_second_cluster_that_comes_after_the_first_is_not_missed():
    """Three quarters of the units first, then the rest among themselves, then between the two."""
    w = np.abs(chain((80, 80), np.random.default_rng(3))[0]) + 1e-3
    w[:60, :60] *= 1e6
    w[:60, 60:] *= 1e-6
    w[60:, :60] *= 1e-6
    a, b = weighted.weight_curve([w]), weighted.weight_curve([w], whole=True)
    assert a.peak == b.peak > 60 * 60 / 6400
    assert b.S2.max() == 40


def test_edge_list_and_matrix_are_the_same_graph():
    w = chain((12, 15), np.random.default_rng(1))[0]
    i, j = np.indices(w.shape).reshape(2, -1)
    edges = np.stack([i, 12 + j], axis=1)
    a = weighted.graph_curve(27, edges, w.ravel(), (np.arange(12), np.arange(12, 27)))
    b = weighted.weight_curve([w], whole=True)
    for name in ("counts", "weight", "S1", "S2", "M2", "clusters", "pairs"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


def test_multipartite_threshold_and_its_peak():
    """Reference part D, row 8: f_c = 5.63819e-4 [N]; the S2 peak lies within [1.0, 1.2] f_c on average."""
    widths = (512, 2048, 512, 2048, 512)
    f_c = layered_threshold(widths)
    assert f_c == pytest.approx(5.63819e-4, abs=1e-9)
    ratio = uniform.null_peaks(widths, 40) / f_c
    assert 1.0 < ratio.mean() < 1.2  # mean 1.09, standard error 0.012
    matrices = chain(widths, np.random.default_rng(0))
    assert weighted.weight_curve(matrices).peak / f_c == pytest.approx(ratio.mean(), abs=4 * ratio.std())


@pytest.mark.parametrize("widths", [(1000, 1000), (400, 1600), (600, 600, 600, 600)])
def test_curve_of_independent_weights_is_the_layered_giant(widths):
    """S1/n at twice the threshold: mean field; standard deviation of one draw below 0.02 here."""
    matrices = chain(widths, np.random.default_rng(2))
    c, f = weighted.weight_curve(matrices), 2 * layered_threshold(widths)
    seen = c.S1[np.searchsorted(c.kept, f)] / c.n
    share = layered_giant(widths, f) @ np.array(widths) / sum(widths)
    assert seen == pytest.approx(share, abs=0.06)
    assert c.connects(0.5) == pytest.approx(uniform.null_median(widths), rel=0.1)


def test_the_giant_alone_is_that_of_the_whole_trace():
    rng = np.random.default_rng(6)
    edges, order = rng.integers(0, 200, (400, 2)), rng.permutation(400)
    assert np.array_equal(giant_curve(200, edges, order), trace((200, edges), order=order).S1)
    assert np.array_equal(giant_curve(200, edges), trace((200, edges), order=np.arange(400)).S1)
    assert giant_curve(3, np.zeros((0, 2), int)).tolist() == [1]
    with pytest.raises(InputError, match="permutation"):
        giant_curve(200, edges, np.zeros(400, int))


def test_retention_keeps_each_edge_with_its_probability():
    rng = np.random.default_rng(7)
    w = np.array([0.0, 0.5, 1.0, 2.0, 4.0])
    draws, lam = 20_000, 0.8
    seen = np.zeros(5)
    for _ in range(draws):
        order, at = retention_order(w, rng)
        assert (np.diff(at[:-1]) >= 0).all()
        seen[order[at <= lam]] += 1
    p = 1 - np.exp(-lam * w / w.mean())
    assert np.abs(seen / draws - p).max() < 4 * 0.5 / np.sqrt(draws)


def test_ties_and_little_matrices_are_defined():
    constant = weighted.weight_curve([np.ones((6, 5))])
    assert (len(constant.counts), constant.S1[-1], constant.connects()) == (2, 11, 1.0)
    assert np.isnan(constant.peak)
    nothing = weighted.weight_curve([np.zeros((3, 3))])
    assert nothing.whole
    assert np.isnan(nothing.connects())
    one = weighted.weight_curve([np.array([[2.0]])])
    assert (one.n, one.S1[-1]) == (2, 2)
    loops = weighted.graph_curve(2, [[0, 0], [0, 1], [1, 0]], [3.0, 1.0, 2.0])
    assert loops.S1.tolist() == [1, 1, 2, 2]
    assert weighted.graph_curve(1, np.zeros((0, 2), int), []).S1.tolist() == [1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: weighted.weight_curve([]),
        lambda: weighted.weight_curve([np.zeros((2, 3)), np.zeros((4, 2))]),
        lambda: weighted.weight_curve([np.full((2, 2), np.nan)]),
        lambda: weighted.weight_curve([np.zeros((0, 2))]),
        lambda: weighted.weight_curve([np.zeros(3)]),
        lambda: weighted.graph_curve(3, [[0, 1]], [np.nan]),
        lambda: weighted.graph_curve(3, [[0, 1]], [1.0, 2.0]),
        lambda: weighted.graph_curve(3, [[0, 3]], [1.0]),
        lambda: weighted.graph_curve(2**31, [[0, 1]], [1.0]),
        lambda: weighted.graph_curve(3, [[0, 1]], [1.0], ([0], [7])),
        lambda: retention_order([0.0, 0.0], np.random.default_rng(0)),
    ],
)
def test_bad_input_is_named(call):
    with pytest.raises(InputError):
        call()
