r"""Nearest training site on a tree, and the estimator built on it (brill2024neural, eq. 12).

`nearest` sweeps the whole tree twice: children tell parents, then parents tell children. Exact, O(s),
no sorting. `squared_errors` wants distances at a few sites only; the shortest path between two sites
stays inside the tree spanned by them and the root, about sqrt(2 m s) sites for m marked ones, and the
same two sweeps run over that.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.theory.brill.targets import Floats
from opalesce.theory.brill.trees import Ints, check_tree
from opalesce.theory.checks import Array, whole

FAR = np.int32(2**30)
LAST = 2**31 - 2


@njit(cache=True, nogil=True)
def _sweep(up: Ints, distance: Ints, site: Ints, count: int) -> None:
    """Relax along the edges i - up[i], in place: parents precede children."""
    for i in range(count - 1, 0, -1):
        j = up[i]
        if distance[i] + 1 < distance[j]:
            distance[j], site[j] = distance[i] + 1, site[i]
    for i in range(1, count):
        j = up[i]
        if distance[j] + 1 < distance[i]:
            distance[i], site[i] = distance[j] + 1, site[j]


def nearest(parent: Ints, training: ArrayLike) -> tuple[Ints, Ints]:
    """Distance to the nearest training site and which one it is, for every site of a tree.

    Parameters
    ----------
    parent : array of int32, shape (s,)
    training : array of int
        Training sites; may be empty.

    Returns
    -------
    distance, site : arrays of int32, shape (s,)
        Without training sites 2^30 and -1. Between equally near sites the choice is arbitrary.

    Raises
    ------
    InputError
        Not a tree, or a training site outside it.
    """
    check_tree(parent)
    t = np.asarray(training, dtype=np.int64).ravel()
    if t.size and (t.min() < 0 or t.max() >= parent.size):
        raise InputError(
            "a training site lies outside the cluster",
            expected=f"0 to {parent.size - 1}",
            got=f"{t.min()} to {t.max()}",
        )
    distance, site = np.full(parent.size, FAR, np.int32), np.full(parent.size, -1, np.int32)
    distance[t], site[t] = 0, t
    _sweep(parent, distance, site, parent.size)
    return distance, site


def shrunk(value: ArrayLike, distance: ArrayLike, size: int) -> Array:
    r"""The estimator :math:`\hat y = y_{nn} / (1 + r / \sqrt s)` (eqs 12 and 38-42).

    Posterior mean under the prior N(0, 1) and the likelihood :math:`N(y_{nn}; \sigma_r^2)` with
    :math:`\sigma_r^2 = r/\sqrt s`: a random walk of r steps, which at :math:`r \sim \sqrt s` (the
    diameter of a critical tree) has covered the unit variance of the cluster.

    Raises
    ------
    InputError
        Size below 1.
    """
    return np.asarray(
        np.asarray(value, float) / (1 + np.asarray(distance, float) / whole(size, "size", 1) ** 0.5)
    )


@njit(cache=True, nogil=True)
def _choose(
    mark: Ints, base: int, picks: Ints, m: int, first: int, size: int, rng: np.random.Generator
) -> None:
    """m distinct sites into picks, uniform; the first `first` a uniform part of them (Floyd's method).

    A site is taken when mark >= base, so `mark` is never cleared.
    """
    for n in range(m):
        last = size - m + n
        site = int(rng.random() * (last + 1))
        if mark[site] >= base:
            site = last
        mark[site] = base + n
        picks[n] = site
    for n in range(first):
        other = n + int(rng.random() * (m - n))
        picks[n], picks[other] = picks[other], picks[n]


@njit(cache=True, nogil=True)
def _span(parent: Ints, mark: Ints, base: int, picks: Ints, m: int, up: Ints) -> int:
    """Number the tree spanned by the root and the picks, parents first; its parents go into `up`.

    mark[site] - base becomes the site's number. Each path is climbed twice: once to measure it.
    """
    mark[0] = base
    up[0], count = -1, 1
    for n in range(m):
        site, length = picks[n], 0
        while mark[site] < base:
            site, length = parent[site], length + 1
        joint = mark[site] - base
        site = picks[n]
        for i in range(count + length - 1, count - 1, -1):
            mark[site] = base + i
            up[i] = i - 1
            site = parent[site]
        if length:
            up[count] = joint
        count += length
    return count


@njit(cache=True, nogil=True)
def _errors(
    parent: Ints,
    value: Floats,
    training: NDArray[np.int64],
    validation: int,
    root_size: float,
    rng: np.random.Generator,
) -> Array:
    size = parent.size
    mark = np.full(size, -1, np.int32)
    up, distance, site = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    picks = np.empty(min(size, training.max() + validation), np.int32)
    out = np.zeros(training.size)
    base = 0
    for t in range(training.size):
        if base > LAST - 2 * size:
            mark[:] = -1
            base = 0
        m = min(training[t] + validation, size)
        _choose(mark, base, picks, m, validation, size, rng)
        base += m
        count = _span(parent, mark, base, picks, m, up)
        distance[:count] = FAR
        for n in range(validation, m):
            at = mark[picks[n]] - base
            distance[at], site[at] = 0, picks[n]
        _sweep(up, distance, site, count)
        total = 0.0
        for n in range(validation):
            at = mark[picks[n]] - base
            guess = 0.0
            if m > validation:
                guess = value[site[at]] / (1.0 + distance[at] / root_size)
            total += (value[picks[n]] - guess) ** 2
        out[t] = total
        base += count
    return out


def squared_errors(
    parent: Ints, value: Floats, training: ArrayLike, validation: int, rng: np.random.Generator
) -> Array:
    """Sum of squared errors of the estimator over random validation sites, for several training counts.

    For each count, `validation` sites and then that many other sites are drawn at random without
    replacement; a cluster without training sites is predicted by its mean, 0.

    Parameters
    ----------
    parent : array of int32, shape (s,)
    value : array of float32, shape (s,)
        Standardised targets.
    training : array of int, shape (n,)
        Numbers of training sites; cut at s - validation.
    validation : int
        Number of validation sites, at most s.
    rng : Generator

    Returns
    -------
    array, shape (n,)
        Divide by `validation` for the mean squared error.

    Raises
    ------
    InputError
        Not a tree, shapes that differ, or counts out of range.
    """
    check_tree(parent)
    if value.shape != parent.shape or value.dtype != np.float32:
        raise InputError(
            "targets do not belong to the tree",
            expected=f"float32, shape {parent.shape}",
            got=f"{value.dtype}, shape {value.shape}",
        )
    n = np.atleast_1d(np.asarray(training, dtype=np.int64))
    validation = whole(validation, "validation", 0, parent.size)
    if n.size == 0 or n.min() < 0:
        raise InputError(
            "numbers of training sites are out of range", expected="at least one, all >= 0", got=str(n)
        )
    n = np.minimum(n, parent.size)
    if validation == 0:
        return np.zeros(n.size)
    return np.asarray(_errors(parent, value, n, validation, float(parent.size) ** 0.5, rng))
