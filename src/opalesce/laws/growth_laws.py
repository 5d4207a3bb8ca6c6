"""Laws of one input with an asymptote: the sigmoid of RL compute, and the logarithm that turns over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.laws.data import numbers
from opalesce.laws.fit import check_level
from opalesce.laws.forms import Floats
from opalesce.laws.separable import Basis, residual_draws, separable
from opalesce.laws.spread import interval


@dataclass(frozen=True)
class GrowthLaw:
    """A fitted law of one input: `params` with intervals, `rmse`, and the law itself as a call."""

    law: str
    params: dict[str, Estimate]
    rmse: float

    def __call__(self, x: ArrayLike) -> Floats:
        """The law at x."""
        p = {k: e.value for k, e in self.params.items()}
        v = np.asarray(x, float)
        if self.law == "rl":
            return np.asarray(p["R0"] + (p["A"] - p["R0"]) / (1 + (p["C_mid"] / v) ** p["B"]))
        t = p["gamma"] * v + p["t0"]
        return np.asarray(p["A"] * np.exp(-p["lambda"] * t) * np.log(t) + p["K"])


def rl_sigmoid(
    compute: ArrayLike, reward: ArrayLike, *, level: float = 0.9, seed: int = 0, draws: int = 200
) -> GrowthLaw:
    r"""Pass rate of reinforcement learning over its compute, by least squares.

    .. math:: R - R_0 = \frac{A - R_0}{1 + (C_{mid}/C)^B}

    R_0 is the rate before training, A the asymptote, C_mid the compute of half the gain, B the steepness.
    Intervals redraw residuals, as if points were independent.

    Raises
    ------
    InputError
        Compute that is not positive, other lengths, or fewer than five points.

    Source: khatri2025art, eq. 1.
    """
    u, y = _pairs(compute, reward, 5)
    centre, span = float(u.mean()), float(np.ptp(u))

    def basis(t: Floats) -> Floats:
        s = 1 / (1 + np.exp(np.clip(np.exp(t[1]) * (t[0] - u), -700, 700)))
        return np.stack([1 - s, s], axis=1)

    low, high = np.array([u.min() - span, np.log(0.1 / span)]), np.array([u.max() + span, np.log(100 / span)])
    starts = np.array(
        [[centre + p * span, np.log(b / span)] for p in (-0.4, 0, 0.4) for b in (2.0, 6.0, 20.0)]
    )

    def natural(t: Floats, c: Floats) -> dict[str, float]:
        return {"R0": c[0], "A": c[1], "C_mid": np.exp(t[0]), "B": np.exp(t[1])}

    return _growth("rl", basis, y, starts, (low, high), natural, level, seed, draws)


def modulated_log(
    t: ArrayLike, y: ArrayLike, *, level: float = 0.9, seed: int = 0, draws: int = 200
) -> GrowthLaw:
    r"""Exponentially modulated logarithm: growth as a logarithm, then decay to a level.

    .. math:: y = A\,e^{-\lambda x} \ln x + K,\qquad x = \gamma t + t_0

    by least squares, with lambda >= 0. t may be zero. Without decay in the data gamma and K are one
    parameter, and their intervals show it. Intervals redraw residuals, as if points were independent.

    Raises
    ------
    InputError
        Negative t, other lengths, or fewer than seven points.

    Source: gallego2025hidden names this law of five parameters; of that paper only the abstract could be read
    here, and the formula is a reconstruction.
    """
    v, y_ = np.asarray(t, float), np.asarray(y, float)
    u, y_ = _pairs(v + 1.0, y_, 7)
    v = np.exp(u) - 1.0
    top = float(v.max())
    # searched: ln(gamma top), ln t0, ln(lambda gamma top)
    low, high = np.array([-7.0, -7.0, -9.0]), np.array([12.0, 5.0, 5.0])
    starts = np.array([[g, s, d] for g in (0.0, 3.0, 7.0) for s in (-1.0, 0.5) for d in (-4.0, -1.0, 1.0)])

    def basis(p: Floats) -> Floats:
        share = v / top
        x = np.exp(p[0]) * share + np.exp(p[1])
        return np.stack([np.exp(-np.exp(p[2]) * share) * np.log(x), np.ones_like(x)], axis=1)

    def natural(p: Floats, c: Floats) -> dict[str, float]:
        decay = float(np.exp(p[2] - p[0]))
        start = float(np.exp(p[1]))
        return {
            "A": c[0] * np.exp(decay * start), "lambda": decay, "gamma": np.exp(p[0]) / top,
            "t0": start, "K": c[1],
        }  # fmt: skip

    return _growth("modulated", basis, y_, starts, (low, high), natural, level, seed, draws)


def _pairs(x: ArrayLike, y: ArrayLike, least: int) -> tuple[Floats, Floats]:
    u, v = np.log(numbers(x, "x")), np.asarray(y, float)
    if u.shape != v.shape or not np.isfinite(v).all() or len(np.unique(u)) < least:
        raise InputError(
            "points of a law", expected=f"two finite columns of one length, {least} different x or more",
            got=f"{u.shape}, {v.shape}",
        )  # fmt: skip
    return u, v


def _growth(
    law: str, basis: Basis, y: Floats, starts: Floats, bounds: tuple[Floats, Floats],
    natural: Callable[[Floats, Floats], dict[str, float]], level: float, seed: int, draws: int,
) -> GrowthLaw:  # fmt: skip
    check_level(level)
    best = separable(basis, y, starts, bounds)
    again = residual_draws(basis, y, best, bounds, np.random.default_rng(seed), draws)
    rows = [natural(e.theta, e.coefficients) for e in again]
    status = "the data do not bound this law: the fit ended at a bound" if best.at_bound else ""
    params = {
        k: interval(float(v), np.array([r[k] for r in rows]), len(y), level, "bootstrap of residuals", status)
        for k, v in natural(best.theta, best.coefficients).items()
    }
    return GrowthLaw(law, params, float(np.sqrt(best.rss / len(y))))
