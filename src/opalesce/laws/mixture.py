"""Candidates at rolling origins made into one forecast: weights, a mixture, and what its past says of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from opalesce.laws.discrepancy import TINY
from opalesce.laws.forms import Floats
from opalesce.laws.rolling import Rolled

BACKTEST = (0.5, 0.8, 0.95)
# Chosen inside the fitted parts of 72 curves and on simulated ones, then frozen: docs/decisions/0008.
TREND = 2.0  # prior weight of the local trend, against one of each law
TEMPER = 0.25  # power of the evidence: no law is true, and all points together favour the least bad
WORST = 3.0  # most that one origin counts against a law, in nats a point
DRIFT = 0.02  # standard deviation of ln y per e-fold of x beyond the data, of what no candidate knows
PRIOR = 2.0  # origins that the model's own width counts for, against those of the back-test
FAINT = 1e-4  # weight below which a candidate is left out
REACH, HALVINGS = 8.0, 45  # standard deviations that bisection begins with, and its steps


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
