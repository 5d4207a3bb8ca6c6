r"""The published fit of the B-layer to 14 models, with its baselines and what it cannot identify.

Minimised is :math:`-r_s(C, score) + 200\,(s - s_0)^2`: Spearman's correlation, and a penalty that holds the
slope s of :math:`\log_{10} C` on :math:`\log_{10} N` at breadth 0.75 to a target. So the slope that comes
out is
the one put in. The paper takes 0.076, which is the exponent of parameters; tokens have 0.095
(kaplan2020scaling), the default here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import differential_evolution, minimize
from scipy.stats import rankdata

from opalesce.errors import InputError
from opalesce.theory.checks import numbers
from opalesce.theory.npm.blayer import PUBLISHED, Constants, Form, capability, critical_density, density

Floats = NDArray[np.float64]
BOUNDS: Any = ((0.3, 4.0), (0.01, 0.5), (0.3, 3.0), (0.5, 100.0))  # alpha, beta, delta, k
STARTS: Any = (
    (1.5, 1.4, 1.0, 10.0),
    (0.57, 0.068, 2.76, 68.5),
    (0.8, 0.07, 0.7, 26.0),
    (1.0, 0.1, 1.5, 20.0),
)
SLOPE_TOKENS = 1e9 * np.array([10, 30, 100, 300, 1000, 3000, 10000], float)
SLOPE_BREADTH = 0.75
_TINY = float(np.nextafter(0, 1))


@dataclass(frozen=True)
class Models:
    """A table: `tokens` and `params` as counts, `breadth` in (0, 1], `score` of any unit; shape (n,)."""

    names: tuple[str, ...]
    tokens: Floats
    breadth: Floats
    params: Floats
    score: Floats

    @classmethod
    def of(
        cls, names: ArrayLike, tokens: ArrayLike, breadth: ArrayLike, params: ArrayLike, score: ArrayLike
    ) -> Models:
        """Checked columns.

        Raises
        ------
        InputError
            Fewer than five models, lengths that differ, numbers out of range.
        """
        label = tuple(str(n) for n in np.asarray(names).ravel())
        columns = [
            numbers(tokens, "tokens", _TINY).ravel(),
            numbers(breadth, "breadth", _TINY).ravel(),
            numbers(params, "params", _TINY).ravel(),
            numbers(score, "score").ravel(),
        ]
        sizes = {len(label), *(c.size for c in columns)}
        if len(sizes) != 1 or len(label) < 5:
            raise InputError(
                "no table of models", expected="5 or more, equal lengths", got=str(sorted(sizes))
            )
        if columns[1].max() > 1:
            raise InputError(
                "breadth is out of range", expected="0 < breadth <= 1", got=f"{columns[1].max():g}"
            )
        return cls(label, *columns)

    def capability(self, c: Constants = PUBLISHED, form: Form = "raw") -> Floats:
        """Capability of each model, by default in the raw form that was fitted."""
        return capability(
            density(self.tokens, self.breadth, c), critical_density(self.breadth, c=c), c.beta, form
        )

    def connectivity(self, c: Constants = PUBLISHED) -> Floats:
        """Connectivity number of each model."""
        return density(self.tokens, self.breadth, c) / critical_density(self.breadth, c=c)


@dataclass(frozen=True)
class Fit:
    """Constants with what is testable of them: the rank correlation and the slope of log C on log tokens."""

    constants: Constants
    spearman: float
    slope: float
    target_slope: float


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation, ties averaged; NaN when either is constant.

    Raises
    ------
    InputError
        Lengths that differ, numbers that are not finite.
    """
    x, y = rankdata(numbers(a, "a")), rankdata(numbers(b, "b"))
    if x.size != y.size:
        raise InputError("two samples of one length", got=f"{x.size} and {y.size}")
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm > 0 else float("nan")


def slope(c: Constants, form: Form = "raw") -> float:
    """Least-squares slope of log C on log tokens at breadth 0.75, 1e10 to 1e13 tokens; NaN below 3 points."""
    value = capability(
        density(SLOPE_TOKENS, SLOPE_BREADTH, c), critical_density(SLOPE_BREADTH, c=c), c.beta, form
    )
    on = value > 0
    if on.sum() < 3:
        return float("nan")
    x = np.log(SLOPE_TOKENS[on])
    x -= x.mean()
    return float(x @ np.log(value[on]) / (x @ x))


def objective(v: ArrayLike, models: Models, target: float) -> float:
    """The published objective at v = (alpha, beta, delta, k), with its penalties for silent thresholds."""
    a, b, d, k = (float(x) for x in np.asarray(v))
    if not (0 < a < 50 and 0 < b < 50 and 0 < d < 50 and k > 0):
        return 10.0
    c = Constants(a, b, d, k)
    value = models.capability(c)
    active = float(np.mean(value > 0))
    if active == 0 or len(np.unique(value)) < 3:
        return 10.0
    if active < 0.5:
        return 10.0 - active
    s = slope(c)
    return -spearman(value, models.score) + (5.0 if np.isnan(s) else 200.0 * (s - target) ** 2)


def fit(models: Models, target_slope: float = 0.095, seed: int = 42, popsize: int = 30) -> Fit:
    """Fit the B-layer as published: differential evolution, then Nelder-Mead from four starts.

    Parameters
    ----------
    models : Models
    target_slope : float
        0.095 for tokens; 0.076 reproduces the paper.
    seed, popsize : int
        Of the differential evolution.

    Returns
    -------
    Fit
        Only `spearman` and `slope` are determined by the data; the constants depend on the optimiser.
    """
    found: Any = differential_evolution(
        objective, BOUNDS, args=(models, target_slope), seed=seed, maxiter=2000, tol=1e-10, popsize=popsize
    )
    search: Any = minimize
    best, at = float(found.fun), np.asarray(found.x)
    options = {"xatol": 1e-8, "fatol": 1e-10, "maxiter": 50_000}
    for start in (tuple(at), *STARTS[:3]):
        more = search(
            objective, np.asarray(start), args=(models, target_slope), method="Nelder-Mead", options=options
        )
        if more.fun < best:
            best, at = float(more.fun), np.asarray(more.x)
    c = Constants(*(float(x) for x in at))
    return Fit(c, spearman(models.capability(c), models.score), slope(c), target_slope)


def baselines(models: Models, c: Constants = PUBLISHED) -> dict[str, float]:
    """Rank correlation with the score of tokens, parameters, their product, C_n and the capability."""
    columns = {
        "tokens": models.tokens,
        "params": models.params,
        "tokens x params": models.tokens * models.params,
        "C_n": models.connectivity(c),
        "capability": models.capability(c),
    }
    return {name: spearman(x, models.score) for name, x in columns.items()}


def chance(models: Models, rng: np.random.Generator, draws: int = 20_000, level: float = 0.95) -> float:
    """Quantile of the absolute rank correlation of the capability with shuffled scores."""
    x = rankdata(models.capability())
    y = rankdata(models.score)
    x, y = x - x.mean(), y - y.mean()
    r = rng.permuted(np.tile(y, (draws, 1)), axis=1) @ x / np.sqrt((x @ x) * (y @ y))
    return float(np.quantile(np.abs(r), level))


def identifiability(models: Models, points: int = 20) -> tuple[float, float]:
    """Best rank correlation on a grid of (alpha, delta, k), and the share of the grid that attains it.

    beta is left out: the capability is monotone in it, so no rank depends on it. Points where fewer than
    half of the models are above their threshold do not count.

    Returns
    -------
    best, share : float
        A share far from 0 means that the constants cannot be read off the ranks.
    """
    axes = [np.linspace(low, high, points) for low, high in (BOUNDS[0], BOUNDS[2], BOUNDS[3])]
    found = []
    for a in axes[0]:
        for d in axes[1]:
            for k in axes[2]:
                value = models.capability(Constants(float(a), 0.1, float(d), float(k)))
                if np.mean(value > 0) >= 0.5 and len(np.unique(value)) >= 3:
                    found.append(spearman(value, models.score))
    if not found:
        raise InputError(
            "no point of the grid has half of the models above threshold", expected="more tokens"
        )
    r = np.array(found)
    return float(r.max()), float(np.mean(r > r.max() - 1e-9))
