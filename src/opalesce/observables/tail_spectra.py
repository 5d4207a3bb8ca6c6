"""Heavy tails of the spectrum of one weight matrix, as curves: the quantities WeightWatcher made known.

Eigenvalues are :math:`\\lambda_i = s_i^2`, not divided by N. Those below the numerical floor are left out, so
nothing here but the logarithms depends on the scale of the weights. All of WeightWatcher's numbers from one
decomposition, its thresholds included: `opalesce.observables.weightwatcher`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from opalesce.observables.bulk import SPECTRAL
from opalesce.observables.registry import observable
from opalesce.observables.spectra import Spectrum
from opalesce.observables.tails import PowerLawFit, fit_power_law

MOVES = frozenset({"rotation", "permutation", "sign", "transpose"})


def fit_tail(s: Spectrum) -> PowerLawFit | None:
    """Power law of the eigenvalues in units of the largest; None where fewer than two are resolved."""
    kept = s.values[(s.values > s.floor) & (s.values > 0)]
    return None if kept.size < 2 else fit_power_law((kept / kept[0]) ** 2)


@observable(
    on="singular_values",
    unit="1",
    symmetries=SPECTRAL,
    null="shuffle",
    source="clauset2009powerlaw, eq. 3.1",
)
def tail_alpha(s: Spectrum) -> float:
    r"""Exponent alpha of the tail of the eigenvalue density.

    .. math:: \rho(\lambda) \sim \lambda^{-\alpha},\ \lambda \ge x_{min}; \quad
        \hat\alpha = 1 + n \Big/ \sum \ln(\lambda_i/x_{min})

    xmin where the Kolmogorov-Smirnov distance is least. **On noise it is meaningless**: independent entries
    give anything from 6 to 40, another number in every draw. Believe it only where `tail_distance` is well
    below 0.1 and below that of the shuffled matrix. It also depends on the aspect ratio: see
    `farms_eigenvalues`. NaN where fewer than two eigenvalues differ.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    fit = fit_tail(s)
    return float("nan") if fit is None else fit.alpha


@observable(
    on="singular_values", unit="1", symmetries=SPECTRAL, null="shuffle", source="clauset2009powerlaw, eq. 3.2"
)
def tail_alpha_stderr(s: Spectrum) -> float:
    r"""Standard error of `tail_alpha`, xmin taken as known.

    .. math:: \sigma = (\hat\alpha - 1)/\sqrt n

    n the number of eigenvalues in the tail. Eigenvalues repel, so independent points scatter more than they
    do; the choice of xmin adds what this leaves out. NaN where there is no fit.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    fit = fit_tail(s)
    return float("nan") if fit is None else fit.stderr


@observable(
    on="singular_values", unit="1", symmetries=SPECTRAL, null="shuffle", source="clauset2009powerlaw, eq. 3.9"
)
def tail_distance(s: Spectrum) -> float:
    r"""Kolmogorov-Smirnov distance D between the tail and its power law.

    .. math:: D = \max_{\lambda \ge x_{min}} |F(\lambda) - 1 + (\lambda/x_{min})^{1-\alpha}|

    Noise gives 0.11 to 0.13 at 512 to 2048 eigenvalues, whatever its alpha; a power law of n points gives
    about :math:`0.6/\sqrt n`. A `tail_alpha` with D above 0.1 is not the exponent of anything. NaN where
    there is no fit.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    fit = fit_tail(s)
    return float("nan") if fit is None else fit.distance


@observable(on="singular_values", unit="1", symmetries=MOVES, null="shuffle", source="martin2021predicting")
def alpha_hat(s: Spectrum) -> float:
    r"""Alpha weighted by the logarithm of the largest eigenvalue ("alpha_weighted").

    .. math:: \hat\alpha = \alpha \log_{10} \lambda_{max}

    Depends on the scale of the weights, and changes sign at :math:`\lambda_{max} = 1`. As trustworthy as
    `tail_alpha`. NaN where there is no fit.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    return 2 * tail_alpha(s) * float(np.log10(s.values[0])) if s.values[0] > 0 else float("nan")


def log10_power_sum(log_values: NDArray[np.float64], power: float) -> float:
    """log10 of the sum of values^power, from their natural logarithms, without overflow."""
    top = float(log_values.max())
    return float((power * top + np.log(np.exp(power * (log_values - top)).sum())) / np.log(10))


@observable(on="singular_values", unit="1", symmetries=MOVES, null="shuffle", source="martin2021predicting")
def log_alpha_norm(s: Spectrum) -> float:
    r"""Logarithm of the sum of eigenvalues to the power alpha.

    .. math:: \log_{10} \sum_i \lambda_i^{\alpha}

    A Schatten norm of order 2 alpha, up to its root. NaN where there is no fit.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    alpha = tail_alpha(s)
    if not np.isfinite(alpha):
        return float("nan")
    return log10_power_sum(2 * np.log(s.values[s.values > 0]), alpha)


@observable(
    on="singular_values",
    unit="1",
    symmetries=MOVES,
    null="marchenko_pastur",
    source="martin2021predicting",
)
def log_norm(s: Spectrum) -> float:
    r"""Logarithm of the squared Frobenius norm.

    .. math:: \log_{10} \sum_i \lambda_i

    Null: :math:`\log_{10}(N M \sigma^2)` for independent entries. NaN for a zero matrix.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    kept = s.values[s.values > 0]
    return log10_power_sum(2 * np.log(kept), 1.0) if kept.size else float("nan")


@observable(
    on="singular_values",
    unit="1",
    symmetries=SPECTRAL,
    null="marchenko_pastur",
    source="martin2021implicit",
)
def spectral_entropy(s: Spectrum) -> float:
    r"""Entropy of the eigenvalue shares, in units of its largest value.

    .. math:: -\frac{1}{\ln R} \sum_i p_i \ln p_i, \quad p_i = \lambda_i / \sum_j \lambda_j

    R the number of eigenvalues above the numerical floor. Between 0 and 1; the logarithm of
    `entropy_effective_rank` over ln R. Null: about :math:`1 - M / (2 N \ln M)`. NaN below rank 2.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    kept = s.values[(s.values > s.floor) & (s.values > 0)]
    if kept.size < 2:
        return float("nan")
    p = (kept / kept[0]) ** 2
    p = p / p.sum()
    p = p[p > 0]
    return float(-(p @ np.log(p)) / np.log(kept.size))


def determinant_tail(eigenvalues: NDArray[np.float64]) -> int:
    """How many of the largest, in units of the mean, until their product falls below 1 (all if never).

    The product of the one largest is at least 1, so it always counts: the published rule begins with it.
    """
    x = np.sort(eigenvalues)[::-1]
    with np.errstate(divide="ignore"):
        logs = np.cumsum(np.log(x / x.mean()))
    below = np.flatnonzero(logs[:-1] < 0)
    return int(below[0] + 1) if below.size else int(x.size)


@observable(
    on="singular_values",
    unit="count",
    symmetries=SPECTRAL,
    null="marchenko_pastur",
    source="martin2025setol, ERG condition",
)
def detx_num(s: Spectrum) -> float:
    r"""Size of the tail whose determinant is one (exact-renormalisation-group condition of SETOL).

    .. math:: \min\Big\{k : \prod_{i \le k} \lambda_i / \bar\lambda < 1\Big\}

    with eigenvalues from the largest down, in units of their mean. SETOL's "ideal" layer has this tail start
    where the power law does. Null: the share of the Marchenko-Pastur law above the point where the integral
    of its logarithm vanishes: 0.815 M at c = 1/2, 0.732 M at c = 1. NaN below two eigenvalues or for a flat
    spectrum.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    if s.values.size < 2 or not s.values[-1] < s.values[0]:
        return float("nan")
    return float(determinant_tail((s.values / s.values[0]) ** 2))
