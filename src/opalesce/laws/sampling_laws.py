"""Laws of repeated sampling, from counts of each problem."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import betaln, digamma, gammaln
from scipy.stats import gamma as gamma_law

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.laws.data import numbers
from opalesce.laws.fit import check_level
from opalesce.laws.forms import Floats
from opalesce.laws.likelihood import counts_of
from opalesce.laws.spread import interval
from opalesce.theory.sampling import pass_at_k

BOX = [(-12.0, 12.0)] * 2  # ln alpha and ln beta
OVER_PROBLEMS = "bootstrap over problems"


@dataclass(frozen=True)
class SuccessRates:
    r"""Success rates over problems as :math:`p \sim \mathrm{Beta}(\alpha, \beta)`.

    The density of p goes as :math:`p^{b-1}` at 0 with b = alpha, so that
    :math:`-\ln \mathrm{pass@}k \sim \Gamma(\alpha+\beta)/\Gamma(\beta)\,k^{-b}` (schaeffer2025monkeys).
    `status` says when the maximum of the likelihood is at an end (all problems alike, or all rates 0 or 1).
    """

    alpha: Estimate
    beta: Estimate
    log_likelihood: float
    status: str
    draws: Floats = field(repr=False)

    @property
    def tail_coefficient(self) -> float:
        r""":math:`\Gamma(\alpha+\beta)/\Gamma(\beta)`, the coefficient of the tail's power law."""
        a, b = self.alpha.value, self.beta.value
        return float(np.exp(gammaln(a + b) - gammaln(b)))

    def pass_at(self, k: ArrayLike, level: float | None = None) -> list[Estimate]:
        """Probability that one of k samples of a new problem passes, never above 1; for each k."""
        level = self.alpha.level if level is None else level
        check_level(level)
        out = []
        for count in np.atleast_1d(numbers(np.atleast_1d(k), "k")).tolist():
            value = float(beta_pass_at(count, self.alpha.value, self.beta.value))
            many = beta_pass_at(count, self.draws[:, 0], self.draws[:, 1])
            out.append(interval(value, many, self.alpha.n, level, OVER_PROBLEMS, self.status))
        return out


def beta_pass_at(k: ArrayLike, alpha: ArrayLike, beta: ArrayLike) -> Floats:
    r"""pass@k of success rates that are Beta(alpha, beta) over problems.

    .. math:: \mathrm{pass@}k = 1 - E(1-p)^k = 1 - \frac{B(\alpha, \beta + k)}{B(\alpha, \beta)}

    Source: kazdan2025efficient; the integral of the beta density is exact.
    """
    a, b = np.asarray(alpha, float), np.asarray(beta, float)
    return np.asarray(-np.expm1(betaln(a, b + np.asarray(k, float)) - betaln(a, b)))


def success_rates(
    samples: ArrayLike, passes: ArrayLike, *, level: float = 0.9, seed: int = 0, draws: int = 200
) -> SuccessRates:
    r"""Beta law of success rates by maximum likelihood of c passes in n samples of each problem.

    .. math:: P(c) = \binom{n}{c} \frac{B(c + \alpha, n - c + \beta)}{B(\alpha, \beta)}

    Unlike a line through ln pass@k over ln k its forecast cannot exceed 1, and problems without any pass
    count as what they are. Intervals resample problems.

    Raises
    ------
    InputError
        Counts that are no counts, fewer than three problems, or one sample each (which tells only the mean).

    Source: kazdan2025efficient (beta-binomial counts). The source's scaled beta law is not included.
    """
    check_level(level)
    n, c = _problems(samples, passes)
    if n.max() < 2:
        raise InputError("one sample a problem tells only the mean", expected="two or more", got="1")
    theta, value = _beta_fit(n, c, np.ones(len(n)), None)
    rng = np.random.default_rng(seed)
    many = np.exp([
        _beta_fit(n, c, rng.multinomial(len(n), np.full(len(n), 1 / len(n))).astype(float), theta)[0]
        for _ in range(draws)
    ]).reshape(-1, 2)  # fmt: skip
    edge = np.isclose(np.abs(theta), BOX[0][1], atol=1e-3).any()
    status = "no beta law fits inside: all problems look alike, or all pass always or never" if edge else ""
    a, b = (
        interval(float(np.exp(t)), m, len(n), level, OVER_PROBLEMS, status)
        for t, m in zip(theta, many.T, strict=True)
    )
    return SuccessRates(a, b, value, status, many)


def _beta_fit(n: Floats, c: Floats, w: Floats, start: Floats | None) -> tuple[Floats, float]:
    """ln alpha and ln beta, and the log-likelihood with weights w."""
    choose = w @ (gammaln(n + 1) - gammaln(c + 1) - gammaln(n - c + 1))

    def cost(t: Floats) -> tuple[float, Floats]:
        a, b = np.exp(t)
        value = w @ (betaln(c + a, n - c + b) - betaln(a, b))
        common = digamma(a + b) - digamma(n + a + b)
        by_a = w @ (digamma(c + a) - digamma(a) + common)
        by_b = w @ (digamma(n - c + b) - digamma(b) + common)
        return -float(value), -np.array([a * by_a, b * by_b])

    mean = np.clip((w @ c + 0.5) / (w @ n + 1), 1e-4, 1 - 1e-4)
    starts = [np.log([mean * m, (1 - mean) * m]) for m in (0.3, 3.0)] if start is None else [start]
    ends = [minimize(cost, s, jac=True, method="L-BFGS-B", bounds=BOX) for s in starts]
    best = min(ends, key=lambda e: float(e.fun))
    return np.asarray(best.x), float(choose - best.fun)


def tail_exponent(rates: ArrayLike, below: float, *, level: float = 0.9) -> Estimate:
    r"""Exponent b of success rates whose density goes as :math:`p^{b-1}` below a threshold t.

    .. math:: \hat b = \frac{m - 1}{\sum_{p_i < t} \ln(t / p_i)}

    over the m rates below t, unbiased, with the exact interval of :math:`\sum \ln(t/p_i) \sim
    \mathrm{Gamma}(m, 1/b)`. Then :math:`-\ln \mathrm{pass@}k \sim k^{-b}`. The rates must be measured ones
    above zero (exp of a log-likelihood); for counts, where zero passes hide the tail, use `success_rates`.

    Raises
    ------
    InputError
        Rates outside (0, 1], or fewer than five below the threshold.

    Source: schaeffer2025monkeys (law and exponent); the estimator is Hill's, a reconstruction.
    """
    check_level(level)
    p = numbers(rates, "rates")
    low = p[p < below]
    if (p > 1).any() or len(low) < 5:
        raise InputError(
            "rates below the threshold",
            expected="five or more, all rates at most 1",
            got=f"{len(low)} of {len(p)}",
        )
    total, m = float(np.log(below / low).sum()), len(low)
    ends = np.asarray(gamma_law.ppf([(1 - level) / 2, (1 + level) / 2], m)) / total
    return Estimate((m - 1) / total, float(ends[0]), float(ends[1]), m, "", "Hill, exact interval", level)


@dataclass(frozen=True)
class CoverageLaw:
    """:math:`c(k) = e^{a k^b}` with a, b < 0 for coverage that rises to 1, and `rmse` in c at its k."""

    a: Estimate
    b: Estimate
    rmse: float

    def __call__(self, k: ArrayLike) -> Floats:
        """Coverage at k samples."""
        return np.asarray(np.exp(self.a.value * np.asarray(k, float) ** self.b.value))


def coverage_law(
    samples: ArrayLike,
    passes: ArrayLike,
    ks: ArrayLike,
    *,
    level: float = 0.9,
    seed: int = 0,
    draws: int = 200,
) -> CoverageLaw:
    r"""Coverage (mean pass@k over problems) as an exponentiated power law of k.

    .. math:: \ln c = a\,k^b

    Coverage is the unbiased pass@k; a and b are a line through :math:`\ln(-\ln c)` over ln k. The points
    share their problems, so that intervals resample problems.

    Raises
    ------
    InputError
        Counts that are no counts, k beyond the samples, or fewer than two k with coverage inside (0, 1).

    Source: brown2024monkeys, sec. 3 (form). The straight-line fit is a reconstruction.
    """
    check_level(level)
    n, c = _problems(samples, passes)
    k = np.unique(numbers(np.atleast_1d(ks), "k").astype(int))
    each = np.stack([pass_at_k(n, c, int(i)) for i in k])
    cover = each.mean(axis=1)
    if ((cover > 0) & (cover < 1)).sum() < 2:
        raise InputError("coverage inside (0, 1)", expected="at two k or more", got=str(cover.tolist())[:80])

    def line(values: Floats) -> tuple[float, float]:
        inside = (values > 0) & (values < 1)
        if inside.sum() < 2:
            return np.nan, np.nan
        slope, start = np.polyfit(np.log(k[inside]), np.log(-np.log(values[inside])), 1)
        return -float(np.exp(start)), float(slope)

    a, b = line(cover)
    rng, size = np.random.default_rng(seed), len(n)
    many = np.array([line(each[:, rng.integers(size, size=size)].mean(axis=1)) for _ in range(draws)])
    many = many.reshape(-1, 2)
    rmse = float(np.sqrt(((np.exp(a * k**b) - cover) ** 2).mean()))
    found = [interval(v, m, size, level, OVER_PROBLEMS) for v, m in zip((a, b), many.T, strict=True)]
    return CoverageLaw(found[0], found[1], rmse)


def _problems(samples: ArrayLike, passes: ArrayLike) -> tuple[Floats, Floats]:
    _, c, n = counts_of(np.ones(np.shape(passes)), passes, samples)
    if len(c) < 3:
        raise InputError("too few problems", expected="three or more", got=str(len(c)))
    return n, c
