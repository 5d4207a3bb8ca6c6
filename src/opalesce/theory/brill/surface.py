"""Loss of a language model over parameters and tokens (brill2024neural, eq. 14; hoffmann2022training)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import logsumexp

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.theory.checks import Array, numbers, positive, whole

BEND = 1e-3  # Huber bend in log loss, hoffmann2022training


def _fit(log_n: Array, log_d: Array, log_loss: Array, start: Array) -> tuple[Array, float]:
    """Five parameters (ln A, ln B, ln E, a, b) of one fit and its cost."""

    def cost(v: Array) -> tuple[float, Array]:
        terms = np.stack([v[0] - v[3] * log_n, v[1] - v[4] * log_d, np.full_like(log_n, v[2])])
        total = logsumexp(terms, axis=0)
        share = np.exp(terms - total)
        r = total - log_loss
        pull = np.clip(r, -BEND, BEND)
        grad = share * pull
        slopes = [-(grad[0] @ log_n), -(grad[1] @ log_d)]
        value = np.where(np.abs(r) <= BEND, 0.5 * r**2, BEND * (np.abs(r) - 0.5 * BEND)).sum()
        return float(value) * 1e6, np.r_[grad.sum(axis=1), slopes] * 1e6

    found = minimize(cost, start, jac=True, method="BFGS", options={"maxiter": 2000})
    return np.asarray(found.x), float(found.fun)


def surface_fit(
    params: ArrayLike,
    tokens: ArrayLike,
    loss: ArrayLike,
    rng: np.random.Generator,
    draws: int = 200,
    level: float = 0.9,
) -> dict[str, Estimate]:
    r"""Exponents of :math:`L = E + A P^{-a} + B n^{-b}`, robust in log loss, with bootstrap intervals.

    Huber's function (bend 0.001) of :math:`\ln \hat L - \ln L` is minimised from several starts; runs are
    resampled for the intervals.

    Parameters
    ----------
    params, tokens, loss : array_like, shape (n,)
    rng : Generator
    draws, level : int, float

    Returns
    -------
    dict
        "model" a, "data" b, "floor" E. Hand a or b to `chinchilla.against_bounds`.

    Raises
    ------
    InputError
        Fewer than 10 runs, lengths that differ, numbers that are not positive.
    """
    tiny = np.nextafter(0, 1)
    p, t, y = (
        numbers(v, name, tiny).ravel() for v, name in ((params, "params"), (tokens, "tokens"), (loss, "loss"))
    )
    if not p.size == t.size == y.size or p.size < 10:
        raise InputError(
            "no surface to fit",
            expected="10 or more runs, equal lengths",
            got=f"{p.size}, {t.size}, {y.size}",
        )
    level, draws = positive(level, "level", 0, 1), whole(draws, "draws", 20)
    log_n, log_d, log_y = np.log(p) - np.log(p).mean(), np.log(t) - np.log(t).mean(), np.log(y)
    low = float(log_y.min())
    starts = [
        np.array([low - 2, low - 2, low + e, a, b])
        for e in (-0.6, -0.1)
        for a in (0.3, 0.7)
        for b in (0.3, 0.7)
    ]
    best = min((_fit(log_n, log_d, log_y, s) for s in starts), key=lambda found: found[1])[0]
    boot = np.empty((draws, 3))
    for i in range(draws):
        row = rng.integers(p.size, size=p.size)
        v = _fit(log_n[row], log_d[row], log_y[row], best)[0]
        boot[i] = v[3], v[4], np.exp(v[2])
    ends = np.quantile(boot, [(1 - level) / 2, (1 + level) / 2], axis=0)
    values = {"model": best[3], "data": best[4], "floor": np.exp(best[2])}
    return {
        name: Estimate(
            float(v),
            float(ends[0, i]),
            float(ends[1, i]),
            p.size,
            method="Huber in log loss; bootstrap over runs",
            level=level,
        )
        for i, (name, v) in enumerate(values.items())
    }
