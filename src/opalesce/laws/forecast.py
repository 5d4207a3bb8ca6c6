"""`forecast`: several laws at once, weighted and calibrated by what they would have foretold before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import norm

from opalesce.errors import InputError
from opalesce.laws.catalogue import form
from opalesce.laws.data import numbers, points
from opalesce.laws.fit import check_level
from opalesce.laws.forms import Floats
from opalesce.laws.rolling import CANDIDATES, FALLBACK, Candidate, Rolled, roll

BACKTEST = (0.5, 0.8, 0.95)
MAD = 1.4826  # standard deviations of a normal law in a median absolute deviation
POOR = 0.65  # coverage of the 80 % intervals below which they are called too narrow; a convention
FAR = 1.0  # decades beyond which no bare number is printed
# Chosen by rolling origin inside the fitted parts of 72 learning curves, then frozen: docs/decisions/0008.
POWER = 2.0  # weight of a candidate: held-out error to the power of minus this
DRIFT = 0.1  # standard deviation of ln y per e-fold of x beyond the data, of what no candidate knows
PRIOR = 1.0  # origins that the standard interval counts for, against those of the user's own back-test
SHARP = (
    "a sharp break far enough beyond the data cannot be foreseen by any method: these intervals hold for a "
    "curve that goes on as it did"
)


@dataclass(frozen=True)
class Forecast:
    """What comes next, with how well the same procedure did on the data given.

    Attributes
    ----------
    x, median, lower, upper : ndarray (m,)
        Targets, median and central interval of a new observation at `level`.
    level : float
    coverage : dict of float to float
        Back-test: the share of held-out points inside the 50, 80 and 95 % interval, each foretold from the
        points before an origin only. NaN with fewer than two origins.
    tested : int
        Held-out points of the back-test.
    decades : ndarray (m,)
        log10 of how far each target lies beyond the largest x.
    warnings : tuple of str
        What cannot be foreseen, distances beyond one decade, poor coverage.
    weights : dict of str to float
        Weight of each candidate law.
    """

    x: Floats
    median: Floats
    lower: Floats
    upper: Floats
    level: float
    coverage: Mapping[float, float]
    tested: int
    decades: Floats
    warnings: tuple[str, ...]
    weights: Mapping[str, float]
    rolled: Rolled = field(repr=False)

    def __str__(self) -> str:
        rows = []
        for x, m, lo, hi, far in zip(self.x, self.median, self.lower, self.upper, self.decades, strict=True):
            value = f"{m:.4g} " if far <= FAR else ""
            rows.append(f"x = {x:.4g}: {value}[{lo:.4g}, {hi:.4g}] at {self.level:.0%}, {far:+.2f} decades")
        told = ", ".join(f"{k:.0%}: {v:.0%}" for k, v in self.coverage.items())
        rows.append(f"back-test on {self.tested} held-out points, coverage of {told}")
        return "\n".join([*rows, *(f"warning: {w}" for w in self.warnings)])


def forecast(
    x: Any, y: Any, *, to: Any, law: str | Sequence[str] = "auto", level: float = 0.9, seed: int = 0
) -> Forecast:
    r"""Extrapolate a curve with intervals that were tried on its own past.

    Each candidate law (with all points, or the later part of them) is fitted at up to four origins and
    predicts what came after. Its weight falls with its error there. The median is the weighted median of
    their ln y. The half-width at distance h (in ln x beyond the data) is a quantile of the scores of earlier
    origins times

    .. math:: s(h) = \sqrt{\sigma^2 + V + (\kappa h)^2}

    with sigma the residual noise, V the spread between candidates (squared weighted median absolute deviation
    times 1.4826) and kappa a constant for what no candidate knows. With few origins the quantile is mixed
    with the normal one.

    Parameters
    ----------
    x, y : array_like (n,)
        Positive finite data.
    to : array_like (m,)
        Where to predict.
    law : "auto", or names of laws
        "auto" takes power laws with an offset or a bend, of the later points, and the broken law; see
        `laws.rolling.CANDIDATES`.
    level : float
        Confidence level of the interval.
    seed : int
        Not used: the procedure draws nothing. Kept so that all verbs take one.

    Returns
    -------
    Forecast

    Raises
    ------
    InputError
        Data or targets that are not positive and finite, fewer than five points, an unknown law.
    """
    check_level(level)
    data = points(("x",), x, y)
    if len(data.v) < 5:
        raise InputError("too few points to forecast from", expected="5 or more", got=str(len(data.v)))
    places = numbers(np.atleast_1d(to), "to")
    names = [law] if isinstance(law, str) else list(law)
    chosen = CANDIDATES if names == ["auto"] else tuple(Candidate(form(n)) for n in names)
    if any(len(c.law.inputs) > 1 for c in chosen):
        raise InputError("a forecast follows one quantity", expected="a law of x", got=", ".join(names))
    u, v = data.u[0], data.v
    rolled = roll(u, v, np.log(places), chosen)
    if names == ["auto"] and not np.isfinite(rolled.paths[-1]).all(axis=1).any():
        chosen = FALLBACK
        rolled = roll(u, v, np.log(places), chosen)
    if not np.isfinite(rolled.paths[-1]).all(axis=1).any():
        raise InputError(
            "too few points for these laws",
            expected="two more than parameters",
            got=str(len(v)),
            fix="law='M1'",
        )
    said = foretold(rolled)
    last = len(rolled.cuts) - 1
    middle, spread = said[last]
    half = quantile(past_scores(rolled, said, last), level) * spread[len(v) :]
    centre = middle[len(v) :]
    far = (np.log(places) - u.max()) / np.log(10)
    coverage, tested = backtest(rolled, said)
    return Forecast(
        places, np.exp(centre), np.exp(centre - half), np.exp(centre + half), level, coverage, tested, far,
        _warnings(far, coverage, tested),
        {c.label: w for c, w in zip(chosen, weigh(rolled, last), strict=True)}, rolled,
    )  # fmt: skip


def weigh(r: Rolled, k: int) -> list[float]:
    """Weights at origin k from errors at earlier origins, on points known by then. They sum to one."""
    error, count = np.zeros(len(r.candidates)), np.zeros(len(r.candidates))
    for j in range(k):
        missed = ((r.paths[j][:, r.cuts[j] : r.cuts[k]] - r.v[r.cuts[j] : r.cuts[k]]) ** 2).mean(axis=1)
        ok = np.isfinite(missed)
        error[ok] += np.minimum(missed[ok], 1.0)
        count[ok] += 1
    usable = np.isfinite(r.paths[k]).all(axis=1)
    known = count > 0
    mean = np.where(known, error / np.maximum(count, 1), np.nan)
    mean = np.where(known, mean, np.nanmax(mean) if known.any() else 1.0)
    weights = np.where(usable, (mean + 1e-6) ** (-POWER / 2), 0.0)
    return list(weights / weights.sum()) if weights.sum() > 0 else list(weights)


def combine(r: Rolled, k: int) -> tuple[Floats, Floats]:
    """Weighted median of ln y at all u, and the scale s(h) of its error, at origin k.

    Medians, since one law that runs away far beyond the data would carry a mean and a variance with it.
    """
    w = np.array(weigh(r, k))
    paths, used = r.paths[k][w > 0], w[w > 0]
    middle = weighted_median(paths, used)
    between = (MAD * weighted_median(np.abs(paths - middle), used)) ** 2
    noise = float(w @ np.where(w > 0, r.noise[k], 0.0) ** 2)
    beyond = np.maximum(r.u - r.u[r.cuts[k] - 1], 0.0)
    return middle, np.sqrt(noise + between + (DRIFT * beyond) ** 2)


def weighted_median(values: Floats, weights: Floats) -> Floats:
    """Median of values (c, n) with weights (c,), interpolated between the weights' midpoints."""
    order = np.argsort(values, axis=0)
    ranked, w = np.take_along_axis(values, order, axis=0), weights[order]
    middle = (np.cumsum(w, axis=0) - w / 2) / weights.sum()
    return np.array([np.interp(0.5, m, v) for m, v in zip(middle.T, ranked.T, strict=True)])


Said = dict[int, tuple[Floats, Floats]]


def foretold(r: Rolled) -> Said:
    """`combine` at every origin at which some candidate had enough points."""
    return {k: combine(r, k) for k, paths in enumerate(r.paths) if np.isfinite(paths).all(axis=1).any()}


def past_scores(r: Rolled, said: Said, k: int) -> list[Floats]:
    """|error| / s of each earlier origin, on the points that were known at origin k."""
    return [_scores(r, said[j], slice(r.cuts[j], r.cuts[k])) for j in said if j < k]


def _scores(r: Rolled, told: tuple[Floats, Floats], ahead: slice) -> Floats:
    middle, spread = told
    return np.asarray(np.abs(r.v[ahead] - middle[ahead]) / spread[ahead])


def quantile(scores: Sequence[Floats], level: float) -> float:
    """Half-width in units of s: the normal one for PRIOR origins, and the scores for theirs."""
    standard = float(norm.ppf((1 + level) / 2))
    if not scores:
        return standard
    seen = float(np.mean([np.quantile(s, level) for s in scores]))
    return (PRIOR * standard + len(scores) * seen) / (PRIOR + len(scores))


def backtest(r: Rolled, said: Said) -> tuple[dict[float, float], int]:
    """Coverage of the 50, 80 and 95 % intervals at each origin, from what was known there only."""
    hits: dict[float, list[bool]] = {level: [] for level in BACKTEST}
    for k, told in said.items():
        score = _scores(r, told, slice(r.cuts[k], len(r.v)))  # empty at the last origin, which has all points
        past = past_scores(r, said, k)
        for level, held in hits.items():
            held += (score <= quantile(past, level)).tolist()
    tested = len(hits[BACKTEST[0]])
    return {k: float(np.mean(h)) if h else float("nan") for k, h in hits.items()}, tested


def _warnings(far: Floats, coverage: Mapping[float, float], tested: int) -> tuple[str, ...]:
    out = [SHARP]
    if far.max() > FAR:
        out.append(
            f"{far.max():.2f} decades beyond the data: no bare number beyond one decade, only intervals"
        )
    if not tested:
        out.append("too few points for a back-test: the intervals are untested here")
    elif coverage[0.8] < POOR:
        out.append(
            f"the 80 % intervals held {coverage[0.8]:.0%} of the held-out points: take these as too narrow"
        )
    return tuple(out)
