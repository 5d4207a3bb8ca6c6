"""The engine against a breadth-first twin, element by element."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.percolation.exact import chain_clusters
from opalesce.theory.percolation.lattices import NAMES, lattice
from opalesce.theory.percolation.trace import cluster_sizes, trace
from tests.theory.percolation.twin import clusters, history

SMALL = {
    "square": (4, 5),
    "triangular": (4, 3),
    "honeycomb": (3, 4),
    "kagome": (3, 2),
    "cubic": (3, 2, 4),
    "bcc": (2, 3, 2),
    "fcc": (2, 2, 3),
    "hypercubic1": (9,),
    "hypercubic2": (1, 6),
    "hypercubic3": (3, 3, 3),
    "hypercubic4": (3, 2, 2, 3),
    "hypercubic5": (2, 3, 2, 1, 2),
    "hypercubic6": (2, 1, 3, 1, 2, 2),
    "hypercubic7": (2, 2, 1, 3, 1, 2, 1),
}


def table(t):
    return np.stack([t.S1, t.S2, t.M2, t.clusters], axis=1)


@pytest.mark.parametrize("kind", ["site", "bond"])
@pytest.mark.parametrize("name", NAMES)
def test_every_lattice_is_its_twin_at_every_count(name, kind):
    lat = lattice(name, SMALL[name])
    edges, winding = lat.edges()
    order = np.random.default_rng(7).permutation(lat.n_sites if kind == "site" else lat.n_bonds)
    rows, first = history(lat.n_sites, edges, winding, kind, order)
    for system, turns in ((lat, None), ((lat.n_sites, edges), winding)):
        t = trace(system, kind, order, winding=turns)
        assert (table(t) == rows).all()
        assert (t.wrapped == first).all()


@pytest.mark.parametrize("kind", ["site", "bond"])
def test_graph_with_self_loops_and_repeated_edges(kind):
    rng = np.random.default_rng(3)
    n, edges = 12, rng.integers(0, 12, (25, 2))
    edges[:3] = [[4, 4], [1, 2], [2, 1]]
    order = rng.permutation(n if kind == "site" else 25)
    rows, _ = history(n, edges, np.zeros((25, 1), int), kind, order)
    assert (table(trace((n, edges), kind, order)) == rows).all()


def test_largest_gap_and_thinning():
    rng = np.random.default_rng(5)
    t = trace((300, rng.integers(0, 300, (400, 2))), order=np.arange(400))
    jumps = np.diff(t.S1)
    assert t.gap == jumps.max()
    assert t.gap_at == 1 + int(jumps.argmax())
    thin = trace((300, rng.integers(0, 300, (401, 2))), rng=rng, every=100)
    assert thin.counts.tolist() == [0, 100, 200, 300, 400, 401]


@pytest.mark.parametrize("kind", ["site", "bond"])
@pytest.mark.parametrize("shape", [(4, 3), (1, 3), (3, 2)])
def test_open_box_spans_when_a_path_joins_its_ends(shape, kind):
    lat = lattice("square", shape, periodic=False)
    edges, winding = lat.edges()
    assert lat.n_bonds == len(edges) == shape[0] * (shape[1] - 1) + shape[1] * (shape[0] - 1)
    rng = np.random.default_rng(2)
    for _ in range(20):
        order = rng.permutation(lat.n_sites if kind == "site" else 2 * lat.n_sites)
        got = int(trace(lat, kind, order).wrapped[0])
        assert got == spans_at(lat, edges, winding, kind, order)


def spans_at(lat, edges, winding, kind, order):
    """By search: tie the ends with a node on either side, and look for one cluster with both."""
    n, wide = lat.n_sites, lat.n_sites // lat.shape[0]
    index = {tuple(e): i for i, e in enumerate(lattice_numbers(lat))}
    for count in range(len(order) + 1):
        on = order[:count]
        site = np.isin(np.arange(n), on) if kind == "site" else np.ones(n, bool)
        bond = [True] * len(edges) if kind == "site" else [index[tuple(e)] in set(on.tolist()) for e in edges]
        label = components(n, edges[np.array(bond, bool) & site[edges].all(axis=1)])
        if {label[i] for i in range(wide) if site[i]} & {label[i] for i in range(n - wide, n) if site[i]}:
            return count
    return len(order) + 1


def lattice_numbers(lat):
    """Bonds of the torus in their order, by their sites: bond numbers of an open box have holes."""
    return lattice(lat.name, lat.shape).edges()[0].tolist()


def components(n, edges):
    label = list(range(n))
    for u, v in edges.tolist():
        a, b = label[u], label[v]
        label = [a if x == b else x for x in label]
    return label


def test_kesten_rectangle_spans_for_half_of_all_bond_sets():
    # self-dual box, n + 2 by n + 1 sites: exactly 1/2 at p = 1/2 (kesten1980critical); here n = 1, all
    # sets of the 5 bonds that matter, with the bonds along the two ends left out
    lat = lattice("square", (3, 2), periodic=False)
    edges, _ = lat.edges()
    inner = [e for e in edges.tolist() if not (e[0] // 2 == e[1] // 2 and e[0] // 2 in (0, 2))]
    assert len(inner) == 5
    ends = ([0, 1], [4, 5])
    count = 0
    for bits in range(32):
        chosen = np.array([e for k, e in enumerate(inner) if bits >> k & 1], int).reshape(-1, 2)
        t = trace((6, chosen), order=np.arange(len(chosen)), ends=ends)
        count += int(t.wrapped[0]) <= len(chosen)
    assert count == 16


def test_twin_knows_a_loop_around_the_torus():
    ring = np.array([[0, 1], [1, 2], [2, 0]])
    assert clusters(3, ring, np.array([[0], [0], [1]]), np.ones(3, bool)) == ([3], {0})
    assert clusters(3, ring, np.array([[0], [1], [-1]]), np.ones(3, bool)) == ([3], set())


def test_cluster_sizes_of_the_chain():
    # n_s = p^s (1 - p)^2 (stauffer1994introduction, eq. 2.2); ring of 4000 sites, 300 sweeps
    n, sweeps, p = 4000, 300, 0.6
    got = cluster_sizes(lattice("hypercubic1", n), "site", p, sweeps, rng=np.random.default_rng(8))
    expected = chain_clusters(p, np.arange(1, 9)) * n
    assert got.shape == (n + 1,)
    assert got[1:9] == pytest.approx(expected, abs=4 * np.sqrt(expected.max() / sweeps))
    # sites: mean 2400, standard error sqrt(n p (1 - p) / sweeps) = 1.8
    assert (got * np.arange(n + 1)).sum() == pytest.approx(n * p, abs=4 * 1.8)


@pytest.mark.parametrize(
    ("n", "edges", "kwargs", "match"),
    [
        (2**31, [[0, 1]], {}, "2\\^31"),
        (0, [[0, 1]], {}, "no nodes"),
        (2.5, [[0, 1]], {}, "whole number"),
        (3, [[0, 3]], {}, "not there"),
        (3, [[-1, 0]], {}, "not there"),
        (3, [[0, 1, 2]], {}, "pairs"),
        (3, [[0.0, np.nan]], {}, "pairs"),
        (3, [[0, 1]], {"order": [1]}, "permutation"),
        (3, [[0, 1], [1, 2]], {"order": [0, 0]}, "permutation"),
        (3, [[0, 1]], {"order": [0.3]}, "does not fit"),
        (3, [[0, 1]], {"winding": [[0], [1]]}, "winding"),
        (3, [[0, 1]], {"ends": ([0], [7])}, "end of the graph"),
        (3, [[0, 1]], {"every": 0}, "every"),
        (3, [[0, 1]], {"kind": "both"}, "kind"),
    ],
)
def test_bad_input_is_named(n, edges, kwargs, match):
    with pytest.raises(InputError, match=match):
        trace((n, np.array(edges)), **{"rng": np.random.default_rng(0), **kwargs})


def test_no_order_and_no_generator():
    with pytest.raises(InputError, match="no order"):
        trace((3, np.array([[0, 1]])))


def test_one_node_and_no_edges():
    t = trace((1, np.zeros((0, 2), int)), rng=np.random.default_rng(0))
    assert (t.S1.tolist(), t.S2.tolist(), t.clusters.tolist()) == ([1], [0], [1])
    loop = trace((1, np.array([[0, 0]])), order=[0])
    assert loop.S1.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("name", "size", "match"),
    [("cube", 3, "unknown lattice"), ("square", 0, "no cells"), ("square", (3, 3, 3), "sizes"),
     ("square", 50000, "2\\^31"), ("fcc", 900, "2\\^31"), ("square", (3, 2.5), "whole")],
)  # fmt: skip
def test_no_such_lattice(name, size, match):
    with pytest.raises(InputError, match=match):
        lattice(name, size)
