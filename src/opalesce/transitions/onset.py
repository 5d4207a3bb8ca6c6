"""When a metric left its start, and over how long it changed: both with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

from opalesce.estimate import Estimate
from opalesce.runs.run import Curve

Floats = NDArray[np.float64]
ALPHA = 0.05  # family-wise, over the checkpoints of one curve
DRAWS = 300


@dataclass(frozen=True)
class Change:
    """What one metric did along the axis.

    Attributes
    ----------
    onset : Estimate
        First place from which all later values lie beyond the start (z-test, Bonferroni over checkpoints),
        with an interval that reaches back to the checkpoint before: nothing is known in between.
    width : Estimate
        Decades of the axis between 10 % and 90 % of the whole change; in units of the axis when linear.
        Places between checkpoints are interpolated: a change narrower than two spacings is called that wide.
    start, end : float
        First value and mean of the last three.
    p_shift : float
        Two-sided p-value of end against start.
    """

    onset: Estimate
    width: Estimate
    start: float
    end: float
    p_shift: float


def noise_of(curve: Curve) -> Floats | None:
    """Standard error of each point: of a Jeffreys posterior for a share of n trials, else as stated.

    A share of exactly zero or one has a stated error of zero; the posterior gives it its real one.
    """
    if not curve.continuous and curve.n_trials:
        n = curve.n_trials
        k = np.clip(curve.y * n, 0, n)
        return np.asarray(beta.std(k + 0.5, n - k + 0.5))
    if curve.stderr is None or not np.isfinite(curve.stderr).any():
        return None
    known = curve.stderr[np.isfinite(curve.stderr) & (curve.stderr > 0)]
    if not len(known):
        return None
    return np.asarray(
        np.where(np.isfinite(curve.stderr) & (curve.stderr > 0), curve.stderr, np.median(known))
    )


def change(curve: Curve, u: Floats, rng: np.random.Generator, level: float = 0.9) -> Change | None:
    """Onset, width and shift of a curve at coordinates u; None with fewer than four points or no error."""
    error = noise_of(curve)
    keep = np.isfinite(curve.y)
    if error is None or keep.sum() < 4:
        return None
    x, y, se, u = curve.x[keep], curve.y[keep], error[keep], u[keep]
    draws = y + se * rng.standard_normal((DRAWS, len(y)))
    if not curve.continuous:
        draws = np.clip(draws, 0.0, None)
    at = _onset(y, se)
    found = np.array([_onset(d, np.sqrt(2) * se) for d in draws])
    last = y[-3:].mean()
    last_se = float(np.sqrt((se[-3:] ** 2).mean()))  # the same questions each time: errors do not average out
    p = float(2 * norm.sf(abs(last - y[0]) / math.hypot(last_se, se[0])))
    return Change(_placed(x, at, found, level), _width(u, y, draws, level), float(y[0]), float(last), p)


def _onset(y: Floats, se: Floats) -> int:
    """Index of the first of the points from which on all lie beyond the start; len(y) if none."""
    side = 1.0 if y[-3:].mean() >= y[0] else -1.0
    z = side * (y[1:] - y[0]) / np.hypot(se[1:], se[0])
    beyond = z > norm.isf(ALPHA / (2 * len(z)))
    inside = np.flatnonzero(~beyond)
    return int(inside[-1]) + 2 if len(inside) else 1


def _placed(x: Floats, at: int, found: NDArray[np.int_], level: float) -> Estimate:
    tail = (1 - level) / 2
    low, high = np.quantile(found, [tail, 1 - tail], method="nearest").astype(int)
    low, high = min(low, at), max(high, at)
    where = np.append(x, math.inf)
    status = "" if at < len(x) else "it does not leave its start for good within the data"
    return Estimate(
        float(where[at]) if at < len(x) else math.nan,
        float(where[max(low - 1, 0)]),
        float(where[high]),
        len(x),
        status,
        "first checkpoint beyond the start for good; interval by resampled errors, back to the one before",
        level,
    )


def _width(u: Floats, y: Floats, draws: Floats, level: float) -> Estimate:
    tail = (1 - level) / 2
    widths = np.array([_rise(u, d) for d in draws])
    low, high = (
        np.nanquantile(widths, [tail, 1 - tail]) if np.isfinite(widths).any() else (math.nan, math.nan)
    )
    value = _rise(u, y)
    return Estimate(
        value, min(float(low), value), max(float(high), value), len(y), "", "10 to 90 % of the change", level
    )


def _rise(u: Floats, y: Floats) -> float:
    """Length of u between 10 % and 90 % of the change, on the monotone (running extreme) curve."""
    first, last = y[0], y[-3:].mean()
    if last == first:
        return math.nan
    share = np.maximum.accumulate((y - first) / (last - first))
    places = []
    for goal in (0.1, 0.9):
        i = int(np.argmax(share >= goal))
        if share[i] < goal:
            return math.nan
        before = share[i - 1] if i else 0.0
        part = (goal - before) / (share[i] - before) if i else 1.0
        places.append(u[i - 1] + part * (u[i] - u[i - 1]) if i else u[0])
    return float(places[1] - places[0])
