r"""Tests behind the mirage court: other metrics of the same outputs, and the length law.

An exact match of L independent tokens is :math:`p^L`: it can jump while p moves smoothly
(schaeffer2023mirage).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.laws.breaktest import BreakTest, break_test
from opalesce.laws.data import numbers
from opalesce.laws.fit import check_level
from opalesce.laws.forms import RISE, Floats
from opalesce.theory.metrics import brier, edit_distance, exact_match
from opalesce.theory.multiple import corrected
from opalesce.theory.sampling import binomial_interval

LENGTHS = (math.log(1e-4), math.log(1e4))  # between which an effective length is sought
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Swapped:
    """One metric of the same outputs.

    `error` (T,) is the mean over items, smaller is better; `test` is one break against none (None for a curve
    that does not vary); `p` is its p-value by Holm over the metrics and `breaks` says whether p <= alpha;
    `width` is the 10-90 % width of that break in decades of x.
    """

    error: Floats = field(repr=False)
    test: BreakTest | None
    p: float
    breaks: bool
    width: float


def swap(
    x: ArrayLike, p: ArrayLike, lengths: ArrayLike = 1.0, *, offset: bool = False, alpha: float = 0.05,
    draws: int = 199, seed: int = 0,
) -> dict[str, Swapped]:  # fmt: skip
    r"""The same outputs under four metrics, and in which of them is a break.

    .. math:: 1 - p^L,\quad L(1 - p),\quad (1 - p)^2,\quad -\ln p

    (exact match as an error, edit distance, Brier score, log-probability in nats a token). Each is averaged
    over items and put to `laws.breaktest.break_test`. With m items the errors of ln(mean) over checkpoints
    have the covariance of the items, which all checkpoints share, plus :math:`(1/2m)^2` on the diagonal:
    finer than half an item nothing is resolved. Without items all errors count as equal.

    Parameters
    ----------
    x : array_like
        Checkpoints or sizes (T,), positive.
    p : array_like
        Probability of a right token, (T,) or for each item (T, m): exp of the mean log-likelihood a token.
    lengths : array_like
        Tokens of the answer, one number or one for each item (m,).
    offset : bool
        Whether the laws may level off above zero.
    alpha : float
        Family-wise level of `breaks`.
    draws, seed : int
        Simulated curves of each test, and their seed.

    Raises
    ------
    InputError
        Shapes that do not agree, p outside (0, 1], lengths that are not positive, too few checkpoints.

    Source: schaeffer2023mirage, sec. 2. Testing each metric for a break of the broken law
    (caballero2023broken, eq. 1) is a reconstruction: the source compares the curves by eye.
    """
    at, q = numbers(x, "x"), np.asarray(p, float)
    size = np.asarray(lengths, float)
    many = q.ndim == 2
    if q.ndim not in (1, 2) or len(q) != len(at) or (many and q.shape[1] < 2):
        raise InputError(
            "probabilities by checkpoint and item", expected=f"({len(at)},) or ({len(at)}, 2 or more)",
            got=str(q.shape),
        )  # fmt: skip
    if not (np.isfinite(q).all() and (q > 0).all() and (q <= 1).all()):
        raise InputError("a probability of a token", expected="above 0, at most 1", got="others")
    if size.shape not in ((), q.shape[1:]) or not (np.isfinite(size).all() and (size > 0).all()):
        raise InputError(
            "lengths of answers", expected="a positive number, or one for each item", got=str(size.shape)
        )
    if not 0 < alpha < 1:
        raise InputError("a level of tests", expected="between 0 and 1", got=str(alpha))
    errors = {
        "exact match": 1.0 - _by_length(exact_match, q, size),
        "edit distance": _by_length(edit_distance, q, size),
        "Brier": brier(q),
        "log-probability": -np.log(q),
    }
    tests: dict[str, tuple[Floats, BreakTest | None]] = {}
    for name, e in errors.items():
        mean, shape = _of_items(e) if many else (np.maximum(e, 1e-12), None)
        test = None
        if np.ptp(mean) > 0:
            test = break_test(at, mean, offset=offset, errors=shape, draws=draws, seed=seed)
        tests[name] = mean, test
    ps = corrected([1.0 if t is None else t.p for _, t in tests.values()], "holm")
    return {
        name: Swapped(mean, t, p, p <= alpha, math.nan if t is None else RISE / math.log(10) * t.params["f1"])
        for (name, (mean, t)), p in zip(tests.items(), ps.tolist(), strict=True)
    }


def _by_length(metric: Any, q: Floats, size: Floats) -> Floats:
    if size.ndim == 0:
        return np.asarray(metric(q, float(size)))
    return np.stack([metric(q[:, i], float(n)) for i, n in enumerate(size)], axis=1)


def _of_items(e: Floats) -> tuple[Floats, Floats]:
    """Mean error of each checkpoint (T,) and the covariance (T, T) of its log, items being the clusters."""
    m, half = e.shape[1], 1 / (2 * e.shape[1])
    mean = np.maximum(e.mean(axis=1), 1e-12)
    away = (e - e.mean(axis=1, keepdims=True)) / mean[:, None]
    return mean, away @ away.T / m**2 + np.diag(np.full(len(e), half**2))


@dataclass(frozen=True)
class AnswerLength:
    """Effective length of answers, and whether the length law holds.

    Attributes
    ----------
    length : Estimate
        L in tokens (in units of what the log-perplexity is of), by maximum likelihood.
    p_fit : float
        p-value of the deviance by a parametric bootstrap; small: no single L gives these scores.
    deviance : float
        Of the binomial likelihood, 2 nats.
    expected : tuple of float
        Score that the law gives at each checkpoint.
    outside : int
        Checkpoints whose 95 % binomial interval, zeros included, does not hold it.
    worst : int
        Checkpoint that adds most to the deviance.
    """

    length: Estimate
    p_fit: float
    deviance: float
    expected: tuple[float, ...]
    outside: int
    worst: int


def answer_length(
    accuracy: ArrayLike, trials: int, log_ppl: ArrayLike, *, stderr: ArrayLike | None = None,
    chance: float = 0.0, level: float = 0.9, draws: int = 199, seed: int = 0,
) -> AnswerLength:  # fmt: skip
    r"""Regress the score on the probability of a token: does a smooth :math:`p^L` pass through all counts?

    .. math:: k_t \sim \mathrm{Binomial}\big(n,\; g + (1 - g)\,p_t^L\big),\qquad p_t = e^{-CE_t}

    L is the maximum of the likelihood. Counts are drawn again from the law, and log-perplexities with their
    standard errors; the refits give the interval of L (percentiles) and the p-value of the deviance.

    Parameters
    ----------
    accuracy : array_like
        Scores (T,), shares of `trials`.
    trials : int
        Questions n.
    log_ppl : array_like
        Cross entropy CE (T,) in nats a token.
    stderr : array_like, optional
        Its standard errors (T,); zero where not given.
    chance : float
        Score g of a blind answer.
    level, draws, seed
        Of the interval; bootstrap and its seed.

    Raises
    ------
    InputError
        Shapes that do not agree, fewer than four checkpoints, scores outside 0 to 1, no score above chance.

    Notes
    -----
    Independence of tokens is known to fail, and the mean log-probability is not the log of the mean
    probability: L is effective, and below one where a few hard answers carry most of the loss. Errors of
    checkpoints are drawn independently, though they share the questions: common errors move L, not the fit.

    Source: schaeffer2023mirage, eq. 1; the effective length and the test of fit are a reconstruction.
    """
    y, ce = np.asarray(accuracy, float), np.asarray(log_ppl, float)
    se = np.zeros_like(ce) if stderr is None else np.nan_to_num(np.asarray(stderr, float))
    if y.ndim != 1 or not y.shape == ce.shape == se.shape or len(y) < 4 or trials < 1:
        raise InputError(
            "scores and log-perplexities of the same checkpoints", expected="four or more, one trial or more",
            got=f"{y.shape}, {ce.shape}, {se.shape}; {trials} trials",
        )  # fmt: skip
    sound = np.isfinite(y).all() and np.isfinite(ce).all() and (y >= 0).all() and (y <= 1).all()
    if not (sound and (ce >= 0).all() and (se >= 0).all() and 0 <= chance < 1 and draws >= 19):
        raise InputError(
            "scores, log-perplexities and settings",
            expected="0 to 1; finite and 0 or more; 0 <= chance < 1; draws 19 or more",
            got=f"chance {chance}, draws {draws}, or others",
        )  # fmt: skip
    check_level(level)
    k = np.round(y * trials)
    if not (k > chance * trials).any():
        raise InputError("no score above chance", expected=f"above {chance:g}", got=f"{y.max():.3g} at most")
    best = _length(k[None], trials, ce[None], chance)[0]
    q = _score(best, ce, chance)
    parts = _deviance(k, trials, q)
    rng = np.random.default_rng(seed)
    counts = rng.binomial(trials, q, size=(draws, len(q))).astype(float)
    seen = np.maximum(ce + se * rng.standard_normal(counts.shape), 0.0)
    again = _length(counts, trials, seen, chance)
    null = _deviance(counts, trials, _score(again[:, None], seen, chance)).sum(axis=1)
    p = (1 + int((null >= parts.sum()).sum())) / (1 + draws)
    low, high = np.exp(np.quantile(again, [(1 - level) / 2, (1 + level) / 2]))
    value = math.exp(best)
    status = f"p^L with one L does not fit (p = {p:.2g}): it is the L of a wrong law" if p < 0.05 else ""
    how = "maximum likelihood; parametric bootstrap"
    length = Estimate(value, min(float(low), value), max(float(high), value), len(y), status, how, level)
    ends = np.array([binomial_interval(int(c), trials) for c in k])
    missed = int(((q < ends[:, 0]) | (q > ends[:, 1])).sum())
    return AnswerLength(length, p, float(parts.sum()), tuple(q.tolist()), missed, int(parts.argmax()))


def _score(log_length: Any, ce: Floats, chance: float) -> Floats:
    q = chance + (1 - chance) * np.exp(-np.exp(log_length) * ce)
    return np.asarray(np.clip(q, 1e-300, 1 - 1e-12))


def _deviance(k: Floats, n: int, q: Floats) -> Floats:
    return np.asarray(2 * (xlogy(k, k / n / q) + xlogy(n - k, (1 - k / n) / (1 - q))))


def _length(k: Floats, n: int, ce: Floats, chance: float) -> Floats:
    """ln L of largest likelihood (B,) for counts and cross entropies (B, T): a grid, then golden sections."""

    def cost(log_length: Floats) -> Floats:
        return np.asarray(_deviance(k, n, _score(log_length[:, None], ce, chance)).sum(axis=1))

    grid = np.linspace(*LENGTHS, 93)
    at = np.argmin([cost(np.full(len(k), g)) for g in grid], axis=0)
    low, high = grid[np.maximum(at - 1, 0)], grid[np.minimum(at + 1, len(grid) - 1)]
    for _ in range(40):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        nearer = cost(left) < cost(right)
        low, high = np.where(nearer, low, left), np.where(nearer, right, high)
    return np.asarray((low + high) / 2)
