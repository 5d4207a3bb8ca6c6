"""`forecast`: several laws at once, weighted and calibrated by what they would have foretold before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import ndtr

from opalesce.errors import InputError
from opalesce.laws.catalogue import form
from opalesce.laws.data import Points, numbers, points
from opalesce.laws.discrepancy import TINY
from opalesce.laws.fit import check_level
from opalesce.laws.forms import Floats
from opalesce.laws.rolling import CANDIDATES, Rolled, label, roll

BACKTEST = (0.5, 0.8, 0.95)
POOR = 0.65  # coverage of the 80 % intervals below which they are called too narrow; a convention
FAR = 1.0  # decades beyond which no bare number is printed
# Chosen inside the fitted parts of 72 curves and on simulated ones, then frozen: docs/decisions/0008.
TREND = 2.0  # prior weight of the local trend, against one of each law
TEMPER = (
    0.25  # power of the evidence: no law is true, and all points of a curve agree in favour of the least bad
)
WORST = 3.0  # most that one origin counts against a law, in nats a point
DRIFT = 0.02  # standard deviation of ln y per e-fold of x beyond the data, of what no candidate knows
PRIOR = 2.0  # origins that the model's own width counts for, against those of the back-test
FAINT = 1e-4  # weight below which a candidate is left out
REACH, HALVINGS = 8.0, 45  # standard deviations that bisection begins with, and its steps
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
    data: Points = field(repr=False)
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

    Each candidate law, with a discrepancy for what it misses (`laws.discrepancy.tell`), is fitted at up to
    four origins and gives a normal law of ln y there and beyond. The forecast is their mixture, with weights

    .. math:: w_c \propto \pi_c\, Z_c^{1/4} \exp(-\overline{\ell}_c)

    from the evidence Z and the mean surprise per held-out point after earlier origins (in nats). Each
    variance has :math:`(\delta h)^2` added for what no candidate knows at a distance h of ln x beyond the
    data. The interval is widened by as much as those of earlier origins fell short, and never narrowed. Of
    more than 80 points, neighbours are averaged.

    Parameters
    ----------
    x, y : array_like (n,)
        Positive finite data.
    to : array_like (m,)
        Where to predict.
    law : "auto", or names of laws
        "auto" takes a local trend, power laws with an offset or a bend, and the broken law
        (`laws.rolling.CANDIDATES`).
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
    chosen = CANDIDATES if names == ["auto"] else tuple(form(n) for n in names)
    if any(c is not None and len(c.inputs) > 1 for c in chosen):
        raise InputError("a forecast follows one quantity", expected="a law of x", got=", ".join(names))
    u = data.u[0]
    rolled = roll(u, data.v, np.log(places), chosen)
    if not np.isfinite(rolled.mean[-1]).all(axis=1).any():
        raise InputError(
            "too few points for these laws", expected="two more than parameters", got=str(len(data.v)),
            fix="law='auto', or law='M1'",
        )  # fmt: skip
    said = foretold(rolled)
    last = len(rolled.cuts) - 1
    middle, low, high = said[last].band(level, slice(len(rolled.v), None))
    wide = stretch(rolled, said, last, level)
    far = (np.log(places) - u.max()) / np.log(10)
    coverage, tested = backtest(rolled, said)
    lower, upper = np.exp(middle - wide * (middle - low)), np.exp(middle + wide * (high - middle))
    shares = dict(zip(map(label, chosen), weigh(rolled, last).tolist(), strict=True))
    told = _warnings(far, coverage, tested)
    return Forecast(
        places, np.exp(middle), lower, upper, level, coverage, tested, far, told, shares, data, rolled
    )


def weigh(r: Rolled, k: int) -> Floats:
    """Weights (c,) at origin k: evidence there, to a power, and how likely the points after earlier origins
    were that are known at k. They sum to one."""
    usable = np.isfinite(r.mean[k]).all(axis=1)
    surprise, count = np.zeros(len(usable)), np.zeros(len(usable))
    for j in range(k):
        ahead = slice(r.cuts[j], r.cuts[k])
        z = (r.v[ahead] - r.mean[j][:, ahead]) / r.sd[j][:, ahead]
        missed = (0.5 * z**2 + np.log(r.sd[j][:, ahead])).mean(axis=1)
        ok = np.isfinite(missed)
        surprise[ok] += np.minimum(missed[ok], WORST)
        count[ok] += 1
    known = count > 0
    mean = np.where(known, surprise / np.maximum(count, 1), np.nan)
    mean = np.where(known, mean, np.nanmax(mean) if known.any() else 0.0)
    log = np.where(usable, TEMPER * r.evidence[k] - mean, -np.inf)
    prior = np.where([c is None for c in r.candidates], TREND, 1.0)
    weights = prior * np.exp(log - log.max())
    return np.asarray(weights / weights.sum())


Said = dict[int, "Mixture"]


@dataclass(frozen=True)
class Mixture:
    """Normal laws of ln y at every u: means and standard deviations (c, m), weights (c,)."""

    mean: Floats
    sd: Floats
    weights: Floats

    def quantile(self, share: float, places: slice) -> Floats:
        """Of the mixture at `places`, by bisection."""
        mean, sd = self.mean[:, places], self.sd[:, places]
        low, high = (mean - REACH * sd).min(axis=0), (mean + REACH * sd).max(axis=0)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = self.weights @ ndtr((middle - mean) / sd) < share
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray((low + high) / 2)

    def band(self, level: float, places: slice) -> tuple[Floats, Floats, Floats]:
        """Median and central interval."""
        low, middle, high = (self.quantile(q, places) for q in ((1 - level) / 2, 0.5, (1 + level) / 2))
        return middle, low, high


def mix(r: Rolled, k: int) -> Mixture:
    """The weighted candidates at origin k, with the drift of what none of them knows."""
    weights = weigh(r, k)
    used = weights > FAINT
    beyond = np.maximum(r.u - r.u[r.cuts[k] - 1], 0.0)
    sd = np.sqrt(r.sd[k][used] ** 2 + (DRIFT * beyond) ** 2)
    return Mixture(r.mean[k][used], sd, weights[used] / weights[used].sum())


def foretold(r: Rolled) -> Said:
    """`mix` at every origin at which some candidate had enough points."""
    return {k: mix(r, k) for k, means in enumerate(r.mean) if np.isfinite(means).all(axis=1).any()}


def misses(r: Rolled, told: Mixture, ahead: slice, level: float) -> Floats:
    """|error| of the points ahead, in units of the half of the interval that it lies in."""
    middle, low, high = told.band(level, ahead)
    off = r.v[ahead] - middle
    return np.asarray(np.abs(off) / np.where(off > 0, high - middle, middle - low))


def stretch(r: Rolled, said: Said, k: int, level: float) -> float:
    """What the interval at origin k is multiplied by: how wide those of earlier origins should have been, on
    points known at k, with one for PRIOR more origins.

    A geometric mean, since one origin before a drop can be wrong by a factor of a hundred; never below one:
    luck must not make it narrow.
    """
    past = [misses(r, said[j], slice(r.cuts[j], r.cuts[k]), level) for j in said if j < k]
    seen = sum(float(np.log(np.maximum(np.quantile(m, level), TINY))) for m in past)
    return float(np.exp(max(0.0, seen / (PRIOR + len(past)))))


def backtest(r: Rolled, said: Said) -> tuple[dict[float, float], int]:
    """Coverage of the 50, 80 and 95 % intervals at each origin, from what was known there only."""
    hits: dict[float, list[bool]] = {level: [] for level in BACKTEST}
    for k, told in said.items():
        ahead = slice(r.cuts[k], len(r.v))  # empty at the last origin, which has all points
        for level, held in hits.items():
            held += (misses(r, told, ahead, level) <= stretch(r, said, k, level)).tolist()
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
