"""Invasion: against a twin that scans the whole rim, drainage by components, trapping step by step."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from opalesce.errors import InputError
from opalesce.theory.percolation.invasion import invade
from tests.theory.percolation.test_flow import grid


def network(seed, n=25, m=45):
    rng = np.random.default_rng(seed)
    return rng.integers(0, n, (m, 2)), rng.permutation(m) + 1.0


def components(n, edges):
    u, v = np.asarray(edges, int).reshape(-1, 2).T
    return connected_components(coo_array((np.ones(len(u)), (u, v)), shape=(n, n)), False)[1]


def by_scanning(n, edges, pressure, inlet, outlet=None):
    """Node after node through the least edge of the rim; with `outlet`, enclosed nodes are never entered."""
    inside, order, paid = set(inlet), list(inlet), [0.0] * len(inlet)
    while True:
        free = np.ones(n, bool)
        free[list(inside)] = False
        if outlet is None:
            closed = ~free
        else:
            label = components(n, [e for e in edges if free[e[0]] and free[e[1]]])
            open_label = {label[o] for o in outlet if free[o]}
            closed = np.array([not (free[i] and label[i] in open_label) for i in range(n)])
        rim = [
            (p, v if u in inside else u)
            for (u, v), p in zip(edges.tolist(), pressure, strict=True)
            if (u in inside) != (v in inside) and not closed[v if u in inside else u]
        ]
        if not rim:
            return order, paid
        p, new = min(rim)
        inside.add(new)
        order.append(new)
        paid.append(p)


@pytest.mark.parametrize("seed", range(8))
def test_sequence_against_scanning_the_rim(seed):
    edges, pressure = network(seed)
    found = invade(25, edges, pressure, [0, 1])
    order, paid = by_scanning(25, edges, pressure, [0, 1])
    assert found.order.tolist() == order
    assert found.pressure.tolist() == paid


@pytest.mark.parametrize("seed", range(12))
def test_trapping_against_asking_at_every_step(seed):
    if seed % 2:
        edges, at = grid(6, 6)
        n, inlet, outlet = 36, at[0].tolist(), at[-1].tolist()
        pressure = np.random.default_rng(seed).permutation(len(edges)) + 1.0
    else:
        (edges, pressure), n, inlet, outlet = network(seed), 25, [0], [24, 23]
    found = invade(n, edges, pressure, inlet, outlet, trapping=True)
    order, paid = by_scanning(n, edges, pressure, inlet, outlet)
    assert found.order.tolist() == order
    assert found.pressure.tolist() == paid
    reached = invade(n, edges, pressure, inlet).order
    assert set(np.flatnonzero(found.trapped)) == set(reached) - set(order)


@pytest.mark.parametrize("seed", range(5))
def test_envelope_is_ordinary_drainage(seed):
    edges, pressure = network(seed)
    found = invade(25, edges, pressure, [0], [24])
    for p in np.unique([0, *pressure, 99]):
        label = components(25, edges[pressure <= p])
        assert found.saturation(p) == (label == label[0]).sum() / 25


@pytest.mark.parametrize("seed", range(5))
def test_breakthrough_is_the_bottleneck_on_the_spanning_tree(seed):
    edges, at = grid(7, 7)
    pressure = np.random.default_rng(seed).permutation(len(edges)) + 1.0
    found = invade(49, edges, pressure, [0], [48], trapping=True)
    u, v = edges.T
    tree = minimum_spanning_tree(coo_array((pressure, (u, v)), shape=(49, 49)).tocsr()).tocoo()
    keep = np.argsort(tree.data)
    for k in range(1, len(keep) + 1):
        label = components(49, np.stack([tree.row[keep[:k]], tree.col[keep[:k]]], axis=1))
        if label[0] == label[48]:
            break
    assert found.breakthrough_pressure == tree.data[keep[k - 1]]
    assert found.breakthrough_saturation == (found.order.tolist().index(48) + 1) / 49
    assert at.size == 49


def test_bulk_pressures_stay_below_the_threshold():
    """On the square lattice the envelope of a large invasion tends to p_c = 1/2 of the bonds (Kesten 1980).

    Of pressures taken after the first 5 % of a 300 x 300 box few lie above 0.55: the chance that a cluster
    at p = 0.55 fails to span such a box is negligible.
    """
    edges, at = grid(300, 300)
    pressure = np.random.default_rng(4).random(len(edges))
    found = invade(at.size, edges, pressure, [int(at[150, 150])], at[0])
    upto = found.pressure[: found.breakthrough]
    assert 0.4 < np.quantile(upto, 0.99) < 0.55
    assert found.breakthrough_pressure < 0.6


def test_odd_networks():
    nothing = invade(3, np.zeros((0, 2), int), [], [1], [2], trapping=True)
    assert nothing.order.tolist() == [1]
    assert np.isnan(nothing.breakthrough_pressure)
    assert np.isnan(nothing.breakthrough_saturation)
    loops = invade(2, [[0, 0], [0, 1], [0, 1]], [1.0, 5.0, 2.0], [0], [1])
    assert loops.pressure.tolist() == [0.0, 2.0]
    shut = invade(3, [[0, 1], [1, 2]], [1.0, np.inf], [0], [2])
    assert shut.order.tolist() == [0, 1]
    at_once = invade(2, [[0, 1]], [1.0], [0], [0])
    assert at_once.breakthrough == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: invade(2, [[0, 1]], [np.nan], [0]),
        lambda: invade(2, [[0, 1]], [-1.0], [0]),
        lambda: invade(2, [[0, 1]], [1.0, 2.0], [0]),
        lambda: invade(2, [[0, 1]], [1.0], []),
        lambda: invade(2, [[0, 1]], [1.0], [0], trapping=True),
        lambda: invade(2, [[0, 2]], [1.0], [0]),
    ],
)
def test_bad_input_is_named(call):
    with pytest.raises(InputError):
        call()
