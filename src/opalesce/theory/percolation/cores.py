r"""k-cores and bootstrap percolation, with the exact thresholds of random graphs.

The k-core is what is left when nodes of degree below k are taken away until none is. In G(n, c/n) it
appears at

.. math:: c_k = \min_x \frac{x}{P(\mathrm{Poisson}(x) \ge k - 1)}

at once with the share :math:`P(\mathrm{Poisson}(x) \ge k)` of the nodes (Pittel, Spencer and Wormald 1996):
c_3 = 3.350919, share 0.267581. For k = 2 it grows from 0 at c = 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gammainc

from opalesce.errors import InputError
from opalesce.theory.percolation.geometry import of_graph

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def core_numbers(n: int, edges: ArrayLike) -> NDArray[np.int64]:
    """Largest k for which each node is in the k-core; O(n + m) (Batagelj and Zaversnik 2003).

    Self-loops and repeated edges count towards the degree.

    Raises
    ------
    InputError
        Bad n or edges.
    """
    g = of_graph(n, edges, "site")
    return np.asarray(_peel(g.first, g.v))


@njit(cache=True, nogil=True)
def _peel(first: Any, to: Any) -> Any:
    """Nodes sorted by degree, the least taken away; each removal moves its neighbours one bin down."""
    n = len(first) - 1
    degree = first[1:] - first[:-1]
    bins = np.zeros(degree.max() + 2 if n else 2, np.int64)
    for d in degree:
        bins[d + 1] += 1
    bins = np.cumsum(bins)
    node, place, at = np.empty(n, np.int64), np.empty(n, np.int64), bins.copy()
    for i in range(n):
        place[i] = at[degree[i]]
        node[place[i]] = i
        at[degree[i]] += 1
    for k in range(n):
        i = node[k]
        for e in range(first[i], first[i + 1]):
            j = to[e]
            if degree[j] > degree[i]:
                swap = node[bins[degree[j]]]  # the first of its bin changes places with j
                node[place[j]], place[swap] = swap, place[j]
                place[j] = bins[degree[j]]
                node[place[j]] = j
                bins[degree[j]] += 1
                degree[j] -= 1
    return degree


def bootstrap(n: int, edges: ArrayLike, active: ArrayLike, k: int) -> NDArray[np.bool_]:
    """Nodes active in the end when a node with k active neighbours becomes active, from `active` on.

    Raises
    ------
    InputError
        Bad edges, `active` of another shape, k below 1.
    """
    g = of_graph(n, edges, "site")
    on = np.asarray(active)
    if on.shape != (n,) or on.dtype != bool or k < 1:
        raise InputError(
            "bootstrap percolation needs one boolean a node and k >= 1", got=f"{on.dtype}, {on.shape}, {k}"
        )
    on = on.copy()
    _activate(g.first, g.v, on, k)
    return on


@njit(cache=True, nogil=True)
def _activate(first: Any, to: Any, on: Any, k: int) -> None:
    n = len(on)
    count, queue = np.zeros(n, np.int64), np.empty(n, np.int64)
    tail = 0
    for i in range(n):
        if on[i]:
            queue[tail] = i
            tail += 1
    head = 0
    while head < tail:
        i = queue[head]
        head += 1
        for e in range(first[i], first[i + 1]):
            j = to[e]
            count[j] += 1
            if not on[j] and count[j] >= k:
                on[j] = True
                queue[tail] = j
                tail += 1


def _at_least(k: int, x: float) -> float:
    """P(Poisson(x) >= k)."""
    return 1.0 if k == 0 else float(gammainc(k, x))


def poisson_core_threshold(k: int) -> tuple[float, float]:
    """Mean degree at which G(n, c/n) gets a k-core, and the share of nodes it starts with.

    Raises
    ------
    InputError
        k below 2.
    """
    if k < 2:
        raise InputError("no threshold below the 2-core", expected="k >= 2", got=str(k))
    if k == 2:
        return 1.0, 0.0
    x = float(
        minimize_scalar(lambda x: x / _at_least(k - 1, x), bounds=(1e-3, 10.0 * k), method="bounded",
                        options={"xatol": 1e-10}).x
    )  # fmt: skip
    return x / _at_least(k - 1, x), _at_least(k, x)


def poisson_core(c: float, k: int) -> float:
    """Share of nodes of G(n, c/n) in its k-core: P(Poisson(x) >= k), x the largest root of
    x = c P(Poisson(x) >= k - 1); 0 below the threshold.

    Raises
    ------
    InputError
        k below 2, c negative.
    """
    if c < 0:
        raise InputError("mean degree out of range", expected="c >= 0", got=f"{c:g}")
    c_k, _ = poisson_core_threshold(k)
    if c <= c_k:
        return 0.0
    best = minimize_scalar(lambda x: x / _at_least(k - 1, x), bounds=(1e-9, c), method="bounded")
    low = float(best.x)
    return _at_least(k, float(brentq(lambda x: x - c * _at_least(k - 1, x), low, c, xtol=1e-12)))
