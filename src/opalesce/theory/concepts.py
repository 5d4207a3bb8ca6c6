r"""Percolation of concepts: what connectivity predicts for unseen pairs, before anything is trained.

Entities E and properties K of one family, all :math:`|E||K|` pairs valid; seen pairs are edges of a
bipartite graph. Whether an unseen valid pair can be inferred is whether its two ends lie in one
component (Lubana et al. 2024, arXiv 2408.12578). For large families a giant component appears at the
density of seen pairs

.. math:: \rho_c = 1/\sqrt{|E||K|},

and it holds the shares S_E, S_K of entities and properties that solve :math:`S_E = 1 - e^{-\rho |K| S_K}`,
:math:`S_K = 1 - e^{-\rho |E| S_E}`; an unseen pair is connected with probability :math:`S_E S_K`. For the
sizes of a real experiment that limit is too crude near the threshold, so the predictions here come from
random bipartite graphs of exactly these sizes, grown pair by pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.theory.percolation.union import find

Floats = NDArray[np.float64]
Sizes = Sequence[tuple[int, int, int]]


@dataclass(frozen=True)
class Grown:
    """Replicates of the growing graph: capability c, ladder rung m.

    `connected` (replicate, capability, rung) is the share of unseen valid pairs whose ends are
    connected; `peak` (replicate, capability) the density at which the mean size of the other clusters,
    :math:`(M_2 - S_1^2)/n`, is largest: the threshold as a finite family shows it.
    """

    rungs: NDArray[np.int64]
    connected: Floats
    peak: Floats

    @property
    def oracle(self) -> Floats:
        """AUC of inference by connected component, 1/2 + connected/2."""
        return 0.5 + 0.5 * self.connected


@njit(cache=True)
def _family(order: Any, n1: int, n2: int, at: Any, linked: Any) -> Any:
    """Grow one family; `linked[i]` counts pairs joined after at[i] edges; returns edges at the peak."""
    n = n1 + n2
    parent = np.full(n, -1, np.int32)
    a = np.zeros(n, np.int64)
    a[:n1] = 1
    total, squares, largest = np.int64(0), np.float64(n), np.int64(1)
    best, where, i = -1.0, 0, 0
    for m in range(len(order) + 1):
        while i < len(at) and at[i] == m:
            linked[i] = total
            i += 1
        other = squares - np.float64(largest) * largest
        if other > best:
            best, where = other, m
        if m == len(order):
            break
        u, v = order[m] // n2, n1 + order[m] % n2
        r, s = find(parent, u), find(parent, v)
        if r == s:
            continue
        if parent[r] > parent[s]:
            r, s = s, r
        sr, ss = -np.int64(parent[r]), -np.int64(parent[s])
        br, bs = sr - a[r], ss - a[s]
        total += a[r] * bs + a[s] * br
        squares += 2.0 * sr * ss
        largest = max(largest, sr + ss)
        parent[r] += parent[s]
        parent[s] = r
        a[r] += a[s]
    return where


def grow(sizes: Sizes, rungs: ArrayLike, replicates: int, rng: np.random.Generator) -> Grown:
    """Grow worlds of families, one random valid pair after another.

    Parameters
    ----------
    sizes : sequence of (entities, properties, families)
        One entry per capability; the share connected is over all its families together.
    rungs : array of int
        Increasing numbers of distinct pairs seen in the whole world.
    replicates : int
        Number of independent worlds.
    rng : Generator

    Raises
    ------
    InputError
        Sizes below one, rungs that do not increase or exceed the number of valid pairs.
    """
    at = np.asarray(rungs, np.int64)
    if not len(sizes) or any(min(s) < 1 for s in sizes) or replicates < 1:
        raise InputError("cannot grow such worlds", expected="sizes of 1 or more", got=str(list(sizes)))
    families = [(a, b) for a, b, n in sizes for _ in range(n)]
    pairs = np.array([a * b for a, b in families])
    if at.ndim != 1 or not len(at) or (np.diff(at) <= 0).any() or at[0] < 0 or at[-1] > pairs.sum():
        raise InputError(
            "rungs are increasing numbers of pairs", expected=f"0 to {pairs.sum()}", got=str(at.tolist())
        )
    first = np.cumsum([0, *(n for _, _, n in sizes)])[:-1]  # first family of each capability
    owner = np.repeat(np.arange(len(pairs)), pairs)
    connected = np.empty((replicates, len(sizes), len(at)))
    peak = np.empty((replicates, len(sizes)))
    for r in range(replicates):
        seen = rng.permutation(owner)[: at[-1]]
        linked = np.zeros((len(pairs), len(at)), np.int64)
        count = np.empty_like(linked)
        where = np.empty(len(pairs))
        for f, (n1, n2) in enumerate(families):
            count[f] = np.searchsorted(np.flatnonzero(seen == f), at)
            where[f] = _family(rng.permutation(pairs[f]), n1, n2, count[f], linked[f]) / pairs[f]
        joined, known = np.add.reduceat(linked, first), np.add.reduceat(count, first)
        unseen = np.add.reduceat(pairs, first)[:, None] - known
        with np.errstate(invalid="ignore", divide="ignore"):
            connected[r] = np.where(unseen > 0, (joined - known) / unseen, np.nan)
        peak[r] = np.add.reduceat(where, first) / np.array([n for _, _, n in sizes])
    return Grown(at, connected, peak)


def band(replicates: Floats, level: float) -> tuple[Floats, Floats]:
    """Simultaneous band: a share `level` of the replicates (rows) lies inside it at every column.

    The tails are cut at one rank in all columns, the largest that keeps at least that share inside.

    Raises
    ------
    InputError
        Too few replicates to cut even the outermost ones.
    """
    ordered = np.sort(replicates, axis=0)
    n, columns = ordered.shape
    depth = np.full(n, n)
    for j in range(columns):  # how many ranks can be cut from both ends before the replicate falls out
        below = np.searchsorted(ordered[:, j], replicates[:, j], "right") - 1
        above = n - 1 - np.searchsorted(ordered[:, j], replicates[:, j], "left")
        depth = np.minimum(depth, np.minimum(below, above))
    k = int(np.sort(depth)[::-1][int(np.ceil(level * n)) - 1])
    if k == 0:  # at rank 0 all are inside, which says nothing of the level
        raise InputError(
            "too few replicates for such a band",
            expected=f"well above {columns / (1 - level):.0f}",
            got=str(n),
        )
    return ordered[k], ordered[n - 1 - k]


def onset(x: ArrayLike, y: ArrayLike, level: float) -> float:
    """Place at which a rising curve first reaches `level`, in log x; infinity where it never does.

    The curve is made monotone by isotonic regression, then read between the two rungs.
    """
    from scipy.optimize import isotonic_regression

    u, v = np.log(np.asarray(x, float)), np.asarray(y, float)
    rising = isotonic_regression(v).x
    above = np.flatnonzero(rising >= level)
    if not len(above):
        return float("inf")
    i = int(above[0])
    if i == 0:
        return float(np.exp(u[0]))
    share = (level - rising[i - 1]) / (rising[i] - rising[i - 1])
    return float(np.exp(u[i - 1] + share * (u[i] - u[i - 1])))
