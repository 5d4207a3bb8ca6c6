r"""Intrinsic dimension of a cloud of points, from distances to near neighbours.

All estimators of this kind saturate: on spheres of dimension 20 with 10,000 points they read 12 to 15 % low.
They see the scale of the neighbours they use: at small scales noise, at large ones curvature. `gride` over a
range of scales shows both; a plateau is a dimension, a steady fall is noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import gamma

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.observables.inputs import finite
from opalesce.observables.registry import observable

Array = NDArray[np.float64]
SHAPE = frozenset({"scale", "rotation", "token_permutation"})


def neighbour_distances(points: ArrayLike, k: int, block: int = 1024) -> Array:
    """Distances of each distinct point to its k nearest others, ascending: shape (n, k).

    Exact, by blocks of a matrix product; copies of a point are taken out first, for a distance of 0 says
    nothing of dimension. Squared distances are taken about the mean, so that a common offset costs no digits.

    Raises
    ------
    InputError
        Not (n, d), not finite, or no more than k distinct points.
    """
    x = np.unique(np.asarray(finite(points, "the cloud", ndim=2), np.float64), axis=0)
    if k < 1 or len(x) <= k:
        raise InputError("too few points", expected=f"more than {k} distinct ones", got=str(len(x)))
    x = x - x.mean(axis=0)
    x /= float(np.abs(x).max()) or 1.0
    square = (x * x).sum(axis=1)
    out = np.empty((len(x), k))
    for start in range(0, len(x), block):
        rows = x[start : start + block]
        d2 = square[start : start + block, None] + square - 2 * rows @ x.T
        d2[np.arange(len(rows)), start + np.arange(len(rows))] = np.inf
        near = np.argpartition(d2, k - 1, axis=1)[:, :k]
        exact = np.linalg.norm(rows[:, None] - x[near], axis=2)  # the product cancels for close points
        out[start : start + block] = np.sort(exact, axis=1)
    return out


def _estimate(d: float, low: float, high: float, n: int, method: str) -> Estimate:
    return Estimate(d, low, high, n, "" if np.isfinite(d) else "the distances do not vary", method)


def two_nn_estimate(points: ArrayLike) -> Estimate:
    r"""TwoNN with its interval.

    .. math:: P(\mu) = d\,\mu^{-d-1}, \; \mu = r_2/r_1: \quad \hat d = (N - 1) / \sum_i \ln \mu_i

    The interval is that of a gamma law of N independent ratios; neighbours share points, so it is a little
    narrow. Source: Facco et al. 2017, eqs. 3-5 (maximum likelihood form).

    Raises
    ------
    InputError
        From `neighbour_distances`.
    """
    r = neighbour_distances(points, 2)
    total, n = float(np.log(r[:, 1] / r[:, 0]).sum()), len(r)
    if total == 0.0:
        return _estimate(float("nan"), float("nan"), float("nan"), n, "TwoNN")
    low, high = (float(gamma.ppf(p, n)) / total for p in (0.05, 0.95))
    return _estimate((n - 1) / total, low, high, n, "TwoNN, maximum likelihood")


def local_mle_estimate(points: ArrayLike, k: int = 10) -> Estimate:
    r"""Levina and Bickel's estimator, averaged over points as inverses.

    .. math:: \hat d^{-1} = \frac{1}{N} \sum_x \frac{1}{k-1} \sum_{j<k} \ln \frac{T_k(x)}{T_j(x)}

    Averaging 1/d, not d (MacKay and Ghahramani 2005), removes most of the bias at small k. The factor
    (k - 2)/(k - 1) that makes the single-point estimator unbiased belongs to averages of d and is not used.

    Raises
    ------
    InputError
        k below 3; from `neighbour_distances`.
    """
    if k < 3:
        raise InputError("too few neighbours", expected="3 or more", got=str(k))
    r = neighbour_distances(points, k)
    inverse = np.log(r[:, -1:] / r[:, :-1]).mean(axis=1)
    mean, error = float(inverse.mean()), float(inverse.std(ddof=1) / np.sqrt(len(r)))
    if mean == 0.0:
        return _estimate(float("nan"), float("nan"), float("nan"), len(r), "MLE")
    low, high = 1 / (mean + 1.645 * error), 1 / max(mean - 1.645 * error, 1e-300)
    return _estimate(1 / mean, low, high, len(r), f"Levina and Bickel, {k} neighbours")


@dataclass(frozen=True)
class ScaledDimension:
    """Dimension at one scale: the estimate, the neighbours used, and their mean distance."""

    estimate: Estimate
    neighbours: tuple[int, int]
    scale: float


def gride(points: ArrayLike, most: int = 64) -> list[ScaledDimension]:
    r"""Generalised ratios at n1 = 1, 2, 4, ... and n2 = 2 n1.

    .. math::

        f(\mu \mid d) = \frac{d\,(\mu^d - 1)^{n_2 - n_1 - 1}}{\mu^{(n_2 - 1) d + 1} B(n_2 - n_1, n_1)}, \quad
        \mu = r_{n_2}/r_{n_1}

    d by maximum likelihood, its interval from the curvature of the likelihood (Denti et al. 2022, eq. 2).
    Ratios of neighbouring points share distances, the more so the larger n1: the interval is then too narrow.

    Parameters
    ----------
    points : array, shape (n, d)
    most : int
        Largest n2.

    Raises
    ------
    InputError
        From `neighbour_distances`.
    """
    x = finite(points, "the cloud", ndim=2)
    k = min(most, (len(x) - 1) // 2 * 2)
    if k < 2:
        raise InputError("too few points", expected="3 or more", got=str(len(x)))
    r = neighbour_distances(x, k)
    out, n1 = [], 1
    while 2 * n1 <= k:
        log_mu = np.log(r[:, 2 * n1 - 1] / r[:, n1 - 1])
        out.append(
            ScaledDimension(_gride(log_mu[log_mu > 0], n1), (n1, 2 * n1), float(r[:, 2 * n1 - 1].mean()))
        )
        n1 *= 2
    return out


def _gride(log_mu: Array, n1: int) -> Estimate:
    n, method = log_mu.size, f"GRIDE, neighbours {n1} and {2 * n1}"
    if not n:
        return _estimate(float("nan"), float("nan"), float("nan"), n, method)

    def score(d: float) -> float:  # derivative of the mean log likelihood
        grown = (n1 - 1) * (log_mu / -np.expm1(-d * log_mu)).mean()
        return float(1 / d + grown - (2 * n1 - 1) * log_mu.mean())

    high = 1.0
    while score(high) > 0 and high < 1e6:
        high *= 2
    d = float(brentq(score, 1e-6, high))
    step = 1e-4 * d
    curvature = -(score(d + step) - score(d - step)) / (2 * step)
    error = (n * curvature) ** -0.5 if curvature > 0 else float("nan")
    return _estimate(d, d - 1.645 * error, d + 1.645 * error, n, method)


@observable(
    on="activations",
    unit="1",
    symmetries=SHAPE,
    null="isotropic_normal",
    source="facco2017estimating, eqs. 3-5",
    lineage="activations",
)
def two_nn_dimension(points: ArrayLike) -> float:
    r"""Intrinsic dimension by TwoNN.

    .. math:: \hat d = (N - 1) / \sum_i \ln (r_2/r_1)_i

    At the scale of nearest neighbours, where noise is largest; compare with `gride_dimension`. Null: the
    number of coordinates, for independent normal ones (less the saturation, 4 % at 10 dimensions and 10,000
    points). See `two_nn_estimate`.

    Raises
    ------
    InputError
        From `neighbour_distances`.
    """
    return two_nn_estimate(points).value


@observable(
    on="activations",
    unit="1",
    symmetries=SHAPE,
    null="isotropic_normal",
    source="levina2004maximum, eq. 8",
    lineage="activations",
)
def local_mle_dimension(points: ArrayLike) -> float:
    r"""Intrinsic dimension by Levina and Bickel, 10 neighbours.

    .. math:: \hat d^{-1} = \langle \ln(T_{10}/T_j) \rangle_{x, j < 10}

    Null as `two_nn_dimension`. See `local_mle_estimate`.

    Raises
    ------
    InputError
        From `neighbour_distances`.
    """
    return local_mle_estimate(points).value


@observable(
    on="activations",
    unit="1",
    symmetries=SHAPE,
    null="isotropic_normal",
    source="denti2022generalized, eq. 2",
    lineage="activations",
)
def gride_dimension(points: ArrayLike) -> float:
    r"""Intrinsic dimension by GRIDE at neighbours 16 and 32.

    .. math:: f(\mu \mid d) \propto d\,(\mu^d - 1)^{15} / \mu^{31 d + 1}, \quad \mu = r_{32}/r_{16}

    A scale at which noise of a few per cent no longer counts. Null as `two_nn_dimension`. NaN below 33
    points.

    Raises
    ------
    InputError
        From `neighbour_distances`.
    """
    found = {s.neighbours: s.estimate.value for s in gride(points, 32)}
    return found.get((16, 32), float("nan"))
