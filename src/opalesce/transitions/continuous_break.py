"""Is there a break in the continuous metric itself? One curve, or several models as clusters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm, t

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.laws.breaktest import BreakTest, break_test
from opalesce.laws.descent import descend
from opalesce.laws.fit import check_level
from opalesce.laws.forms import FLOOR, RISE, Broken, Floats
from opalesce.runs.run import Curve, Run

PLACES, WIDTHS, CHANGES = (0.15, 0.35, 0.5, 0.65, 0.85), (0.1, 0.4, 1.0), (0.5, 2.0)
LAW = Broken(1)


@dataclass(frozen=True)
class ContinuousBreak:
    """One break against none in the mean of ln y over runs.

    Attributes
    ----------
    test : BreakTest
        With its p-value.
    place : Estimate
        Break d on the axis of the curves; its interval is open where there is one run only.
    width : Estimate
        10-90 % width of the break in decades.
    runs : int
        Clusters.
    x, y : ndarray (T,)
        Shared places, and exp of the mean of ln y there.
    """

    test: BreakTest
    place: Estimate
    width: Estimate
    runs: int
    x: Floats = field(repr=False)
    y: Floats = field(repr=False)


def break_on_continuous(
    runs: Run | Curve | Sequence[Run | Curve], name: str | None = None, *, level: float = 0.9,
    draws: int = 199, seed: int = 0,
) -> ContinuousBreak:  # fmt: skip
    r"""No break against one in the log-perplexity over steps, whole runs being the clusters.

    .. math:: \overline{\ln y}(t) = \frac1M\sum_m \ln y_m(t),\qquad
              C_{st} = \frac{\sum_m r_{ms} r_{mt}}{M (M - 1)} + \delta_{st}\,\overline{\sigma^2_s}

    r are the differences of the runs from their mean, and :math:`\sigma` the stated errors of ln y, which do
    not average out over runs: all answer the same questions. `laws.breaktest.break_test` simulates its ratio
    with this covariance; the interval of the break is that of refits to resampled runs: percentiles of the
    logs, widened about the estimate by :math:`\sqrt{M/(M-1)}` and by t over z for few clusters (with planted
    breaks, 49 of 60 intervals of 90 % from three and six runs held it). A law of x has no place for step 0,
    so that the first positive step is added to all where there is one.

    Parameters
    ----------
    runs : Run, Curve or several
        Runs with the continuous metric, or its curves; values positive.
    name : str, optional
        Curve of each run; by default its only continuous one among the evaluations, in nats.
    level, draws, seed
        Of the interval; simulations and resamples, and their seed.

    Raises
    ------
    InputError
        No such curve, values that are not positive, fewer than eight shared places.

    Source: the law is caballero2023broken, eq. 1; the clustered test is a reconstruction (schaeffer2023mirage
    draws the smooth metric and does not test it).
    """
    check_level(level)
    given = [runs] if isinstance(runs, Run | Curve) else list(runs)
    curves = [c if isinstance(c, Curve) else _smooth_curve(c, name) for c in given]
    if not curves:
        raise InputError("a break needs a curve", expected="one run or more", got="none")
    shared = sorted(set.intersection(*(set(c.x[np.isfinite(c.y)].tolist()) for c in curves)))
    if len(shared) < 8:
        raise InputError(
            "too few places that all curves share", expected="8 or more", got=str(len(shared)),
            fix="leave out the run that lacks them",
        )  # fmt: skip
    x = np.array(shared)
    rows = [np.searchsorted(c.x, x) for c in curves]
    y = np.stack([c.y[r] for c, r in zip(curves, rows, strict=True)])
    if not (y > 0).all():
        raise InputError("a law in logs needs positive values", expected="above zero", got=f"{y.min():.4g}")
    shift = float(x[x > 0].min()) if x.min() <= 0 else 0.0
    v, m = np.log(y), len(y)
    mean = v.mean(axis=0)
    away = v - mean
    own = np.stack([_relative(c, r) for c, r in zip(curves, rows, strict=True)])
    noise = (own**2).mean(axis=0)
    shape = np.diag(noise) + (away.T @ away / (m * (m - 1)) if m > 1 else 0.0)
    test = break_test(x + shift, np.exp(mean), breaks=1, errors=shape, draws=draws, seed=seed)
    u = np.log(x + shift)
    centre = u.mean()
    weights = noise.mean() / noise
    whole = _fit(u - centre, mean, weights, _starts(u - centre, mean))
    rng = np.random.default_rng([seed, 1])
    near = np.vstack([whole, _starts(u - centre, mean)])
    picks = rng.integers(m, size=(draws, m)) if m > 1 else np.empty((0, 1), int)
    means = [v[pick].mean(axis=0) for pick in picks]
    ends = np.array([_fit(u - centre, row, weights, near) for row in means]).reshape(-1, len(whole))
    # few clusters: resamples scatter by (M - 1) / M too little, and their tails are a normal's, not a t's
    tail = (1 + level) / 2
    wide = math.sqrt(m / (m - 1)) * t.ppf(tail, m - 1) / norm.ppf(tail) if m > 1 else math.nan

    def estimate(log: float, logs: Floats, less: float = 0.0) -> Estimate:
        value = math.exp(log) - less
        if m == 1:
            return Estimate(value, n=len(x), status="one run: no interval over runs", level=level)
        low, high = np.exp(log + wide * (np.quantile(logs, [1 - tail, tail]) - log)) - less
        how = f"weighted least squares in ln y; bootstrap over {m} runs, for few clusters"
        return Estimate(value, min(float(low), value), max(float(high), value), len(x), "", how, level)

    at = estimate(float(whole[4] + centre), ends[:, 4] + centre, shift)
    width = estimate(
        float(whole[5]) + math.log(RISE / math.log(10)), ends[:, 5] + math.log(RISE / math.log(10))
    )
    return ContinuousBreak(test, at, width, m, x, np.exp(mean))


def _smooth_curve(run: Run, name: str | None) -> Curve:
    if name is None:
        known = [c.name for c in run.curves.values() if c.continuous and c.unit == "nats"]
    else:
        known = [name] if name in run.curves else []
    if len(known) != 1:
        raise InputError(
            f"{run.name}: which continuous metric?", expected="one of " + ", ".join(list(run.curves)[:6]),
            got=name or f"{len(known)} in nats", fix="name='task/log_ppl'",
        )  # fmt: skip
    return run.curves[known[0]]


def _relative(curve: Curve, rows: np.ndarray) -> Floats:
    """Standard error of ln y at these rows; a hundredth of y where none is stated."""
    y = curve.y[rows]
    if curve.stderr is None:
        return np.full(len(y), 0.01)
    se = curve.stderr[rows] / y
    known = se[np.isfinite(se) & (se > 0)]
    return np.where(np.isfinite(se) & (se > 0), se, np.median(known) if len(known) else 0.01)


def _starts(u: Floats, v: Floats) -> Floats:
    """Internal parameters (S, 6): a break at five places, with and without a limit below the data."""
    limits = (FLOOR, float(v.min()) - 0.1)
    return np.array(
        [
            (a, v[0], 0.0, c, u.min() + share * np.ptp(u), math.log(f))
            for a in limits
            for share in PLACES
            for f in WIDTHS
            for c in CHANGES
        ]
    )


def _fit(u: Floats, v: Floats, weights: Floats, starts: Floats) -> Floats:
    low, high = LAW.bounds(u[None], v)
    low[4], high[4] = u.min(), u.max()  # a break outside the data has no place to report
    ends, costs = descend(LAW, u[None], v, starts, (low, high), weights=weights, steps=80)
    return np.asarray(ends[np.argmin(costs)])
