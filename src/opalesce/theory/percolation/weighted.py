r"""Threshold percolation of weights: edges in order of decreasing magnitude, against a uniform order.

Three models of a weighted graph are kept apart. *Threshold* percolation keeps every edge with
:math:`|w| \ge t` (here). *Stochastic retention* keeps each edge with its own probability
:math:`1 - e^{-\lambda |w|/\langle|w|\rangle}` (`retention`: all lambda in one sweep).
*Invasion* always takes the widest edge at the rim (`invasion`).

**Null.** Independent weights make the order of edges uniform, whatever their law: a chain of matrices is
then a random layered graph, with threshold `exact.layered_threshold` and curve `exact.layered_giant`.
Shuffled and Gaussian weights are therefore one and the same null here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from opalesce.errors import InputError
from opalesce.theory.percolation.exact import layered_threshold
from opalesce.theory.percolation.strongest import strongest
from opalesce.theory.percolation.trace import trace
from opalesce.theory.percolation.union import check_size, find, unite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class WeightCurve:
    """Clusters against the share of edges kept. Edges of equal weight come at once, as a threshold has it.

    Attributes
    ----------
    n : int
        Nodes.
    cells : int
        Places where an edge could be (entries of the matrices, zeros counted in); edges of a graph.
    counts : array, shape (K,)
        Edges kept, from 0 on; `kept` is their share of the cells.
    weight : array, shape (K,)
        Magnitude of the weakest edge kept; infinite for none.
    S1, S2, M2, clusters : arrays, shape (K,)
        As in `Trace`, in nodes.
    pairs : array, shape (K,)
        Pairs of an inlet and an outlet that are connected.
    all_pairs : int
        Inlets times outlets.
    whole : bool
        Whether the last count is that of all edges with a weight; else the sweep stopped early.
    """

    n: int
    cells: int
    counts: NDArray[np.int64]
    weight: Array
    S1: NDArray[np.int64]
    S2: NDArray[np.int64]
    M2: NDArray[np.int64]
    clusters: NDArray[np.int64]
    pairs: NDArray[np.int64]
    all_pairs: int
    whole: bool

    @property
    def kept(self) -> Array:
        """Share of the cells kept."""
        return np.asarray(self.counts / self.cells)

    @property
    def susceptibility(self) -> Array:
        """Mean size of the cluster of a node, the largest cluster left out: (M2 - S1^2) / n."""
        return np.asarray((self.M2 - self.S1.astype(float) ** 2) / self.n)

    @property
    def peak(self) -> float:
        """Share kept at which S2 is first largest, the measured threshold; NaN where S2 never grows."""
        i = int(self.S2.argmax())
        return float(self.kept[i]) if self.S2[i] > 1 else float("nan")

    def connects(self, share: float = 0.0) -> float:
        """Share kept at which more than `share` of the inlet-outlet pairs are connected, NaN for never.

        0 is the breakthrough: the first path. 0.5 is the median over pairs of the kept share at their
        bottleneck (minimax path).
        """
        beyond = np.flatnonzero(self.pairs > share * self.all_pairs)
        return float(self.kept[beyond[0]]) if beyond.size else float("nan")


def layer_widths(matrices: Sequence[ArrayLike]) -> tuple[int, ...]:
    """Widths (n_0, ..., n_L) of a chain of matrices of shapes (n_0, n_1), (n_1, n_2), ...

    Raises
    ------
    InputError
        No matrix, not two dimensions, an empty side, entries that are not finite, or shapes that do not
        follow on each other.
    """
    shapes = []
    for w in matrices:
        a = np.asarray(w)
        if a.ndim != 2 or 0 in a.shape or a.dtype.kind not in "fiub":
            raise InputError(
                "not a matrix of weights", expected="numbers of shape (n, m)", got=f"{a.dtype}, {a.shape}"
            )
        if not np.isfinite(a).all():
            raise InputError("weights hold NaN or infinite entries", expected="finite numbers")
        shapes.append(a.shape)
    if not shapes or any(a[1] != b[0] for a, b in pairwise(shapes)):
        raise InputError(
            "the matrices make no chain",
            expected="shapes (n0, n1), (n1, n2), ...",
            got=str(shapes),
            fix="stored (out, in)? transpose each",
        )
    widths = (shapes[0][0], *(s[1] for s in shapes))
    check_size(sum(widths))
    return widths


def weight_curve(matrices: Sequence[ArrayLike], *, whole: bool = False, rms: bool = False) -> WeightCurve:
    """Threshold percolation of a chain of weight matrices; one matrix is a bipartite graph.

    Nodes are the units of each layer, edges the entries that are not zero. Unless `whole`, it stops once
    the peak of S2 is certain (the rest is no larger than it) and half the pairs are connected: a few per
    mille of the entries of a large matrix, partitioned and not sorted.

    Parameters
    ----------
    matrices : sequence of arrays, shapes (n_0, n_1), (n_1, n_2), ...
        Inlets are the n_0 units, outlets the n_L.
    whole : bool
        Go on to the last edge.
    rms : bool
        Divide each matrix by its root mean square first, so that layers compare.

    Raises
    ------
    InputError
        As `layer_widths`.
    """
    widths = layer_widths(matrices)
    chain = [np.asarray(w) for w in matrices]
    edges_in, cells = sum(int(np.count_nonzero(w)) for w in chain), sum(w.size for w in chain)
    take = edges_in if whole else min(edges_in, int(8 * layered_threshold(widths) * cells) + 64)
    while True:
        curve = layered_curve(widths, *strongest(chain, take, rms), cells, take == edges_in)
        if curve.whole or _decided(curve):
            return curve
        take = min(edges_in, 4 * take)


def graph_curve(
    n: int,
    edges: ArrayLike,
    weights: ArrayLike,
    ends: tuple[ArrayLike, ArrayLike] | None = None,
) -> WeightCurve:
    """Threshold percolation of any weighted graph, to its last edge.

    Edges of weight 0 are not there. Self-loops join nothing; of several edges between two nodes the
    strongest joins them. Both count among the cells.

    Parameters
    ----------
    n : int
    edges : array, shape (m, 2)
    weights : array, shape (m,)
        Only the order of their magnitudes matters.
    ends : (inlets, outlets), optional
        Node numbers.

    Raises
    ------
    InputError
        Weights that do not fit the edges or are not finite; edges and n as in `trace`.
    """
    w = edge_weights(edges, weights)
    order = np.argsort(-w, kind="stable")[: np.count_nonzero(w)]
    chosen = np.asarray(edges).reshape(-1, 2)[order]
    return _grouped(n, max(w.size, 1), chosen, w[order], _marks(n, ends), True)


def edge_weights(edges: ArrayLike, weights: ArrayLike) -> Array:
    """Magnitudes of edge weights, finite and one for each edge; raises InputError otherwise."""
    w = np.asarray(weights)
    if w.shape != (len(np.asarray(edges)),) or w.dtype.kind not in "fiub":
        raise InputError(
            "weights do not fit the edges", expected="one number for each edge", got=f"{w.dtype}, {w.shape}"
        )
    if not np.isfinite(w).all():
        raise InputError("edge weights hold NaN or infinite values", got=f"{(~np.isfinite(w)).sum()} of them")
    return np.abs(w.astype(np.float64))


def _decided(curve: WeightCurve) -> bool:
    rest = curve.n - curve.S1[-1]
    return bool(rest <= curve.S2.max() and 2 * curve.pairs[-1] > curve.all_pairs)


def layered_curve(
    widths: tuple[int, ...], at: NDArray[np.int64], weight: Array, cells: int, whole: bool
) -> WeightCurve:
    """Curve of a layered graph from its cells in order: their numbers, row by row and matrix by matrix."""
    n = np.array(widths, np.int64)
    first_cell = np.concatenate([[0], np.cumsum(n[:-1] * n[1:])])
    first_node = np.concatenate([[0], np.cumsum(n)])
    layer = np.searchsorted(first_cell, at, side="right") - 1
    row, column = np.divmod(at - first_cell[layer], n[layer + 1])
    edges = np.stack([first_node[layer] + row, first_node[layer + 1] + column], axis=1)
    marks = np.zeros((2, first_node[-1]), np.int64)
    marks[0, : n[0]] = 1
    marks[1, first_node[-2] :] = 1
    return _grouped(int(first_node[-1]), cells, edges, weight, marks, whole)


def _marks(n: int, ends: tuple[ArrayLike, ArrayLike] | None) -> NDArray[np.int64]:
    marks = np.zeros((2, check_size(n)), np.int64)
    for mark, nodes in zip(marks, ends or (), strict=False):
        mark[node_numbers(n, nodes)] = 1
    return marks


def node_numbers(n: int, nodes: ArrayLike) -> NDArray[np.int64]:
    """Distinct node numbers in [0, n), at least one; raises InputError otherwise."""
    at = np.unique(np.atleast_1d(np.asarray(nodes)))
    if at.size == 0 or at.dtype.kind not in "iu" or at[0] < 0 or at[-1] >= n:
        raise InputError(
            "an end of the graph is not a list of its nodes",
            expected=f"numbers 0 to {n - 1}",
            got=str(nodes)[:60],
        )
    return at.astype(np.int64)


def _grouped(
    n: int, cells: int, edges: NDArray[Any], weight: Array, marks: NDArray[np.int64], whole: bool
) -> WeightCurve:
    """Sweep in the order given, kept where a group of equal weights ends."""
    swept = trace((n, edges), order=np.arange(len(edges)))
    pairs = np.zeros(len(edges) + 1, np.int64)
    both = np.ascontiguousarray(edges, np.int64).reshape(-1, 2)
    _count_pairs(np.full(n, -1, np.int32), both, marks.copy(), pairs)
    last = np.append(weight[1:] < weight[:-1], whole)[: len(weight)]  # of a cut group the end is not known
    at = np.concatenate([[0], np.flatnonzero(last) + 1]).astype(np.int64)
    inlets, outlets = marks.sum(axis=1)
    return WeightCurve(
        n,
        cells,
        swept.counts[at],
        np.concatenate([[np.inf], weight])[at],
        swept.S1[at],
        swept.S2[at],
        swept.M2[at],
        swept.clusters[at],
        pairs[at],
        int(inlets * outlets),
        whole,
    )


@njit(cache=True, nogil=True)
def _count_pairs(parent: Any, edges: Any, marks: Any, pairs: Any) -> None:
    """Connected inlet-outlet pairs after each edge; `marks` ends as the counts of each root."""
    total = 0
    for i in range(len(parent)):
        total += marks[0, i] * marks[1, i]
    pairs[0] = total
    for e in range(len(edges)):
        a, b = find(parent, edges[e, 0]), find(parent, edges[e, 1])
        if unite(parent, a, b):
            total += marks[0, a] * marks[1, b] + marks[0, b] * marks[1, a]
            root = a if parent[a] < 0 else b
            for side in range(2):
                marks[side, root] = marks[side, a] + marks[side, b]
        pairs[e + 1] = total
