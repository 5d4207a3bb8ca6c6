r"""Data scaling: a data set of size n spread over clusters by chance (brill2024neural, eqs 10, 11, 34-37).

Words as in `allocation`; `data` is the size of the data set, in units of training sites per degree of
freedom. Eqs 34 and 35 are re-derived [R]; eqs 10 and 11 follow the published notebook.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import exprel, gammaln, zeta

from opalesce.theory.checks import Array, numbers, positive


def data_loss(data: ArrayLike, alpha: float, ratio: float, normalised: bool = False) -> Array:
    r"""Loss at data set size n (eqs 10, 36; eqs 11, 37 where C = A).

    .. math::

        L = \frac{\alpha^{-(A+1)}}{1 - A/C} n^{-A} + \frac{\alpha^{-(C+1)}}{1 - C/A} n^{-C}, \qquad
        A = \frac{\alpha}{1+\alpha}, \quad C = c/D

    and :math:`\alpha^{-(C+1)} n^{-C} (1 + C\ln\alpha + C\ln n)` at C = A. With x = alpha n both are

    .. math:: \frac{1}{\alpha} \big( x^{-A} + A\, x^{-A} \ln x \cdot \mathrm{exprel}((A - C) \ln x) \big)

    exprel(t) = (e^t - 1)/t, which is evaluated, so C near A is as exact as the rest.

    Parameters
    ----------
    data : array_like
        n > 0. The formula holds for alpha n >= 1, where at least one cluster is met.
    alpha, ratio : float
    normalised : bool
        Divide by L(1), and 1 for n <= 1, as the paper does.

    Raises
    ------
    InputError
        Any argument not positive.
    """
    n = numbers(data, "data", np.nextafter(0, 1))
    alpha, ratio = positive(alpha, "alpha"), positive(ratio, "ratio (c/D)")
    if normalised:
        return np.asarray(data_loss(np.maximum(n, 1.0), alpha, ratio) / data_loss(1.0, alpha, ratio))
    power, log_x = alpha / (1 + alpha), np.log(alpha * n)
    return np.asarray(np.exp(-power * log_x) * (1 + power * log_x * exprel((power - ratio) * log_x)) / alpha)


def data_limit(data: ArrayLike, alpha: float, ratio: float) -> Array:
    r"""Leading term of `data_loss` at large n: the smaller of A and C is the exponent (table 1).

    Raises
    ------
    InputError
        Any argument not positive.
    """
    n = numbers(data, "data", np.nextafter(0, 1))
    alpha, ratio = positive(alpha, "alpha"), positive(ratio, "ratio (c/D)")
    power = alpha / (1 + alpha)
    if ratio == power:
        return data_loss(n, alpha, ratio)
    low, high = min(power, ratio), max(power, ratio)
    return np.asarray(alpha ** -(low + 1) / (1 - low / high) * n**-low)


def data_loss_poisson(data: float, alpha: float, ratio: float, clusters: int = 200_000) -> float:
    r"""Eqs 34, 35 summed, without replacing the mean of a power by the power of the mean.

    .. math:: L = \sum_k k^{-(\alpha+1)} \Big[ P(n_k = 0) + \sum_{n \ge 1} P(n_k = n) n^{-c/D} \Big]

    with n_k Poisson of mean :math:`n q_k`, :math:`q_k = k^{-(\alpha+1)} / \zeta(\alpha + 1)` [R]: the limit
    of the binomial for rare clusters. Clusters past the last one summed are unlearned to first order.
    Nothing is learned at n = 1 (a binomial n_k is 0 or 1), where the loss is :math:`\zeta(\alpha + 1)`.

    Raises
    ------
    InputError
        Any argument not positive.
    """
    data, alpha = positive(data, "data"), positive(alpha, "alpha")
    ratio = positive(ratio, "ratio (c/D)")
    k = np.arange(1.0, int(positive(clusters, "clusters")) + 1)
    weight = k ** -(alpha + 1)
    mean = data * weight / zeta(alpha + 1)
    return float(weight @ mean_power(mean, ratio) + (k[-1] + 0.5) ** -alpha / alpha)


def mean_power(mean: ArrayLike, ratio: float) -> Array:
    r"""E[max(n, 1)^(-c/D)] for n Poisson of the given means; a cluster without data has loss 1.

    Summed within 12 standard deviations up to mean 1000; above, three terms of the expansion about the
    mean (relative error below 1e-6 there for c/D <= 4).

    Raises
    ------
    InputError
        A negative mean, ratio not positive.
    """
    m, c = np.atleast_1d(numbers(mean, "mean", 0.0)), positive(ratio, "ratio (c/D)")
    out = np.empty(m.size)
    flat = m.ravel()
    big = flat > 1000
    f = flat[big]
    out[big] = f**-c * (1 + c * (c + 1) / (2 * f) + c * (c + 1) * (c + 2) * (3 * c + 5) / (24 * f**2))
    small = np.flatnonzero(~big)
    for part in np.array_split(small, max(1, small.size // 4096)):
        if part.size == 0:
            continue
        low = max(0, int(flat[part].min() - 12 * np.sqrt(flat[part].min())))
        n = np.arange(low, int(flat[part].max() + 12 * np.sqrt(flat[part].max()) + 30))
        mu = np.maximum(flat[part], 1e-300)[:, None]
        chance = np.exp(n * np.log(mu) - mu - gammaln(n + 1.0))
        out[part] = chance @ np.maximum(n, 1.0) ** -c
    return out.reshape(np.shape(mean))
