r"""Classes in a cloud, and the spikes of its covariance: what is exact, and where it stops being visible.

K classes with priors pi_k, means mu_k and one covariance sigma^2 I have

.. math:: C = \sigma^2 I + \sum_k \pi_k (\mu_k - \mu)(\mu_k - \mu)^T,

at most K - 1 eigenvalues above sigma^2. From n samples in d dimensions, c = d/n, the direction between two
classes shows only if :math:`\|m\|^2/\sigma^2 > \sqrt c`: a true phase transition (Baik, Ben Arous, Peche
2005; Paul 2007). This is the part of "logical separability <-> low-rank spiked covariance" (Alpay and
Kilictas 2026, abstract) that can be proved; the rest there is a reconstruction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from opalesce.errors import InputError
from opalesce.theory.random_matrix import bbp_covariance

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Visible:
    """What a sample of two classes shows.

    Attributes
    ----------
    detectable : bool
        The largest eigenvalue leaves the bulk.
    eigenvalue : float
        Its place (the edge of the bulk when not detectable), in the units of sigma^2.
    overlap : float
        Squared cosine between the true direction and the first eigenvector.
    bayes_error : float
        Of the best rule that knows the means: below the threshold too, classes are there to be learned.
    """

    detectable: bool
    eigenvalue: float
    overlap: float
    bayes_error: float


def _positive(name: str, x: float) -> float:
    if not (np.isfinite(x) and x > 0):
        raise InputError(f"{name} must be positive", expected="above 0", got=f"{x:g}")
    return float(x)


def between(priors: ArrayLike, means: ArrayLike) -> Array:
    r"""Covariance of the class means, :math:`B = \sum_k \pi_k (\mu_k - \mu)(\mu_k - \mu)^T`, shape (d, d).

    Rank at most K - 1.

    Parameters
    ----------
    priors : array, shape (K,)
        Summing to 1.
    means : array, shape (K, d)

    Raises
    ------
    InputError
        Priors that are none, or shapes that differ.
    """
    p, mu = np.asarray(priors, np.float64), np.asarray(means, np.float64)
    if mu.ndim != 2 or p.shape != mu.shape[:1] or (p <= 0).any() or not np.isclose(p.sum(), 1):
        raise InputError(
            "these are no classes",
            expected="positive priors summing to 1, one mean each",
            got=f"{p.shape}, {mu.shape}",
        )
    off = mu - p @ mu
    return np.asarray((p[:, None] * off).T @ off)


def spikes(priors: ArrayLike, means: ArrayLike, sigma: float) -> Array:
    r"""Signal to noise of the directions between classes, largest first.

    .. math:: \ell_i = \lambda_i(B)/\sigma^2

    At most min(K - 1, d) numbers; eigenvalues of the mixture are :math:`\sigma^2 (1 + \ell_i)`.

    Raises
    ------
    InputError
        sigma not above 0; from `between`.
    """
    _positive("sigma", sigma)
    b = between(priors, means)
    count = min(len(np.atleast_1d(priors)) - 1, len(b))
    return np.asarray(np.clip(np.linalg.eigvalsh(b)[::-1][:count], 0, None) / sigma**2)


def bayes_error(distance: float, sigma: float) -> float:
    r"""Error of the best rule for two equally likely classes at +-m: :math:`\Phi(-\|m\|/\sigma)`.

    `distance` is ||m||, half the distance of the two means.

    Raises
    ------
    InputError
        distance below 0, sigma not above 0.
    """
    _positive("sigma", sigma)
    if not distance >= 0:
        raise InputError("a distance is not negative", expected="0 or more", got=f"{distance:g}")
    return float(ndtr(-distance / sigma))


def threshold(dimensions: int, samples: int) -> float:
    r"""Smallest :math:`\|m\|/\sigma` at which the direction shows: :math:`(d/n)^{1/4}`.

    At d = n the best rule still errs in :math:`\Phi(-1)` = 15.9 % of cases there.

    Raises
    ------
    InputError
        Not positive.
    """
    return float((_positive("dimensions", dimensions) / _positive("samples", samples)) ** 0.25)


def two_classes(distance: float, sigma: float, dimensions: int, samples: int) -> Visible:
    r"""What n samples in d dimensions show of two equally likely classes at +-m.

    .. math::

        \lambda = \sigma^2 (1 + \ell)(1 + c/\ell), \quad
        \langle v, \hat v\rangle^2 = \frac{1 - c/\ell^2}{1 + c/\ell}, \quad \ell = \|m\|^2/\sigma^2,
        \quad c = d/n

    Formulas of large d and n (`theory.random_matrix.bbp_covariance`).

    Raises
    ------
    InputError
        From `bayes_error` and `threshold`.
    """
    error = bayes_error(distance, sigma)
    at = threshold(dimensions, samples)
    eigenvalue, overlap = bbp_covariance((distance / sigma) ** 2, dimensions / samples)
    return Visible(distance / sigma > at, sigma**2 * eigenvalue, overlap, error)
