"""What random-matrix theory says of noise, and of one signal in noise.

Throughout, W has N rows and M columns, independent entries of variance sigma^2/N, c = M/N, and the
eigenvalues are those of X = W^T W. Functions take sigma = 1 unless they say otherwise.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError

TRACY_WIDOM_95 = 0.9793  # 95 % point of the Tracy-Widom law, beta = 1 (Johnstone 2001, table 2)
TRACY_WIDOM_99 = 2.0234  # 99 % point, same table
SPACING_RATIO_GOE = 0.5307  # mean ratio of neighbouring spacings, large matrices (Atas et al. 2013, table I)
SPACING_RATIO_POISSON = 2 * np.log(2) - 1  # 0.3863, the same for independent levels


def _ratio(c: float) -> float:
    if not (np.isfinite(c) and c > 0):
        raise InputError("Marchenko-Pastur ratio out of range", expected="c = M/N > 0", got=f"{c:g}")
    return float(c)


def marchenko_pastur_edges(c: float, variance: float = 1.0) -> tuple[float, float]:
    r"""Ends of the bulk, :math:`\lambda_\pm = \sigma^2 (1 \pm \sqrt c)^2` (Marchenko and Pastur 1967).

    Raises
    ------
    InputError
        Unless c > 0.
    """
    root = np.sqrt(_ratio(c))
    return float(variance * (1 - root) ** 2), float(variance * (1 + root) ** 2)


def marchenko_pastur_atom(c: float) -> float:
    """Share of eigenvalues that are exactly zero: 1 - 1/c above c = 1, else none.

    Raises
    ------
    InputError
        Unless c > 0.
    """
    return max(0.0, 1 - 1 / _ratio(c))


def marchenko_pastur_density(x: ArrayLike, c: float, variance: float = 1.0) -> NDArray[np.float64]:
    r"""Density of the bulk.

    .. math:: \rho(x) = \frac{\sqrt{(\lambda_+ - x)(x - \lambda_-)}}{2\pi c\,\sigma^2 x}

    Zero outside the edges. It integrates to min(1, 1/c): above c = 1 the rest is the atom at zero.

    Raises
    ------
    InputError
        Unless c > 0.
    """
    low, high = marchenko_pastur_edges(c, variance)
    at = np.asarray(x, np.float64)
    inside = (at > low) & (at < high) & (at > 0)
    safe = np.where(inside, at, 1.0)
    root = np.sqrt(np.where(inside, (high - at) * (at - low), 0.0))
    return np.asarray(root / (2 * np.pi * c * variance * safe), np.float64)


@lru_cache(maxsize=16)  # 320 kB each
def _cumulative(c: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Angles and mass below them, :math:`x = 1 + c - 2\sqrt c\cos\theta`, for 0 < c <= 1.

    The density in theta is :math:`(2/\pi)\sin^2\theta / x`, which is smooth up to c = 1.
    """
    edges = np.linspace(0.0, np.pi, 20001)
    theta = (edges[1:] + edges[:-1]) / 2
    density = (2 / np.pi) * np.sin(theta) ** 2 / (1 + c - 2 * np.sqrt(c) * np.cos(theta))
    mass = np.concatenate([[0.0], np.cumsum(density * np.diff(edges))])
    return edges, mass / mass[-1]


def marchenko_pastur_cdf(x: ArrayLike, c: float, variance: float = 1.0) -> NDArray[np.float64]:
    """Share of eigenvalues at or below x, the atom at zero included.

    Raises
    ------
    InputError
        Unless c > 0.
    """
    c = _ratio(c)
    at = np.asarray(x, np.float64) / variance
    if c > 1:  # the non-zero eigenvalues are those of the transpose, c times as large
        return np.asarray(np.where(at < 0, 0.0, 1 - (1 - marchenko_pastur_cdf(at / c, 1 / c)) / c))
    edges, mass = _cumulative(c)
    cosine = np.clip((1 + c - at) / (2 * np.sqrt(c)), -1.0, 1.0)
    return np.asarray(np.interp(np.arccos(cosine), edges, mass), np.float64)


@lru_cache(maxsize=1024)
def marchenko_pastur_median(c: float) -> float:
    r"""Median of the Marchenko-Pastur law of ratio 0 < c <= 1 at unit variance.

    It turns a median eigenvalue into a noise level that outliers hardly move,
    :math:`\hat\sigma^2 = \mathrm{median}(\lambda)/\mu_c` (Gavish and Donoho 2014).

    Raises
    ------
    InputError
        When c is outside (0, 1].
    """
    if not 0 < c <= 1:
        raise InputError("Marchenko-Pastur ratio out of range", expected="0 < c <= 1", got=f"{c:g}")
    edges, mass = _cumulative(float(c))
    at = float(np.interp(0.5, mass, edges))
    return float(1 + c - 2 * np.sqrt(c) * np.cos(at))


def marchenko_pastur_moments(c: float, variance: float = 1.0) -> tuple[float, float, float]:
    r"""First three moments of all eigenvalues, zeros included.

    .. math:: \sigma^2, \quad \sigma^4 (1 + c), \quad \sigma^6 (1 + 3c + c^2)

    Raises
    ------
    InputError
        Unless c > 0.
    """
    c = _ratio(c)
    return variance, variance**2 * (1 + c), variance**3 * (1 + 3 * c + c * c)


def quarter_circle_density(s: ArrayLike, sigma: float = 1.0) -> NDArray[np.float64]:
    r"""Density of the singular values of a square matrix, :math:`\sqrt{4\sigma^2 - s^2}/(\pi\sigma^2)`.

    On 0 <= s <= 2 sigma; the Marchenko-Pastur law at c = 1 in s.
    """
    at = np.asarray(s, np.float64)
    inside = (at >= 0) & (at <= 2 * sigma)
    root = np.sqrt(np.where(inside, 4 * sigma**2 - at**2, 0.0))
    return np.asarray(root / (np.pi * sigma**2), np.float64)


def tracy_widom_edge(long: int, short: int) -> tuple[float, float]:
    r"""Centre and scale of the largest eigenvalue of :math:`W^T W`, entries of variance 1/N.

    .. math::

        \mu = (\sqrt{N-1} + \sqrt M)^2 / N, \quad
        s = (\sqrt{N-1} + \sqrt M)\,(1/\sqrt{N-1} + 1/\sqrt M)^{1/3} / N

    N the longer, M the shorter side (Johnstone 2001, theorem 1.1). The largest eigenvalue of noise
    exceeds :math:`\mu + q\,s` in 5 % or 1 % of matrices for q = `TRACY_WIDOM_95`, `TRACY_WIDOM_99`.

    Raises
    ------
    InputError
        Unless N >= M >= 1 and N >= 2.
    """
    if not (long >= short >= 1 and long >= 2):
        raise InputError("no Tracy-Widom edge", expected="N >= M >= 1, N >= 2", got=f"{long}, {short}")
    a, b = np.sqrt(long - 1), np.sqrt(short)
    return float((a + b) ** 2 / long), float((a + b) * (1 / a + 1 / b) ** (1 / 3) / long)


def bbp_covariance(ell: float, c: float) -> tuple[float, float]:
    r"""Where the spike of a covariance :math:`I + \ell v v^T` shows, and how well its direction.

    .. math::

        \lambda = (1 + \ell)(1 + c/\ell), \quad
        \langle v, \hat v\rangle^2 = \frac{1 - c/\ell^2}{1 + c/\ell} \qquad (\ell > \sqrt c)

    Below the threshold the largest eigenvalue sticks to :math:`\lambda_+` and the overlap vanishes
    (Baik, Ben Arous, Peche 2005; Paul 2007).

    Returns
    -------
    eigenvalue, squared overlap : float

    Raises
    ------
    InputError
        Unless c > 0 and ell >= 0.
    """
    c = _ratio(c)
    if not ell >= 0:
        raise InputError("no such spike", expected="ell >= 0", got=f"{ell:g}")
    if ell <= np.sqrt(c):
        return marchenko_pastur_edges(c)[1], 0.0
    return float((1 + ell) * (1 + c / ell)), float((1 - c / ell**2) / (1 + c / ell))


def bbp_rectangular(theta: float, c: float) -> tuple[float, float, float]:
    r"""Where the signal of :math:`W + \theta u v^T` shows, and how well its two directions.

    .. math::

        s_1^2 = \frac{(1+\theta^2)(c+\theta^2)}{\theta^2}, \quad
        \langle v,\hat v\rangle^2 = 1 - \frac{c(1+\theta^2)}{\theta^2(\theta^2+c)}, \quad
        \langle u,\hat u\rangle^2 = 1 - \frac{c+\theta^2}{\theta^2(\theta^2+1)}

    above :math:`\theta = c^{1/4}`; u and v are unit, v (length M) belongs to the short side, u (length N)
    to the long one. Below, :math:`s_1^2 = \lambda_+` and both overlaps vanish (Benaych-Georges and
    Nadakuditi 2012).

    Returns
    -------
    squared singular value, squared overlap of the short side, of the long side : float

    Raises
    ------
    InputError
        Unless 0 < c <= 1 and theta >= 0.
    """
    if not (0 < c <= 1 and theta >= 0):
        raise InputError("no such signal", expected="0 < c <= 1, theta >= 0", got=f"c {c:g}, theta {theta:g}")
    if theta**4 <= c:
        return marchenko_pastur_edges(c)[1], 0.0, 0.0
    t = theta**2
    short = 1 - c * (1 + t) / (t * (t + c))
    long = 1 - (c + t) / (t * (t + 1))
    return float((1 + t) * (c + t) / t), float(short), float(long)
