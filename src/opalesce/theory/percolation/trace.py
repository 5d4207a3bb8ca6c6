"""One sweep in full: the whole curve of one graph in one order, and cluster sizes at one occupation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from opalesce.errors import InputError
from opalesce.theory.percolation import kernel
from opalesce.theory.percolation.canonical import binomial
from opalesce.theory.percolation.sweep import geometry_of, new_state, touch_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from opalesce.theory.percolation.lattices import Lattice
    from opalesce.theory.percolation.sweep import Graph


@dataclass(frozen=True)
class Trace:
    """Clusters along one sweep, all in nodes.

    Attributes
    ----------
    n, m : int
        Nodes; elements.
    counts : array, shape (K,)
        Elements switched on: 0, every, 2 every, ..., and m.
    S1, S2 : arrays, shape (K,)
        Largest and second largest cluster.
    M2 : array, shape (K,)
        Sum of squared sizes over all clusters.
    clusters : array, shape (K,)
        Their number.
    wrapped : array, shape (axes,)
        As in `Sweeps`.
    gap, gap_at : int
        Largest jump of S1 by one element, and the count right after it.
    """

    n: int
    m: int
    counts: NDArray[np.int64]
    S1: NDArray[np.int64]
    S2: NDArray[np.int64]
    M2: NDArray[np.int64]
    clusters: NDArray[np.int64]
    wrapped: NDArray[np.int64]
    gap: int
    gap_at: int


def trace(
    system: Lattice | Graph,
    kind: str = "bond",
    order: ArrayLike | None = None,
    *,
    rng: np.random.Generator | None = None,
    every: int = 1,
    winding: ArrayLike | None = None,
    ends: tuple[ArrayLike, ArrayLike] | None = None,
) -> Trace:
    """Switch on all elements in one order and keep the whole curve: O(m) time, 32 bytes a recorded count.

    Parameters
    ----------
    system : Lattice or (n, edges)
        See `sweep` for self-loops and repeated edges.
    kind : {"bond", "site"}
    order : array of whole numbers, shape (m,), optional
        A permutation of the elements, the first to be switched on first: `np.argsort(-abs(weights))` for
        threshold percolation of weights. Without it the order is random and `rng` is needed.
    rng : numpy.random.Generator, optional
    every : int
        Record each so many elements.
    winding, ends
        As in `sweep`.

    Raises
    ------
    InputError
        Bad numbers or edges; an order that is no permutation; neither order nor rng.
    """
    g = geometry_of(system, kind, winding)
    touch = touch_of(system, g, ends)
    if every < 1:
        raise InputError("`every` is at least 1", got=str(every))
    turns = np.arange(g.m, dtype=np.int32) if order is None else permutation(order, g.m)
    if order is None and rng is None:
        raise InputError(
            "no order", expected="an order, or a generator to draw one", fix="rng=default_rng(0)"
        )
    want = kernel.Wanted(g.axes > 0, len(touch) > 0, True, order is None, 0, every)
    state = new_state(g, want)
    counts = np.arange(0, g.m + 1, every)
    rows = np.zeros((len(counts), 4), np.int64)
    kernel.reset(g, state, want, touch)
    kernel.sweep(g, state, want, turns, g.m, rows, rng or np.random.default_rng(0))
    if counts[-1] != g.m:
        counts, rows = np.append(counts, g.m), np.vstack([rows, state.tally])
    gap, at = (int(k) for k in state.gap)
    first, second, squares, clusters = rows.T
    return Trace(g.n, g.m, counts, first, second, squares, clusters, state.wrapped, gap, at)


def permutation(order: ArrayLike, m: int) -> NDArray[np.int32]:
    """`order` as an int32 copy; raises InputError unless it holds each of 0 .. m - 1 once."""
    got = np.asarray(order)
    if got.shape != (m,) or (m and got.dtype.kind not in "iu"):
        raise InputError(
            "the order does not fit the elements",
            expected=f"{m} whole numbers",
            got=f"{got.dtype} of shape {got.shape}",
            fix="np.argsort of the weights, not the weights",
        )
    if m and (got.min() < 0 or got.max() >= m or (np.bincount(got, minlength=m) != 1).any()):
        raise InputError("the order is no permutation", expected=f"each of 0 to {m - 1} once")
    return got.astype(np.int32)


def cluster_sizes(
    system: Lattice | Graph, kind: str, p: float, sweeps: int = 100, *, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Mean number of clusters of each size at occupation probability p.

    Exact canonical sampling: the number of elements of each sweep is drawn from its binomial law.

    Returns
    -------
    array, shape (n + 1,)
        Entry s: clusters of s nodes in the whole system; divide by n for n_s.

    Raises
    ------
    InputError
        As `sweep`; p outside [0, 1].
    """
    g = geometry_of(system, kind)
    binomial(1, p)  # p in range
    if sweeps < 1:
        raise InputError("sweeps are at least 1", got=str(sweeps))
    want = kernel.Wanted(False, False, True, True, 0, 1)
    stops = rng.binomial(g.m, p, size=sweeps)
    order, rows, total = (
        np.arange(g.m, dtype=np.int32),
        np.zeros((0, 4), np.int64),
        np.zeros(g.n + 1, np.int64),
    )
    wrapped, gaps = np.zeros((sweeps, 0), np.int64), np.zeros((sweeps, 2), np.int64)
    sums, touch = np.zeros((1, 6, 0)), np.zeros(0, np.int8)
    kernel.sweeps(g, new_state(g, want), want, touch, order, stops, rows, rng, sums, wrapped, gaps, total)
    return total / sweeps
