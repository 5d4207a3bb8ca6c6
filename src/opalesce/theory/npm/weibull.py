r"""Weibull diagnostic of weight magnitudes by probability plot: better posed than pooled pore statistics.

The count-weighted straight line of :math:`\ln(-\ln(1-F))` on :math:`\ln|w|` through a histogram of 1024
bins of
:math:`\log_{10}|w|` on [-12, 2], cut to the middle of the mass: shape k, scale :math:`\lambda = e^{-c/k}`
(ding2026weibull, section 2). Half-normal weights give k = 1.2054 and lambda = 0.8875 times their scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError

BINS, LOW, HIGH = 1024, -12.0, 2.0
TRIMS = {"mid_80": (0.1, 0.9), "mid_90": (0.05, 0.95), "full_range": (0.0, 1.0)}
ANCHOR_SHAPE, ANCHOR_SCALE = (
    1.20539,
    0.88746,
)  # half-normal, mid_80 (computed; the author states 1.2054, 0.8875)


@dataclass(frozen=True)
class WeibullLine:
    """Shape k, scale lambda, R^2 of the line and Kolmogorov-Smirnov distance within the trim."""

    shape: float
    scale: float
    r2: float
    distance: float
    n: int


def weibull_line(weights: ArrayLike, trim: str = "mid_80") -> WeibullLine:
    """Fit the line to magnitudes.

    Raises
    ------
    InputError
        Another trim, values that are not finite, fewer than 100 non-zero weights or 5 bins in the trim.
    """
    if trim not in TRIMS:
        raise InputError("no such trim", expected=", ".join(TRIMS), got=repr(trim))
    w = np.abs(np.asarray(weights, float)).ravel()
    if not np.isfinite(w).all():
        raise InputError("the weights hold NaN or infinite values", expected="finite numbers", got="others")
    w = w[w > 0]
    counts, edges = np.histogram(np.log10(w), bins=BINS, range=(LOW, HIGH))
    total = int(counts.sum())
    if total < 100:
        raise InputError(
            "too few weights for a line", expected="100 or more that are not zero", got=str(total)
        )
    return _line(counts, edges, total, *TRIMS[trim])


def _line(
    counts: NDArray[np.int64], edges: NDArray[np.float64], total: int, low: float, high: float
) -> WeibullLine:
    upper = np.cumsum(counts) / total
    f = (upper + np.concatenate([[0.0], upper[:-1]])) / 2
    x = np.log(10) * (edges[:-1] + edges[1:]) / 2
    use = (counts > 0) & (f >= low) & (f <= high) & (f > 0) & (f < 1)
    if use.sum() < 5:
        raise InputError("too few bins for a line", expected="5 or more", got=str(int(use.sum())))
    u, v, weight = x[use], np.log(-np.log1p(-f[use])), counts[use].astype(float)
    mu, mv = np.average(u, weights=weight), np.average(v, weights=weight)
    k = float((weight * (u - mu)) @ (v - mv) / ((weight * (u - mu)) @ (u - mu)))
    c = float(mv - k * mu)
    rest = float(weight @ (v - c - k * u) ** 2)
    r2 = 1 - rest / float(weight @ (v - mv) ** 2)
    model = -np.expm1(-np.exp(c + k * u))
    return WeibullLine(k, float(np.exp(-c / k)), r2, float(np.abs(model - f[use]).max()), total)


def relaxation_time(rate: float, decay: float) -> float:
    r"""Steps in which AdamW forgets its weights, :math:`\tau = 1/(\eta\,\lambda)` (decoupled decay).

    Late shrinking of magnitudes on this time is what weight decay does by itself: the null of every
    "reorganisation".

    Raises
    ------
    InputError
        A rate or decay that is not positive.
    """
    if not (rate > 0 and decay > 0):
        raise InputError(
            "no relaxation", expected="learning rate and weight decay above 0", got=f"{rate}, {decay}"
        )
    return 1 / (rate * decay)
