r"""Percolation on a given graph by message passing: exact on trees, a bound where there are loops.

.. math:: H_{i \leftarrow j} = 1 - p_{ij} + p_{ij} \prod_{k \in N(j) \setminus i} H_{j \leftarrow k}, \quad
    S = 1 - \frac1n \sum_i \prod_{j \in N(i)} H_{i \leftarrow j}

H is the chance that i reaches nothing infinite through j (Karrer, Newman and Zdeborova 2014, eqs 2, 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from opalesce.errors import InputError
from opalesce.theory.percolation.geometry import of_graph

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Messages:
    """Fixed point of the messages.

    Attributes
    ----------
    giant : array, shape (n,)
        Chance of each node to be in the giant cluster.
    steps : int
        Sweeps over all edges.
    change : float
        Largest change in the last one; above `tol` it has not converged (slow near the threshold).
    """

    giant: Array
    steps: int
    change: float

    @property
    def share(self) -> float:
        """Expected share of nodes in the giant cluster."""
        return float(self.giant.mean())


def messages(n: int, edges: ArrayLike, p: ArrayLike, tol: float = 1e-10, steps: int = 10_000) -> Messages:
    """Chance of each node to be in the giant cluster when edges are kept with probability p.

    Started from H = 0, so it falls on the percolating fixed point if there is one. O(m) a sweep.

    Parameters
    ----------
    n : int
    edges : array, shape (m, 2)
        Without self-loops and repeats: the equations hold on simple graphs.
    p : float or array, shape (m,)
        Retention of each edge.
    tol : float
    steps : int

    Raises
    ------
    InputError
        Bad edges, loops or repeats, p outside [0, 1].
    """
    g = of_graph(n, edges, "bond")
    u, v = simple_edges(n, g.u, g.v)
    keep = np.broadcast_to(np.asarray(p, np.float64), (len(u),))
    if not ((keep >= 0) & (keep <= 1)).all():
        raise InputError("retention out of range", expected="0 <= p <= 1")
    if len(u) == 0:
        return Messages(np.zeros(n), 0, 0.0)
    order = np.argsort(np.concatenate([u, v]), kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(np.concatenate([u, v]), minlength=n))])
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    m = len(u)
    back = np.empty(len(order), np.int64)  # place of the message in the other direction
    back[place[:m]], back[place[m:]] = place[m:], place[:m]
    chance = np.concatenate([keep, keep])[order]
    h, out = np.zeros(len(order)), np.ones(n)
    done, change = _iterate(first.astype(np.int64), back, chance, h, out, tol, steps)
    return Messages(1 - out, int(done), float(change))


def simple_edges(n: int, u: NDArray[Any], v: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The edges, unless some are self-loops or repeated: then InputError."""
    low, high = np.minimum(u, v).astype(np.int64), np.maximum(u, v)
    if (low == high).any() or np.unique(low * n + high).size != len(u):
        raise InputError(
            "the graph has self-loops or repeated edges",
            expected="a simple graph",
            fix="edges = np.unique(np.sort(edges, axis=1), axis=0), and drop equal pairs",
        )
    return u, v


@njit(cache=True, nogil=True)
def _iterate(first: Any, back: Any, p: Any, h: Any, out: Any, tol: float, steps: int) -> Any:
    """h[k], first[j] <= k < first[j + 1], is the message to j from its neighbour k."""
    n = len(first) - 1
    change = 1.0
    done = 0
    while done < steps:
        done += 1
        change = 0.0
        for j in range(n):
            before = 1.0  # products before and after each neighbour: no division by zero
            after = np.ones(first[j + 1] - first[j] + 1)
            for k in range(first[j + 1] - 1, first[j] - 1, -1):
                after[k - first[j]] = after[k - first[j] + 1] * h[k]
            for k in range(first[j], first[j + 1]):
                rest = before * after[k - first[j] + 1]
                new = 1 - p[k] + p[k] * rest
                before *= h[k]
                change = max(change, abs(new - h[back[k]]))
                h[back[k]] = new
            out[j] = before
        if change < tol:
            break
    for j in range(n):
        out[j] = 1.0
        for k in range(first[j], first[j + 1]):
            out[j] *= h[k]
    return done, change
