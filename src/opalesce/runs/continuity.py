"""Order in time, read from distances: which state is out of place, and which two are swapped.

States along a training run lie on a path: neighbours in time are neighbours in space. Both tests
take only a matrix of distances between states in their stated order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A state lies outside the path when it is so much farther from both neighbours than they are from
# each other. Independent noise gives 1, a random walk 0.71, a straight path 0.5.
EXCURSION = 1.25
# Two states are swapped when exchanging them shortens the path around them to this share or less.
# In a random walk exchanging neighbours back gives 0.78, on a straight path 0.6.
SWAP = 0.88
FIT = 0.95  # a state that moves to an end must come at least so much nearer to its neighbours
# Two states are one when they are closer than this share of the steps of the path around them.
COPY = 0.2
WINDOW = 300  # in longer runs only exchanges within so many places are tried
OUTSIDE = 1.6  # a state that is exchanged lies at most so far outside the path at its new place
APART = 3.0  # the edge where exchanged parts of a series meet is so many times the median edge
MOST = 10  # more swaps than this, and the run has no order to restore


@dataclass(frozen=True)
class Misplaced:
    """State `i` lies outside the path; `like` is the state nearest to it, `ratio` how far out."""

    i: int
    like: int
    ratio: float


def distances(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean distances between the rows of `values` (n, m), shape (n, n)."""
    v = np.asarray(values, float)
    v = v - v.mean(0)
    square = np.einsum("ij,ij->i", v, v)
    d2 = square[:, None] + square[None, :] - 2 * v @ v.T
    np.fill_diagonal(d2, 0.0)
    return np.asarray(np.sqrt(np.maximum(d2, 0.0)), float)


def detours(d: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each inner state, min(d(i-1, i), d(i, i+1)) / d(i-1, i+1); shape (n - 2,)."""
    n = len(d)
    i = np.arange(1, n - 1)
    across = d[i - 1, i + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        s = np.minimum(d[i - 1, i], d[i, i + 1]) / across
    return np.where(across > 0, s, 0.0)


def misplaced(d: NDArray[np.float64], limit: float = EXCURSION) -> list[Misplaced]:
    """States that lie outside the path: detour above `limit` and twice the run's median."""
    if len(d) < 5:
        return []
    s = detours(d)
    bar = max(limit, 2 * float(np.median(s)))
    out = []
    for k in np.flatnonzero(s > bar):
        i = int(k) + 1
        far = d[i].copy()
        far[i] = np.inf
        out.append(Misplaced(i, int(np.argmin(far)), float(s[k])))
    # the neighbours of a misplaced state look odd too: keep the worst of each clump
    out.sort(key=lambda m: -m.ratio)
    kept: list[Misplaced] = []
    for m in out:
        if all(abs(m.i - k.i) > 1 for k in kept):
            kept.append(m)
    return sorted(kept, key=lambda m: m.i)


def copies(d: NDArray[np.float64], limit: float = COPY) -> list[tuple[int, int]]:
    """Pairs (out of place, original) of states that are one state stored at two distant places.

    Their distance is below `limit` times every step of the path beside them. Out of place is the
    one whose removal shortens the path more.
    """
    n = len(d)
    out: list[tuple[int, int]] = []
    if n < 5:
        return out
    edge = np.array([d[i, i + 1] for i in range(n - 1)])
    beside = np.minimum(np.append(edge, np.inf), np.insert(edge, 0, np.inf))
    near = d < limit * np.minimum(beside[:, None], beside[None, :])
    for i, j in np.argwhere(np.triu(near, 2)).tolist():
        gain_i, gain_j = _removal(d, i), _removal(d, j)
        out.append((i, j) if gain_i >= gain_j else (j, i))
    return out


def _removal(d: NDArray[np.float64], i: int) -> float:
    """How much shorter the path is without state i."""
    if i == 0:
        return float(d[0, 1])
    if i == len(d) - 1:
        return float(d[-2, -1])
    return float(d[i - 1, i] + d[i, i + 1] - d[i - 1, i + 1])


def swaps(d: NDArray[np.float64], limit: float = SWAP) -> list[tuple[int, int, float]]:
    """Pairs (i, j, ratio) whose exchange shortens the path; greedy, the clearest first."""
    n = len(d)
    order = np.arange(n)
    reach = n if n <= WINDOW else max(1, WINDOW**2 // n)
    out: list[tuple[int, int, float]] = []
    if n < 5:
        return out
    while len(out) <= MOST:
        best = (limit, 0, 0)
        for i in range(n - 1):
            for j in range(i + 1, min(n, i + 1 + reach)):
                ratio = _ratio(d, order, i, j)
                if ratio < best[0]:
                    best = (ratio, i, j)
        if best[1:] == (0, 0):
            break
        ratio, i, j = best
        order[[i, j]] = order[[j, i]]
        out.append((i, j, ratio))
    return out


def _ratio(d: NDArray[np.float64], order: NDArray[np.intp], i: int, j: int) -> float:
    """Length of the edges at i and j after exchanging them, over that before."""
    n = len(order)
    edges = sorted({e for e in (i - 1, i, j - 1, j) if 0 <= e < n - 1})

    def place(k: int) -> int:
        return int(order[j if k == i else i if k == j else k])

    before = sum(d[order[e], order[e + 1]] for e in edges)
    after = sum(d[place(e), place(e + 1)] for e in edges)
    if before <= 0 or after >= before:
        return 1.0
    # an end has one edge, so a stranger put there shortens the path too: it must also fit there
    for now, then in ((i, j), (j, i)):
        if then in (0, n - 1):
            old = [d[order[now], order[k]] for k in (now - 1, now + 1) if 0 <= k < n]
            new = [d[order[now], place(k)] for k in (then - 1, then + 1) if 0 <= k < n]
            if np.mean(new) > FIT * np.mean(old):
                return 1.0
    # a state at home nowhere shortens it too, where it makes way for another: it must fit as well
    for now, then in ((i, j), (j, i)):
        if 0 < then < n - 1:
            state, left, right = int(order[now]), place(then - 1), place(then + 1)
            if min(d[state, left], d[state, right]) > OUTSIDE * d[left, right]:
                return 1.0
    return float(after / before)


def rotated(d: NDArray[np.float64], limit: float = APART) -> int | None:
    """The place at which a series was cut and its parts exchanged, or None.

    Its first and last states are then neighbours: nearer than half of the one long edge where the parts meet,
    which is at least `limit` times the median edge. Along an honest path the ends are far apart.
    """
    n = len(d)
    if n < 6:
        return None
    edges = np.array([d[i, i + 1] for i in range(n - 1)])
    k = int(np.argmax(edges))
    alone = float(np.partition(edges, -2)[-2]) <= 0.6 * edges[k]  # one strange state makes two long edges
    if (
        alone
        and edges[k] >= limit * float(np.median(edges))
        and d[n - 1, 0] <= 0.5 * edges[k]
        and 1 <= k < n - 2
    ):
        return k + 1
    return None
