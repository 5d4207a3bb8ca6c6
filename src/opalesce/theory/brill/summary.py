"""Many seeds against theory: medians, bands, bootstrap intervals, slopes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.theory.brill.allocation import model_loss
from opalesce.theory.brill.data_law import data_loss
from opalesce.theory.checks import Array, numbers, positive, whole


@dataclass(frozen=True)
class Comparison:
    """Simulated losses of S seeds over theory, at n points.

    Attributes
    ----------
    dof : array, shape (n,)
    theory, median, low16, high84 : array, shape (n,)
        Normalised losses; band over seeds.
    ratio, ratio_low, ratio_high : array, shape (n,)
        Median of simulation/theory and its bootstrap interval.
    slope, theory_slope : Estimate, float
        Log-log slope of the median curve above `above`, with its bootstrap interval, and theory's.
    """

    dof: Array
    theory: Array
    median: Array
    low16: Array
    high84: Array
    ratio: Array
    ratio_low: Array
    ratio_high: Array
    slope: Estimate
    theory_slope: float


def log_slope(x: ArrayLike, y: ArrayLike) -> float:
    """Least-squares slope of ln y against ln x.

    Raises
    ------
    InputError
        Fewer than two points, or a value that is not positive.
    """
    tiny = np.nextafter(0, 1)
    a, b = np.log(numbers(x, "x", tiny)), np.log(numbers(y, "y", tiny))
    if a.size != b.size or a.size < 2:
        raise InputError("no slope", expected="two or more points", got=f"{a.size} and {b.size}")
    a = a - a.mean()
    return float(a @ b / (a @ a))


def theory_curve(kind: str, dof: Array, alpha: float, ratio: float) -> Array:
    """Normalised theory of one kind: "model" (eq. 7) or "data" (eqs 10, 11).

    Raises
    ------
    InputError
        Unknown kind.
    """
    if kind not in ("model", "data"):
        raise InputError("unknown kind of scaling", expected="'model' or 'data'", got=repr(kind))
    return (model_loss if kind == "model" else data_loss)(dof, alpha, ratio, normalised=True)


def compare(
    losses: ArrayLike,
    dof: ArrayLike,
    theory: ArrayLike,
    rng: np.random.Generator,
    above: float = 300.0,
    level: float = 0.99,
    draws: int = 4000,
) -> Comparison:
    """Median over seeds against theory, with percentile-bootstrap intervals over seeds.

    A whole seed is drawn at a time, so the intervals keep the correlation along a curve.

    Parameters
    ----------
    losses : array_like, shape (S, n)
        One row a seed.
    dof, theory : array_like, shape (n,)
    rng : Generator
    above : float
        The slope is taken where dof > above.
    level : float
    draws : int

    Raises
    ------
    InputError
        Shapes that differ, fewer than two seeds, losses not positive.
    """
    tiny = np.nextafter(0, 1)
    y, n, t = numbers(losses, "losses", tiny), numbers(dof, "dof", tiny), numbers(theory, "theory", tiny)
    if y.ndim != 2 or len(y) < 2 or y.shape[1:] != n.shape or n.shape != t.shape:
        raise InputError(
            "losses do not fit dof and theory",
            expected="(S, n), (n,), (n,), S >= 2",
            got=f"{y.shape}, {n.shape}, {t.shape}",
        )
    level = positive(level, "level", 0, 1)
    tail = n > above
    picks = rng.integers(len(y), size=(whole(draws, "draws", 100), len(y)))
    medians = np.array([np.median(y[row], axis=0) for row in picks])
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(medians / t, ends, axis=0)
    median = np.median(y, axis=0)
    slopes = [log_slope(n[tail], m[tail]) for m in medians]
    slope_low, slope_high = np.quantile(slopes, ends)
    return Comparison(
        n,
        t,
        median,
        np.quantile(y, 0.16, axis=0),
        np.quantile(y, 0.84, axis=0),
        median / t,
        low,
        high,
        Estimate(
            log_slope(n[tail], median[tail]),
            float(slope_low),
            float(slope_high),
            len(y),
            method=f"least squares in logarithms above {above:g}; bootstrap over seeds",
            level=level,
        ),
        log_slope(n[tail], t[tail]),
    )
