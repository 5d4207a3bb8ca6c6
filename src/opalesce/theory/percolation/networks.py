r"""Random graphs by their degrees, and the threshold that degrees alone give.

.. math::

    \frac{\langle k^2 \rangle}{\langle k \rangle} > 2 \;\text{(giant cluster)}, \quad
    p_c = \frac{\langle k \rangle}{\langle k^2 \rangle - \langle k \rangle}

(Molloy and Reed 1995; Callaway et al. 2000 for retention of edges or nodes.)
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from opalesce.errors import InputError
from opalesce.theory.percolation.exact import _largest_root
from opalesce.theory.percolation.union import check_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Edges = NDArray[np.int64]


def random_graph(n: int, m: int, rng: np.random.Generator) -> Edges:
    """m edges between nodes drawn evenly: G(n, m) with the few loops and repeats that chance makes.

    At mean degree c = 2m/n there are about c/2 loops and c^2/4 repeats, whatever n: nothing for clusters.

    Raises
    ------
    InputError
        n or m out of range.
    """
    check_size(n)
    if m < 0:
        raise InputError("fewer than no edges", expected="m >= 0", got=str(m))
    return rng.integers(0, n, (int(m), 2))


def layered_graph(widths: Sequence[int], density: float, rng: np.random.Generator) -> Edges:
    """Edges between neighbouring layers, each there with probability `density`; two layers: bipartite.

    Nodes are numbered layer by layer. Time and memory go with the edges, not with the cells.

    Raises
    ------
    InputError
        Fewer than two layers, a width below 1, density outside [0, 1].
    """
    n = [check_size(w, "nodes of a layer") for w in widths]
    if len(n) < 2 or not 0 <= density <= 1:
        raise InputError(
            "no layered graph", expected="two or more widths, 0 <= density <= 1", got=f"{n}, {density:g}"
        )
    at, out = 0, []
    for a, b in pairwise(n):
        cells = rng.choice(a * b, rng.binomial(a * b, density), replace=False)
        row, column = np.divmod(cells, b)
        out.append(np.stack([at + row, at + a + column], axis=1))
        at += a
    return np.concatenate(out).astype(np.int64)


def configuration(degrees: ArrayLike, rng: np.random.Generator) -> Edges:
    """Stubs of the given degrees joined in random pairs; loops and repeats are left in.

    Raises
    ------
    InputError
        Degrees negative, not whole, or of odd sum.
    """
    k = _degrees(degrees)
    if k.sum() % 2:
        raise InputError("the degrees cannot be paired", expected="an even sum", got=str(int(k.sum())))
    return rng.permutation(np.repeat(np.arange(len(k)), k)).reshape(-1, 2)


def degrees_of(n: int, edges: ArrayLike) -> NDArray[np.int64]:
    """Degree of each node; a self-loop counts twice."""
    return np.bincount(np.asarray(edges, np.int64).ravel(), minlength=check_size(n))


def molloy_reed(degrees: ArrayLike) -> float:
    """p_c of the random graph with these degrees, above 1 where even the whole graph has no giant cluster.

    Infinite where nothing branches (all degrees at most 1).

    Raises
    ------
    InputError
        Degrees negative, not whole, or none.
    """
    k = _degrees(degrees).astype(float)
    branching = float((k * (k - 1)).sum())
    return float(k.sum()) / branching if branching > 0 else float("inf")


def configuration_giant(degrees: ArrayLike, p: float = 1.0) -> float:
    r"""Share of nodes in the giant cluster when edges are kept with probability p.

    .. math:: S = 1 - g_0(u), \quad u = 1 - p + p\, g_1(u)

    g_0, g_1 generate the degrees and the excess degrees; u is the smallest root (Newman, Strogatz and
    Watts 2001; Callaway et al. 2000).

    Raises
    ------
    InputError
        As `molloy_reed`; p outside [0, 1].
    """
    k = _degrees(degrees)
    if not 0 <= p <= 1:
        raise InputError("probability out of range", expected="0 <= p <= 1", got=f"{p:g}")
    if p <= molloy_reed(k):
        return 0.0
    share = np.bincount(k) / len(k)
    powers = np.arange(len(share))
    excess = (share * powers)[1:] / (share * powers).sum()

    def reached(q: float) -> float:  # q = 1 - u
        return float(p * (1 - excess @ (1 - q) ** powers[:-1]))

    q = 1.0 if reached(1.0) == 1.0 else _largest_root(reached)
    return float(1 - share @ (1 - q) ** powers)


def _degrees(degrees: ArrayLike) -> NDArray[np.int64]:
    k = np.asarray(degrees)
    if k.ndim != 1 or k.size == 0 or k.dtype.kind not in "iu" or k.min() < 0:
        raise InputError(
            "not a list of degrees", expected="whole numbers from 0 on", got=f"{k.dtype}, {k.shape}"
        )
    return k.astype(np.int64)
