"""Seeds are the independent units: how many of them show the change, and where the next one will."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from opalesce.estimate import Estimate

Array = NDArray[np.float64]


def partial_conjunction(p: Array, at_least: int | None = None) -> float:
    """p-value of "at least r of S seeds show the change", r = ceil(S / 2) by default.

    (S - r + 1) p_(r): Bonferroni's version, valid under any dependence
    (Benjamini & Heller 2008, eq. 2). p has shape (S,).
    """
    p = np.sort(np.asarray(p, float))
    r = math.ceil(len(p) / 2) if at_least is None else at_least
    return float(min(1.0, (len(p) - r + 1) * p[r - 1]))


def prediction_interval(places: Array, level: float = 0.9) -> Estimate:
    """Where a new seed's place is expected: mean +- t_{S-1} s sqrt(1 + 1/S); places in u, shape (S,).

    With one seed there is none, and the status says so.
    """
    from scipy.stats import t

    places = np.asarray(places, float)
    s = len(places)
    if s < 2:
        return Estimate(
            float(places[0]) if s else math.nan, n=s, status="one seed: where the next one falls is unknown"
        )
    half = float(t.ppf((1 + level) / 2, s - 1) * places.std(ddof=1) * math.sqrt(1 + 1 / s))
    mean = float(places.mean())
    return Estimate(mean, mean - half, mean + half, s, method="t prediction interval over seeds", level=level)
