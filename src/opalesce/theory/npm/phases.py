r"""Three phases of training in the statistics of weights: common breaks with intervals, names, and a null.

ding2026percolation (section 7) sees three phases in Pythia-70m and gives no algorithm; what follows is a
reconstruction [R]. Coefficient of variation, Gini coefficient and share of large weights along training are
continuous broken lines in log(1 + step) with breaks in common (`hinges`). The named null of the late phase is
that weights merely relax towards the size that AdamW's decay leaves them (`relaxation`, `fit_terminal`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.theory.checks import numbers, positive
from opalesce.theory.npm.hinges import Broken, broken_line, checked, line_at, places_of, search

Floats = NDArray[np.float64]

# ding2026percolation, table "pythia-trajectory" (Pythia-70m, all 2-D tensors pooled); `large` is the share of
# weights above 0.1. The paper's own numbers: they were not recomputed from the weights.
PYTHIA_70M: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "step": (0, 512, 1000, 4000, 16000, 32000, 48000, 64000, 128000, 143000),
        "size": (0.020, 0.021, 0.022, 0.034, 0.044, 0.045, 0.043, 0.040, 0.028, 0.026),
        "cv": (0.795, 0.795, 0.798, 0.815, 0.818, 0.853, 0.890, 0.963, 1.453, 1.514),
        "large": (0.0, 0.0, 0.001, 0.028, 0.084, 0.086, 0.074, 0.057, 0.012, 0.011),
        "gini": (0.430, 0.430, 0.431, 0.437, 0.438, 0.442, 0.446, 0.452, 0.476, 0.479),
    }
)


@dataclass(frozen=True)
class Phase:
    """A segment between breaks: where it is in steps, its name, and 90 % intervals of its slopes."""

    start: float
    end: float
    name: str
    slopes: Mapping[str, Estimate]


@dataclass(frozen=True)
class Phases:
    """Breaks in steps with intervals, the segments between them, and BIC of 0, 1 ... breaks."""

    breaks: tuple[Estimate, ...]
    phases: tuple[Phase, ...]
    bic: Floats


def three_phases(
    step: ArrayLike,
    statistics: Mapping[str, ArrayLike],
    size: ArrayLike,
    rng: np.random.Generator,
    draws: int = 400,
    least: int = 3,
) -> Phases:
    """Breaks of the statistics of weights with bootstrap intervals, and the named phases between them [R].

    A segment is *pressurisation* when the 90 % interval of the slope of cv holds 0 and the mean size stays
    within 10 % of its first value; *breakthrough* when the share of large weights rises; *reorganisation*
    when it falls while cv rises; else it is "unnamed".

    Parameters
    ----------
    step : array_like, shape (n,)
    statistics : mapping
        Series of shape (n,); "cv" and "large" are needed for the names, others help to place the breaks.
    size : array_like, shape (n,)
        Mean size of the weights; it names, and does not place.
    rng : numpy.random.Generator
        Residual bootstrap: whole rows are drawn, so that what the series share stays shared. The number of
        breaks is held; intervals reach at least to the steps on both sides.
    draws, least : int
        Replicates; observations per segment.

    Raises
    ------
    InputError
        As `broken_line`; "cv" or "large" missing; a size that does not fit.
    """
    if missing := {"cv", "large"} - set(statistics):
        raise InputError("statistics are missing", expected="cv and large", got=f"no {sorted(missing)}")
    names = list(statistics)
    columns = [numbers(statistics[name], name) for name in names]
    if len({c.shape for c in columns}) > 1:
        raise InputError("series of one length", got=str([c.shape for c in columns]))
    u, y = checked(step, np.column_stack(columns), 3, least)
    w = numbers(size, "size", 0.0)
    if w.shape != u.shape or w[0] <= 0:
        raise InputError("one positive mean size per step", expected=str(u.shape), got=str(w.shape))
    line = broken_line(step, y, 3, least)
    knots, slopes = _bootstrap(u, y, line, rng, draws, least)
    t = np.expm1(u)
    breaks = tuple(_place(t, at, np.expm1(k), draws) for at, k in zip(line.breaks, knots.T, strict=True))
    ends = [t[0], *line.breaks, t[-1]]
    found = []
    for j, (a, b) in enumerate(pairwise(ends)):
        rate = {
            name: _slope(float(line.slopes[j, i]), slopes[:, j, i], len(u)) for i, name in enumerate(names)
        }
        found.append(Phase(float(a), float(b), _name(rate, w[(t >= a - 0.5) & (t <= b + 0.5)], w[0]), rate))
    return Phases(breaks, tuple(found), line.bic)


def _bootstrap(
    u: Floats, y: Floats, line: Broken, rng: np.random.Generator, draws: int, least: int
) -> tuple[Floats, Floats]:
    """Knots (draws, k) and slopes (draws, k + 1, S) of replicates, breaks searched anew in each."""
    n, k = len(u), len(line.knots)
    used = 2 + k + k / y.shape[1]  # numbers fitted per series, the shared places divided among them
    residual = (y - line.fitted) * math.sqrt(n / max(n - used, 1))
    rows = rng.integers(n, size=(draws, n))
    again = line.fitted[:, :, None] + np.moveaxis(residual[rows], 0, 2)
    knots, _ = search(u, again, k, places_of(u), least)
    lines = [line_at(u, again[:, :, r], knots[r], line.bic) for r in range(draws)]
    return knots, np.array([v.slopes for v in lines])


def _slope(value: float, drawn: Floats, n: int) -> Estimate:
    low, high = (float(q) for q in np.quantile(drawn, (0.05, 0.95)))
    return Estimate(value, low, high, n, method="slope per unit of log(1 + step), residual bootstrap")


def _place(t: Floats, at: float, drawn: Floats, draws: int) -> Estimate:
    low, high = np.quantile(drawn, (0.05, 0.95))
    i = int(np.clip(np.searchsorted(t, at), 1, len(t) - 1))
    return Estimate(
        float(at),
        float(min(low, t[i - 1])),
        float(max(high, t[i])),
        n=len(t),
        method=f"broken line, residual bootstrap of {draws}, at least to the neighbouring steps",
    )


def _name(rate: Mapping[str, Estimate], size: Floats, first: float) -> str:
    cv, large = rate["cv"], rate["large"]
    if cv.low <= 0 <= cv.high and size.size and (np.abs(size / first - 1) <= 0.1 + 1e-9).all():
        return "pressurisation"
    if large.low > 0:
        return "breakthrough"
    if large.high < 0 and cv.low > 0:
        return "reorganisation"
    return "unnamed"


def relaxation(step: ArrayLike, start: float, terminal: ArrayLike, rate: ArrayLike) -> Floats:
    r"""Mean size of weights that AdamW lets relax: the null of the late phase.

    .. math:: \dot m = r(t)\,(m_\infty(t) - m), \qquad r = \eta\lambda = 1/\tau

    eta learning rate, lambda weight decay, r per step; for constants
    :math:`m_\infty + (m_0 - m_\infty) e^{-t/\tau}`. With schedules, shape (n,), each interval takes the mean
    of both ends. The terminal size is an input; ding2026weibull reports a Weibull scale of
    :math:`0.087\sqrt{\eta/\lambda}` over five models. That sizes relax linearly is a reconstruction [R].

    Parameters
    ----------
    step : array_like, shape (n,)
        Increasing.
    start : float
        Size at the first step.
    terminal, rate : array_like
        Terminal size and rate, scalars or one per step.

    Raises
    ------
    InputError
        Steps that do not increase, negative sizes or rates, lengths that differ.
    """
    t, m0 = numbers(step, "step", 0.0), float(numbers(start, "start", 0.0))
    if t.ndim != 1 or (np.diff(t) <= 0).any():
        raise InputError("steps must increase", got=f"shape {t.shape}")
    both = [numbers(v, name, 0.0) for v, name in ((terminal, "terminal"), (rate, "rate"))]
    if any(v.shape not in ((), t.shape) for v in both):
        raise InputError("a schedule has one value per step", expected=str(t.shape), got=str(both[0].shape))
    goal, r = (np.broadcast_to(v, t.shape) for v in both)
    out = np.empty_like(t)
    out[0] = m0
    for i in range(1, len(t)):
        keep = math.exp(-(r[i] + r[i - 1]) / 2 * (t[i] - t[i - 1]))
        out[i] = keep * out[i - 1] + (1 - keep) * (goal[i] + goal[i - 1]) / 2
    return out


def fit_terminal(step: ArrayLike, size: ArrayLike, tau: float) -> tuple[float, float]:
    r"""Terminal size of a relaxation from the first observation on, at a given tau, and its r.m.s. error.

    The curve is linear in the terminal size, so least squares is closed:
    :math:`m_\infty = \sum (m - m_0 e) (1 - e) / \sum (1 - e)^2`, :math:`e = \exp(-(t - t_0)/\tau)`.
    A negative terminal size says that the sizes fall faster than decay alone could make them.

    Raises
    ------
    InputError
        Fewer than three observations, steps that do not increase, tau not positive.
    """
    t, m = numbers(step, "step", 0.0), numbers(size, "size", 0.0)
    if t.ndim != 1 or t.shape != m.shape or len(t) < 3 or (np.diff(t) <= 0).any():
        raise InputError(
            "sizes at increasing steps", expected="3 or more, one per step", got=f"{t.shape}, {m.shape}"
        )
    e = np.exp(-(t - t[0]) / positive(tau, "tau"))
    goal = float(((m - m[0] * e) @ (1 - e)) / ((1 - e) @ (1 - e)))
    error = m - (m[0] * e + goal * (1 - e))
    return goal, float(np.sqrt((error[1:] ** 2).mean()))
