"""`fit`: a law with every optimum found, an interval for each parameter and predictions with their noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from opalesce.cite import bibtex
from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.laws.breaks import choose
from opalesce.laws.catalogue import form
from opalesce.laws.data import Points, numbers, points
from opalesce.laws.descent import Optimum, search
from opalesce.laws.forms import Floats, Form
from opalesce.laws.sensitivity import sensitivity
from opalesce.laws.spread import profile, resample

DRAWS = 200
CHINCHILLA_DELTA = 1e-3  # hoffmann2022training, Appendix D.2


@dataclass(frozen=True)
class Prediction:
    """Median and interval of a new observation of y at each new x (noise of a run included)."""

    median: Floats
    lower: Floats
    upper: Floats
    level: float


@dataclass(frozen=True)
class Fit:
    """A law and what the data say about its parameters.

    Attributes
    ----------
    law : Form
        The law, with its formula, names and source.
    params : dict of str to float
        Parameters at the best optimum, in the units of the data.
    intervals : dict of str to Estimate
        Each parameter with its interval. An interval that does not close has an infinite end, and says so
        in its status.
    optima : list of dict
        Every distinct optimum within 10 % of the best objective, best first: params, objective, gradient.
    diagnostics : dict
        n, runs, objective, delta, gradient, rmse (of ln y), r2, duplicates, breaks (how their number was
        chosen), at_bound, method of the intervals, notes.
    """

    law: Form
    params: dict[str, float]
    intervals: dict[str, Estimate]
    optima: list[dict[str, Any]]
    diagnostics: dict[str, Any]
    data: Points = field(repr=False)
    theta: Floats = field(repr=False)
    draws: Floats = field(repr=False)
    noise: Floats = field(repr=False)
    ends: list[Optimum] = field(repr=False)
    seed: int = 0

    @cached_property
    def sensitivity(self) -> list[dict[str, Any]]:
        """What the parameters would be without the worst points, without the smallest x, and with Huber's
        delta over four decades: one row a choice, with `change`, `n` and `params`. Refitted when asked for.
        """
        u = self.data.u - self.data.centre[:, None]
        return sensitivity(self.law, self.data, u, self.ends, self.diagnostics["delta"])

    def log_predict(self, x: Any, theta: Floats | None = None) -> Floats:
        """ln y (S, m) at new x for internal parameters (S, P); by default the best optimum."""
        u = columns(self.law, x) - self.data.centre[:, None]
        return self.law.log_value(self.theta[None] if theta is None else theta, u)[0]

    def predict(self, x: Any, level: float = 0.9) -> Prediction:
        """Median and central interval of a new observation at x, from resampled parameters and residuals.

        Raises
        ------
        InputError
            x that is not positive and finite, or a level outside (0, 1).
        """
        check_level(level)
        rng = np.random.default_rng([self.seed, 1])
        paths = self.log_predict(x, self.draws)
        many = np.repeat(paths, 10, axis=0)
        many = many + rng.choice(self.noise, size=many.shape)
        low, high = np.exp(np.quantile(many, [(1 - level) / 2, (1 + level) / 2], axis=0))
        middle = np.exp(self.log_predict(x)[0])
        return Prediction(middle, np.minimum(low, middle), np.maximum(high, middle), level)

    def cite(self) -> str:
        """BibTeX of the law and of the method."""
        return bibtex(self.law.cites)


def columns(law: Form, x: Any) -> Floats:
    """Logs (k, m) of new inputs."""
    if len(law.inputs) == 1 and not hasattr(x, "keys"):
        return np.log(np.atleast_2d(numbers(np.atleast_1d(x), "x")))
    missing = [k for k in law.inputs if not hasattr(x, "keys") or k not in x]
    if missing:
        raise InputError("the law needs other inputs", expected=", ".join(law.inputs), got=type(x).__name__)
    return np.log(np.stack([numbers(np.atleast_1d(x[k]), k) for k in law.inputs]))


def check_level(level: float) -> None:
    """Refuse a confidence level outside (0, 1)."""
    if not 0 < level < 1:
        raise InputError("a confidence level", expected="between 0 and 1", got=str(level))


def fit(
    law: str | Form,
    x: Any,
    y: Any,
    *,
    n_breaks: int | str = "auto",
    groups: Any = None,
    level: float = 0.9,
    seed: int = 0,
    delta: float | None = None,
    draws: int = DRAWS,
    starts: Floats | None = None,
) -> Fit:
    r"""Fit a law in ln y.

    Minimises :math:`\sum_i H_\delta(\ln y_i - \ln f(x_i; \theta))` from many structured starts.

    Parameters
    ----------
    law : str or Form
        "power" (with an offset; "M2" is the same), "M1" (without), "M3", "M4", "threshold", "broken",
        "kaplan".
    x, y : array_like
        Positive finite data (n,); for laws of several inputs x is a mapping, `{"N": ..., "D": ...}`.
        Order does not matter.
    n_breaks : int or "auto"
        Breaks of the broken law. "auto" takes 0, 1 or 2 by errors on held-out tails inside the data
        (`laws.breaks.choose`), since information criteria made extrapolation worse.
    groups : array_like, optional
        The run of each point. With groups, intervals come from a bootstrap over runs. Without, each point
        counts as a run of its own, and `diagnostics["notes"]` says so.
    level : float
        Confidence level of the intervals.
    seed : int
        Seed of the bootstrap.
    delta : float, optional
        Huber's delta, in ln y; by default 1e-3 for chinchilla (its stated objective), else infinity
        (least squares).
    draws : int
        Resamples; 0 leaves intervals and bands out.
    starts : array_like, optional
        Starting points (S, P) in the law's internal parameters, instead of its own.

    Returns
    -------
    Fit

    Raises
    ------
    InputError
        Data that cannot be fitted (text, NaN, not positive, constant, fewer points than parameters), an
        unknown law, or settings out of range.
    """
    check_level(level)
    if delta is not None and not delta > 0:
        raise InputError("Huber's delta", expected="a positive number", got=str(delta))
    if not isinstance(n_breaks, int) and n_breaks != "auto":
        raise InputError("a number of breaks", expected="0, 1, 2, 3 or 'auto'", got=repr(n_breaks))
    first = law if isinstance(law, Form) else form(law, n_breaks if isinstance(n_breaks, int) else 1)
    data = points(first.inputs, x, y, groups)
    chosen: dict[str, Any] = {}
    if law == "broken" and n_breaks == "auto":
        breaks, chosen = choose(data)
        first = form("broken", breaks)
    size, n = len(first.names), len(data.v)
    if n < size:
        raise InputError(
            f"fewer points than the {size} parameters of this law",
            expected=f"{size} or more",
            got=str(n),
            fix="a simpler law ('power', 'M1'), or fewer breaks",
        )
    d = delta if delta is not None else (CHINCHILLA_DELTA if first.key == "chinchilla" else np.inf)
    centre = data.centre
    u = data.u - centre[:, None]
    ends = search(first, u, data.v, delta=d, starts=starts)
    return _report(first, data, u, ends, d, level, seed, draws, chosen)


def _report(
    law: Form, data: Points, u: Floats, ends: list[Optimum], delta: float, level: float, seed: int,
    draws: int, chosen: dict[str, Any],
) -> Fit:  # fmt: skip
    best, n, size = ends[0], len(data.v), len(law.names)
    centre = data.centre
    residual = data.v - law.log_value(best.theta[None], u)[0][0]
    noise = residual * np.sqrt(n / max(n - size, 1))
    params = dict(zip(law.names, law.natural(best.theta[None], centre)[0].tolist(), strict=True))
    notes = []
    if not data.grouped:
        notes.append(
            "no groups given: each point counts as an independent run; checkpoints of one run are not"
        )
    if data.duplicates:
        notes.append(
            f"{data.duplicates} rows repeat another exactly; they count twice, and intervals are too narrow"
        )
    if n - size < 2:
        notes.append(f"{n} points for {size} parameters: the residuals say nothing about the noise")
    thetas = best.theta[None]
    intervals = {
        k: Estimate(p, n=n, level=level, status="no interval was asked for") for k, p in params.items()
    }
    method = "none"
    if draws:
        thetas = resample(law, data, u, ends, delta, np.random.default_rng([seed, 0]), draws)
        values = law.natural(thetas, centre)
        runs = int(data.groups.max()) + 1
        method = f"bootstrap over {runs} {'runs' if data.grouped else 'points'}, {draws} resamples"
        ends_of = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
        intervals = {
            k: Estimate(p, min(float(lo), p), max(float(hi), p), n, method=method, level=level)
            for (k, p), lo, hi in zip(params.items(), *ends_of, strict=True)
        }
        if not data.grouped and delta == np.inf and n > size + 1:
            intervals |= profile(law, data, u, ends, level)
    low, high = law.bounds(u, data.v)
    tight = [k for k, t, a, b in zip(law.names, best.theta, low, high, strict=True) if t <= a or t >= b]
    total = float(((data.v - data.v.mean()) ** 2).sum())
    diagnostics = {
        "n": n,
        "runs": int(data.groups.max()) + 1 if data.grouped else None,
        "objective": best.objective,
        "delta": delta,
        "gradient": best.gradient,
        "rmse": float(np.sqrt((residual**2).mean())),
        "r2": 1.0 - float((residual**2).sum()) / total,
        "duplicates": data.duplicates,
        "breaks": chosen,
        "at_bound": tight,
        "intervals": method,
        "notes": notes,
    }
    optima = [
        {
            "params": dict(zip(law.names, law.natural(o.theta[None], centre)[0].tolist(), strict=True)),
            "objective": o.objective,
            "gradient": o.gradient,
        }
        for o in ends
    ]
    return Fit(law, params, intervals, optima, diagnostics, data, best.theta, thetas, noise, ends, seed)
