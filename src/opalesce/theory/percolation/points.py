r"""Percolation of a cloud of points: how a user's own data connect.

Points are joined when they are closer than :math:`\epsilon`. Growing :math:`\epsilon` is a sweep: edges of
the k-nearest-neighbour graph in order of length. At the scale :math:`\epsilon_c` where the clusters other
than the largest are biggest (the peak of :math:`(M_2 - S_1^2)/n`) their sizes are read off. At a fixed
scale, leaving out points at random is site percolation: if a share p_c of the points still connects, the
data lie a factor :math:`C_n = 1/p_c` above their threshold (brill2024neural speaks of the data being
critical; the neural percolation model of their connectivity number). The choice of scale and both
estimators are ours [R].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.theory.percolation.cluster_law import ClusterLaw, fit_sizes
from opalesce.theory.percolation.sweep import sweep
from opalesce.theory.percolation.threshold import peak
from opalesce.theory.percolation.trace import Trace, trace

Floats = NDArray[np.float64]
MOST = 50_000


@dataclass(frozen=True)
class Neighbours:
    """Edges (m, 2) of the k-nearest-neighbour graph, each once, with their lengths, shortest first."""

    n: int
    k: int
    edges: NDArray[np.int64]
    length: Floats


@dataclass(frozen=True)
class Cloud:
    """How a cloud of points connects.

    `curve` is the sweep in order of length, `critical` the length at its peak, `sizes` the clusters there
    with their `law` (None and a reason in `law_status` when there are too few); at `radius`, `kept` is the
    share of points that still connects and `c_n` its inverse.
    """

    neighbours: Neighbours
    curve: Trace
    critical: float
    sizes: NDArray[np.int64]
    law: ClusterLaw | None
    law_status: str
    radius: float
    kept: Estimate
    c_n: Estimate


def checked(points: ArrayLike) -> Floats:
    """Points (n, d) as floats; InputError for anything that is not a cloud."""
    x = np.asarray(points)
    if x.ndim != 2 or x.dtype.kind not in "fiu" or x.shape[0] < 3 or x.shape[1] < 1:
        raise InputError(
            "no cloud of points", expected="numbers of shape (n, d), n >= 3", got=f"{x.dtype} {x.shape}"
        )
    if x.shape[0] > MOST:
        raise InputError(
            "too many points for exact neighbours", expected=f"at most {MOST}", got=str(x.shape[0]),
            fix="take a random sample of the rows",
        )  # fmt: skip
    x = x.astype(np.float64)
    if not np.isfinite(x).all():
        bad = int((~np.isfinite(x)).any(axis=1).sum())
        raise InputError("the points hold NaN or infinity", expected="finite numbers", got=f"{bad} such rows")
    return x


def neighbours(points: ArrayLike, k: int = 10) -> Neighbours:
    """Exact k nearest neighbours by Euclidean distance, in blocks: O(n^2 d) time, little memory.

    Raises
    ------
    InputError
        Not a cloud, or k not below n.
    """
    x = checked(points)
    n = len(x)
    if not 1 <= k < n:
        raise InputError("no such number of neighbours", expected=f"1 to {n - 1}", got=str(k))
    x = x - x.mean(axis=0)
    square = (x**2).sum(axis=1)
    near = np.empty((n, k), np.int64)
    for start in range(0, n, 512):
        block = slice(start, min(start + 512, n))
        d2 = square[block, None] + square[None] - 2 * (x[block] @ x.T)
        d2[np.arange(block.stop - start), np.arange(start, block.stop)] = np.inf
        near[block] = np.argpartition(d2, k - 1, axis=1)[:, :k]
    pairs = np.sort(np.stack([np.repeat(np.arange(n), k), near.ravel()], axis=1), axis=1)
    pairs = np.unique(pairs, axis=0)
    length = np.sqrt(((x[pairs[:, 0]] - x[pairs[:, 1]]) ** 2).sum(axis=1))  # exact: no cancellation
    order = np.argsort(length, kind="stable")
    return Neighbours(n, k, pairs[order], length[order])


def connect(
    points: ArrayLike, rng: np.random.Generator, k: int = 10, radius: float | None = None, sweeps: int = 200
) -> Cloud:
    """Measure how a cloud connects.

    Parameters
    ----------
    points : array, shape (n, d)
    rng : Generator
    k : int
        Neighbours of each point that may be joined; must exceed what the threshold needs (10 is ample).
    radius : float, optional
        Scale at which points count as related, for `kept` and `c_n`; by default the median distance to the
        4th neighbour [R].
    sweeps : int
        Sweeps of the site percolation.

    Raises
    ------
    InputError
        Not a cloud; identical points only; a radius that joins nothing.
    """
    near = neighbours(points, k)
    curve = trace((near.n, near.edges), "bond", np.arange(len(near.edges)))
    others = curve.M2 - curve.S1.astype(np.float64) ** 2
    at = int(curve.counts[int(others.argmax())])
    critical = float(near.length[max(at - 1, 0)])
    sizes = clusters(near, at)
    law, why = None, ""
    try:
        law = fit_sizes(np.delete(sizes, sizes.argmax()), rng)  # the largest is the incipient giant
    except InputError as error:
        why = error.what
    chosen = _fourth(near) if radius is None else float(radius)
    count = int(np.searchsorted(near.length, chosen, "right"))
    if count == 0 or not np.isfinite(chosen):
        raise InputError(
            "no two points are that close",
            expected=f"a radius of {near.length[0]:.4g} or more",
            got=f"{chosen:g}",
        )
    kept = _kept(near, count, sweeps, rng)
    return Cloud(near, curve, critical, sizes, law, why, chosen, kept, _inverse(kept))


def clusters(near: Neighbours, edges: int) -> NDArray[np.int64]:
    """Sizes of all clusters made by the shortest `edges` edges."""
    i, j = near.edges[:edges].T
    graph = coo_matrix((np.ones(edges, np.int8), (i, j)), shape=(near.n, near.n))
    return np.bincount(connected_components(graph, directed=False)[1])


def _fourth(near: Neighbours) -> float:
    """Median over points of the distance to the 4th neighbour (or the last, where there are fewer)."""
    point = near.edges.ravel()
    length = np.repeat(near.length, 2)
    order = np.lexsort((length, point))
    first = np.searchsorted(point[order], np.arange(near.n))
    rank = min(4, near.k) - 1
    return float(np.median(length[order][first + rank]))


def _kept(near: Neighbours, edges: int, sweeps: int, rng: np.random.Generator) -> Estimate:
    """Share of points at which the peak of the other clusters lies, by site sweeps at a fixed scale."""
    got = sweep(
        (near.n, near.edges[:edges]), "site", sweeps, rng=rng, wrapping=False, every=max(1, near.n // 2000)
    )
    found = peak(got, "chi", rng=rng)
    giant = float(got.microcanonical("S1")[-1]) / near.n
    if found.value > 0.97 or giant < 0.1:
        return Estimate(
            1.0, n=sweeps, status=f"at this scale the data do not connect: largest cluster {giant:.1%}"
        )
    return found


def _inverse(e: Estimate) -> Estimate:
    if not e.ok:
        return Estimate(float("nan"), n=e.n, status=e.status, method="1 / share kept")
    return Estimate(1 / e.value, 1 / e.high, 1 / e.low, e.n, method="1 / share kept", level=e.level)


def column_shuffled(points: ArrayLike, rng: np.random.Generator) -> Floats:
    """The null: every column permuted by itself keeps each feature's values and breaks what joins them."""
    return rng.permuted(checked(points), axis=0)
