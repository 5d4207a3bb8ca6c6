r"""The B-layer with a likelihood: which of its constants do scores of models determine?

.. math::

    y_m = f + (1-f)\,F\!\left(\left(\frac{\rho-\rho_c}{\rho_c}\right)_+^{\beta}\right) + \varepsilon_m, \qquad
    \rho = N_B e^{-\alpha\sigma}, \quad \rho_c = k\sigma^{\delta}

y score in [0, 1], f chance level, F(x) = 1 - exp(-x) ("saturating") or 2/(1 + exp(-x)) - 1 ("logistic"),
errors normal and alike. The published fit ranks (`fit`); this is a reconstruction [R] that can be wrong in a
measurable way. Per constant c the profile RSS(c), minimised over the others, gives the interval

.. math:: (n-p)\,(\mathrm{RSS}(c)/\mathrm{RSS}_{min} - 1) \le p\,F_{p,n-p}^{-1}(level)

over n models and p = 4 constants: the shadow of the joint region, since intervals of one constant at a time
hold too seldom here (a threshold makes the problem irregular). At 90 % the region held the truth in 53 of 60
planted tables. A profile that does not close inside `RANGES`, or closes only because another constant is held
by the end of its range, says nothing: the estimate then has a status and no value. One score per model: a
hierarchy over capabilities is not here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, differential_evolution, least_squares, minimize
from scipy.stats import f as fisher

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.theory.npm.blayer import Constants, critical_density, density
from opalesce.theory.npm.fit import Models

Floats = NDArray[np.float64]
Link = Literal["saturating", "logistic"]
NAMES = ("alpha", "beta", "delta", "k")
RANGES = ((0.01, 10.0), (0.01, 3.0), (0.01, 10.0), (0.01, 300.0))
GRID = 21


@dataclass(frozen=True)
class Fitted:
    """A fit by likelihood.

    `estimates` by name, without a value where the profile is flat; `best` the constants at the optimum, for
    curves only; `rms` in units of the score; `correlation` of the logs of the constants, shape (4, 4), NaN
    where the curvature is singular; `profiles` by name: values, shape (GRID,), and RSS / least RSS.
    """

    estimates: Mapping[str, Estimate]
    best: Constants
    rms: float
    correlation: Floats
    profiles: Mapping[str, tuple[Floats, Floats]]


def expected_score(models: Models, c: Constants, floor: float = 0.25, link: Link = "saturating") -> Floats:
    """Score that the model gives to each network, shape (n,); `floor` is the chance level.

    Raises
    ------
    InputError
        A floor outside [0, 1), another link.
    """
    if not 0 <= floor < 1:
        raise InputError("the chance level is out of range", expected="0 <= floor < 1", got=repr(floor))
    if link not in ("saturating", "logistic"):
        raise InputError("no such link", expected="saturating or logistic", got=repr(link))
    excess = density(models.tokens, models.breadth, c) / critical_density(models.breadth, c=c) - 1
    x = np.where(excess > 0, np.maximum(excess, 1e-300) ** c.beta, 0.0)
    rise = -np.expm1(-x) if link == "saturating" else np.tanh(x / 2)
    return np.asarray(floor + (1 - floor) * rise)


def fit_scores(
    models: Models,
    rng: np.random.Generator,
    floor: float = 0.25,
    link: Link = "saturating",
    level: float = 0.9,
    starts: int = 24,
) -> Fitted:
    """Fit the constants to the scores and profile each.

    Parameters
    ----------
    models : Models
        Scores in [0, 1]; six or more.
    rng : numpy.random.Generator
        Of the starts.
    floor, link, level, starts
        Chance level, shape of F, confidence level, random starts.

    Raises
    ------
    InputError
        Scores outside [0, 1], fewer than six models, a level outside (0, 1); as `expected_score`.
    """
    check(models, level)
    low, high = np.log(np.array(RANGES)).T
    residual = residual_of(models, floor, link)
    rss, at = minimise(residual, rng.uniform(low, high, (starts, 4)), low, high)
    rss, at = _evolve(residual, at, low, high, rng)
    profiles = {}
    for j, name in enumerate(NAMES):
        profiles[name], rss, at = _profile(residual, j, at, rss, low, high, rng)
    n = len(models.score)
    limit = 1 + 4 * float(fisher.ppf(level, 4, n - 4)) / (n - 4)
    ratios = {name: (np.exp(v), r / max(rss, 1e-300)) for name, (v, r, _) in profiles.items()}
    found = {}
    for j, name in enumerate(NAMES):
        values, ratio = ratios[name]
        leans = bool(profiles[name][2][ratio <= limit].any())
        found[name] = _read(name, float(np.exp(at[j])), values, ratio, leans, limit, n, level)
    best = Constants(*(float(v) for v in np.exp(at)))
    return Fitted(found, best, math.sqrt(rss / n), _correlation(residual, at), ratios)


def check(models: Models, level: float) -> None:
    """Raise InputError where scores cannot be fitted."""
    if len(models.score) < 6:
        raise InputError(
            "too few models for four constants", expected="6 or more", got=str(len(models.score))
        )
    if models.score.min() < 0 or models.score.max() > 1:
        raise InputError(
            "scores are not shares",
            expected="0 to 1",
            got=f"{models.score.min():g} to {models.score.max():g}",
            fix="divide percentages by 100",
        )
    if not 0 < level < 1:
        raise InputError("the level is out of range", expected="0 < level < 1", got=repr(level))


def residual_of(models: Models, floor: float, link: Link) -> Callable[[Floats], Floats]:
    """Expected minus seen scores as a function of the logs of the constants, shape (4,)."""
    return lambda v: expected_score(models, Constants(*np.exp(v)), floor, link) - models.score


def minimise(
    residual: Callable[[Floats], Floats], starts: Floats, low: Floats, high: Floats
) -> tuple[float, Floats]:
    """Least squares from each start, then a simplex from the best.

    The sum of squares has a kink wherever a model crosses its threshold, where slopes mislead; the simplex
    needs none.
    """

    def rss(v: Floats) -> float:
        r = residual(np.clip(v, low, high))
        return float(r @ r)

    ends = [np.asarray(least_squares(residual, start, bounds=(low, high), max_nfev=60).x) for start in starts]
    at = min(ends, key=rss)
    for _ in range(2):
        found = minimize(rss, at, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-13})
        if found.fun < rss(at):
            at = np.clip(found.x, low, high)
    return rss(at), at


def _evolve(
    residual: Callable[[Floats], Floats], at: Floats, low: Floats, high: Floats, rng: np.random.Generator
) -> tuple[float, Floats]:
    """The optimum by differential evolution from `at` on: kinks meet in corners, where a simplex stalls."""

    def rss(v: Floats) -> float:
        r = residual(v)
        return float(r @ r)

    found = differential_evolution(
        rss,
        Bounds(low, high),
        x0=np.clip(at, low, high),
        seed=rng,
        popsize=10,
        maxiter=200,
        tol=1e-9,
        polish=False,
    )
    return float(found.fun), np.asarray(found.x)


def _profile(
    residual: Callable[[Floats], Floats],
    j: int,
    at: Floats,
    rss: float,
    low: Floats,
    high: Floats,
    rng: np.random.Generator,
) -> tuple[tuple[Floats, Floats, NDArray[np.bool_]], float, Floats]:
    """Profile of constant j from its optimum outwards, each point started at its neighbour and at random.

    With each point comes whether another constant sat at the end of its range. A better optimum met on the
    way replaces the old one.
    """
    values = np.union1d(np.linspace(low[j], high[j], GRID - 1), at[j])
    out, held = np.full(len(values), np.inf), np.zeros(len(values), bool)
    rest = [i for i in range(4) if i != j]
    middle = int(np.searchsorted(values, at[j]))
    for side in (range(middle, len(values)), range(middle, -1, -1)):
        last = at[rest]
        for i in side:

            def inner(w: Floats, fixed: float = float(values[i])) -> Floats:
                return residual(np.insert(w, j, fixed))

            tries = np.vstack([last, at[rest], rng.uniform(low[rest], high[rest], (3, 3))])
            out[i], last = minimise(inner, tries, low[rest], high[rest])
            held[i] = (np.minimum(last - low[rest], high[rest] - last) < 1e-3).any()
            if out[i] < rss:
                rss, at = float(out[i]), np.insert(last, j, values[i])
    return (values, out, held), rss, at


def _read(
    name: str,
    best: float,
    values: Floats,
    ratio: Floats,
    leans: bool,
    limit: float,
    n: int,
    level: float,
) -> Estimate:
    """Interval where the profile stays below the limit; no value when a range and not the data closes it."""
    inside = np.flatnonzero(ratio <= limit)
    first, last = int(inside[0]), int(inside[-1])
    low = values[0] if first == 0 else _crossing(values, ratio, first - 1, limit)
    high = values[-1] if last == len(values) - 1 else _crossing(values, ratio, last, limit)
    why = ""
    if first == 0 or last == len(values) - 1:
        why = f"its profile does not close within {values[0]:g} to {values[-1]:g}"
    elif leans:
        why = "its profile closes only where another constant is at the end of its range"
    text = f"{name} is not determined: {why}; bring models of other breadth, or fix it" if why else ""
    value = math.nan if why else best
    return Estimate(value, float(low), float(high), n, text, "profile likelihood", level)


def _crossing(values: Floats, ratio: Floats, i: int, limit: float) -> float:
    """Where the profile crosses the limit between grid points i and i + 1, linear in the logarithm."""
    a, b = ratio[i], ratio[i + 1]
    share = (limit - a) / (b - a)
    return float(values[i] * (values[i + 1] / values[i]) ** share)


def _correlation(residual: Callable[[Floats], Floats], at: Floats) -> Floats:
    step = 1e-5
    jac = np.column_stack([(residual(at + d) - residual(at - d)) / (2 * step) for d in step * np.eye(4)])
    left, size, _ = np.linalg.svd(jac.T @ jac, hermitian=True)
    if size[-1] <= 1e-12 * size[0]:
        return np.full((4, 4), np.nan)
    cov = (left / size) @ left.T
    sd = np.sqrt(np.diag(cov))
    return np.asarray(cov / np.outer(sd, sd))
