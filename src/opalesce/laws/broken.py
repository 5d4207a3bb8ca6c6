r"""The broken neural scaling law with one break (caballero2023broken, eq. 1 with n = 1).

.. math:: y = a + b\,x^{-c_0}\left(1 + (x/d_1)^{1/f_1}\right)^{-c_1 f_1}

a is the limit, c_0 the slope before the break at d_1, c_0 + c_1 the one after it, f_1 how wide the break is
in log x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.laws.descent import descend, polish
from opalesce.laws.forms import Broken, Floats

LAW = Broken(1, offset=False)
MIN_POINTS = 8
_LOW = np.array([-12.0, -1.0, 0.0, np.nan, -4.0])  # log b, c0, c1, log d1 (set from the data), log f1
_HIGH = np.array([12.0, 3.0, 12.0, np.nan, 1.0])


@dataclass(frozen=True)
class BrokenLaw:
    """Fitted parameters; `rms` is the root mean square of the residuals of log y."""

    b: float
    c0: float
    c1: float
    d1: float
    f1: float
    rms: float

    def __call__(self, x: ArrayLike) -> Floats:
        """y at x, with a = 0."""
        u = np.log(np.asarray(x, float))
        return np.exp(LAW.log_value(self._internal()[None], u.reshape(1, -1))[0].reshape(u.shape))

    def _internal(self) -> Floats:
        return np.array([np.log(self.b), self.c0, self.c1, np.log(self.d1), np.log(self.f1)])


def fit_broken(x: ArrayLike, y: ArrayLike, near: BrokenLaw | None = None) -> BrokenLaw:
    """Least squares in log y with a = 0; the best of twelve starts, or of one near a known law.

    Raises
    ------
    InputError
        Fewer than 8 points, or values that are not positive and finite.
    """
    u, v = np.asarray(x, float), np.asarray(y, float)
    if u.ndim != 1 or u.shape != v.shape or len(u) < MIN_POINTS:
        raise InputError(
            "too few points for a broken law", expected=f"{MIN_POINTS} or more", got=str(u.shape)
        )
    if not (np.isfinite(u).all() and np.isfinite(v).all() and (u > 0).all() and (v > 0).all()):
        raise InputError("a broken law is fitted in logs", expected="positive finite x and y", got="others")
    u, v = np.log(u), np.log(v)
    low, high = _LOW.copy(), _HIGH.copy()
    low[3], high[3] = u.min(), u.max()
    if near is None:
        starts = np.array(
            [
                [v[0], 0.0, 1.0, u.min() + share * np.ptp(u), np.log(width)]
                for share in (0.2, 0.4, 0.6, 0.8)
                for width in (0.1, 0.3, 1.0)
            ]
        )
        ends, costs = descend(LAW, u[None], v, starts, (low, high))
        start = ends[np.argmin(costs)]
    else:
        start = near._internal()
    best = polish(LAW, u[None], v, start, (low, high))
    log_b, c0, c1, log_d, log_f = (float(t) for t in best.theta)
    rms = float(np.sqrt(2 * best.objective / len(u)))
    return BrokenLaw(float(np.exp(log_b)), c0, c1, float(np.exp(log_d)), float(np.exp(log_f)), rms)


def break_place(
    x: ArrayLike, curves: ArrayLike, rng: np.random.Generator, draws: int = 200, level: float = 0.95
) -> Estimate:
    """Place d_1 of the break of the mean curve, with a percentile interval over resampled seeds (rows).

    Raises
    ------
    InputError
        As `fit_broken`; fewer than three seeds.
    """
    y = np.asarray(curves, float)
    if y.ndim != 2 or len(y) < 3:
        raise InputError("an interval needs seeds", expected="three rows or more", got=str(y.shape))
    whole = fit_broken(x, y.mean(axis=0))
    means = (y[rng.integers(len(y), size=len(y))].mean(axis=0) for _ in range(draws))
    places = [fit_broken(x, mean, whole).d1 for mean in means]
    low, high = np.quantile(places, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(whole.d1, float(low), float(high), len(y), method="bootstrap over seeds", level=level)
