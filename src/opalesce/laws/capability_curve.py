"""Accuracy against scale with the noise of counts: where it rises, how wide, and whether it is a step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.laws.capability_shapes import Curve, width
from opalesce.laws.data import numbers
from opalesce.laws.fit import Prediction, check_level
from opalesce.laws.forms import Floats
from opalesce.laws.likelihood import RHO, counts_of, labels_of, simulate
from opalesce.laws.spread import interval

SIZE = 0.05  # of the test that chooses beta-binomial counts


@dataclass(frozen=True)
class Comparison:
    """A curve against a simpler one.

    `difference` of the log-likelihoods (curve minus `against`), its p-value by a parametric bootstrap under
    `against`, and the differences of the simulated curves `null` (draws,).
    """

    against: str
    difference: float
    p: float
    null: Floats = field(repr=False)


@dataclass(frozen=True)
class CapabilityCurve:
    """A rate of success as a function of x.

    Attributes
    ----------
    params : dict of str to float
        x_c (unit of x), w (nats of x) or k = 1/w, chance, top.
    intervals : dict of str to Estimate
        The fitted ones of them.
    width : Estimate
        Decades of x from 10 to 90 % of the step.
    overdispersion : Estimate
        rho of the beta-binomial; zero, without interval, for binomial counts.
    log_likelihood, aic : float
        At the best optimum, constants of the counts included.
    likelihood : str
        binomial or beta-binomial; `dispersion_p` is the p-value of rho = 0 (NaN where it was not tested).
    resolution : float
        1 / n of the smallest test: a rate cannot be told from zero below it.
    """

    shape: str
    params: dict[str, float]
    intervals: dict[str, Estimate]
    width: Estimate
    overdispersion: Estimate
    log_likelihood: float
    aic: float
    likelihood: str
    dispersion_p: float
    resolution: float
    level: float
    curve: Curve = field(repr=False)
    theta: Floats = field(repr=False)
    draws: Floats = field(repr=False)
    data: tuple[Floats, Floats, Floats] = field(repr=False)
    centre: float = field(repr=False)
    seed: int = 0

    def predict(self, x: ArrayLike, level: float | None = None) -> Prediction:
        """Rate of success at x and its band from the resampled curves; the noise of a test is not in it.

        Raises
        ------
        InputError
            x that is not positive and finite, or a level outside (0, 1).
        """
        level = self.level if level is None else level
        check_level(level)
        u = np.log(numbers(np.atleast_1d(x), "x")) - self.centre
        middle = self._rates(self.theta[None], u)[0]
        if not len(self.draws):
            return Prediction(middle, middle * np.nan, middle * np.nan, level)
        low, high = np.quantile(self._rates(self.draws, u), [(1 - level) / 2, (1 + level) / 2], axis=0)
        return Prediction(middle, np.minimum(low, middle), np.maximum(high, middle), level)

    def compare(
        self,
        against: Literal["constant", "smooth"] = "constant",
        *,
        draws: int = 199,
        seed: int | None = None,
    ) -> Comparison:
        r"""Log-likelihood of this curve minus that of a simpler one, and its p-value.

        "constant" is one rate for all x. "smooth" is a product of L token probabilities with a power law,
        :math:`q = c + (1 - c)\,e^{-L (x_0/x)^\alpha}` (schaeffer2023mirage), in which L and x_0 are one
        parameter; chance c is fixed or fitted as in this curve, and the top is 1. Counts are simulated from
        the fitted simpler curve, with its own overdispersion, and both are fitted anew: the place of the step
        is not identified under a constant, and the smooth curve is not nested, so that no chi-squared law
        holds.
        A small p says that the simpler curve does not give such differences. It is not the chance that this
        curve is true. Counts of one run are taken as independent given the curve, with or without groups.

        Raises
        ------
        InputError
            Another name, or fewer than 19 draws.

        Source: cox1962further for models that are not nested.
        """
        if against not in ("constant", "smooth") or draws < 19:
            raise InputError(
                "no such comparison",
                expected="constant or smooth, 19 draws or more",
                got=f"{against!r}, {draws}",
            )
        u, k, n = self.data
        null = Curve(against, self.curve.chance, 1.0, self.curve.beta)
        theta, value = null.fit(u, k[None], n)
        q = np.clip(null.rates(theta[:, : theta.shape[1] - null.beta], u)[0][0], 0, 1)
        rho = _unbiased(float(np.exp(theta[0, -1])), len(n), len(null.names)) if null.beta else 0.0
        rng = np.random.default_rng([self.seed if seed is None else seed, 2])
        counts = simulate(n, np.clip(q, 1e-9, 1 - 1e-9), rho, rng, draws)
        simulated = self.curve.fit(u, counts, n)[1] - null.fit(u, counts, n)[1]
        difference = self.log_likelihood - float(value[0])
        # equal up to the tolerance of the fits counts as equal: curves without any success tie
        p = (1 + int((simulated >= difference - 1e-5).sum())) / (1 + draws)
        return Comparison(against, difference, p, simulated)

    def _rates(self, theta: Floats, u: Floats) -> Floats:
        return self.curve.rates(theta[:, : theta.shape[1] - self.curve.beta], u)[0]


def capability_curve(
    x: ArrayLike, successes: ArrayLike, trials: ArrayLike, *, shape: str = "logistic",
    chance: float | None = 0.0, top: float | None = None, likelihood: str = "binomial", groups: Any = None,
    level: float = 0.9, seed: int = 0, draws: int = 200,
) -> CapabilityCurve:  # fmt: skip
    r"""Fit a rising rate of success by maximum likelihood of its counts.

    .. math:: k_i \sim \mathrm{Bin}(n_i, q(x_i)),\qquad q(x) = c + (t - c)\,s(x)

    with chance c, top t and s one of: logistic :math:`S((\ln x - \ln x_c)/w)`; hill
    :math:`x^k/(x^k + x_c^k)`, the same curve with k = 1/w; weibull :math:`1 - e^{-(x/x_c)^k}`. The curve
    rises: fit an error rate as successes = trials - errors.

    Parameters
    ----------
    x : array_like (n,)
        Scale, positive: compute, parameters, tokens, steps.
    successes, trials : array_like (n,)
        Whole numbers, 0 <= successes <= trials.
    shape : {"logistic", "weibull", "hill"}
    chance, top : float or None
        Rates far below and far above the step; None fits them.
    likelihood : {"binomial", "beta-binomial", "auto"}
        Beta-binomial counts share one overdispersion rho: their variance is 1 + (n - 1) rho times that of
        binomial ones. "auto" takes them when they win by a likelihood ratio at 5 %, with its boundary law
        :math:`\frac12\chi^2_0 + \frac12\chi^2_1` (self1987asymptotic).
    groups : array_like (n,), optional
        The run of each point. Then intervals come from a bootstrap over runs; without, from counts simulated
        around the fitted curve.
    level, seed, draws
        Of the intervals. Their counts are simulated with rho times m/(m - P), for m points and P parameters:
        the maximum of the likelihood is too small by about that. The interval of rho is that of the ratio
        of simulated to fitted values.

    Raises
    ------
    InputError
        Counts that are no counts, fewer different x than four or than parameters, chance and top out of
        order, unknown names, beta-binomial counts of one trial each, or fewer than two groups.

    Source: reconstruction; the curve of wei2022emergent read as counts. No published code fits it.
    """
    check_level(level)
    if shape not in ("logistic", "weibull", "hill"):
        raise InputError("no such shape", expected="logistic, weibull or hill", got=repr(shape))
    if likelihood not in ("binomial", "beta-binomial", "auto"):
        raise InputError(
            "no such likelihood", expected="binomial, beta-binomial or auto", got=repr(likelihood)
        )
    if not 0 <= (0.0 if chance is None else chance) < (1.0 if top is None else top) <= 1:
        raise InputError("chance and top", expected="0 <= chance < top <= 1", got=f"{chance}, {top}")
    v, k, n = counts_of(x, successes, trials)
    curve = Curve(shape, chance, top, likelihood == "beta-binomial")
    need = max(4, len(curve.names))
    if len(np.unique(v)) < need:
        got = str(len(np.unique(v)))
        raise InputError("too few different x for this curve", expected=f"{need} or more", got=got)
    if n.max() < 2 and likelihood == "beta-binomial":
        raise InputError(
            "one trial a point tells nothing of overdispersion", expected="two trials or more", got="1",
            fix="likelihood='binomial'",
        )  # fmt: skip
    labels = labels_of(groups, len(v))
    centre = float(np.log(v).mean())
    u = np.log(v) - centre
    theta, value = curve.fit(u, k[None], n)
    dispersion_p = np.nan
    if likelihood == "auto" and n.max() > 1:
        wide = Curve(shape, chance, top, True)
        other, higher = wide.fit(u, k[None], n)
        ratio = max(2 * float(higher[0] - value[0]), 0.0)
        dispersion_p = float(chi2.sf(ratio, 1)) / 2 if ratio > 0 else 1.0
        if dispersion_p < SIZE:
            curve, theta, value = wide, other, higher
    rng = np.random.default_rng([seed, 1])
    rho = float(np.exp(theta[0, -1])) if curve.beta else 0.0
    full = _unbiased(rho, len(v), len(curve.names))
    many = np.empty((0, theta.shape[1]))
    if draws > 0 and labels is None:
        q = np.clip(curve.rates(theta[:, : theta.shape[1] - curve.beta], u)[0][0], 0, 1)
        counts = simulate(n, np.clip(q, 1e-9, 1 - 1e-9), full, rng, draws)
        many, _ = curve.fit(u, counts, n, near=theta[0])
    elif draws > 0 and labels is not None:
        runs = int(labels.max()) + 1
        weights = rng.multinomial(runs, np.full(runs, 1 / runs), size=draws)[:, labels].astype(float)
        many, _ = curve.fit(u, np.tile(k, (draws, 1)), n, weights, near=theta[0])
    how = "parametric bootstrap of the counts" if labels is None else "bootstrap over runs"
    names, best, table = _reported(curve, theta, many, centre)
    status = _status(curve, theta[0], u, k, n)
    points = len(v) if labels is None else int(labels.max()) + 1
    found = {a: interval(best[a], table[a], points, level, how, status.get(a, "")) for a in names}
    wide_now = float(width(shape, np.exp(theta[0, 1])))
    spread = interval(wide_now, width(shape, np.exp(many[:, 1])), points, level, how, status.get("width", ""))
    over = Estimate(0.0, n=points, method="binomial counts", level=level)
    if curve.beta:
        seen = np.exp(many[:, -1])
        if labels is None:
            seen = np.minimum(rho * full / seen, 1.0)
        over = interval(rho, seen, points, level, how, status.get("rho", ""))
    ends = {"chance": chance, "top": top}
    params = {a: best[a] for a in names} | {a: float(e) for a, e in ends.items() if e is not None}
    return CapabilityCurve(
        shape, params, found, spread, over, float(value[0]), 2 * (len(curve.names) - float(value[0])),
        "beta-binomial" if curve.beta else "binomial", dispersion_p, float(1 / n.min()), level, curve,
        theta[0], many, (u, k, n), centre, seed,
    )  # fmt: skip


def _unbiased(rho: float, points: int, parameters: int) -> float:
    """Overdispersion to simulate with: the fitted one is too small by the degrees of freedom spent."""
    return min(rho * points / max(points - parameters, 1), RHO[1])


def _reported(
    curve: Curve, theta: Floats, many: Floats, centre: float
) -> tuple[list[str], dict[str, float], dict[str, Floats]]:
    """Names, best values and draws of what is reported."""
    rows = np.concatenate([theta, many])
    log_w = rows[:, 1]
    columns = {"x_c": np.exp(rows[:, 0] + centre)}
    columns |= {"w": np.exp(log_w)} if curve.shape == "logistic" else {"k": np.exp(-log_w)}
    columns |= {a: rows[:, i] for i, a in enumerate(curve.names) if a in ("chance", "top")}
    return list(columns), {a: float(c[0]) for a, c in columns.items()}, {a: c[1:] for a, c in columns.items()}


def _status(curve: Curve, theta: Floats, u: Floats, k: Floats, n: Floats) -> dict[str, str]:
    """Complaints about parameters that the data do not bound."""
    low, high = curve.bounds(u, k[None], n)
    out = {}
    if not u.min() <= theta[0] <= u.max():
        out["x_c"] = "the step lies outside the x of the data: its place is an extrapolation"
    if theta[1] <= low[0, 1] + 1e-6:
        text = "the step is narrower than the spacing of x: only an upper end of its width is known"
        out |= dict.fromkeys(("w", "k", "width"), text)
    if theta[1] >= high[0, 1] - 1e-6:
        text = "the step is wider than the x of the data: only a lower end of its width is known"
        out |= dict.fromkeys(("w", "k", "width"), text)
    if curve.beta and theta[-1] <= np.log(RHO[0]) + 1e-6:
        out["rho"] = "no overdispersion seen"
    return out
