r"""The estimators M1 to M4 as their source runs them: regressions alternated with a descent on the plateaus.

`laws.fit` fits the same laws jointly and to the optimum; here the procedure is kept, quirks included, because
published figures come from it. A procedure that stops early or holds a regressor fixed is another estimator
than the optimum of its objective.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numba import njit
from scipy.optimize import nnls

from opalesce.errors import InputError
from opalesce.laws.data import numbers, points
from opalesce.laws.forms import Floats

Name = Literal["M1", "M2", "M3", "M4"]
MARGIN = 1e-3  # least distance of a plateau from the data
FLAT = 1e-5  # an alpha, or a second derivative, that counts as zero
GRID = 10_000  # values among which M4 is inverted
OUTER, GENTLE, STOP = 10_000, 100, 1e-10  # alternations; those by gradient descent; change of beta at the end
SLOW, NEWTON = (1e-8, 1000), (0.1, 100)  # rate and steps of one descent


@dataclass(frozen=True)
class Alternated:
    r"""Parameters at the end of the alternation.

    `params` has beta and c of :math:`\beta x^c` (M3: :math:`\beta (1/x + \gamma)^c`), and what its law has of
    eps_inf, eps_0, alpha and gamma. `rounds` counts the alternations; `converged` says whether beta stood
    still before their cap.
    """

    law: Name
    params: dict[str, float]
    rounds: int
    converged: bool

    def predict(self, x: Any) -> Floats:
        r"""The law at x (m,).

        M4 is inverted on a grid: w of 10,000 values from 0 to :math:`b = \epsilon_0 - \epsilon_\infty` with
        the smallest :math:`|w - \beta x^c (b - w)^\alpha|`, and :math:`y = \epsilon_\infty + w`.

        Raises
        ------
        InputError
            x that is not positive and finite.
        """
        new, p = numbers(np.atleast_1d(x), "x"), self.params
        if self.law == "M3":
            return np.asarray(p["beta"] * (1 / new + p["gamma"]) ** p["c"])
        power = p["beta"] * new ** p["c"]
        if p.get("alpha", 0.0) < FLAT:
            return np.asarray(p.get("eps_inf", 0.0) + power)
        w = np.linspace(0.0, p["eps_0"] - p["eps_inf"], GRID)
        room = (w[-1] - w) ** p["alpha"]
        return np.array([p["eps_inf"] + w[np.argmin(np.abs(w - f * room))] for f in power])


def alternate(law: Name, x: Any, y: Any, *, top: float = 1.0, ceiling: float | None = 1.0) -> Alternated:
    r"""Fit M1, M2, M3 or M4 by the alternating procedure of their source.

    M1, :math:`y = \beta x^c`: least squares in logs. M2, :math:`y - \epsilon_\infty = \beta x^c`: that
    regression alternated with a descent on eps_inf. M3, :math:`y = \beta (x^{-1} + \gamma)^c`, c >= 0: gamma
    is the best of the values that solve the equation at one point. M4:

    .. math:: \ln(y - \epsilon_\infty) = \ln\beta + c \ln x + \alpha \ln(\epsilon_0 - y),
              \qquad \ln\beta, -c, \alpha \ge 0

    by non-negative least squares, alternated with a descent of half the mean squared residual on
    (eps_inf, eps_0). The regressor :math:`\ln(\epsilon_0 - y)` keeps the first eps_0, which only the descent
    moves: this is the source's, and what makes its M4 another estimator than the joint fit. Plateaus start
    at min y - 0.001 and `top`, and stay 0.001 away from the data. The first 100 descents take 1000 gradient
    steps of rate 1e-8, later ones 100 damped Newton steps; the end is a change of beta below 1e-10, or
    10,000 alternations.

    Parameters
    ----------
    law : "M1", "M2", "M3" or "M4"
    x, y : array_like
        Data (n,), positive and finite, in any order; y in the unit of `top`.
    top : float
        First value of eps_0, above all y; 1 is the source's for errors.
    ceiling : float or None
        eps_0 stays below ceiling + 0.001; None leaves it free (losses).

    Raises
    ------
    InputError
        No such law, data that cannot be fitted, y not above 0.001, or `top` not above all y.

    Source: alabdulmohsin2022revisiting, sec. 2-3 and its notebook's settings.
    """
    if law not in get_args(Name):
        raise InputError("no alternating estimator", expected=", ".join(get_args(Name)), got=repr(law))
    data = points(("x",), x, y)
    u, y = data.u[0], np.exp(data.v)
    if law == "M1":
        log_beta, c = _line(u, data.v)
        return Alternated(law, {"beta": float(np.exp(log_beta)), "c": c}, 1, True)
    if law == "M3":
        return _bent(u, data.v)
    if y.min() <= MARGIN:
        raise InputError("no room below the data", expected=f"y above {MARGIN}", got=f"{y.min():g}")
    if law == "M2":
        return _plateaus(law, u, y, np.inf, None)
    if not y.max() < top or (ceiling is not None and y.max() > ceiling):
        raise InputError(
            "the upper plateau starts above all y", expected=f"y below {top:g}", got=f"{y.max():g}",
            fix="give top= and ceiling=; a loss has ceiling=None",
        )  # fmt: skip
    return _plateaus(law, u, y, top, ceiling)


def win_shares(errors: Any) -> Floats:
    """Share of tasks (rows) that each method (columns) wins: errors (tasks, methods) -> (methods,).

    Errors are cut off after three decimals, one that is missing counts as 1, and equal ones share the task.

    Raises
    ------
    InputError
        Errors that are not a table.

    Source: alabdulmohsin2022revisiting, the notebook's rule.
    """
    e = np.asarray(errors, float)
    if e.ndim != 2 or not e.size:
        raise InputError("errors are a table", expected="shape (tasks, methods)", got=str(e.shape))
    cut = np.trunc(np.where(np.isnan(e), 1.0, e) * 1000)
    best = cut == cut.min(axis=1, keepdims=True)
    return np.asarray((best / best.sum(axis=1, keepdims=True)).mean(axis=0))


def _line(u: Floats, v: Floats) -> tuple[float, float]:
    """Intercept and slope of v on u."""
    slope = float(np.dot(u - u.mean(), v) / np.square(u - u.mean()).sum())
    return float(v.mean() - slope * u.mean()), slope


def _bent(u: Floats, v: Floats) -> Alternated:
    """M3: a regression alternated with the best gamma among those that solve the law at one point."""
    inverse, gamma, old = np.exp(-u), 0.0, 1.0
    for k in range(1, OUTER + 1):
        log_beta, c = _line(np.log(inverse + gamma), v)
        c = max(c, 0.0)
        if c > 0:  # at c = 0 the law does not depend on gamma
            with np.errstate(over="ignore"):
                solved = np.exp((v - log_beta) / c) - inverse
            tried = np.concatenate([[gamma], solved[(solved >= 0) & np.isfinite(solved)]])
            misses = v - log_beta - c * np.log(inverse + tried[:, None])
            gamma = float(tried[np.square(misses).sum(axis=1).argmin()])
        beta = float(np.exp(log_beta))
        done = abs(beta - old) < STOP
        if done or k == OUTER:
            break
        old = beta
    return Alternated("M3", {"beta": beta, "c": c, "gamma": gamma}, k, done)


def _plateaus(law: Name, u: Floats, y: Floats, top: float, ceiling: float | None) -> Alternated:
    """M2 and M4: a regression alternated with a descent on the plateaus (M2 has alpha = 0, and no top)."""
    low = float(y.min()) - MARGIN
    limits = low, float(y.max()) + MARGIN, np.inf if ceiling is None else ceiling + MARGIN
    gap = np.log(top - y)
    columns = np.stack([np.ones_like(u), -u, gap], axis=1)
    alpha, old = 0.0, 1.0
    for k in range(1, OUTER + 1):
        target = np.log(y - low)
        if law == "M2":
            log_beta, c = _line(u, target)
        else:
            log_beta, slope, alpha = (float(v) for v in nnls(columns, target)[0])
            c = -slope
        gentle = k <= GENTLE
        rate, steps = SLOW if gentle else NEWTON
        low, top = _descend(y, log_beta + c * u, alpha, low, top, limits, rate, steps, gentle)
        beta = float(np.exp(log_beta))
        done = abs(beta - old) < STOP and k > GENTLE + 2
        if done or k == OUTER:
            break
        old = beta
    params = {"beta": beta, "c": c, "eps_inf": low}
    if law == "M4":
        params |= {"eps_0": top, "alpha": alpha}
    return Alternated(law, params, k, done)


@njit(cache=True)
def _descend(
    y: Floats, log_f: Floats, alpha: float, low: float, top: float, limits: tuple[float, float, float],
    rate: float, steps: int, gentle: bool,
) -> tuple[float, float]:  # fmt: skip
    """Gradient (gentle) or Newton steps of (low, top) on half the mean squared residual, projected.

    With r = ln(y - low) - alpha ln(top - y) - ln f the derivatives are, as means over the points,
    -r/(y - low) and (1 - r)/(y - low)^2 by low, -alpha r/(top - y) and alpha (alpha + r)/(top - y)^2 by top.
    A descent that no longer moves is left: every further step would be the same.
    """
    n = len(y)
    for _ in range(steps):
        slope_low = slope_top = bend_low = bend_top = 0.0
        for i in range(n):
            above = y[i] - low
            r = np.log(above) - log_f[i]
            if alpha > 0:
                below = top - y[i]
                r -= alpha * np.log(below)
                slope_top -= alpha * r / below
                bend_top += alpha * (alpha + r) / below**2
            slope_low -= r / above
            bend_low += (1 - r) / above**2
        if gentle:
            move_low, move_top = rate * slope_low / n, rate * slope_top / n
        else:
            move_low = rate * slope_low / bend_low if abs(bend_low / n) > FLAT else 0.0
            move_top = rate * slope_top / bend_top if abs(bend_top / n) > FLAT else 0.0
        new_low = min(max(low - move_low, 0.0), limits[0])
        new_top = min(max(top - move_top, limits[1]), limits[2])
        if new_low == low and new_top == top:
            break
        low, top = new_low, new_top
    return low, top
