r"""Many starts or many resamples of one law, fitted at once.

The objective is :math:`\sum_i w_i\,H_\delta(\ln y_i - \ln f(x_i;\theta))` with the Huber function
:math:`H_\delta(r) = r^2/2` for :math:`|r| \le \delta`, else :math:`\delta(|r| - \delta/2)`; least squares for
:math:`\delta = \infty`. Levenberg-Marquardt steps with Huber's weights run over all rows together; the best
distinct ends are polished one by one with SciPy, which also gives the gradient that is reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares, minimize

from opalesce.laws.forms import Floats, Form

SHORT, FEW = 15, 6  # steps of all starts, and ends that go on, of a trial
MANY = 1000  # of so many starts some lie near each optimum, and the short descent need only rank them


def huber(r: Floats, delta: float) -> Floats:
    """H_delta of residuals, elementwise."""
    size = np.abs(r)
    if delta == np.inf:
        return np.asarray(r**2 / 2)
    return np.asarray(np.where(size <= delta, r**2 / 2, delta * (size - delta / 2)))


def objective(form: Form, theta: Floats, u: Floats, v: Floats, delta: float, weights: Floats) -> Floats:
    """Value of the objective (S,) at rows of theta."""
    value, _ = form.log_value(theta, u)
    return np.asarray((weights * huber(v - value, delta)).sum(axis=-1))


def descend(
    form: Form,
    u: Floats,
    v: Floats,
    theta: Floats,
    bounds: tuple[Floats, Floats],
    *,
    delta: float = np.inf,
    weights: Floats | None = None,
    steps: int = 60,
    tolerance: float = 1e-10,
) -> tuple[Floats, Floats]:
    """Levenberg-Marquardt on every row of theta (S, P): the ends and their objectives.

    `weights` (S, n) or (n,) count each point; a row is done when a step gains less than `tolerance` of its
    objective, or no step gains. Bounds are (P,) or (S, P); equal ones hold a parameter fixed.
    """
    theta = np.array(theta, float)
    low, high = (np.broadcast_to(b, theta.shape) for b in bounds)
    theta = np.clip(theta, low, high)
    w = np.broadcast_to(np.ones_like(v) if weights is None else weights, (len(theta), len(v)))
    damp = np.full(len(theta), 1e-2)
    value, jac = form.log_value(theta, u)
    cost = (w * huber(v - value, delta)).sum(axis=1)
    live = np.isfinite(cost)
    cost = np.where(live, cost, np.inf)
    for _ in range(steps):
        rows = np.flatnonzero(live)
        if not len(rows):
            break
        r, j = v - value[rows], jac[rows]
        with np.errstate(divide="ignore"):
            pull = w[rows] * (np.minimum(1.0, delta / np.abs(r)) if delta < np.inf else 1.0)
        weighted = j * pull[..., None]
        gradient = np.einsum("snp,sn->sp", weighted, r)
        hessian = np.matmul(weighted.transpose(0, 2, 1), j)
        now = theta[rows]
        stuck = ((now <= low[rows]) & (gradient < 0)) | ((now >= high[rows]) & (gradient > 0))
        gradient[stuck] = 0.0
        hessian[stuck[:, :, None] | stuck[:, None, :]] = 0.0
        diagonal = np.einsum("spp->sp", hessian)
        diagonal += damp[rows, None] * diagonal + 1e-14 * (1 + diagonal.max(axis=1, keepdims=True))
        diagonal[stuck] = 1.0
        step = solve_rows(hessian, gradient)
        trial = np.clip(now + step, low[rows], high[rows])
        new_value, new_jac = form.log_value(trial, u)
        new_cost = (w[rows] * huber(v - new_value, delta)).sum(axis=1)
        better = new_cost < cost[rows]
        gain = np.where(better, cost[rows] - new_cost, 0.0)
        took = rows[better]
        theta[took], value[took], jac[took] = trial[better], new_value[better], new_jac[better]
        done = (better & (gain <= tolerance * cost[rows])) | (~better & (damp[rows] > 1e8))
        cost[took] = new_cost[better]
        damp[rows] = np.where(better, np.maximum(damp[rows] / 4, 1e-12), damp[rows] * 6)
        live[rows[done]] = False
    return theta, cost


def solve_rows(hessian: Floats, gradient: Floats) -> Floats:
    """Solutions (S, P) of many small systems (S, P, P), (S, P)."""
    try:
        return np.asarray(np.linalg.solve(hessian, gradient[..., None])[..., 0])
    except np.linalg.LinAlgError:  # one singular row must not stop the others
        return np.asarray(np.matmul(np.linalg.pinv(hessian, hermitian=True), gradient[..., None])[..., 0])


@dataclass(frozen=True)
class Optimum:
    """One end of the search: internal parameters, objective, and the norm of the gradient left."""

    theta: Floats
    objective: float
    gradient: float


def polish(
    form: Form, u: Floats, v: Floats, theta: Floats, bounds: tuple[Floats, Floats], delta: float = np.inf
) -> Optimum:
    """Run one row to the limit of the arithmetic.

    The objective is divided by delta n: an optimiser whose tolerance is relative to a value of 1e-3 stops
    early (the fault of published fits of this kind).
    """
    low, high = bounds
    start = np.clip(theta, low, high)
    if delta == np.inf:

        def residuals(t: Floats) -> Floats:
            return np.asarray(form.log_value(t[None], u)[0][0] - v)

        def slopes(t: Floats) -> Floats:
            return np.asarray(form.log_value(t[None], u)[1][0])

        inside = np.clip(start, np.nextafter(low, np.inf), np.nextafter(high, -np.inf))
        got = least_squares(
            residuals, inside, slopes, bounds=(low, high), x_scale="jac", ftol=1e-15, xtol=1e-15, gtol=1e-15
        )
        end = np.asarray(got.x)
    else:
        scale = 1.0 / (delta * len(v))

        def fun(t: Floats) -> tuple[float, Floats]:
            value, jac = form.log_value(t[None], u)
            r = v - value[0]
            pull = np.clip(r, -delta, delta)
            return float(scale * huber(r, delta).sum()), np.asarray(-scale * (pull @ jac[0]))

        free = minimize(fun, start, jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 2000})
        end = np.clip(free.x, low, high)
        if not np.array_equal(end, free.x):  # left the bounds: again, inside them
            free = minimize(
                fun,
                start,
                jac=True,
                method="L-BFGS-B",
                bounds=list(zip(low, high, strict=True)),
                options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 5000},
            )
            end = np.asarray(free.x)
    ones = np.ones_like(v)
    if objective(form, start[None], u, v, delta, ones)[0] < objective(form, end[None], u, v, delta, ones)[0]:
        end = start
    value, jac = form.log_value(end[None], u)
    r = v - value[0]
    slope = -np.clip(r, -delta, delta) @ jac[0]
    slope = np.where(((end <= low) & (slope > 0)) | ((end >= high) & (slope < 0)), 0.0, slope)
    return Optimum(end, float(huber(r, delta).sum()), float(np.linalg.norm(slope) / len(v)))


def search(
    form: Form,
    u: Floats,
    v: Floats,
    *,
    delta: float = np.inf,
    starts: Floats | None = None,
    keep: int = 6,
    gap: float = 0.1,
) -> list[Optimum]:
    """Distinct optima from many starts, best first; those within a relative `gap` of the best objective.

    A short descent of all starts, a long one of the best, then `polish` of the `keep` best distinct ends.
    With a finite delta the short descent uses ten times the median residual first, so that far starts feel
    a curvature.
    """
    bounds = form.bounds(u, v)
    theta = form.starts(u, v) if starts is None else starts
    steps, tolerance = (25, 1e-5) if len(theta) < MANY else (12, 1e-3)
    soft = np.inf if delta == np.inf else max(delta, 0.05)
    theta, cost = descend(form, u, v, theta, bounds, delta=soft, steps=steps, tolerance=tolerance)
    chosen = _distinct(theta, cost, max(24, 4 * keep))
    theta, cost = descend(form, u, v, theta[chosen], bounds, delta=delta, steps=150)
    ends = [polish(form, u, v, theta[i], bounds, delta) for i in _distinct(theta, cost, keep)]
    ends.sort(key=lambda o: o.objective)
    best: list[Optimum] = []
    for end in ends:
        near = end.objective <= ends[0].objective * (1 + gap) + 1e-18
        if near and all(np.abs(end.theta - o.theta).max() > 1e-3 for o in best):
            best.append(end)
    return best


def reach(
    form: Form,
    u: Floats,
    v: Floats,
    starts: list[Floats],
    bounds: list[tuple[Floats, Floats]],
    weights: Floats,
) -> list[Floats]:
    """For each row of weights (T, n) the best end (P,) of least squares from its starts (S, P), in one batch.

    Good enough to predict with: the last digits, which `polish` adds, cost most of a search.
    """
    trial = np.repeat(np.arange(len(starts)), [len(s) for s in starts])
    low, high = (np.stack(side) for side in zip(*bounds, strict=True))
    ends, cost = descend(
        form, u, v, np.concatenate(starts), (low[trial], high[trial]), weights=weights[trial],
        steps=SHORT, tolerance=1e-4,
    )  # fmt: skip
    some = [np.flatnonzero(trial == t) for t in range(len(starts))]
    rows = np.concatenate([at[_distinct(ends[at], cost[at], FEW)] for at in some])
    trial = trial[rows]
    ends, cost = descend(
        form, u, v, ends[rows], (low[trial], high[trial]), weights=weights[trial], steps=80, tolerance=1e-8
    )
    return [ends[trial == t][np.argmin(cost[trial == t])] for t in range(len(starts))]


def _distinct(theta: Floats, cost: Floats, most: int) -> list[int]:
    """Rows of the smallest objectives that differ in some parameter by more than 1e-3."""
    chosen: list[int] = []
    for i in np.argsort(cost):
        if not np.isfinite(cost[i]) or len(chosen) == most:
            break
        if all(np.abs(theta[i] - theta[j]).max() > 1e-3 for j in chosen):
            chosen.append(int(i))
    return chosen
