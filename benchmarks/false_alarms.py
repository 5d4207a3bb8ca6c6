"""False alarms and power: the court's first look against ruptures' PELT with the usual penalty.

Both see the same series. PELT's penalty 3 s^2 ln n is the common choice for a mean shift; it is
given the true marginal variance of the noise. It knows neither correlation nor smooth change, and
it does not claim to: the figure says what using it as a test would cost.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import ruptures

from benchmarks.figures import Figure
from opalesce.runs.run import Axis
from opalesce.transitions.evidence import Setting, first_look
from opalesce.transitions.smooth import logistic
from opalesce.transitions.witness import Witness

ALPHA = 0.05
Series = np.ndarray


def ar1(rng: np.random.Generator, n: int, phi: float) -> Series:
    """Stationary, with unit marginal variance."""
    e = rng.standard_normal(n) * np.sqrt(1 - phi**2)
    y = np.empty(n)
    y[0] = rng.standard_normal()
    for i in range(1, n):
        y[i] = phi * y[i - 1] + e[i]
    return y


def planted(kind: str, n: int, rng: np.random.Generator) -> Series:
    u = np.arange(n, dtype=float)
    if kind.startswith("AR(1)"):
        return ar1(rng, n, float(kind.split()[1]))
    if kind == "smooth rise":  # 10 noise sd high, its 10-90 % width half of the axis
        return 10 * logistic(u, n / 2, n / 2) + rng.standard_normal(n)
    if kind == "step of 6 sd":
        return 6 * (u > rng.uniform(0.15, 0.85) * n) + rng.standard_normal(n)
    if kind == "step of 6 sd in AR(1) 0.7":
        return 6 * (u > rng.uniform(0.15, 0.85) * n) + ar1(rng, n, 0.7)
    return rng.standard_normal(n)


def court_convicts(y: Series, setting: Setting) -> bool:
    w = Witness("series", np.arange(len(y), dtype=float), y)
    return first_look(w, setting).p_sharp <= ALPHA


def pelt_convicts(y: Series) -> bool:
    found = ruptures.Pelt(model="l2", min_size=2, jump=1).fit(y).predict(pen=3 * np.log(len(y)))
    return len(found) > 1


def figures(quick: bool = False) -> Iterator[Figure]:
    """Share of series in which each side reports a change."""
    setting = Setting(Axis(scale="linear"), alpha=ALPHA)
    count = 20 if quick else 200
    null = ("white noise", "AR(1) 0.5", "AR(1) 0.9", "smooth rise")
    real = ("step of 6 sd", "step of 6 sd in AR(1) 0.7")
    for n in (61, 154):
        for kind in (*null, *real):
            rng = np.random.default_rng([n, len(kind), count])
            series = [planted(kind, n, rng) for _ in range(count)]
            yield Figure(
                "false alarms" if kind in null else "detection",
                f"{kind}, n = {n}, {count} series",
                "ruptures Pelt l2, penalty 3 s² ln n",
                "share reported",
                float(np.mean([court_convicts(y, setting) for y in series])),
                float(np.mean([pelt_convicts(y) for y in series])),
                less_is_better=kind in null,
            )
