"""All witnesses of a run at once: Westfall-Young correction and agreement of places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opalesce.transitions.calibrate import NullTable
from opalesce.transitions.intervals import refine
from opalesce.transitions.scan import ChangeFit
from opalesce.transitions.smooth import logistic

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """One witness inside the court: its series, places, null table and fit."""

    x: Array
    y: Array
    table: NullTable
    fit: ChangeFit


def residual_correlation(items: Sequence[Judged]) -> Array:
    """Correlation of the whitened residuals of the witnesses at their common places; (m, m).

    Pairs with fewer than eight common places are taken as uncorrelated, which the correction
    by min p tolerates (it is then nearly Bonferroni). The result is made positive definite.
    """
    m = len(items)
    residuals = [item.table.design.innovations(item.y, item.fit) for item in items]
    out = np.eye(m)
    for i in range(m):
        for j in range(i):
            _, a, b = np.intersect1d(items[i].x, items[j].x, return_indices=True)
            if len(a) >= 8:
                out[i, j] = out[j, i] = _corr(residuals[i][a], residuals[j][b])
    values, vectors = np.linalg.eigh(out)
    fixed = (vectors * np.maximum(values, 1e-3)) @ vectors.T
    scale = np.sqrt(np.diag(fixed))
    return np.asarray(fixed / np.outer(scale, scale))


def _corr(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def noise(
    items: Sequence[Judged],
    correlation: Array,
    b: int,
    rng: np.random.Generator,
    models: Sequence[int] | None = None,
) -> list[Array]:
    """Joint noise of all witnesses, shapes (n_i, b): shared time blocks, each with its own OU.

    Innovations at the same place are correlated between witnesses as measured. `models` are the
    noise models to draw from; by default the fitted ones.
    """
    chosen = [item.fit.noise for item in items] if models is None else models
    places = np.unique(np.concatenate([item.x for item in items]))
    root = np.linalg.cholesky(correlation)
    shared = np.einsum("ij,jnb->inb", root, rng.standard_normal((len(items), len(places), b)))
    out = []
    for i, item in enumerate(items):
        rows = np.searchsorted(places, item.x)
        out.append(item.table.design.models[chosen[i]].root @ shared[i][rows])
    return out


def westfall_young(
    items: Sequence[Judged], p: Array, rng: np.random.Generator, replicates: int = 999
) -> Array:
    """Family-wise adjusted p-values by the minimum p of joint replicates (step-down).

    adjusted_(k) = P(min over witnesses ranked k or later of p* <= p_(k)), made monotone; never
    below p itself and never above Bonferroni's m p, which is valid under any dependence. Each
    witness's replicates come from its least favourable noise: p is the largest over the noise grid,
    and under any other noise p* would be too large and the correction too small.
    Westfall & Young (1993), algorithm 2.8.
    """
    m = len(items)
    if m == 1:
        return p.copy()
    least = [item.table.worst(item.fit.sharp) for item in items]
    draws = noise(items, residual_correlation(items), replicates, rng, least)
    simulated = np.array(
        [
            item.table.p_values(item.table.design.statistics(y)[0])
            for item, y in zip(items, draws, strict=True)
        ]
    )
    order = np.argsort(p)
    adjusted = np.empty(m)
    running = 0.0
    for rank, k in enumerate(order):
        lowest = simulated[order[rank:]].min(0)
        raw = (1 + int((lowest <= p[k]).sum())) / (1 + replicates)
        running = max(running, p[k], min((m - rank) * p[k], raw))
        adjusted[k] = min(1.0, running)
    return adjusted


def place_replicates(items: Sequence[Judged], rng: np.random.Generator, replicates: int = 300) -> Array:
    """Fitted places of joint replicates of the fitted changes; shape (m, replicates), in u."""
    draws = noise(items, residual_correlation(items), replicates, rng)
    out = []
    for item, e in zip(items, draws, strict=True):
        design, fit = item.table.design, item.fit
        fine, _ = refine(design, item.y, fit, fine=4)
        signal = fit.height * logistic(design.u, fit.place, fit.width)
        _, where = fine.best(signal[:, None] + fit.sigma * e)
        out.append(fine.candidates[0][where])
    return np.array(out)


def difference_interval(
    a: float, b: float, draws_a: Array, draws_b: Array, level: float = 0.9
) -> tuple[float, float]:
    """Basic bootstrap interval of place a minus place b from joint replicates."""
    gap = draws_a - draws_b
    low, high = np.quantile(gap, [(1 - level) / 2, (1 + level) / 2])
    return 2 * (a - b) - float(high), 2 * (a - b) - float(low)


def seed_difference_interval(gaps: Array, level: float = 0.9) -> tuple[float, float]:
    """t interval of the mean difference of two witnesses' places over four or more seeds."""
    from scipy.stats import t

    half = float(t.ppf((1 + level) / 2, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps)))
    return float(gaps.mean()) - half, float(gaps.mean()) + half


def equivalent(interval: tuple[float, float], margin: float) -> bool:
    """Equivalence: the whole interval lies inside +-margin. Overlap is not agreement."""
    return -margin <= interval[0] and interval[1] <= margin
