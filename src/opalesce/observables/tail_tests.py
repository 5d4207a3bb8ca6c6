"""Is the tail a power law? A bootstrap test of the fit, and likelihood ratios against its rivals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats
from scipy.special import erfc

from opalesce.errors import InputError
from opalesce.observables.tail_scan import best_continuous, best_discrete
from opalesce.observables.tails import PowerLawFit, positive

Array = NDArray[np.float64]
Logs = Callable[[Array, Array, float], Array]  # parameters, values, xmin -> log likelihood of each value


def _draw_tail(fit: PowerLawFit, size: int, rng: np.random.Generator) -> Array:
    """Draws from the fitted law; on the integers by bisection of its survival function."""
    u = 1 - rng.random(size)
    if not fit.discrete:
        return np.asarray(fit.xmin * u ** (-1 / (fit.alpha - 1)))
    from scipy.special import zeta

    whole = zeta(fit.alpha, fit.xmin)
    low = np.full(size, fit.xmin)
    high = np.maximum(2 * fit.xmin, fit.xmin * np.ceil(4 * u ** (-1 / (fit.alpha - 1))))
    while (high - low).max() > 1:  # the answer x has S(x) >= u > S(x + 1)
        middle = np.floor((low + high) / 2)
        above = zeta(fit.alpha, middle) / whole >= u
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return low


def goodness_of_fit(
    x: ArrayLike, fit: PowerLawFit, rng: np.random.Generator, draws: int = 200, least: int = 2
) -> tuple[float, float]:
    r"""p-value of the power law by a semi-parametric bootstrap, and its sampling error.

    Each draw has as many points as the data: with probability n_tail/n one from the fitted law, else one of
    the data below xmin. It is fitted as the data were, search for xmin included; p is the share of draws
    whose distance is at least that of the data (Clauset, Shalizi and Newman 2009, section 4.1; they accept
    above p = 0.1). A large p with a short tail says little: ask `compare` too.

    Returns
    -------
    p, standard error of p : float

    Raises
    ------
    InputError
        From `positive`; fewer than 10 draws; a fit without an exponent.
    """
    a = positive(x, fit.discrete)
    if draws < 10:
        raise InputError("too few draws for a p-value", expected="10 or more", got=str(draws))
    if not np.isfinite(fit.distance):
        raise InputError("there is no fit to test", expected="a finite exponent", got=fit.status)
    body = a[a < fit.xmin]
    best = best_discrete if fit.discrete else best_continuous
    worse = 0
    for _ in range(draws):
        tail = int(rng.binomial(a.size, fit.n_tail / a.size)) if body.size else a.size
        parts = [_draw_tail(fit, tail, rng)]
        if body.size:
            parts.append(rng.choice(body, a.size - tail))
        worse += best(np.sort(np.concatenate(parts)), least)[2] >= fit.distance
    p = worse / draws
    return p, float(np.sqrt(max(p * (1 - p), 1 / draws) / draws))


def _power(q: Array, x: Array, xmin: float) -> Array:
    return np.asarray(np.log((q[0] - 1) / xmin) - q[0] * np.log(x / xmin))


def _exponential(q: Array, x: Array, xmin: float) -> Array:
    return np.asarray(q[0] - np.exp(q[0]) * (x - xmin))


def _lognormal(q: Array, x: Array, xmin: float) -> Array:
    sigma = np.exp(q[1])
    y, y0 = (np.log(x) - q[0]) / sigma, (np.log(xmin) - q[0]) / sigma
    return np.asarray(stats.norm.logpdf(y) - q[1] - np.log(x) - stats.norm.logsf(y0))


def _stretched(q: Array, x: Array, xmin: float) -> Array:
    beta, rate = np.exp(q[0]), np.exp(q[1])
    return np.asarray(
        q[0] + q[1] + (beta - 1) * np.log(rate * x) - (rate * x) ** beta + (rate * xmin) ** beta
    )


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(400)


def _truncated(q: Array, x: Array, xmin: float) -> Array:
    r"""Density :math:`x^{-\alpha} e^{-\lambda x}`; its norm by quadrature over :math:`u = \ln(x/x_{min})`."""
    alpha, cut = q[0], np.exp(q[1]) * xmin
    reach = np.log1p(60 / cut) if alpha <= 1 else min(np.log1p(60 / cut), 60 / (alpha - 1))
    u = (_NODES + 1) * reach / 2
    norm = float(_WEIGHTS @ np.exp((1 - alpha) * u - cut * np.expm1(u))) * reach / 2
    return np.asarray(-alpha * np.log(x / xmin) - cut * (x / xmin - 1) - np.log(norm * xmin))


def _starts(name: str, x: Array, xmin: float, alpha: float) -> list[Array]:
    """Where the search for the maximum begins; a surface with ridges needs more than one start."""
    log_x = np.log(x)
    scale = -np.log(x.mean())
    return {
        "exponential": [np.array([-np.log(max(x.mean() - xmin, 1e-300))])],
        "lognormal": [
            np.array([log_x.mean(), np.log(log_x.std() + 1e-3)]),
            np.array([np.log(xmin) - 5.0, np.log(2 * log_x.std() + 1e-3)]),
        ],
        "stretched_exponential": [np.array([np.log(b), scale]) for b in (0.3, 0.8)],
        "truncated_power_law": [np.array([alpha, scale - k]) for k in (0.0, 4.0, 12.0)],
    }[name]


RIVALS: dict[str, Logs] = {
    "lognormal": _lognormal,
    "exponential": _exponential,
    "truncated_power_law": _truncated,
    "stretched_exponential": _stretched,
}


@dataclass(frozen=True)
class Comparison:
    """Power law against one rival on the same tail.

    Attributes
    ----------
    rival : str
        Name of the other law.
    ratio : float
        Vuong's normalised log-likelihood ratio; positive favours the power law. For the truncated power law,
        which contains the power law, it cannot be above 0.
    p : float
        Probability of a ratio as far from zero if both laws were equally far from the truth; for the
        truncated power law, of so large a gain if there is no cut.
    parameters : tuple of float
        Those of the rival: (mu, sigma); (rate,); (alpha, rate); (beta, rate).
    """

    rival: str
    ratio: float
    p: float
    parameters: tuple[float, ...]


def _natural(name: str, q: Array) -> tuple[float, ...]:
    if name == "lognormal":
        return float(q[0]), float(np.exp(q[1]))
    if name == "truncated_power_law":
        return float(q[0]), float(np.exp(q[1]))
    return tuple(float(v) for v in np.exp(q))


def compare(x: ArrayLike, fit: PowerLawFit, rival: str) -> Comparison:
    r"""Likelihood-ratio test of a continuous power law against a rival on the same tail.

    .. math:: R = \frac{\sum_i (\ell_i - \ell'_i)}{\sqrt{n}\, s}, \quad p = \mathrm{erfc}(|R|/\sqrt 2)

    with s the standard deviation of the differences (Vuong 1989; Clauset, Shalizi and Newman 2009,
    section 5.1). For the truncated power law :math:`p = P(\chi^2_1 > 2 |\sum_i (\ell_i - \ell'_i)|)`. The
    power law keeps the xmin that suits it best, which favours it.

    Raises
    ------
    InputError
        Unknown rival; a discrete fit, or one without an exponent; from `positive`.
    """
    if rival not in RIVALS:
        raise InputError(
            "unknown rival of the power law", expected=f"one of {tuple(RIVALS)}", got=repr(rival)
        )
    if fit.discrete or not np.isfinite(fit.alpha):
        raise InputError(
            "no comparison of this fit",
            expected="a continuous power law with an exponent",
            got="a discrete one" if fit.discrete else fit.status,
            fix="fit the same data with discrete=False and xmin - 0.5",
        )
    a = positive(x)
    tail = a[a >= fit.xmin]
    logs, xmin = RIVALS[rival], fit.xmin

    def loss(q: Array) -> float:
        with np.errstate(all="ignore"):
            total = float(logs(q, tail, xmin).sum())
        return -total if np.isfinite(total) else 1e300

    options: Any = {"maxiter": 4000, "maxfev": 4000, "xatol": 1e-8, "fatol": 1e-8}
    found = [
        optimize.minimize(loss, start, method="Nelder-Mead", options=options)
        for start in _starts(rival, tail, xmin, fit.alpha)
    ]
    best = min(found, key=lambda f: float(f.fun))
    gap = _power(np.array([fit.alpha]), tail, xmin) - logs(best.x, tail, xmin)
    total, n = float(gap.sum()), tail.size
    spread = float(gap.std())
    ratio = total / (np.sqrt(n) * spread) if spread > 0 else 0.0
    if rival == "truncated_power_law":
        p = float(stats.chi2.sf(2 * abs(total), 1))
    else:
        p = float(erfc(abs(ratio) / np.sqrt(2)))
    return Comparison(rival, float(ratio), p, _natural(rival, best.x))
