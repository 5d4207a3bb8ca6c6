"""Parameters and tokens that a compute budget is best spent on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import Akima1DInterpolator

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.laws.data import numbers
from opalesce.laws.fit import Fit, check_level, fit
from opalesce.laws.forms import Floats
from opalesce.laws.spread import interval

FINE = 4001  # places at which a spline is searched for its minimum
FLOPS = 6.0  # per parameter and token, C = 6 N D


@dataclass(frozen=True)
class Allocation:
    """The optimum at one compute budget.

    Attributes
    ----------
    compute : float
        Budget C in FLOP, C = 6 N D.
    N, D, tokens_per_parameter, loss : Estimate
        Optimal parameters and tokens, their ratio, and the loss there (the law's mean, without the noise of
        a run). Intervals from the resampled fits.
    exponent : Estimate
        a in N* ~ C^a.
    decades : float
        log10 of how far C lies beyond the largest budget of the data.
    """

    compute: float
    N: Estimate
    D: Estimate
    tokens_per_parameter: Estimate
    loss: Estimate
    exponent: Estimate
    decades: float
    fit: Fit = field(repr=False)


def optimum(parameters: ArrayLike, compute: float) -> tuple[Floats, Floats]:
    r"""Optimal N and D of Chinchilla parameters (..., 5) = (E, A, B, alpha, beta) at a budget C.

    .. math:: N^* = G (C/6)^{\beta/(\alpha+\beta)},\quad D^* = G^{-1} (C/6)^{\alpha/(\alpha+\beta)},\quad
              G = \left(\frac{\alpha A}{\beta B}\right)^{1/(\alpha+\beta)}

    Source: hoffmann2022training, eq. 4.
    """
    _, a, b, alpha, beta = np.moveaxis(np.asarray(parameters, float), -1, 0)
    total = alpha + beta
    log_g = (np.log(alpha * a) - np.log(beta * b)) / total
    each = np.log(compute / FLOPS)
    return np.exp(log_g + each * beta / total), np.exp(-log_g + each * alpha / total)


def allocate(
    N: ArrayLike, D: ArrayLike, loss: ArrayLike, compute: float | Sequence[float], *, groups: Any = None,
    level: float = 0.9, seed: int = 0, draws: int = 1000,
) -> list[Allocation]:  # fmt: skip
    """Compute-optimal N and D from runs, by the Chinchilla law with its Huber objective.

    Parameters
    ----------
    N, D, loss : array_like (n,)
        Parameters, tokens and loss of each run.
    compute : float or sequence
        Budgets in FLOP.
    groups : array_like, optional
        The run of each row, when a run has more than one.
    level, seed, draws
        Of the bootstrap over runs.

    Raises
    ------
    InputError
        As `fit`; a budget that is not positive; a fit whose exponents are not both positive, which has no
        optimum inside.
    """
    check_level(level)
    budgets = numbers(np.atleast_1d(compute), "compute")
    f = fit("chinchilla", {"N": N, "D": D}, loss, groups=groups, level=level, seed=seed, draws=draws)
    best = np.array([f.params[k] for k in f.law.names])
    if not (best[3] > 0 and best[4] > 0 and best[1] > 0 and best[2] > 0):
        raise InputError(
            "this fit has no compute optimum inside",
            expected="alpha and beta above zero",
            got=f"alpha = {best[3]:.3g}, beta = {best[4]:.3g}",
            fix="runs with more different N and D",
        )
    many = f.law.natural(f.draws, f.data.centre)
    sound = (many[:, 3] > 0) & (many[:, 4] > 0)
    lost = int((~sound).sum())
    status = f"{lost} of {len(many)} resamples have no optimum inside" if lost else ""
    largest = float((FLOPS * np.exp(f.data.u.sum(axis=0))).max())

    def estimate(value: float, values: Floats) -> Estimate:
        return interval(value, values, f.diagnostics["n"], level, f.diagnostics["intervals"], status)

    out = []
    for c in budgets.tolist():
        n, d = (float(v) for v in optimum(best, c))
        ns, ds = optimum(many[sound], c)
        losses = np.array([_loss(p, i, j) for p, i, j in zip(many[sound], ns, ds, strict=True)])
        share = best[4] / (best[3] + best[4])
        shares = many[sound, 4] / (many[sound, 3] + many[sound, 4])
        out.append(
            Allocation(
                c,
                estimate(n, ns),
                estimate(d, ds),
                estimate(d / n, ds / ns),
                estimate(_loss(best, n, d), losses),
                estimate(float(share), shares),
                float(np.log10(c / largest)),
                f,
            )
        )
    return out


def _loss(p: Floats, n: float, d: float) -> float:
    return float(p[0] + p[1] * n ** -p[3] + p[2] * d ** -p[4])


@dataclass(frozen=True)
class IsoFlop:
    """Optima of each budget and the power law through them.

    `compute`, `optimal` (m,): budgets and their best N. `exponent`: of N* ~ C^a, interval by a bootstrap over
    budgets. `left_out`: budgets whose minimum is not among the sizes that were trained.
    """

    compute: Floats
    optimal: Floats
    exponent: Estimate
    coefficient: float
    left_out: tuple[float, ...]


def isoflop(
    compute: ArrayLike, N: ArrayLike, loss: ArrayLike, *, method: Literal["akima", "parabola"] = "akima",
    level: float = 0.95, seed: int = 0,
) -> IsoFlop:  # fmt: skip
    r"""Sizes of smallest loss, one a budget, and :math:`N^* = k C^a` through them.

    "akima" takes the minimum of an Akima spline of ln loss in ln N (porian2024resolving, whose exponents it
    gives); "parabola" that of a parabola of the loss in ln N through the seven sizes around the smallest loss
    (hoffmann2022training, sec. 3.2). A budget whose minimum lies at its smallest or largest size is left out.

    Raises
    ------
    InputError
        Columns that are not positive and finite, or fewer than two budgets with a minimum inside.
    """
    check_level(level)
    if method not in ("akima", "parabola"):
        raise InputError("no such method", expected="akima or parabola", got=repr(method))
    c, n, y = numbers(compute, "compute"), numbers(N, "N"), numbers(loss, "loss")
    if not len(c) == len(n) == len(y):
        got = f"{len(c)}, {len(n)}, {len(y)}"
        raise InputError("columns of different lengths", expected="one length", got=got)
    budgets, best, left = [], [], []
    for budget in np.unique(c):
        rows = np.flatnonzero(c == budget)
        sizes, first = np.unique(n[rows], return_index=True)
        place = _minimum(np.log(sizes), y[rows][first], method) if len(sizes) >= 4 else None
        if place is None:
            left.append(float(budget))
        else:
            budgets.append(float(budget))
            best.append(place)
    if len(budgets) < 2:
        raise InputError(
            "too few budgets with a minimum inside", expected="two or more", got=str(len(budgets)),
            fix="train sizes on both sides of the optimum",
        )  # fmt: skip
    u, v = np.log(budgets), np.array(best)
    slope, start = np.polyfit(u, v, 1)
    rng = np.random.default_rng(seed)
    slopes = []
    for _ in range(1000):
        pick = rng.integers(len(u), size=len(u))
        if np.ptp(u[pick]) > 0:
            slopes.append(np.polyfit(u[pick], v[pick], 1)[0])
    exponent = interval(float(slope), np.array(slopes), len(u), level, "bootstrap over budgets")
    return IsoFlop(np.array(budgets), np.exp(v), exponent, float(np.exp(start)), tuple(left))


def _minimum(u: Floats, y: Floats, method: str) -> float | None:
    """ln N of the smallest loss; None when it lies at an end."""
    if method == "akima":
        fine = np.linspace(u[0], u[-1], FINE)
        place = float(fine[np.argmin(Akima1DInterpolator(u, np.log(y))(fine))])
        return place if u[0] < place < u[-1] else None
    at = int(np.argmin(y))
    part = slice(max(at - 3, 0), at + 4)
    a, b, _ = np.polyfit(u[part] - u[part].mean(), y[part], 2)
    place = float(u[part].mean() - b / (2 * a)) if a > 0 else np.inf
    return place if u[part].min() < place < u[part].max() else None
