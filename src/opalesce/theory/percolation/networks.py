r"""Random graphs, and what their degrees alone say about connectivity.

Molloy-Reed: a giant component exists iff :math:`\langle k^2\rangle/\langle k\rangle > 2`; under random
retention of edges (or nodes) its threshold is
:math:`p_c = \langle k\rangle/(\langle k^2\rangle - \langle k\rangle)` (molloy1995critical,
cohen2000resilience), for graphs that are random but for their degrees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.theory.percolation.union import check_size

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Edges = NDArray[np.int64]


def checked_edges(n: int, edges: ArrayLike) -> Edges:
    """Edges (m, 2) as int64; InputError unless whole numbers between 0 and n - 1."""
    check_size(n)
    e = np.asarray(edges)
    if e.size == 0:
        return np.empty((0, 2), np.int64)
    if e.ndim != 2 or e.shape[1] != 2 or e.dtype.kind not in "iu":
        raise InputError(
            "edges are pairs of node numbers", expected="(m, 2) ints", got=f"{e.dtype} {e.shape}"
        )
    if e.min() < 0 or e.max() >= n:
        raise InputError("an edge leads to no node", expected=f"0 to {n - 1}", got=f"{e.min()} to {e.max()}")
    return e.astype(np.int64)


def simple(n: int, edges: ArrayLike) -> Edges:
    """Edges without self-loops, each once, smaller node first."""
    e = np.sort(checked_edges(n, edges), axis=1)
    return np.unique(e[e[:, 0] != e[:, 1]], axis=0)


def adjacency(n: int, edges: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Neighbours in rows: those of v are link[start[v]:start[v + 1]]; self-loops and repeats are left out."""
    e = simple(n, edges)
    ends = np.concatenate([e, e[:, ::-1]])
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    start = np.concatenate([[0], np.cumsum(np.bincount(ends[:, 0], minlength=n))]).astype(np.int64)
    return start, ends[order, 1].copy()


def erdos_renyi(n: int, edges: int, rng: np.random.Generator) -> Edges:
    """G(n, m): `edges` uniform pairs of different nodes, repeats allowed (their share tends to 0).

    Raises
    ------
    InputError
        Fewer than two nodes, or a negative number of edges.
    """
    if check_size(n) < 2 or edges < 0:
        raise InputError("no such graph", expected="2 nodes or more, 0 edges or more", got=f"{n}, {edges}")
    u = rng.integers(n, size=edges)
    v = (u + 1 + rng.integers(n - 1, size=edges)) % n
    return np.stack([u, v], axis=1)


def layered(widths: ArrayLike, density: float, rng: np.random.Generator) -> Edges:
    """Multipartite chain: each possible edge between neighbouring layers with probability `density`.

    Two layers give the bipartite graph. Nodes are numbered layer by layer.

    Raises
    ------
    InputError
        Fewer than two layers, or a density outside [0, 1].
    """
    w = np.asarray(widths)
    if w.ndim != 1 or len(w) < 2 or w.dtype.kind not in "iu" or w.min() < 1 or not 0 <= density <= 1:
        raise InputError("no such layers", expected="two or more widths, 0 <= density <= 1", got=str(widths))
    start = np.concatenate([[0], np.cumsum(w)])
    out = []
    for i in range(len(w) - 1):
        cells = int(w[i]) * int(w[i + 1])
        m = rng.binomial(cells, density)
        at = rng.choice(cells, m, replace=False, shuffle=False) if cells < 10**8 else _distinct(cells, m, rng)
        a, b = np.divmod(at, int(w[i + 1]))
        out.append(np.stack([a + start[i], b + start[i + 1]], axis=1))
    return np.concatenate(out).astype(np.int64)


def _distinct(cells: int, m: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """m different numbers below a large `cells`, by rejection."""
    got = np.unique(rng.integers(cells, size=m))
    while len(got) < m:
        got = np.unique(np.concatenate([got, rng.integers(cells, size=m - len(got))]))
    return got


def configuration(degrees: ArrayLike, rng: np.random.Generator) -> Edges:
    """Configuration model: half-edges joined at random; self-loops and repeats stay, as the model has them.

    Raises
    ------
    InputError
        Degrees that are not whole numbers of 0 or more with an even sum.
    """
    k = np.asarray(degrees)
    if k.ndim != 1 or k.dtype.kind not in "iu" or (k.size and k.min() < 0) or int(k.sum()) % 2:
        raise InputError("no such degrees", expected="whole numbers with an even sum", got=f"sum {k.sum()}")
    stubs = rng.permutation(np.repeat(np.arange(len(k)), k))
    return stubs.reshape(-1, 2)


def degrees(n: int, edges: ArrayLike) -> NDArray[np.int64]:
    """Degree of every node, repeats counted, a self-loop twice."""
    return np.bincount(checked_edges(n, edges).ravel(), minlength=n)


def molloy_reed(degree: ArrayLike) -> tuple[float, Estimate]:
    """Criterion <k^2>/<k> (a giant component iff above 2) and the retention threshold that follows.

    The threshold has no interval: it is exact for random graphs of these degrees and says nothing about
    how far the graph at hand is from random. Above 1 it means that even the whole graph has no giant.

    Raises
    ------
    InputError
        No edges.
    """
    k = np.asarray(degree, float)
    if not k.size or not np.isfinite(k).all() or k.sum() <= 0:
        raise InputError(
            "a graph without edges has no threshold", expected="degrees above 0", got=f"sum {k.sum()}"
        )
    first, second = k.mean(), (k**2).mean()
    if second <= first:
        return float(second / first), Estimate(
            float("inf"),
            n=k.size,
            status="no node joins two others: nothing can percolate",
            method="Molloy-Reed",
        )
    p_c = float(first / (second - first))
    status = "" if p_c <= 1 else "below its threshold even when every edge is kept"
    return float(second / first), Estimate(p_c, n=k.size, status=status, method="Molloy-Reed")
