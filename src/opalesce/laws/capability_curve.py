r"""Accuracy over scale, with chance, a ceiling, and the likelihood of counts.

.. math:: q(x) = c + (t - c)\,s(x),\qquad
          s = S\!\left(\frac{\ln x - \ln x_c}{w}\right)\ \text{logistic},\quad
          \frac{x^k}{x^k + x_c^k}\ \text{Hill},\quad
          1 - e^{-(x/x_c)^k}\ \text{Weibull}

Hill in x is the logistic in ln x with w = 1/k. The successes of n trials are binomial, or beta-binomial with
a correlation rho between the trials of one point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import betaln, expit, gammaln, logit, xlog1py, xlogy
from scipy.stats import chi2

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.laws.data import numbers
from opalesce.laws.fit import Prediction, check_level
from opalesce.laws.forms import Floats

Shape = Literal["logistic", "hill", "weibull"]
Likelihood = Literal["binomial", "beta-binomial"]
Curve = Callable[[Floats, Floats], Floats]  # internal parameters (S, p) and centred ln x (n,) to rates (S, n)
DECADES = {  # 10-90 % width in decades, in units of w (of 1/k)
    "logistic": 2 * np.log(9) / np.log(10),
    "hill": 2 * np.log(9) / np.log(10),
    "weibull": np.log(np.log(10) / np.log(10 / 9)) / np.log(10),
}
LOOSE = 30.0  # bound of every internal parameter: centred logs and logits
STEP = 1e-7  # of the forward differences, all parameters in one call
EDGE = 1e-9  # rates stay this far from 0 and 1, where a count of the other kind has no likelihood


@dataclass(frozen=True)
class CapabilityCurve:
    """A fitted curve of accuracies.

    Attributes
    ----------
    shape, likelihood : str
    params : dict of str to float
        x_c, w (logistic) or k, chance, top, and rho of a beta-binomial.
    intervals : dict of str to Estimate
        The same, and `width`, decades of x between 10 and 90 % of the rise.
    log_likelihood, aic : float
    resolution : float
        The smallest step of a score, one over the largest number of trials.
    p_overdispersed : float
        Of the likelihood ratio of beta-binomial against binomial, half its chi-square tail (rho lies at its
        bound under the null; self1987asymptotic, case 5).
    """

    shape: Shape
    likelihood: Likelihood
    params: dict[str, float]
    intervals: dict[str, Estimate]
    log_likelihood: float
    aic: float
    resolution: float
    p_overdispersed: float
    theta: Floats = field(repr=False)
    draws: Floats = field(repr=False)
    rate: Curve = field(repr=False)
    centre: float = field(repr=False)
    counts: tuple[Floats, Floats, Floats] = field(repr=False)
    seed: int = 0

    def predict(self, x: ArrayLike, level: float = 0.9) -> Prediction:
        """Rate at x with the band of the resampled curves; the scatter of counts is not in it.

        Raises
        ------
        InputError
            x that is not positive and finite, or a level outside (0, 1).
        """
        check_level(level)
        u = np.log(numbers(np.atleast_1d(x), "x")) - self.centre
        middle = self.rate(self.theta[None], u)[0]
        if not len(self.draws):
            return Prediction(middle, middle * np.nan, middle * np.nan, level)
        low, high = np.quantile(self.rate(self.draws, u), [(1 - level) / 2, (1 + level) / 2], axis=0)
        return Prediction(middle, np.minimum(low, middle), np.maximum(high, middle), level)

    def compare(self, draws: int = 199) -> dict[str, tuple[float, float]]:
        r"""Gain in log likelihood over a constant rate and over the smooth curve of L independent tokens,
        :math:`q = c + (1 - c)\,e^{-L (x_0/x)^{\alpha}}`, each with its p-value.

        p by a parametric bootstrap: counts drawn from the fitted rival, both refitted; the place of a rise is
        not identified under a constant, so that a chi-square is wrong. A small p refuses the rival.

        Source: schaeffer2023mirage, sec. 2, for the smooth curve (L and x_0 enter as one parameter).
        """
        u, k, n = self.counts
        chance = self.params["chance"]

        def flat(t: Floats, v: Floats) -> Floats:
            return np.asarray(np.broadcast_to(expit(t[:, :1]), (len(t), len(v))))

        def tokens(t: Floats, v: Floats) -> Floats:
            return np.asarray(
                chance + (1 - chance) * np.exp(-np.exp(np.clip(t[:, :1] - t[:, 1:2] * v, -50.0, 50.0)))
            )

        mean = float(np.clip(k.sum() / n.sum(), 1e-3, 1 - 1e-3))
        rivals: dict[str, tuple[Curve, Floats]] = {
            "constant": (flat, np.array([[logit(mean)]])),
            "p^L": (tokens, np.array([[a, b] for a in (-1.0, 1.0, 3.0) for b in (0.1, 0.5, 1.5)])),
        }
        out = {}
        over = self.likelihood == "beta-binomial"
        for i, (name, (rival, starts)) in enumerate(rivals.items()):
            null = _maximise(rival, u, k, n, starts, over)
            gain = self.log_likelihood - null.value
            rng = np.random.default_rng([self.seed, 2, i])
            beyond = 0
            for _ in range(draws):
                drawn = _draw(rival(null.theta[None], u)[0], n, null.rho, rng)
                low = _maximise(rival, u, drawn, n, null.theta[None], over)
                high = _maximise(self.rate, u, drawn, n, _moved(self.theta, u), over)
                beyond += high.value - low.value >= gain
            out[name] = (gain, (1 + beyond) / (1 + draws))
        return out


def capability_curve(
    x: ArrayLike, successes: ArrayLike, trials: ArrayLike, *, shape: Shape = "logistic",
    chance: float | None = 0.0, top: float | None = None,
    likelihood: Literal["binomial", "beta-binomial", "auto"] = "auto", groups: Any = None,
    level: float = 0.9, seed: int = 0, draws: int = 200,
) -> CapabilityCurve:  # fmt: skip
    """Fit a rise from chance to a ceiling by maximum likelihood of counts.

    Parameters
    ----------
    x : array_like (n,)
        Scale: parameters, tokens, FLOP; positive.
    successes, trials : array_like (n,)
        Right answers and questions of each point.
    shape : "logistic", "hill" or "weibull"
    chance, top : float or None
        Rates far below and far above the rise; None fits them.
    likelihood : "binomial", "beta-binomial" or "auto"
        "auto" takes the beta-binomial where it is better at 5 %.
    groups : array_like, optional
        The run of each point: intervals then resample runs. Otherwise they come from counts drawn from the
        fitted curve.
    level, seed, draws
        Of the bootstrap.

    Raises
    ------
    InputError
        Counts that are not 0 <= successes <= trials, fewer than four points, rates outside 0 to 1, or an
        unknown shape or likelihood.

    Reconstruction: the combination of chance, ceiling and counts; the shapes are textbook ones.
    """
    check_level(level)
    if shape not in DECADES or likelihood not in ("binomial", "beta-binomial", "auto"):
        known = "logistic, hill, weibull; binomial, beta-binomial, auto"
        raise InputError("a curve of accuracies", expected=known, got=f"{shape}; {likelihood}")
    u, k, n = _counts(x, successes, trials)
    for name, rate in (("chance", chance), ("top", top)):
        if rate is not None and not 0 <= rate <= 1:
            raise InputError(f"{name} is a rate", expected="0 to 1", got=str(rate))
    if chance is not None and top is not None and chance >= top:
        raise InputError("a rise", expected="chance below top", got=f"{chance} and {top}")
    centre = float(u.mean())
    u = u - centre
    curve = _curve(shape, chance, top)
    best = _maximise(curve, u, k, n, _grid(u, chance, top), over=False)
    loose = _maximise(curve, u, k, n, _moved(best.theta, u), over=True)
    p_over = float(0.5 * chi2.sf(max(0.0, 2 * (loose.value - best.value)), 1))
    over = likelihood == "beta-binomial" or (likelihood == "auto" and p_over < 0.05)
    best = loose if over else best
    rng = np.random.default_rng([seed, 0])
    labels = None if groups is None else np.unique(np.asarray(groups).astype(str), return_inverse=True)[1]
    if labels is not None and (len(labels) != len(u) or labels.max() < 1):
        raise InputError(
            "groups name the run of each point", expected=f"{len(u)} labels, two runs or more",
            got=str(len(labels)),
        )  # fmt: skip
    again = []
    for _ in range(draws):
        if labels is None:
            drawn, rows = _draw(curve(best.theta[None], u)[0], n, best.rho, rng), np.arange(len(u))
        else:
            picked = rng.integers(labels.max() + 1, size=labels.max() + 1)
            rows = np.concatenate([np.flatnonzero(labels == g) for g in picked])
            drawn = k[rows]
        again.append(_maximise(curve, u[rows], drawn, n[rows], best.theta[None], over))
    many = np.array([b.theta for b in again]).reshape(-1, len(best.theta))
    names = ["x_c", "w" if shape == "logistic" else "k", "chance", "top", *(["rho"] if over else []), "width"]
    values = _natural([best], shape, chance, top, centre)
    table = _natural(again, shape, chance, top, centre)
    how = f"bootstrap over {'runs' if labels is not None else 'counts drawn from the curve'}, {draws} draws"
    intervals = {}
    for i, name in enumerate(names):
        low, high = (
            np.quantile(table[:, i], [(1 - level) / 2, (1 + level) / 2]) if draws else (np.nan, np.nan)
        )
        v = float(values[0, i])
        inside = (min(float(low), v), max(float(high), v)) if draws else (-np.inf, np.inf)
        status = "" if draws else "no interval was asked for"
        intervals[name] = Estimate(v, *inside, len(u), status, how, level)
    params = {name: float(v) for name, v in zip(names[:-1], values[0], strict=False)}
    return CapabilityCurve(
        shape, "beta-binomial" if over else "binomial", params, intervals, best.value,
        2 * (len(best.theta) + over) - 2 * best.value, 1.0 / float(n.max()), p_over, best.theta, many, curve,
        centre, (u, k, n), seed,
    )  # fmt: skip


def log_likelihood(q: Floats, k: Floats, n: Floats, rho: Floats | float | None = None) -> Floats:
    r"""Log probability of k of n successes (m,) at rates q (..., m): binomial, or beta-binomial with
    :math:`a = q(1-\rho)/\rho,\ b = (1-q)(1-\rho)/\rho`, whose variance is
    :math:`nq(1-q)(1 + (n-1)\rho)`."""
    ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    q = np.clip(q, EDGE, 1 - EDGE)
    if rho is None:
        return np.asarray((ways + xlogy(k, q) + xlog1py(n - k, -q)).sum(axis=-1))
    a, b = q * (1 - rho) / rho, (1 - q) * (1 - rho) / rho
    return np.asarray((ways + betaln(k + a, n - k + b) - betaln(a, b)).sum(axis=-1))


def _counts(x: ArrayLike, successes: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats, Floats]:
    u = np.log(numbers(x, "x"))
    k, n = np.asarray(successes, float), np.asarray(trials, float)
    if not (k.shape == n.shape == u.shape) or len(u) < 4 or np.ptp(u) == 0:
        got = f"{u.shape}, {k.shape}, {n.shape}"
        raise InputError("counts at four or more different x", expected="equal lengths", got=got)
    if not ((k >= 0) & (k <= n) & (n >= 1) & (k == np.round(k)) & (n == np.round(n))).all():
        raise InputError(
            "counts of right answers", expected="whole numbers, 0 <= successes <= trials", got="others",
            fix="round(accuracy * trials)",
        )  # fmt: skip
    return u, k, n


def _curve(shape: Shape, chance: float | None, top: float | None) -> Curve:
    """Rates of (ln x_c, ln w, then logits of a free chance and of a free share of the room above it)."""

    def rate(t: Floats, u: Floats) -> Floats:
        s = np.clip((u - t[:, :1]) * np.exp(-t[:, 1:2]), -500.0, 500.0)
        rise = -np.expm1(-np.exp(np.minimum(s, 50.0))) if shape == "weibull" else expit(s)
        low, high = (e[:, None] for e in _ends(t, chance, top))
        return np.asarray(low + (high - low) * rise)

    return rate


def _ends(t: Floats, chance: float | None, top: float | None) -> tuple[Floats, Floats]:
    at = 2
    if chance is None:
        low, at = expit(t[:, at]) * (1.0 if top is None else top), at + 1
    else:
        low = np.full(len(t), chance)
    high = np.full(len(t), top) if top is not None else low + (1 - low) * expit(t[:, at])
    return low, high


def _grid(u: Floats, chance: float | None, top: float | None) -> Floats:
    more = [[], [-2.0]][chance is None], [[], [2.0]][top is None]
    places = [*(u.min() + np.ptp(u) * np.array([0.1, 0.3, 0.5, 0.7, 0.9])), u.max() + 1.0]
    return np.array([[c, np.log(w), *more[0], *more[1]] for c in places for w in (0.1, 0.4, 1.2)])


def _moved(theta: Floats, u: Floats) -> Floats:
    """A fit, and the same with its rise elsewhere: starts of a refit."""
    out = np.tile(theta, (4, 1))
    out[1:, 0] = u.min() + np.ptp(u) * np.array([0.25, 0.5, 0.75])
    return out


class Best(NamedTuple):
    """Internal parameters, rho of a beta-binomial, log likelihood."""

    theta: Floats
    rho: float | None
    value: float


def _maximise(curve: Curve, u: Floats, k: Floats, n: Floats, starts: Floats, over: bool) -> Best:
    """The best end of the two best starts (S, p)."""
    if over:
        starts = np.vstack([np.column_stack([starts, np.full(len(starts), logit(r))]) for r in (0.003, 0.05)])
    size = starts.shape[1] - int(over)

    def cost(t: Floats) -> Floats:
        rho = expit(t[:, -1:]) if over else None
        return -log_likelihood(curve(t[:, :size], u), k, n, rho) / len(u)

    steps = np.vstack([np.zeros(starts.shape[1]), STEP * np.eye(starts.shape[1])])

    def slopes(t: Floats) -> tuple[float, Floats]:
        values = cost(t + steps)
        return float(values[0]), np.asarray((values[1:] - values[0]) / STEP)

    limits = [(-LOOSE, LOOSE)] * size + [(float(logit(1e-7)), float(logit(0.95)))] * int(over)
    first = np.argsort(cost(starts))[:2]
    ends = [minimize(slopes, starts[i], jac=True, method="L-BFGS-B", bounds=limits) for i in first]
    end = min(ends, key=lambda e: float(e.fun))
    rho = float(expit(end.x[-1])) if over else None
    return Best(np.asarray(end.x[:size]), rho, -float(end.fun) * len(u))


def _draw(q: Floats, n: Floats, rho: float | None, rng: np.random.Generator) -> Floats:
    if rho is not None:
        q = rng.beta(*(np.clip(s, EDGE, 1 - EDGE) * (1 - rho) / rho for s in (q, 1 - q)))
    return rng.binomial(n.astype(int), np.clip(q, 0.0, 1.0)).astype(float)


def _natural(
    fits: list[Best], shape: Shape, chance: float | None, top: float | None, centre: float
) -> Floats:
    """x_c, w or k, chance, top, rho if there is one, and the 10-90 % width in decades: (S, 5 or 6)."""
    if not fits:
        return np.zeros((0, 6))
    t = np.array([f.theta for f in fits])
    low, high = _ends(t, chance, top)
    w = np.exp(t[:, 1])
    rho = [] if fits[0].rho is None else [np.array([f.rho for f in fits], float)]
    steep = w if shape == "logistic" else 1 / w
    return np.stack([np.exp(t[:, 0] + centre), steep, low, high, *rho, DECADES[shape] * w], axis=1)
