r"""Likelihood of counts around a curve of rates, and its maximum for many data sets at once.

With k successes of n, rate q and overdispersion rho the count is beta-binomial:
:math:`k \sim \mathrm{Bin}(n, p),\ p \sim \mathrm{Beta}(qM, (1-q)M),\ M = 1/\rho - 1`, so that
:math:`\mathrm{Var}\,k = n q (1-q)(1 + (n-1)\rho)`; binomial at rho = 0. Rows are data sets or starts (S, n).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, digamma, gammaln, xlog1py, xlogy

from opalesce.errors import InputError
from opalesce.laws.data import numbers
from opalesce.laws.descent import solve_rows
from opalesce.laws.forms import Floats

TINY = 1e-12  # rates are kept so far from 0 and 1
RHO = (1e-6, 0.95)  # overdispersion is searched between these; below the first it moves no likelihood
NUDGE = 1e-4  # of ln rho, for its curvature
Rates = Callable[[Floats], tuple[Floats, Floats]]  # theta (S, P) -> q (S, n) and dq/dtheta (S, n, P)


def log_pmf(k: Floats, n: Floats, q: Floats, rho: Floats | float = 0.0) -> Floats:
    """Log-probability of each count, elementwise; binomial where rho is zero."""
    choose = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    rho = np.broadcast_to(np.asarray(rho, float), np.broadcast_shapes(np.shape(q), np.shape(k)))
    if not rho.any():
        return np.asarray(choose + xlogy(k, q) + xlog1py(n - k, -q))
    m = 1 / rho - 1
    return np.asarray(choose + betaln(k + q * m, n - k + (1 - q) * m) - betaln(q * m, (1 - q) * m))


def score(k: Floats, n: Floats, q: Floats, rho: Floats | None) -> tuple[Floats, Floats]:
    """Derivative of `log_pmf` by q and by ln rho; rho (S, 1), or None for binomial counts."""
    if rho is None:
        return (k - n * q) / (q * (1 - q)), np.zeros_like(q)
    m = 1 / rho - 1
    won = digamma(k + q * m) - digamma(q * m)
    lost = digamma(n - k + (1 - q) * m) - digamma((1 - q) * m)
    by_m = q * won + (1 - q) * lost - digamma(n + m) + digamma(m)
    return m * (won - lost), -by_m / rho


def simulate(n: Floats, q: Floats, rho: float, rng: np.random.Generator, draws: int) -> Floats:
    """Counts (draws, n) around rates q (n,)."""
    p = np.broadcast_to(q, (draws, len(q)))
    if rho > 0:
        m = 1 / rho - 1
        p = rng.beta(q * m, (1 - q) * m, size=(draws, len(q)))
    return rng.binomial(n.astype(int), p).astype(float)


def maximise(
    rates: Rates, k: Floats, n: Floats, theta: Floats, bounds: tuple[Floats, Floats],
    weights: Floats | None = None, *, beta: bool = False, steps: int = 80, tolerance: float = 1e-7,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Damped Fisher scoring on every row: the ends (S, P) and their log-likelihoods (S,).

    Counts k and weights (S, n). With `beta` the last column of theta is ln rho, whose curvature is a
    difference of scores, without its sign. A row is done when a step gains less than `tolerance` in
    log-likelihood, or none gains.
    """
    low, high = bounds
    theta = np.clip(np.array(theta, float), low, high)
    k = np.broadcast_to(k, (len(theta), k.shape[-1]))
    w = np.ones_like(k) if weights is None else np.broadcast_to(weights, k.shape)

    def value(rows: np.ndarray, t: Floats) -> tuple[Floats, Floats, Floats]:
        q, jac = rates(t[:, :-1] if beta else t)
        q = np.clip(q, TINY, 1 - TINY)
        rho = np.exp(t[:, -1:]) if beta else 0.0
        return (w[rows] * log_pmf(k[rows], n, q, rho)).sum(axis=1), q, jac

    best, q, jac = value(np.arange(len(theta)), theta)
    damp, live = np.full(len(theta), 1e-2), np.isfinite(best)
    for _ in range(steps):
        rows = np.flatnonzero(live)
        if not len(rows):
            break
        now, ww, qq = theta[rows], w[rows], q[rows]
        rho = np.exp(now[:, -1:]) if beta else None
        by_q, by_rho = score(k[rows], n, qq, rho)
        known = ww * n / (qq * (1 - qq) * (1.0 if rho is None else 1 + (n - 1) * rho))
        gradient = np.einsum("snp,sn->sp", jac[rows], ww * by_q)
        hessian = np.einsum("snp,sn,snr->spr", jac[rows], known, jac[rows])
        if beta:
            gradient = np.concatenate([gradient, (ww * by_rho).sum(axis=1, keepdims=True)], axis=1)
            hessian = np.pad(hessian, ((0, 0), (0, 1), (0, 1)))
            # the squared score of ln rho is far too large far from the optimum, and steps stall
            further = score(k[rows], n, qq, np.exp(now[:, -1:] + NUDGE))[1]
            hessian[:, -1, -1] = np.abs((ww * (further - by_rho)).sum(axis=1) / NUDGE)
        edge_low, edge_high = low[rows], high[rows]
        stuck = ((now <= edge_low) & (gradient < 0)) | ((now >= edge_high) & (gradient > 0))
        gradient[stuck] = 0.0
        hessian[stuck[:, :, None] | stuck[:, None, :]] = 0.0
        diagonal = np.einsum("spp->sp", hessian)
        diagonal += damp[rows, None] * diagonal + 1e-12 * (1 + diagonal.max(axis=1, keepdims=True))
        diagonal[stuck] = 1.0
        # no step longer than half the box: far out the information is flat and steps are wild
        reach = (edge_high - edge_low) / 2
        trial = np.clip(now + np.clip(solve_rows(hessian, gradient), -reach, reach), edge_low, edge_high)
        new, new_q, new_jac = value(rows, trial)
        better = new > best[rows]
        gain = np.where(better, new - best[rows], 0.0)
        took = rows[better]
        theta[took], q[took], jac[took], best[took] = (
            trial[better],
            new_q[better],
            new_jac[better],
            new[better],
        )
        done = (better & (gain < tolerance)) | (~better & (damp[rows] > 1e6))
        damp[rows] = np.where(better, np.maximum(damp[rows] / 4, 1e-10), damp[rows] * 6)
        live[rows[done]] = False
    return theta, np.where(np.isfinite(best), best, -np.inf)


def counts_of(x: ArrayLike, successes: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Checked scale, successes and trials, each (n,)."""
    v = numbers(x, "x")
    k, n = np.asarray(successes, float), np.broadcast_to(np.asarray(trials, float), v.shape).copy()
    if k.shape != v.shape:
        raise InputError("columns of different lengths", expected=str(v.shape), got=str(k.shape))
    whole = np.isfinite(k) & np.isfinite(n) & (k == np.round(k)) & (n == np.round(n))
    wrong = np.flatnonzero(~(whole & (k >= 0) & (k <= n) & (n >= 1)))
    if len(wrong):
        raise InputError(
            "successes and trials are counts", expected="whole numbers, 0 <= successes <= trials",
            got=f"row {wrong[0]}: {k[wrong[0]]:g} of {n[wrong[0]]:g}",
            fix="successes = round(accuracy * trials)",
        )  # fmt: skip
    return v, k, n


def labels_of(groups: Any, size: int) -> np.ndarray | None:
    """Number of the run of each point (n,)."""
    if groups is None:
        return None
    names, labels = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    if labels.shape != (size,) or len(names) < 2:
        raise InputError(
            "groups name the run of each point", expected=f"{size} labels of two or more runs",
            got=f"{labels.shape}, {len(names)}", fix="groups=None",
        )  # fmt: skip
    return labels
