r"""Least squares of laws that are linear in some of their parameters.

For :math:`y = \sum_j \beta_j B_j(x; \theta)` the best coefficients at each theta are a linear problem, so
that only theta needs a start (variable projection). `basis(theta)` gives the columns B (n, q).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from opalesce.laws.forms import Floats

Basis = Callable[[Floats], Floats]
BEST = 3  # starts that are followed to their end
TIGHT = 1e-13  # of the search's three tolerances


@dataclass(frozen=True)
class Separable:
    """A fit: `theta` (p,), `coefficients` (q,), weighted sum of squares, and whether theta is at a bound."""

    theta: Floats
    coefficients: Floats
    rss: float
    at_bound: bool


def separable(
    basis: Basis, y: Floats, starts: Floats, bounds: tuple[Floats, Floats], weights: Floats | None = None
) -> Separable:
    """Least-squares theta and coefficients, from the best of the starts (S, p); `weights` (n,) count."""
    root = np.sqrt(np.ones_like(y) if weights is None else weights)

    def project(theta: Floats) -> tuple[Floats, Floats]:
        columns = basis(theta) * root[:, None]
        coefficients = np.linalg.lstsq(columns, root * y, rcond=None)[0]
        return np.asarray(coefficients), np.asarray(columns @ coefficients - root * y)

    def residual(theta: Floats) -> Floats:
        return project(theta)[1]

    cost = [float((residual(t) ** 2).sum()) for t in starts]
    ends = [
        least_squares(residual, starts[i], bounds=bounds, x_scale="jac", ftol=TIGHT, xtol=TIGHT, gtol=TIGHT)
        for i in np.argsort(cost)[:BEST]
    ]
    best = min(ends, key=lambda e: float(e.cost))
    edge = np.isclose(best.x, bounds[0], atol=1e-6) | np.isclose(best.x, bounds[1], atol=1e-6)
    theta = np.asarray(best.x)
    return Separable(theta, project(theta)[0], 2 * float(best.cost), bool(edge.any()))


def residual_draws(
    basis: Basis,
    y: Floats,
    fit: Separable,
    bounds: tuple[Floats, Floats],
    rng: np.random.Generator,
    draws: int,
) -> list[Separable]:
    """Refits to the fitted curve plus its own residuals, redrawn and widened for the parameters spent."""
    curve = basis(fit.theta) @ fit.coefficients
    spent = len(fit.theta) + len(fit.coefficients)
    residual = (y - curve) * np.sqrt(len(y) / max(len(y) - spent, 1))
    at = np.clip(fit.theta, bounds[0] + 1e-9, bounds[1] - 1e-9)[None]
    return [separable(basis, curve + rng.choice(residual, len(y)), at, bounds) for _ in range(draws)]
