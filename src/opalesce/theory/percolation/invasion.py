r"""Invasion percolation and drainage: a fluid that enters through the widest throat at its rim.

The entry pressure of an edge is :math:`P = 1/|w|` (Washburn: pressure over diameter). Invasion takes the
accessible edge of least pressure, one node at a time (Wilkinson and Willemsen 1983). *Drainage* asks what
is reached at a given pressure; the running maximum of the invasion pressures, its envelope, answers for
all pressures at once, because it is the minimax path from the inlets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from opalesce.errors import InputError
from opalesce.theory.percolation.geometry import of_graph
from opalesce.theory.percolation.union import find, unite
from opalesce.theory.percolation.weighted import node_numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Invasion:
    """Nodes in the order in which they are invaded.

    Attributes
    ----------
    n : int
        Nodes of the network.
    order : array, shape (K,)
        Invaded nodes, the inlets first. Nodes in other pieces, and trapped ones, do not come.
    pressure : array, shape (K,)
        Entry pressure of the edge through which each was invaded; 0 for inlets.
    trapped : array, shape (n,)
        Nodes enclosed by the invader, cut off from the outlets; none without trapping.
    breakthrough : int
        Place in `order` of the first outlet; K where there is none.
    """

    n: int
    order: NDArray[np.int64]
    pressure: Array
    trapped: NDArray[np.bool_]
    breakthrough: int

    @property
    def envelope(self) -> Array:
        """Pressure that the fluid needs to be at each node: the running maximum."""
        return np.asarray(np.maximum.accumulate(self.pressure))

    @property
    def breakthrough_pressure(self) -> float:
        """Pressure at which the first outlet is reached, the bottleneck of the best path; NaN for never."""
        k = self.breakthrough
        return float(self.envelope[k]) if k < len(self.order) else float("nan")

    @property
    def breakthrough_saturation(self) -> float:
        """Share of nodes invaded when the first outlet is, itself and the inlets included; NaN for never."""
        k = self.breakthrough
        return (k + 1) / self.n if k < len(self.order) else float("nan")

    def saturation(self, pressure: ArrayLike) -> Array:
        """Drainage curve: share of nodes invaded at the given pressures."""
        return np.asarray(np.searchsorted(self.envelope, np.asarray(pressure, float), side="right") / self.n)


def invade(
    n: int,
    edges: ArrayLike,
    pressure: ArrayLike,
    inlet: ArrayLike,
    outlet: ArrayLike | None = None,
    *,
    trapping: bool = False,
) -> Invasion:
    """Invade a network from its inlets until nothing is left to invade.

    Parameters
    ----------
    n : int
    edges : array, shape (m, 2)
    pressure : array, shape (m,)
        Entry pressures, `1 / abs(w)`; infinite ones are closed. Among equal ones the edge listed first.
    inlet : node numbers
    outlet : node numbers, optional
        Where the other fluid can leave; they have no part in the order, only in what is watched.
    trapping : bool
        The other fluid does not yield where it is enclosed; needs outlets. Found from the untrapped
        sequence, last node first: a node is trapped when those invaded after it, joined through it, hold
        no outlet (Masson 2016). So it costs one pass of union-find.

    Raises
    ------
    InputError
        Bad numbers; pressures negative or NaN or not one for each edge; trapping without outlets.
    """
    p = np.asarray(pressure, np.float64)
    g = of_graph(n, edges, "bond")
    if p.shape != (g.m,) or np.isnan(p).any() or (p < 0).any():
        raise InputError(
            "entry pressures do not fit the edges",
            expected=f"{g.m} numbers from 0 on",
            got=f"shape {p.shape}" if p.shape != (g.m,) else "negative or NaN values",
        )
    if trapping and outlet is None:
        raise InputError("trapping needs outlets", expected="outlet=node numbers")
    sources = node_numbers(n, inlet)
    leaves = np.zeros(n, bool)
    if outlet is not None:
        leaves[node_numbers(n, outlet)] = True
    tree = np.empty(n, np.int32)  # no fluid ever takes an edge that is not on the tree of least pressures
    tree = tree[: _span(np.full(n, -1, np.int32), g.u, g.v, _by_pressure(p), sources, tree)]
    u, v = g.u[tree], g.v[tree]
    first, to, rank = _neighbours(u, v, n)
    order, entry = np.full(n, -1, np.int64), np.full(n, -1, np.int32)
    count = _grow(first, to, rank, sources, order, entry, u, v)
    order, entry = order[:count], entry[:count]
    trapped = np.zeros(n, bool)
    if trapping:
        first, to, _ = _neighbours(g.u[np.isfinite(p)], g.v[np.isfinite(p)], n)
        _trap(first, to, order, leaves, trapped)
        trapped[sources] = False  # the fluid is there from the start
        keep = ~trapped[order]
        order, entry = order[keep], entry[keep]
    paid = np.where(entry < 0, 0.0, p[tree[entry]]) if len(tree) else np.zeros(len(order))
    out = np.flatnonzero(leaves[order])
    return Invasion(n, order, paid, trapped, int(out[0]) if out.size else len(order))


def _by_pressure(p: Array) -> NDArray[np.int32]:
    """Open edges, the least pressure first, in a tie the one listed first."""
    order = np.argsort(p)
    in_order = p[order]
    if (in_order[1:] == in_order[:-1]).any():  # a stable sort is slower, and only ties need it
        order = np.argsort(p, kind="stable")
    return order[: np.count_nonzero(np.isfinite(p))].astype(np.int32)


@njit(cache=True, nogil=True)
def _span(parent: Any, u: Any, v: Any, order: Any, sources: Any, tree: Any) -> int:
    """Edges of the minimum spanning forest in order (Kruskal), the sources being one node."""
    for s in sources[1:]:
        unite(parent, sources[0], s)
    k = 0
    for e in order:
        if unite(parent, u[e], v[e]):
            tree[k] = e
            k += 1
    return k


@njit(cache=True, nogil=True)
def _neighbours(u: Any, v: Any, n: int) -> Any:
    """Neighbours of i are to[first[i]:first[i + 1]], beside the ranks of the edges, in rising order."""
    first = np.zeros(n + 1, np.int64)
    for e in range(len(u)):
        first[u[e] + 1] += 1
        first[v[e] + 1] += 1
    for i in range(n):
        first[i + 1] += first[i]
    at = first[:-1].copy()
    to, rank = np.empty(2 * len(u), np.int32), np.empty(2 * len(u), np.int32)
    for e in range(len(u)):
        for a, b in ((u[e], v[e]), (v[e], u[e])):
            to[at[a]] = b
            rank[at[a]] = e
            at[a] += 1
    return first, to, rank


@njit(cache=True, nogil=True)
def _push(heap: Any, size: int, value: int) -> None:
    i = size
    while i > 0:
        up = (i - 1) >> 1
        if heap[up] <= value:
            break
        heap[i] = heap[up]
        i = up
    heap[i] = value


@njit(cache=True, nogil=True)
def _pop(heap: Any, size: int) -> None:
    """Take the least of `size` entries away."""
    value = heap[size - 1]
    i, child = 0, 1
    while child < size - 1:
        if child + 1 < size - 1 and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[i] = heap[child]
        i, child = child, 2 * child + 1
    heap[i] = value


@njit(cache=True, nogil=True)
def _grow(first: Any, to: Any, rank: Any, sources: Any, order: Any, entry: Any, u: Any, v: Any) -> int:
    """Least edge of the rim first, from a heap of edge ranks; returns the number of nodes invaded."""
    inside = np.zeros(len(order), np.bool_)
    heap = np.empty(len(u) + 1, np.int32)
    size, count = 0, 0
    for s in sources:
        inside[s] = True
        order[count] = s
        count += 1
    done = 0
    while True:
        while done < count:  # the throats of nodes that have just come in
            i = order[done]
            done += 1
            for k in range(first[i], first[i + 1]):
                if not inside[to[k]]:
                    _push(heap, size, rank[k])
                    size += 1
        if size == 0:
            return count
        e = heap[0]
        _pop(heap, size)
        size -= 1
        if inside[u[e]] and inside[v[e]]:
            continue
        new = v[e] if inside[u[e]] else u[e]
        inside[new] = True
        order[count] = new
        entry[count] = e
        count += 1


@njit(cache=True, nogil=True)
def _trap(first: Any, to: Any, order: Any, leaves: Any, trapped: Any) -> None:
    """Give nodes back to the other fluid, last first; trapped where its cluster has no way out."""
    n = len(leaves)
    parent, drains, there = np.full(n, -1, np.int32), leaves.copy(), np.ones(n, np.bool_)
    there[order] = False
    for i in range(n):  # what the invader never reached
        if there[i]:
            _rejoin(first, to, there, parent, drains, i)
    for k in range(len(order) - 1, -1, -1):
        i = order[k]
        there[i] = True
        _rejoin(first, to, there, parent, drains, i)
        trapped[i] = not drains[find(parent, i)]


@njit(cache=True, nogil=True)
def _rejoin(first: Any, to: Any, there: Any, parent: Any, drains: Any, i: int) -> None:
    for k in range(first[i], first[i + 1]):
        if there[to[k]]:
            a, b = find(parent, i), find(parent, to[k])
            way = drains[a] or drains[b]
            unite(parent, a, b)
            drains[find(parent, i)] = way
