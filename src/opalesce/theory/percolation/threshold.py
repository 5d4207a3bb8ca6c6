r"""Thresholds from sweeps, each with an interval, and their extrapolation to infinite size.

A pseudo-threshold of size L lies at :math:`p_c + a L^{-\theta}`. theta is :math:`1/\nu` for peaks and
gaps, and :math:`\omega + 1/\nu` where a probability meets its own value at infinity (or at twice the size);
on the two-dimensional torus :math:`2 + 1/\nu = 2.75` (Newman and Ziff 2001, section III).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtrc, ndtri

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.theory.percolation.canonical import batch_means, has_happened, probability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from opalesce.theory.percolation.sweep import Sweeps

    Array = NDArray[np.float64]

LEVEL = 0.9
BOOTSTRAPS = 400


def normal(value: float, stderr: float, n: int, method: str, level: float = LEVEL) -> Estimate:
    """Estimate with a normal interval of the given standard error."""
    half = float(ndtri((1 + level) / 2)) * stderr
    return Estimate(value, value - half, value + half, n, "", method, level)


def stderr(estimate: Estimate) -> float:
    """Standard error behind a normal interval."""
    return (estimate.high - estimate.low) / 2 / float(ndtri((1 + estimate.level) / 2))


def at_value(sweeps: Sweeps, value: float, event: str = "axis", level: float = LEVEL) -> Estimate:
    """Where the probability of an event equals `value`: its exact one at the threshold (see `wrapping`).

    Parameters
    ----------
    sweeps : Sweeps
    value : float
        Between 0 and 1; `torus(lattice.aspect).axis` for a two-dimensional torus.
    event : str
        As in `canonical.probability`. "axis" averages over the axes and has the least variance.
    level : float
        Of the interval: normal, standard error of the probability over its slope.

    Raises
    ------
    InputError
        The value is not reached in the sweeps.
    """
    if event == "one":
        raise InputError("this probability is no monotone function of p", expected="either, all or axis")
    low, high = _central(sweeps, event)

    def excess(p: float) -> float:
        return float(has_happened(sweeps, p, event).mean()) - value

    if excess(low) > 0 or excess(high) < 0:
        raise InputError(
            "the probability does not pass this value",
            expected=f"between {excess(low) + value:.3g} and {excess(high) + value:.3g}",
            got=f"{value:g}",
        )
    p = float(brentq(excess, low, high, xtol=1e-13))
    _, se = probability(sweeps, p, event)
    slope, _ = probability(sweeps, p, event, derivative=True)
    return normal(p, float(se[0] / slope[0]), sweeps.sweeps, f"{event} wrapping = {value:.6g}", level)


def crossing(small: Sweeps, large: Sweeps, event: str = "axis", level: float = LEVEL) -> Estimate:
    """Where the probability of an event is the same in two sizes; needs no universal value.

    Raises
    ------
    InputError
        The curves do not cross where both lie between their 5 and 95 % points: too few sweeps, or no
        transition.
    """
    (a, b), (c, d) = _central(small, event, 0.05), _central(large, event, 0.05)
    low, high = max(a, c), min(b, d)

    def excess(p: float) -> float:
        return float(has_happened(large, p, event).mean() - has_happened(small, p, event).mean())

    if low >= high or excess(low) > 0 or excess(high) < 0:
        raise InputError("the two sizes do not cross", fix="more sweeps, or sizes further apart")
    p = float(brentq(excess, low, high, xtol=1e-13))
    se = np.hypot(probability(small, p, event)[1][0], probability(large, p, event)[1][0])
    slopes = [probability(s, p, event, derivative=True)[0][0] for s in (large, small)]
    n = small.sweeps + large.sweeps
    return normal(p, float(se / abs(slopes[0] - slopes[1])), n, f"crossing of {event} wrapping", level)


def _central(sweeps: Sweeps, event: str, tail: float = 0.005) -> tuple[float, float]:
    """Range of p outside which the event has happened almost never or almost always."""
    if not sweeps.wrapped.shape[1]:
        has_happened(sweeps, 0.5, event)  # raises
    pick = {"either": np.min, "all": np.max}.get(event)
    at = sweeps.wrapped if pick is None else pick(sweeps.wrapped, axis=1)
    low, high = np.quantile(at, [tail, 1 - tail]) / sweeps.m
    room = 3 * np.sqrt(0.25 / sweeps.m) if tail < 0.05 else 0.0
    reach = sweeps.stop / sweeps.m
    if reach < 1:
        reach -= 8 * np.sqrt(reach * (1 - reach) / sweeps.m)
    return max(float(low - room), 1e-9), min(float(high + room), reach, 1 - 1e-9)


def peak(
    sweeps: Sweeps,
    quantity: str = "S2",
    *,
    rng: np.random.Generator,
    window: tuple[float, float] | None = None,
    points: int = 201,
    level: float = LEVEL,
) -> Estimate:
    r"""Where the second cluster, or the mean size of all but the first, is largest.

    Lies off p_c by about :math:`L^{-1/\nu}`. Parabola through the highest of `points` and its neighbours;
    percentile interval from resampled batches.

    Parameters
    ----------
    sweeps : Sweeps
    quantity : {"S2", "chi"}
        :math:`\langle S_2 \rangle` or :math:`\langle M_2 - S_1^2 \rangle`.
    rng : numpy.random.Generator
    window : (low, high), optional
        Probabilities to search; default: all that was swept.
    points : int
    level : float

    Raises
    ------
    InputError
        Sizes were not recorded, or the quantity is unknown. A peak at the end of the window is no peak:
        it gives an Estimate with a status.
    """
    if quantity not in ("S2", "chi"):
        raise InputError("unknown quantity", expected="'S2' or 'chi'", got=repr(quantity))
    low, high = window or _swept(sweeps)
    ps = np.linspace(low, high, points)
    if quantity == "S2":
        means = batch_means(sweeps, "S2", ps)
    else:
        means = batch_means(sweeps, "M2", ps) - batch_means(sweeps, "S1^2", ps)
    share = sweeps.per_batch / sweeps.per_batch.sum()
    mean = share @ means
    value = _top(ps, mean)
    if int(mean.argmax()) in (0, points - 1):
        return Estimate(value, n=sweeps.sweeps, status="largest at the end of the window: widen it")
    draws = rng.multinomial(len(share), share, size=BOOTSTRAPS) / len(share)
    tops = [_top(ps, draw @ means) for draw in draws]
    a, b = np.quantile(tops, [(1 - level) / 2, (1 + level) / 2])
    status = "" if len(share) >= 8 else f"{len(share)} batches are too few for an interval: sweep at least 8"
    return Estimate(value, float(a), float(b), sweeps.sweeps, status, f"peak of {quantity}", level)


def _swept(sweeps: Sweeps) -> tuple[float, float]:
    """Probabilities whose binomial weights were swept completely."""
    sweeps.batch_sums("S1")  # raises where nothing was recorded
    low, high = sweeps.counts[0] / sweeps.m, sweeps.counts[-1] / sweeps.m

    def inward(p: float) -> float:
        return float((8 * np.sqrt(sweeps.m * p * (1 - p)) + 2) / sweeps.m)

    return (low + inward(low) if low > 0 else 0.0), (high - inward(high) if high < 1 else 1.0)


def _top(x: Array, y: Array) -> float:
    """Place of the maximum, by a parabola through three points."""
    i = int(np.clip(y.argmax(), 1, len(y) - 2))
    left, mid, right = y[i - 1 : i + 2]
    bend = left - 2 * mid + right
    return float(x[i] + (x[1] - x[0]) * (0.0 if bend >= 0 else 0.5 * (left - right) / bend))


def gap(sweeps: Sweeps, level: float = LEVEL) -> tuple[Estimate, Estimate]:
    r"""Largest jump of S1 in a single sweep: its mean place (share of elements) and mean size (share of n).

    The place lies off p_c by about :math:`L^{-1/\nu}`, the size falls as :math:`L^{-\beta/\nu}`
    (Nagler, Levina and Timme 2011; Fan et al. 2020).

    Raises
    ------
    InputError
        Sizes were not recorded.
    """
    sweeps.batch_sums("S1")
    out = []
    for what, x in (("place", sweeps.gap_at / sweeps.m), ("size", sweeps.gap / sweeps.n)):
        se = float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else np.nan
        out.append(normal(float(x.mean()), se, len(x), f"{what} of the largest gap", level))
    return out[0], out[1]


def extrapolate(
    sizes: ArrayLike, estimates: Sequence[Estimate], theta: float, level: float = LEVEL
) -> tuple[Estimate, Estimate]:
    r"""p_c and amplitude from :math:`p(L) = p_c + a L^{-\theta}`, by weighted least squares.

    Parameters
    ----------
    sizes : array, shape (k,)
    estimates : sequence of k Estimates with normal intervals
    theta : float
    level : float

    Returns
    -------
    p_c, a : Estimate
        Errors are those of the inputs; chi-square and degrees of freedom stand in `method`, and a status
        complains where chi-square has a probability below 0.001.

    Raises
    ------
    InputError
        Fewer than two different sizes, or an estimate without interval.
    """
    length, y = np.asarray(sizes, float), np.array([e.value for e in estimates])
    se = np.array([stderr(e) for e in estimates])
    if length.shape != y.shape or len(set(length.tolist())) < 2:
        raise InputError(
            "two or more different sizes are needed, one for each estimate", got=f"{length.tolist()}"
        )
    if not (np.isfinite(y).all() and np.isfinite(se).all() and (se > 0).all()):
        raise InputError("every estimate needs an interval", got=f"standard errors {se.tolist()}")
    return _line(length**-theta, y, se, f"p_c + a L^-{theta:g}", level)


def _line(x: Array, y: Array, se: Array, what: str, level: float) -> tuple[Estimate, Estimate]:
    """Intercept and slope of a weighted straight line."""
    design = np.stack([np.ones_like(x), x], axis=1) / se[:, None]
    cov: Any = np.linalg.inv(design.T @ design)
    best = cov @ design.T @ (y / se)
    rest, free = float((((y / se) - design @ best) ** 2).sum()), len(x) - 2
    bad = free > 0 and float(chdtrc(free, rest)) < 1e-3
    status = f"chi-square {rest:.1f} for {free}: leave out the smallest size" if bad else ""
    method = f"{what}, chi-square {rest:.2f} for {free} degrees of freedom"
    p_c, a = (normal(float(best[i]), float(cov[i, i] ** 0.5), len(x), method, level) for i in (0, 1))
    return replace(p_c, status=status), replace(a, status=status)
