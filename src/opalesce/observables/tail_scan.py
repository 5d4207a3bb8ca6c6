"""Every possible start of a power-law tail: the exponent there, and the distance of the tail from its law."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import zeta

from opalesce.errors import InputError

Array = NDArray[np.float64]


@njit(cache=True, nogil=True)
def exponents(log_x: Array, above: Array) -> Array:
    """alpha - 1 for a tail that starts at each distinct value; sums run backwards, without cancellation."""
    out = np.empty(log_x.size)
    total = 0.0
    out[-1] = np.inf
    for i in range(log_x.size - 2, -1, -1):
        total += above[i + 1] * (log_x[i + 1] - log_x[i])
        out[i] = above[i] / total
    return out


@njit(cache=True, nogil=True)
def _distance(log_x: Array, above: Array, i: int, slope: float, enough: float) -> float:
    """KS distance of the tail from distinct value i on; stops as soon as it is beyond `enough`."""
    worst = 0.0
    stride = max(1, (log_x.size - i) // 16)
    for step in (stride, 1):  # a coarse look settles most tails that are no good
        for j in range(i, log_x.size, step):
            gap = abs(above[j] / above[i] - np.exp(-slope * (log_x[j] - log_x[i])))
            if gap > worst:
                worst = gap
                if worst > enough:
                    return float(worst)
    return worst


@njit(cache=True, nogil=True)
def distances_of(log_x: Array, above: Array, slopes: Array, last: int, prune: bool) -> Array:
    """KS distance for each start; with `prune`, exact for the best and a lower bound for the rest."""
    out = np.full(last, np.inf)
    best = np.inf
    for i in range(last):
        out[i] = _distance(log_x, above, i, slopes[i], best if prune else np.inf)
        best = min(best, out[i])
    return out


def steps(x: Array) -> tuple[Array, Array]:
    """Of a sorted sample: distinct values, ascending, and how many points lie at or above each."""
    values, first = np.unique(x, return_index=True)
    return values, (x.size - first).astype(np.float64)


def candidates(values: Array, above: Array, least: int) -> int:
    """How many distinct values may start a tail: it holds two values, and `least` points."""
    return int(min(values.size - 1, (above >= least).sum()))


def best_continuous(x: Array, least: int) -> tuple[float, float, float]:
    """xmin, alpha, distance at the least distance; what cannot win is cut short."""
    values, above = steps(x)
    last = candidates(values, above, least)
    if last < 1:
        return float("nan"), float("nan"), float("nan")
    log_x = np.log(values)
    slopes = exponents(log_x, above)
    distances = distances_of(log_x, above, slopes, last, True)
    i = int(np.argmin(distances))
    return float(values[i]), float(1 + slopes[i]), float(distances[i])


def discrete_alpha(mean_log: float, xmin: float) -> float:
    r"""Exponent that maximises :math:`-n \ln\zeta(\alpha, x_{min}) - \alpha \sum \ln x`; NaN if none does.

    Raises
    ------
    InputError
        Unless xmin >= 1.
    """
    if not xmin >= 1:
        raise InputError(
            "a discrete tail starts at a positive integer", expected="xmin >= 1", got=f"{xmin:g}"
        )

    def slope(alpha: float) -> float:
        h = 1e-5
        with np.errstate(all="ignore"):  # zeta underflows far up; the caller sees the NaN
            rise = np.log(zeta(alpha + h, xmin)) - np.log(zeta(alpha - h, xmin))
        return float(rise / (2 * h) + mean_log)

    low, high = 1.0001, 2.0
    while slope(high) < 0 and high < 100:
        high *= 2
    if not (slope(low) <= 0 <= slope(high)):  # beyond 100, or where zeta underflows: no tail to speak of
        return float("nan")
    return float(brentq(slope, low, high, xtol=1e-10))


def discrete_distance(values: Array, above: Array, alpha: float) -> float:
    """KS distance on the integers: both ends of each flat piece of the empirical distribution."""
    whole = zeta(alpha, values[0])
    share = above / above[0]
    left = np.abs(zeta(alpha, values) / whole - share)
    right = np.abs(zeta(alpha, values + 1) / whole - np.append(share[1:], 0.0))
    return float(max(left.max(), right.max()))


def best_discrete(x: Array, least: int) -> tuple[float, float, float]:
    """xmin, alpha, distance at the least distance, on the integers; NaN where no exponent exists."""
    values, above = steps(x)
    counts = above - np.append(above[1:], 0.0)
    logs = np.cumsum((counts * np.log(values))[::-1])[::-1]
    best = (float("nan"), float("nan"), float("nan"))
    for i in range(candidates(values, above, least)):
        alpha = discrete_alpha(float(logs[i] / above[i]), float(values[i]))
        if not np.isfinite(alpha):
            continue
        distance = discrete_distance(values[i:], above[i:], alpha)
        if not distance >= best[2]:
            best = (float(values[i]), alpha, distance)
    return best


def discrete_stderr(alpha: float, xmin: float, n: int) -> float:
    r"""Standard error from the curvature, :math:`[n (\ln\zeta(\alpha, x_{min}))'']^{-1/2}`.

    Clauset, Shalizi and Newman (2009), eq. 3.6.
    """
    h = 1e-3
    f = [float(np.log(zeta(alpha + k * h, xmin))) for k in (-1, 0, 1)]
    return float(((f[0] - 2 * f[1] + f[2]) / h**2 * n) ** -0.5)
