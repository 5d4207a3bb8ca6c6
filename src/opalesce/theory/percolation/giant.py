"""The largest cluster alone: the fastest way to one whole curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from opalesce.theory.percolation.geometry import of_graph
from opalesce.theory.percolation.trace import permutation
from opalesce.theory.percolation.union import find, unite

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def giant_curve(n: int, edges: ArrayLike, order: ArrayLike | None = None) -> NDArray[np.int32]:
    """Largest cluster after 0, 1, ..., m edges, in nodes; about a quarter of the time of `trace`.

    Parameters
    ----------
    n : int
    edges : array, shape (m, 2)
    order : array of whole numbers, shape (m,), optional
        A permutation of the edges, the first to be switched on first; by default as they are listed.

    Returns
    -------
    array, shape (m + 1,)

    Raises
    ------
    InputError
        Bad n or edges, an order that is no permutation.
    """
    g = of_graph(n, edges, "bond")
    u, v = g.u[: g.m], g.v[: g.m]
    if order is not None:
        at = permutation(order, g.m)
        u, v = u[at], v[at]
    out = np.ones(g.m + 1, np.int32)
    _sweep(np.full(n, -1, np.int32), u, v, out)
    return out


@njit(cache=True, nogil=True)
def _sweep(parent: Any, u: Any, v: Any, out: Any) -> None:
    top = 1
    for e in range(len(u)):
        if unite(parent, u[e], v[e]):
            top = max(top, -parent[find(parent, u[e])])
        out[e + 1] = top
