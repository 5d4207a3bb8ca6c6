"""Cluster sizes by a Yule-Simon process: another generator, with its own rank law (simon1955class)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import betaln, polygamma

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.theory.brill.trees import Ints
from opalesce.theory.checks import numbers, positive, whole

NORMAL_90 = 1.6448536269514722


@njit(cache=True, nogil=True)
def _join(points: int, p_new: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    parent, label = np.empty(points, np.int32), np.empty(points, np.int32)
    clusters = 0
    for i in range(points):
        if i == 0 or rng.random() < p_new:
            parent[i], label[i] = -1, clusters
            clusters += 1
        else:
            parent[i] = int(rng.random() * i)
            label[i] = label[parent[i]]
    return parent, label


def yule_simon(points: int, rng: np.random.Generator, p_new: float = 1 / 3) -> tuple[Ints, Ints]:
    r"""Points that start a cluster or join that of a uniformly chosen earlier point.

    The number of clusters of size s follows the Yule-Simon law,

    .. math:: n_s \propto B(s, \rho + 1) \sim s^{-(1+\rho)}, \qquad \rho = \frac{1}{1 - p_{new}}

    so p_new = 1/3 gives tau = 5/2. The law counts clusters: the rank law is :math:`s_k \propto k^{-2/3}`
    (`rank_exponent` with weighting "cluster"), not :math:`k^{-2}`. Joined points make a random recursive
    tree.

    Parameters
    ----------
    points : int
    rng : Generator
    p_new : float
        Chance of a new cluster, 0 to 1; 0 gives one cluster.

    Returns
    -------
    parent, label : arrays of int32, shape (points,)
        The earlier point that was joined, -1 for the first of a cluster; cluster number.

    Raises
    ------
    InputError
        Argument out of range.
    """
    if p_new != 0:
        positive(p_new, "p_new", 0, 1)
    parent, label = _join(whole(points, "points", 1), float(p_new), rng)
    return parent, label


def fit_yule(sizes: ArrayLike) -> Estimate:
    r"""Exponent 1 + rho of the Yule-Simon law by maximum likelihood, with its 90 % interval.

    .. math:: \ln P(s) = \ln\rho + \ln B(s, \rho + 1)

    Parameters
    ----------
    sizes : array_like of int, shape (clusters,)

    Raises
    ------
    InputError
        Sizes that are not whole and positive, fewer than 10, or all equal to 1.
    """
    s = numbers(sizes, "sizes", 1).ravel()
    if s.size < 10 or (s != np.rint(s)).any() or s.max() == 1:
        raise InputError(
            "no Yule-Simon exponent",
            expected="10 or more whole sizes, not all 1",
            got=f"{s.size}, largest {s.max():g}",
        )
    value, count = np.unique(s, return_counts=True)

    def cost(log_rho: float) -> float:
        rho = np.exp(log_rho)
        return -float(s.size * log_rho + count @ betaln(value, rho + 1))

    rho = float(np.exp(minimize_scalar(cost, bounds=(-5, 8), method="bounded", options={"xatol": 1e-10}).x))
    curvature = s.size / rho**2 - float(count @ (polygamma(1, rho + 1) - polygamma(1, value + rho + 1)))
    half = NORMAL_90 / np.sqrt(curvature)
    return Estimate(1 + rho, 1 + rho - half, 1 + rho + half, s.size, method="Yule-Simon maximum likelihood")


def cluster_sizes(label: Ints) -> NDArray[np.int64]:
    """Sizes of the clusters 0, 1, ... by rank, the largest first.

    Raises
    ------
    InputError
        Negative labels or none.
    """
    a = np.asarray(label)
    if a.size == 0 or a.min() < 0:
        raise InputError("labels cannot be used", expected="whole numbers >= 0", got=f"{a.size} labels")
    sizes = np.bincount(a)
    return np.sort(sizes[sizes > 0])[::-1].astype(np.int64)
