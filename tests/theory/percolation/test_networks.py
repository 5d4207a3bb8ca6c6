"""Thresholds of networks: generating functions, messages and walks against each other and simulation."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.percolation import networks
from opalesce.theory.percolation.exact import layered_giant, poisson_giant
from opalesce.theory.percolation.message_passing import messages
from opalesce.theory.percolation.nonbacktracking import walks
from opalesce.theory.percolation.trace import trace


def simple(edges):
    e = np.unique(np.sort(edges, axis=1), axis=0)
    return e[e[:, 0] != e[:, 1]]


def test_poisson_degrees_are_the_random_graph():
    rng = np.random.default_rng(0)
    n = 100_000
    edges = networks.random_graph(n, n, rng)  # c = 2
    k = networks.degrees_of(n, edges)
    assert networks.molloy_reed(k) == pytest.approx(0.5, rel=0.02)
    assert networks.configuration_giant(k) == pytest.approx(poisson_giant(2.0), abs=0.005)
    assert poisson_giant(2.0) == pytest.approx(0.796812, abs=1e-6)  # reference part D, row 7
    assert trace((n, edges), rng=rng, every=n).S1[-1] / n == pytest.approx(0.796812, abs=0.006)  # 4 s.e.


def test_configuration_keeps_degrees_and_percolates_where_it_should():
    rng = np.random.default_rng(1)
    k = rng.choice([1, 4], 60_000, p=[0.6, 0.4])
    k[0] += k.sum() % 2
    edges = networks.configuration(k, rng)
    assert np.array_equal(networks.degrees_of(len(k), edges), k)
    # <k> = 2.2, <k^2> = 7: p_c = 2.2 / 4.8
    assert networks.molloy_reed(k) == pytest.approx(2.2 / 4.8, rel=0.02)
    for p in (0.3, 0.6, 0.9):
        kept = edges[rng.random(len(edges)) < p]
        seen = trace((len(k), kept), rng=rng, every=len(kept)).S1[-1] / len(k)
        assert seen == pytest.approx(networks.configuration_giant(k, p), abs=0.01)


def test_layers_have_the_density_asked_for():
    rng = np.random.default_rng(2)
    widths = (300, 500, 200)
    edges = networks.layered_graph(widths, 0.02, rng)
    cells = 300 * 500 + 500 * 200
    assert len(edges) == pytest.approx(cells * 0.02, abs=4 * np.sqrt(cells * 0.02))
    layer = np.searchsorted([300, 800, 1000], edges, side="right")
    assert (np.diff(layer, axis=1) == 1).all()
    assert len(simple(edges)) == len(edges)
    seen = trace((1000, edges), rng=rng, every=len(edges)).S1[-1]
    assert seen / 1000 == pytest.approx(layered_giant(widths, 0.02) @ widths / 1000, abs=0.02)


def test_degrees_that_never_branch():
    assert networks.molloy_reed([1, 1, 0]) == np.inf
    assert networks.configuration_giant([1, 1]) == 0.0
    assert networks.configuration_giant([3, 3, 3, 3]) == 1.0
    assert networks.molloy_reed([2, 2, 2]) == 1.0


def test_messages_are_exact_on_a_regular_tree_and_its_graph():
    """A random 3-regular graph looks like the Bethe lattice: bond P_inf(0.6) = 0.703704 (part D, row 6)."""
    g = nx.random_regular_graph(3, 2000, seed=0)
    found = messages(2000, np.array(g.edges), 0.6)
    assert found.change < 1e-10
    assert found.share == pytest.approx(0.7037037, abs=1e-7)
    assert messages(2000, np.array(g.edges), 0.49).share < 1e-6
    assert walks(2000, np.array(g.edges)).threshold == pytest.approx(0.5, rel=1e-8)


def test_messages_on_a_tree_find_no_giant_cluster():
    tree = np.array(nx.balanced_tree(2, 6).edges)
    assert messages(127, tree, 0.9).share == pytest.approx(0, abs=1e-12)
    w = walks(127, tree)
    assert w.threshold == np.inf
    assert w.warning == ""
    assert messages(3, np.zeros((0, 2), int), 0.5).share == 0


def test_messages_against_simulation_and_their_own_instability():
    rng = np.random.default_rng(3)
    n = 20_000
    edges = simple(networks.random_graph(n, 3 * n // 2, rng))  # mean degree 3
    p = rng.choice([0.3, 0.7], len(edges))
    seen = []
    for _ in range(5):
        kept = edges[rng.random(len(edges)) < p]
        seen.append(trace((n, kept), rng=rng, every=len(kept)).S1[-1] / n)
    assert messages(n, edges, p).share == pytest.approx(np.mean(seen), abs=0.01)
    p_c = walks(n, edges).threshold
    assert p_c == pytest.approx(1 / 3, rel=0.03)
    assert messages(n, edges, 0.95 * p_c).share < 1e-6
    assert messages(n, edges, 1.1 * p_c).share > 0.05


def test_walks_against_the_matrix_on_directed_edges():
    for seed in range(4):
        g = nx.gnm_random_graph(90 if seed % 2 else 30, 150 if seed % 2 else 50, seed=seed)
        arcs = [(u, v) for a, b in g.edges for u, v in ((a, b), (b, a))]
        b = np.array([[float(v == x and u != y) for x, y in arcs] for u, v in arcs])
        lead = np.abs(np.linalg.eigvals(b)).max()
        assert walks(len(g), np.array(g.edges)).eigenvalues[0] == pytest.approx(lead, rel=1e-8)


def test_a_small_dense_core_is_seen_as_such():
    """A clique of 25 in a sparse graph of 1500: 1/lambda is 1/23 or so, the graph's own p_c near 1/3."""
    rng = np.random.default_rng(4)
    n = 1500
    clique = np.array([(i, j) for i in range(25) for j in range(i)])
    edges = simple(np.concatenate([networks.random_graph(n, 3 * n // 2, rng), clique]))
    w = walks(n, edges)
    assert w.threshold < 0.06
    assert "localised" in w.warning
    assert w.delocalised == pytest.approx(1 / 3, rel=0.1)
    assert walks(n, simple(networks.random_graph(n, 3 * n // 2, rng))).warning == ""


@pytest.mark.parametrize(
    "call",
    [
        lambda: networks.random_graph(0, 3, np.random.default_rng(0)),
        lambda: networks.random_graph(5, -1, np.random.default_rng(0)),
        lambda: networks.layered_graph([3], 0.1, np.random.default_rng(0)),
        lambda: networks.layered_graph([3, 3], 1.1, np.random.default_rng(0)),
        lambda: networks.configuration([1, 2], np.random.default_rng(0)),
        lambda: networks.configuration([-1, 1], np.random.default_rng(0)),
        lambda: networks.molloy_reed([]),
        lambda: networks.configuration_giant([2, 2], 1.5),
        lambda: messages(3, [[0, 0]], 0.5),
        lambda: messages(3, [[0, 1], [1, 0]], 0.5),
        lambda: messages(3, [[0, 1]], 1.5),
        lambda: walks(3, [[0, 0], [0, 1]]),
    ],
)
def test_bad_input_is_named(call):
    with pytest.raises(InputError):
        call()
