"""Percolation: whole curves, sweeps, flow and invasion, against the packages that do the nearest thing.

No peer sweeps a graph and keeps the curve (python-igraph and NetworKit label one graph at a time, graph-tool
is not on the package index), so the curve stands against 20 labellings, as one would draw it by hand. Flow:
both to a relative residual of 1e-10, graphs and matrices built within the time; OpenPNM's direct solvers do
not finish 100^3 in reasonable time, so its iterative ones stand here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.figures import Figure, child, seconds

PART = "percolation"
BIG = """
import numpy as np
from opalesce.theory.percolation.lattices import lattice
from opalesce.theory.percolation.sweep import sweep
rng = np.random.default_rng(0)
sweep(lattice("square", 16), "site", 1, rng=rng)
"""
BIG_BODY = """
found = sweep(lattice("square", {size}), "site", 1, rng=rng, every={every})
value = int(found.gap_at[0] / found.m * 100)
"""


def figures(quick: bool = False) -> Iterator[Figure]:
    """CPU time on one thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from _curve(20_000 if quick else 1_000_000)
        yield from _throughput(quick)
        yield from _transport(20 if quick else 100, 1 if quick else 2)
        yield from _labels(256 if quick else 4096)
        yield from _memory(500 if quick else 10_000)


def _curve(n: int) -> Iterator[Figure]:
    """The largest cluster after each of n edges between n nodes, in random order."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    from opalesce.theory.percolation.giant import giant_curve
    from opalesce.theory.percolation.trace import trace

    edges = np.random.default_rng(0).integers(0, n, (n, 2), dtype=np.int32)
    u, v = edges.T
    order = np.random.default_rng(1).permutation(n).astype(np.int32)
    ours = seconds(lambda: giant_curve(n, edges, order))
    full = seconds(lambda: trace((n, edges), order=order))
    graph = coo_array((np.ones(n, np.int8), (u, v)), shape=(n, n)).tocsr()
    peers = {
        "SciPy csgraph": lambda: connected_components(graph, directed=False),
        **_networkit(n, u, v),
        **_igraph(n, edges),
    }
    what = f"whole S1 curve of a random graph, {n:.0e} nodes and edges, against 20 labellings"
    for name, work in peers.items():
        yield Figure(PART, what, name, "CPU s", ours, 20 * seconds(work, 2))
    what = "the same with S2, second moment and number of clusters at every edge"
    yield Figure(
        PART,
        what,
        "NetworKit ConnectedComponents",
        "CPU s",
        full,
        20 * seconds(peers["NetworKit ConnectedComponents"], 2),
    )
    if n <= 1_000_000:
        import networkx as nx

        net = nx.Graph()
        net.add_nodes_from(range(n))
        net.add_edges_from(edges.tolist())
        taken = seconds(lambda: max(map(len, nx.connected_components(net))), 1)
        what = "whole S1 curve, as above"
        yield Figure(PART, what, "NetworkX connected_components", "CPU s", ours, 20 * taken)


def _networkit(n: int, u: Any, v: Any) -> dict[str, Any]:
    import networkit as nk

    nk.setNumberOfThreads(1)
    graph = nk.GraphFromCoo((u.astype(np.uint64), v.astype(np.uint64)), n=n)
    return {"NetworKit ConnectedComponents": lambda: nk.components.ConnectedComponents(graph).run()}


def _igraph(n: int, edges: Any) -> dict[str, Any]:
    import igraph

    graph = igraph.Graph(n=n, edges=edges)
    return {"python-igraph connected_components": lambda: graph.connected_components().sizes()}


def _throughput(quick: bool) -> Iterator[Figure]:
    """Bonds switched on a second, sizes measured throughout; the targets stand as the peer."""
    from opalesce.theory.percolation.lattices import lattice
    from opalesce.theory.percolation.sweep import sweep

    rng = np.random.default_rng(0)
    small, many = lattice("square", 64), 20 if quick else 400
    taken = seconds(lambda: sweep(small, "bond", many, rng=rng))
    yield Figure(
        PART, "bonds a second, 64 x 64 torus, sizes and wrapping", "target 1e7", "1/CPU s",
        small.n_bonds * many / taken, 1e7, False,
    )  # fmt: skip
    n = 50_000 if quick else 5_000_000
    edges = rng.integers(0, n, (2 * n, 2), dtype=np.int32)
    for name, system, kind in (
        ("random graph", (n, edges), "bond"),
        ("square torus", lattice("square", int(n**0.5)), "bond"),
    ):
        m = 2 * n if name == "random graph" else lattice("square", int(n**0.5)).n_bonds
        taken = seconds(lambda system=system, kind=kind: sweep(system, kind, 1, rng=rng, every=1000), 1)
        what = f"bonds a second, {name} of {m:.0e} bonds, sizes throughout"
        yield Figure(PART, what, "target 2e6", "1/CPU s", m / taken, 2e6, False)


def _transport(side: int, times: int) -> Iterator[Figure]:
    """Flow and invasion of a cubic network with random conductances."""
    import openpnm as op

    from opalesce.theory.percolation.flow import steady_flow
    from opalesce.theory.percolation.invasion import invade

    op.Workspace().settings.loglevel = 50
    net = op.network.Cubic(shape=[side] * 3)
    phase = op.phase.Phase(network=net)
    g = np.random.default_rng(0).random(net.Nt) + 0.01
    phase["throat.diffusive_conductance"], phase["throat.entry_pressure"] = g, 1 / g
    left, right = net.pores("left"), net.pores("right")
    edges = net.conns.astype(np.int32)
    total: dict[str, float] = {}

    def flow() -> None:
        total["ours"] = steady_flow(net.Np, edges, g, left, right, rtol=1e-10).conductance

    def peer(solver: str) -> Any:
        def run() -> None:
            walk = op.algorithms.FickianDiffusion(network=net, phase=phase)
            walk.set_value_BC(pores=left, values=1.0)
            walk.set_value_BC(pores=right, values=0.0)
            walk.settings["cache"] = False
            walk.run(solver=getattr(op.solvers, solver)(tol=1e-10))
            total[solver] = float(walk.rate(pores=left)[0])

        return run

    ours = seconds(flow, times)
    for solver in ("ScipyCG", "PyamgRugeStubenSolver"):
        taken = seconds(peer(solver), times)
        assert abs(total[solver] / total["ours"] - 1) < 1e-5, total
        yield Figure(
            PART, f"Laplacian flow, {side}^3 cubic network", f"OpenPNM {solver}", "CPU s", ours, taken
        )

    def invasion() -> Any:
        walk = op.algorithms.InvasionPercolation(network=net, phase=phase)
        walk.set_inlet_BC(pores=left)
        walk.set_outlet_BC(pores=right)
        walk.run()
        return walk

    taken = seconds(invasion, times)
    ours = seconds(lambda: invade(net.Np, edges, 1 / g, left, right), times)
    mine, its = invade(net.Np, edges, 1 / g, left, right), invasion()["pore.invasion_sequence"]
    assert (np.diff(its[mine.order[len(left) :]]) >= 0).all(), "the peers invade in another order"
    yield Figure(
        PART, f"invasion, {side}^3 cubic network", "OpenPNM InvasionPercolation", "CPU s", ours, taken
    )
    trap = seconds(lambda: invasion().apply_trapping(), times)
    ours = seconds(lambda: invade(net.Np, edges, 1 / g, left, right, trapping=True), times)
    what = f"invasion with trapping, {side}^3 cubic network"
    yield Figure(PART, what, "OpenPNM InvasionPercolation", "CPU s", ours, trap)


def _labels(side: int) -> Iterator[Figure]:
    """All cluster sizes of a square at its threshold: we sweep up to there, the others label."""
    import cc3d
    from scipy.ndimage import label

    from opalesce.theory.percolation.lattices import lattice
    from opalesce.theory.percolation.trace import cluster_sizes

    rng = np.random.default_rng(0)
    p = 0.592746
    image = (rng.random((side, side)) < p).astype(np.uint8)
    box = lattice("square", side, periodic=False)
    ours = seconds(lambda: cluster_sizes(box, "site", p, 1, rng=rng), 1)
    what = f"cluster sizes of a {side} x {side} square at p_c (ours: drawn and swept; SciPy, cc3d: labelled)"
    yield Figure(PART, what, "SciPy ndimage.label", "CPU s", ours, seconds(lambda: label(image), 2))
    work = seconds(lambda: cc3d.connected_components(image, connectivity=4), 2)
    yield Figure(PART, what, "cc3d connected_components", "CPU s", ours, work)


def _memory(side: int) -> Iterator[Figure]:
    """Peak memory of one sweep of side^2 sites, sizes throughout; the target stands as the peer."""
    found = child(BIG, BIG_BODY.format(size=side, every=max(side, 1)), 1)
    what = f"one site sweep of {side**2:.0e} sites, sizes and wrapping ({found['seconds']:.0f} CPU s)"
    yield Figure(PART, what, "target 8 GiB", "MiB", found["mib"], 8192.0)
