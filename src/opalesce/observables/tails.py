"""Power-law tails: where they start, their exponent with its error, and whether they are power laws at all.

The density of a tail is :math:`p(x) \\propto x^{-\\alpha}` for x >= xmin. An exponent alone means nothing:
pure noise has one too, anywhere between 6 and 40 and different in every draw. Read it beside D, which is
0.12 or so on the spectrum of noise, and beside `goodness_of_fit`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.inputs import finite
from opalesce.observables.tail_scan import (
    best_continuous,
    best_discrete,
    candidates,
    discrete_alpha,
    discrete_distance,
    discrete_stderr,
    distances_of,
    exponents,
    steps,
)

Array = NDArray[np.float64]
FEW = 50  # Clauset, Shalizi and Newman 2009, section 3.1: fewer points give estimates that cannot be trusted
FAR = 0.1  # spectra of pure noise give 0.11 to 0.13


@dataclass(frozen=True)
class PowerLawFit:
    """A fitted tail.

    Attributes
    ----------
    alpha, stderr : float
        Exponent of the density and its asymptotic standard error, xmin taken as known.
    xmin : float
        Where the tail starts.
    distance : float
        Kolmogorov-Smirnov distance D between tail and law.
    n_tail, n : int
        Points at or above xmin, and all points.
    discrete : bool
        Whether the law lives on the integers.
    status : str
        Empty, or a sentence that says why the exponent should not be believed.
    """

    alpha: float
    stderr: float
    xmin: float
    distance: float
    n_tail: int
    n: int
    discrete: bool = False
    status: str = ""


def positive(x: ArrayLike, discrete: bool = False) -> Array:
    """`x` as a sorted float64 vector of positive numbers.

    Raises
    ------
    InputError
        Empty, non-finite or not positive; with `discrete`, not integers.
    """
    a = np.sort(np.asarray(finite(x, "the sample").ravel(), np.float64))
    if a[0] <= 0:
        raise InputError(
            "a power law lives on positive numbers",
            expected="x > 0",
            got=f"{a[0]:g}",
            fix="drop what is not positive, and say so",
        )
    if discrete and not np.array_equal(a, np.floor(a)):
        raise InputError("not a discrete sample", expected="integers", got="fractions", fix="discrete=False")
    return a


def scan_xmin(x: ArrayLike, least: int = 2) -> tuple[Array, Array, Array]:
    r"""Exponent and distance of the continuous fit for every possible xmin.

    .. math:: \alpha_i = 1 + n_i \Big/ \sum_{j \ge i} \ln(x_j / x_i)

    The distance is the largest gap between :math:`(x/x_i)^{1-\alpha_i}` and the share of the tail that is
    at or above x, over the distinct values (Clauset, Shalizi and Newman 2009, eqs. 3.1 and 3.9; equal values
    count as one step).

    Returns
    -------
    xmin, alpha, distance : arrays

    Raises
    ------
    InputError
        From `positive`.
    """
    values, above = steps(positive(x))
    last = candidates(values, above, least)
    log_x = np.log(values)
    slopes = exponents(log_x, above)
    return values[:last], 1 + slopes[:last], distances_of(log_x, above, slopes, last, False)


def _status(n_tail: int, distance: float) -> str:
    if not np.isfinite(distance):
        return "no tail: the sample needs two distinct values"
    if n_tail < FEW:
        return f"only {n_tail} points in the tail: expected {FEW}, so the error is larger than stated"
    if distance > FAR:
        return f"D = {distance:.3f}: noise gives as much; test it with goodness_of_fit before believing alpha"
    return ""


def fit_power_law(
    x: ArrayLike, xmin: float | None = None, discrete: bool = False, least: int = 2
) -> PowerLawFit:
    r"""Power law by maximum likelihood, its start where the Kolmogorov-Smirnov distance is least.

    Continuous: :math:`\hat\alpha = 1 + n / \sum \ln(x_i/x_{min})` with standard error
    :math:`(\hat\alpha - 1)/\sqrt n`. Discrete: the maximum of
    :math:`-n \ln\zeta(\alpha, x_{min}) - \alpha\sum\ln x_i` (Clauset, Shalizi and Newman 2009, eqs. 3.1, 3.2,
    3.5, 3.6). The error takes xmin as known; `goodness_of_fit` does not.

    Parameters
    ----------
    x : array
        Positive numbers.
    xmin : float, optional
        Start of the tail; searched among the values of x when not given.
    discrete : bool
        The law on integers.
    least : int
        Shortest tail that may be chosen. The published rule has no limit (2); short tails win now and
        then by chance.

    Raises
    ------
    InputError
        From `positive`; or no value at or above a given xmin.
    """
    a = positive(x, discrete)
    size = a.size
    if xmin is not None:
        a = a[a >= xmin]
        if a.size == 0:
            raise InputError("no tail", expected=f"values at or above {xmin:g}", got="none")
        start, alpha, distance = _at(a, float(xmin), discrete)
    else:
        start, alpha, distance = (best_discrete if discrete else best_continuous)(a, least)
    n_tail = int((a >= start).sum()) if np.isfinite(start) else 0
    error = float("nan")
    if np.isfinite(alpha):
        error = discrete_stderr(alpha, start, n_tail) if discrete else float((alpha - 1) / np.sqrt(n_tail))
    return PowerLawFit(alpha, error, start, distance, n_tail, size, discrete, _status(n_tail, distance))


def _at(a: Array, xmin: float, discrete: bool) -> tuple[float, float, float]:
    """The fit of the tail `a` when its start is known."""
    values, above = steps(a)
    mean_log = float(np.log(a).mean())
    if discrete:
        alpha = discrete_alpha(mean_log, xmin)
        if not np.isfinite(alpha):
            return xmin, alpha, float("nan")
        if values[0] != xmin:
            values, above = np.append(xmin, values), np.append(a.size, above)
        return xmin, alpha, discrete_distance(values, above, alpha)
    excess = mean_log - np.log(xmin)
    if excess <= 0:
        return xmin, float("nan"), float("nan")
    slope = 1 / excess
    gaps = np.abs(above / a.size - (values / xmin) ** -slope)
    return xmin, float(1 + slope), float(gaps.max())


def hill(x: ArrayLike, k: int) -> tuple[float, float]:
    r"""Hill's estimate of the exponent of the density from the k largest values, and its standard error.

    .. math:: \alpha = 1 + k \Big/ \sum_{i \le k} \ln(x_{(i)} / x_{(k+1)})

    with standard error :math:`(\alpha - 1)/\sqrt k` (Hill 1975). It needs only the k + 1 largest values, so
    a stream can keep it.

    Raises
    ------
    InputError
        From `positive`; unless 1 <= k < number of values; or when the k + 1 largest are equal.
    """
    a = positive(x)
    if not 1 <= k < a.size:
        raise InputError("no such tail", expected=f"1 <= k < {a.size}", got=str(k))
    total = float(np.log(a[-k:] / a[-k - 1]).sum())
    if total <= 0:
        raise InputError("the largest values are all equal", expected="a tail with a slope", got=f"k = {k}")
    return 1 + k / total, float(k / total / np.sqrt(k))
