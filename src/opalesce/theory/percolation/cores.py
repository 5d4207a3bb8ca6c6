r"""k-cores and bootstrap percolation: pruning and activation by thresholds.

The k-core is what is left when all nodes with fewer than k neighbours are removed, again and again. On an
Erdos-Renyi graph of mean degree c it appears by a jump at (pittel1996sudden)

.. math:: c_k = \min_x \frac{x}{P(\mathrm{Poisson}(x) \ge k - 1)}

Bootstrap percolation is the way back: a node is activated by k active neighbours, from a seed on. Pruning and
activation do not meet: hysteresis (baxter2010bootstrap).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from scipy.optimize import minimize_scalar
from scipy.special import gammainc

from opalesce.errors import InputError
from opalesce.theory.percolation.networks import adjacency

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@njit(cache=True)
def _prune(start: Any, link: Any, degree: Any, core: Any) -> None:
    """Core numbers by bucket sort on degree (Batagelj and Zaversnik 2003), O(n + m)."""
    n = len(degree)
    most = degree.max() if n else 0
    first = np.zeros(most + 2, np.int64)
    for v in range(n):
        first[degree[v] + 1] += 1
    first = np.cumsum(first)
    at = first.copy()
    place, order = np.empty(n, np.int64), np.empty(n, np.int64)
    for v in range(n):
        place[v] = at[degree[v]]
        order[place[v]] = v
        at[degree[v]] += 1
    for i in range(n):
        v = order[i]
        core[v] = degree[v]
        for j in range(start[v], start[v + 1]):
            u = link[j]
            if degree[u] > degree[v]:
                d = degree[u]
                head = max(first[d], i + 1)
                w = order[head]
                if w != u:
                    order[place[u]], order[head] = w, u
                    place[w], place[u] = place[u], head
                first[d] = head + 1
                degree[u] -= 1


def core_numbers(n: int, edges: ArrayLike) -> NDArray[np.int64]:
    """Largest k for which each node is in the k-core; self-loops and repeated edges do not count.

    Raises
    ------
    InputError
        Bad node numbers.
    """
    start, link = adjacency(n, edges)
    degree = np.diff(start)
    core = np.zeros(n, np.int64)
    _prune(start, link, degree.copy(), core)
    return core


def core_threshold(k: int) -> tuple[float, float]:
    """Mean degree c_k at which the k-core of an Erdos-Renyi graph appears, and its share of nodes there.

    k = 2 appears continuously at c = 1 with size 0.

    Raises
    ------
    InputError
        k below 2.
    """
    if k < 2:
        raise InputError(
            "every node is in the 1-core of its component", expected="k of 2 or more", got=str(k)
        )
    if k == 2:
        return 1.0, 0.0
    found = minimize_scalar(
        lambda x: x / gammainc(k - 1, x), bounds=(1e-3, 5.0 * k), method="bounded", options={"xatol": 1e-12}
    )
    # P(Poisson(x) >= k) is the regularised lower incomplete gamma function P(k, x)
    return float(found.fun), float(gammainc(k, found.x))


@njit(cache=True)
def _activate(start: Any, link: Any, k: int, active: Any) -> None:
    n = len(active)
    count = np.zeros(n, np.int64)
    stack = np.empty(n, np.int64)
    top = 0
    for v in range(n):
        if active[v]:
            stack[top] = v
            top += 1
    while top:
        top -= 1
        v = stack[top]
        for j in range(start[v], start[v + 1]):
            u = link[j]
            if active[u]:
                continue
            count[u] += 1
            if count[u] >= k:
                active[u] = True
                stack[top] = u
                top += 1


def bootstrap(n: int, edges: ArrayLike, seeds: ArrayLike, k: int) -> NDArray[np.bool_]:
    """Nodes active in the end: the seeds, and all with k active neighbours, until nothing changes.

    Parameters
    ----------
    n, edges
        As in `sweep`.
    seeds : array of int or bool (n,)
        Nodes active from the start.
    k : int
        1 or more.

    Raises
    ------
    InputError
        Bad node numbers, or k below 1.
    """
    if k < 1:
        raise InputError("a node needs neighbours to be activated", expected="k of 1 or more", got=str(k))
    start, link = adjacency(n, edges)
    chosen = np.asarray(seeds)
    active = np.zeros(n, np.bool_)
    if chosen.dtype == bool and chosen.shape == (n,):
        active |= chosen
    elif chosen.size and (chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= n):
        raise InputError("seeds are no nodes of the graph", expected=f"0 to {n - 1}", got=f"{chosen.dtype}")
    else:
        active[chosen.astype(np.int64)] = True
    _activate(start, link, k, active)
    return active
