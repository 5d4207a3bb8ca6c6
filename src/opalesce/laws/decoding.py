"""Does the way of decoding make or hide a break? One set of answers, read greedily, on average, and by k.

A reconstruction of the protocol of joshi2026stochastic, of which only the abstract could be read: greedy
answers are said to hide both ability and fragility, and transitions to vanish with them. Majority votes need
the answers themselves and are left out.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.laws.breaktest import BreakTest, break_test
from opalesce.laws.data import numbers
from opalesce.laws.forms import Floats
from opalesce.theory.multiple import corrected
from opalesce.theory.sampling import any_fails, pass_at_k


@dataclass(frozen=True)
class Reading:
    """One way of reading the answers, as a curve of errors over the sizes.

    `error` (S,) with `low` and `high`; `gap`, its error less that of greedy answers, with its own interval
    (`gap_low`, `gap_high`), narrower than that of two curves since both are read from the same items. `test`
    is one break against none, None for a curve that does not vary; `p` is its p-value corrected for the
    number of readings (Holm; 1 where there is no test), and `significant` says whether p <= 1 - level.
    """

    error: Floats
    low: Floats
    high: Floats
    gap: Floats
    gap_low: Floats
    gap_high: Floats
    test: BreakTest | None
    p: float
    significant: bool


@dataclass(frozen=True)
class Decoding:
    """Readings by name ("greedy", "mean", "pass@k", "any of k fails") at sizes x (S,), smallest first, and
    P(any fails) in each group of paraphrases (S, G), of greedy answers (0 or 1) and of one sample each."""

    x: Floats
    readings: dict[str, Reading]
    groups: tuple[Hashable, ...]
    greedy_fails: Floats
    sampled_fails: Floats


def decoding(
    x: Any, greedy: Any, passes: Any, samples: int, *, k: int = 4, groups: Any = None, offset: bool = True,
    level: float = 0.9, resamples: int = 1000, draws: int = 199, seed: int = 0,
) -> Decoding:  # fmt: skip
    r"""Curves of error over x by four readings of the same answers, and in which of them is a break.

    With c of n samples right, an item's errors are: 0 or 1 (greedy), :math:`1 - c/n` (mean),
    :math:`\binom{n-c}{k}/\binom{n}{k}` (pass@k) and :math:`1 - \binom{c}{k}/\binom{n}{k}` (any of k fails); a
    curve is the mean over items. Intervals are quantiles of a bootstrap over items (whole groups, when they
    are given), the same for all sizes and readings.

    One break against none of the broken law is tested on the log of each curve (`laws.breaktest.break_test`)
    with the covariance :math:`C_{st} = \sum_i (e_{si}/\bar e_s - 1)(e_{ti}/\bar e_t - 1)/m^2` over m items
    (or groups), since models on the same items go up and down together. A mean error of zero counts as half
    the smallest step above it, h, and :math:`(h/\bar e_s)^2` is added to the diagonal, which gives such a
    point an error of about 1. That a break is significant in one reading and not in another does not make
    the readings different: look at `gap`.

    P(any fails) of a group is :math:`1 - \prod_i c_i/n` over its paraphrases i, unbiased since their samples
    are independent.

    Parameters
    ----------
    x : array_like
        Size of each model (S,), positive; 7 or more with an offset, 6 or more without.
    greedy : array_like
        Right (1) or wrong (0), (S, m).
    passes : array_like
        Right answers c among the samples, integers (S, m).
    samples : int
        n, samples of each item.
    k : int
        Draws of pass@k and of "any of k fails", at most n.
    groups : array_like, optional
        Name of the question that each item is a paraphrase of (m,).
    offset : bool
        Whether the law may level off at an error above zero.
    level : float
        Confidence level of intervals and, as 1 - level, of the tests.
    resamples, draws, seed : int
        Bootstrap over items, simulated curves of each test, and the seed of both.

    Raises
    ------
    InputError
        Shapes that do not agree, a greedy answer that is neither 0 nor 1, counts outside 0 to n, too few
        sizes or items.

    Source: a reconstruction of joshi2026stochastic (abstract); pass@k is chen2021evaluating, eq. 1.
    """
    sizes = numbers(x, "x")
    first, c = _answers(len(sizes), greedy, passes, samples)
    if not (0 < level < 1 and resamples >= 100):
        raise InputError(
            "settings of a bootstrap", expected="level between 0 and 1, 100 resamples or more",
            got=f"level {level}, resamples {resamples}",
        )  # fmt: skip
    order = np.argsort(sizes, kind="stable")
    sizes, first, c = sizes[order], first[order], c[order]
    items = first.shape[1]
    names, member = _groups(groups, items)
    errors = {
        "greedy": 1 - first,
        "mean": 1 - c / samples,
        f"pass@{k}": 1 - pass_at_k(samples, c, k),
        f"any of {k} fails": any_fails(samples, c, k),
    }
    # the smallest error above zero that an item can have
    steps = dict(zip(errors, (1.0, 1 / samples, 1 / math.comb(samples, k), k / samples), strict=True))
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)[:, member]
    weights = drawn / drawn.sum(axis=1, keepdims=True)
    redrawn = {name: weights @ e.T for name, e in errors.items()}  # (resamples, S)
    tests: dict[str, BreakTest | None] = {}
    for name, e in errors.items():
        mean, covariance = _logs(e, member, steps[name])
        tests[name] = None
        if np.ptp(mean) > 0:
            tests[name] = break_test(sizes, mean, offset=offset, errors=covariance, draws=draws, seed=seed)
    holm = corrected([1.0 if t is None else t.p for t in tests.values()])
    ps = dict(zip(tests, holm.tolist(), strict=True))
    tail = [(1 - level) / 2, (1 + level) / 2]
    readings = {}
    for name, e in errors.items():
        low, high = np.quantile(redrawn[name], tail, axis=0)
        gap_low, gap_high = np.quantile(redrawn[name] - redrawn["greedy"], tail, axis=0)
        gap = (e - errors["greedy"]).mean(axis=1)
        readings[name] = Reading(
            e.mean(axis=1), low, high, gap, gap_low, gap_high, tests[name], ps[name], ps[name] <= 1 - level
        )
    if groups is None:
        nothing = np.empty((len(sizes), 0))
        return Decoding(sizes, readings, (), nothing, nothing)
    one_right, one_rate = (
        np.stack([1 - r[:, member == g].prod(axis=1) for g in range(len(names))], axis=1)
        for r in (first, c / samples)
    )
    return Decoding(sizes, readings, names, one_right, one_rate)


def _answers(sizes: int, greedy: Any, passes: Any, samples: int) -> tuple[Floats, Floats]:
    """Greedy answers and counts as floats (S, m), checked."""
    first, c = np.asarray(greedy, float), np.asarray(passes, float)
    if first.ndim != 2 or first.shape != c.shape or first.shape[0] != sizes or first.shape[1] < 2:
        raise InputError(
            "greedy answers and counts by size and item", expected=f"two tables ({sizes}, 2 or more)",
            got=f"{first.shape} and {c.shape}",
        )  # fmt: skip
    if not np.isin(first, (0, 1)).all():
        raise InputError("a greedy answer is right or wrong", expected="0 or 1", got="others")
    if not ((c >= 0) & (c <= samples) & (c == np.floor(c))).all():
        raise InputError(
            "counts of right answers", expected=f"whole numbers from 0 to {samples}", got="others"
        )
    return first, c


def _logs(e: Floats, member: NDArray[np.int64], step: float) -> tuple[Floats, Floats]:
    """Mean error of each size (S,) of errors (S, m), above zero, and the covariance (S, S) of its log."""
    items = e.shape[1]
    half = step / (2 * items)
    mean = np.maximum(e.mean(axis=1), half)
    away = (e - e.mean(axis=1, keepdims=True)) / mean[:, None]
    whole = np.stack([np.bincount(member, row) for row in away]) / items  # items of a group move together
    return mean, whole @ whole.T + np.diag((half / mean) ** 2)


def _groups(groups: Any, items: int) -> tuple[tuple[Hashable, ...], NDArray[np.int64]]:
    """Names of the groups in order of appearance, and the group of each item; by default its own."""
    labels = list(range(items) if groups is None else groups)
    if len(labels) != items:
        raise InputError("a group for each item", expected=str(items), got=str(len(labels)))
    names = tuple(dict.fromkeys(labels))
    if len(names) < 2:
        raise InputError("a bootstrap over groups needs groups", expected="two or more", got=str(len(names)))
    number = {name: g for g, name in enumerate(names)}
    return names, np.array([number[label] for label in labels])
