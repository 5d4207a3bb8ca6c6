r"""Success rates from samples: draw until r passes, pass@k, and the shape of a task's scaling law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, gammaln
from scipy.stats import nbinom

from opalesce.errors import InputError
from opalesce.estimate import Estimate

Floats = NDArray[np.float64]
Shape = Literal["convex", "linear", "concave", "cannot tell"]


def binomial_interval(passes: int, samples: int, level: float = 0.95) -> tuple[float, float]:
    """Exact central interval of a success rate (Clopper and Pearson, 1934), by quantiles of a beta law.

    Zero of n reaches up to about 3.7 / n at 95 % (one-sided: 3 / n).
    """
    tail = (1 - level) / 2
    low = 0.0 if passes <= 0 else float(betaincinv(passes, samples - passes + 1, tail))
    high = 1.0 if passes >= samples else float(betaincinv(passes + 1, samples - passes, 1 - tail))
    return low, high


def pass_until(
    passes: int, samples: int, *, wanted: int | None = None, level: float = 0.9, unbiased: bool = True
) -> Estimate:
    r"""Success rate when samples are drawn until `wanted` passes, K samples in all.

    .. math:: \hat p = \frac{r - 1}{K - 1}\ \text{(unbiased)},\qquad \hat p_{ML} = \frac{r}{K}

    r/K is biased upwards: its mean over p is 4.65 at r = 1 and 1.93 at r = 2 (p = 0.01). The interval is
    exact: K is negative binomial with :math:`P(K \le k) = I_p(r, k - r + 1)`. When the cap came first (fewer
    passes than wanted) the count is right-censored: the estimate is passes / samples, and its interval that
    of a binomial.

    Parameters
    ----------
    passes, samples : int
        Passes seen and samples drawn.
    wanted : int, optional
        r; by default `passes`. With fewer passes than wanted the draw was stopped at its cap.
    level : float
        Confidence level.
    unbiased : bool
        False gives r/K, the estimator of the source.

    Raises
    ------
    InputError
        Counts that are not 0 <= passes <= samples, or wanted below 1.

    Source: hu2024predicting, eq. 2 and theorem 1; the unbiased estimator is Haldane's (1945).
    """
    r = passes if wanted is None else wanted
    if not (0 <= passes <= samples and samples >= 1 and r >= 1 and passes <= r):
        raise InputError(
            "counts of samples and passes", expected="0 <= passes <= samples, 1 <= wanted, passes <= wanted",
            got=f"passes {passes}, samples {samples}, wanted {r}",
        )  # fmt: skip
    if not 0 < level < 1:
        raise InputError("a confidence level", expected="between 0 and 1", got=str(level))
    tail = (1 - level) / 2
    if passes < r:
        low, high = binomial_interval(passes, samples, level)
        status = f"right-censored: {passes} of {r} passes when the cap of {samples} samples was reached"
        return Estimate(passes / samples, low, high, samples, status, "binomial at the cap", level)
    low = float(betaincinv(r, samples - r + 1, tail))
    high = 1.0 if samples == r else float(betaincinv(r, samples - r, 1 - tail))
    if unbiased and r == 1:
        status = "one pass tells no unbiased rate above zero: draw until two or more"
        return Estimate(float(samples == 1), low, high, samples, status, "(r - 1) / (K - 1)", level)
    value = (r - 1) / (samples - 1) if unbiased else r / samples
    how = "(r - 1) / (K - 1)" if unbiased else "r / K, biased upwards"
    return Estimate(value, low, high, samples, "", f"{how}; exact negative-binomial interval", level)


def bias_of_ratio(r: int, p: float) -> float:
    r"""E[r/K] / p for K negative binomial: the bias of the estimator r/K, by its exact sum.

    For r = 1 it is :math:`\ln(1/p)/(1 - p)`.
    """
    if r < 1 or not 0 < p < 1:
        raise InputError("a number of passes and a rate", expected="r >= 1, 0 < p < 1", got=f"{r}, {p}")
    last = int(nbinom.isf(1e-15, r, p)) + r
    failures = np.arange(last + 1)
    return float((nbinom.pmf(failures, r, p) * r / (failures + r)).sum() / p)


def pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> Floats:
    r"""Unbiased probability that one of k samples passes, from c passes in n samples of an item.

    .. math:: \mathrm{pass@}k = 1 - \binom{n - c}{k}\Big/\binom{n}{k}

    The plug-in :math:`1 - (1 - c/n)^k` is biased downwards.

    Source: chen2021evaluating, eq. 1.
    """
    return 1.0 - _none(n, c, k)


def any_fails(n: ArrayLike, c: ArrayLike, k: int) -> Floats:
    r"""Unbiased probability that at least one of k samples (or paraphrases) fails.

    .. math:: 1 - \binom{c}{k}\Big/\binom{n}{k}

    Greedy answers hide it: an item that passes 9 of 10 times fails at least once in five with 0.5. A
    reconstruction of the protocol of joshi2026stochastic, of which only the abstract could be read.
    """
    n_, c_ = _counts(n, c, k)
    return 1.0 - _none(n_, n_ - c_, k)


def _none(n: ArrayLike, c: ArrayLike, k: int) -> Floats:
    """Probability that none of k draws without replacement is among c of n."""
    n_, c_ = _counts(n, c, k)
    left = n_ - c_
    with np.errstate(invalid="ignore"):
        logs = gammaln(left + 1) - gammaln(left - k + 1) - gammaln(n_ + 1) + gammaln(n_ - k + 1)
    return np.asarray(np.where(left >= k, np.where(c_ == 0, 1.0, np.exp(logs)), 0.0))


def _counts(n: ArrayLike, c: ArrayLike, k: int) -> tuple[Floats, Floats]:
    n_, c_ = np.asarray(n, float), np.asarray(c, float)
    if k < 1 or not ((c_ >= 0) & (c_ <= n_) & (n_ >= k)).all():
        raise InputError("counts of passes", expected="0 <= c <= n and 1 <= k <= n", got=f"k = {k}")
    return n_, c_


@dataclass(frozen=True)
class TaskLaw:
    r"""A task's law :math:`PU = \exp(-c N^{-\alpha})` and the shape of F = ln(-ln PU) over ln N.

    `shape`: linear (the law holds), convex (sub-scaling: steps that must all succeed), concave
    (super-scaling, "accelerated emergence"), or cannot tell. `curvature` is the second derivative of F in ln
    N.
    """

    alpha: Estimate
    c: float
    curvature: Estimate
    shape: Shape


def task_law(
    sizes: ArrayLike,
    passes: ArrayLike,
    samples: ArrayLike,
    *,
    level: float = 0.9,
    seed: int = 0,
    draws: int = 2000,
) -> TaskLaw:
    """Fit F = ln(-ln PU) in ln N by weighted least squares, and judge its curvature.

    Rates are (r - 1)/(K - 1); F carries the delta-method error of each (the relative error of a rate from r
    passes is about 1/sqrt(r)). Intervals come from a parametric bootstrap: K is redrawn as negative binomial.
    "linear" needs an interval of the curvature that holds zero and lies within what would move F by less than
    a tenth of its range over the sizes; otherwise an interval that holds zero is "cannot tell".

    Raises
    ------
    InputError
        Fewer than four sizes, fewer than two passes at one, or a rate of one.

    Source: hu2024predicting, eq. 3 and definition 1. The test of curvature is a reconstruction: the source
    calls shapes by eye.
    """
    n, r, k = (np.asarray(v, float) for v in (sizes, passes, samples))
    if n.ndim != 1 or not n.shape == r.shape == k.shape or len(n) < 4:
        raise InputError("a task law needs sizes", expected="four or more", got=str(n.shape))
    if not ((n > 0) & (r >= 2) & (k > r)).all():
        raise InputError(
            "counts of passes at each size", expected="two passes or more, and more samples than passes",
            got=f"passes {r.tolist()}", fix="draw on, or leave such sizes out",
        )  # fmt: skip
    u = np.log(n) - np.log(n).mean()
    rate = (r - 1) / (k - 1)
    error = np.sqrt((1 - rate) / r) / np.abs(np.log(rate))
    line = np.polyfit(u, _f(rate), 1, w=1 / error)
    bend = 2 * np.polyfit(u, _f(rate), 2, w=1 / error)[0]
    rng = np.random.default_rng(seed)
    redrawn = rng.negative_binomial(r, rate, size=(draws, len(n))) + r
    again = np.clip((r - 1) / (redrawn - 1), 1e-12, 1 - 1e-12)
    lines = np.array([np.polyfit(u, _f(a), 1, w=1 / error)[0] for a in again])
    bends = np.array([2 * np.polyfit(u, _f(a), 2, w=1 / error)[0] for a in again])
    tail = [(1 - level) / 2, (1 + level) / 2]
    how = "parametric bootstrap, negative-binomial counts"
    slopes, ends = np.quantile(-lines, tail), np.quantile(bends, tail)
    small = 0.1 * abs(line[0]) * np.ptp(u) / (np.ptp(u) ** 2 / 8)
    if ends[0] > 0:
        shape: Shape = "convex"
    elif ends[1] < 0:
        shape = "concave"
    else:
        shape = "linear" if max(abs(ends)) < small else "cannot tell"
    return TaskLaw(
        Estimate(float(-line[0]), float(slopes[0]), float(slopes[1]), len(n), "", how, level),
        float(np.exp(line[1] - line[0] * np.log(n).mean())),
        Estimate(float(bend), float(ends[0]), float(ends[1]), len(n), "", how, level),
        shape,
    )


def _f(rate: Floats) -> Floats:
    return np.log(-np.log(rate))
