r"""Is there one break more? A parametric bootstrap of n against n - 1 breaks.

The usual chi-square of a likelihood ratio does not hold: without the break its place and width have no
meaning, so that they are not identified under the null (davies1987hypothesis). The ratio's law is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.laws.catalogue import MOST_BREAKS
from opalesce.laws.data import numbers, points
from opalesce.laws.descent import descend
from opalesce.laws.forms import FLOOR, Broken, Floats

PLACES = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85)  # of a new break, as shares of the span of ln x
WIDTHS, CHANGES = (0.1, 0.5), (-0.5, 0.5, 2.0)
BELOW = 0.1  # in ln y, of a limit that a start puts under the data
RANKED, KEPT, POLISHED = 16, 3, 40  # steps for all starts; starts kept for each curve, and their steps
ROWS = 20_000  # rows of one batch: bounds the memory


@dataclass(frozen=True)
class BreakTest:
    r"""One break more or not.

    `p` is (1 + number of simulated ratios at least as large) / (1 + draws), `ratio` is
    :math:`n \ln(\mathrm{RSS}_{n-1}/\mathrm{RSS}_n)` and `null` (draws,) what it is without the break.
    `without` and `params` are the parameters of the two laws in the units of the data; the place of the
    newest break is its d.
    """

    p: float
    ratio: float
    breaks: int
    without: dict[str, float]
    params: dict[str, float]
    null: Floats = field(repr=False)


@dataclass(frozen=True)
class _Against(Broken):
    """A broken law less one of many curves (rows of `curves`, ln y), in units of their errors. The last
    parameter, which is held fixed, is the number of the curve; so one descent fits all curves. `white` makes
    errors independent with variance 1: a factor for each point (n,), or a matrix (n, n)."""

    curves: Floats = field(default_factory=lambda: np.zeros((1, 1)))
    white: Floats = field(default_factory=lambda: np.ones(1))

    def log_value(self, theta: Floats, u: Floats) -> tuple[Floats, Floats]:
        """Residual (S, n) and its Jacobian (S, n, P + 1)."""
        value, jac = super().log_value(theta[:, :-1], u)
        residual = value - self.curves[theta[:, -1].astype(int)]
        jac = np.pad(jac, ((0, 0), (0, 0), (0, 1)))
        if self.white.ndim == 1:
            return residual * self.white, jac * self.white[:, None]
        return residual @ self.white.T, self.white @ jac


def break_test(
    x: Any,
    y: Any,
    *,
    breaks: int = 1,
    offset: bool = True,
    errors: Any = None,
    draws: int = 199,
    seed: int = 0,
) -> BreakTest:
    r"""Parametric bootstrap of the broken law with `breaks` against `breaks` - 1.

    .. math:: T = n \ln\frac{\mathrm{RSS}_{n-1}}{\mathrm{RSS}_n},\qquad
              \ln y^* = \ln f_{n-1}(x) + s\,C^{1/2} \varepsilon,\quad
              s^2 = \frac{\mathrm{RSS}_{n-1}}{N - P_{n-1}}

    With residuals r of ln y, :math:`\mathrm{RSS} = r^\top C^{-1} r`. T does not depend on the scale of the
    errors: their covariance C needs to be right only up to a factor. Each law grows from the one below by a
    break at six places, two widths and three changes of slope; simulated curves are fitted exactly as the
    data are, all in one descent, so that the test holds where a fit misses its optimum.

    What it is not: a test of any departure from the smaller law. A step that levels off again is two breaks,
    or one and a limit; one break without a limit fits it hardly better than none, and p is large.

    Parameters
    ----------
    x, y : array_like
        Positive finite data (N,), in any order.
    breaks : int
        n, 1 to 3.
    offset : bool
        Whether both laws have a limit a.
    errors : array_like, optional
        Standard errors of ln y (N,), or their covariance C (N, N), or what is proportional to them; by
        default all are equal and independent. A wrong shape of the errors makes false alarms.
    draws : int
        Simulated curves. The smallest p is 1 / (1 + draws).
    seed : int
        Seed of the simulation.

    Raises
    ------
    InputError
        Data that cannot be fitted, fewer points than parameters + 1, settings out of range.

    Source: the law is caballero2023broken, eq. 1; why simulate: davies1987hypothesis, sec. 1. The test is
    a reconstruction: the source of the law names breaks by eye.
    """
    if not 1 <= breaks <= MOST_BREAKS or draws < 19:
        raise InputError(
            "settings of a test of breaks", expected=f"breaks from 1 to {MOST_BREAKS}, 19 draws or more",
            got=f"breaks {breaks}, draws {draws}",
        )  # fmt: skip
    data = points(("x",), x, y)
    laws = [Broken(k, offset) for k in range(breaks + 1)]
    n, few = len(data.v), len(laws[-2].names)
    if n <= len(laws[-1].names):
        raise InputError(
            "too few points to test a break", expected=f"{len(laws[-1].names) + 1} or more", got=str(n),
            fix="offset=False, or fewer breaks",
        )  # fmt: skip
    # the order in which `points` has put the data
    order = np.lexsort((numbers(y, "y"), numbers(x, "x")))
    root, white = _roots(np.ones(n) if errors is None else errors, order)
    u = data.u - data.centre[:, None]
    thetas, costs = _grow(laws, u, data.v[None], white)
    scale = np.sqrt(2 * costs[-2][0] / (n - few))
    noise = np.random.default_rng(seed).standard_normal((draws, n)) * scale
    below = laws[-2].log_value(thetas[-2], u)[0][0]
    simulated = below + (noise * root if root.ndim == 1 else noise @ root.T)
    null = _ratio(_grow(laws, u, simulated, white)[1], n)
    ratio = float(_ratio(costs, n)[0])
    without, params = (
        dict(zip(law.names, law.natural(theta, data.centre)[0].tolist(), strict=True))
        for law, theta in zip(laws[-2:], thetas[-2:], strict=True)
    )
    p = (1 + int((null >= ratio).sum())) / (1 + draws)
    return BreakTest(p, ratio, breaks, without, params, null)


def _roots(errors: Any, order: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Root of the covariance and its inverse, in this order of points: (n,) each, or (n, n)."""
    e, n = np.asarray(errors, float), len(order)
    if e.shape == (n,) and (e > 0).all() and np.isfinite(e).all():
        return e[order], 1 / e[order]
    if e.shape == (n, n) and np.isfinite(e).all() and np.allclose(e, e.T):
        try:
            root = np.linalg.cholesky(e[np.ix_(order, order)])
            return root, np.linalg.inv(root)
        except np.linalg.LinAlgError:
            pass
    raise InputError(
        "errors of the points", expected=f"{n} positive standard errors, or a covariance ({n}, {n})",
        got=f"shape {e.shape}, or a matrix that is not positive definite",
    )  # fmt: skip


def _ratio(costs: list[Floats], n: int) -> Floats:
    return np.asarray(n * np.log(np.maximum(costs[-2], 1e-300) / np.maximum(costs[-1], 1e-300)))


def _grow(laws: list[Broken], u: Floats, curves: Floats, white: Floats) -> tuple[list[Floats], list[Floats]]:
    """Parameters (B, P) and objectives (B,) of each law for all curves (B, n), each grown from the last."""
    thetas: list[Floats] = []
    costs: list[Floats] = []
    for law in laws:
        starts = _with_break(law, u, curves, thetas[-1]) if thetas else _plain(law, u, curves)
        theta, cost = _fit(law, u, curves, starts, white)
        thetas.append(theta)
        costs.append(cost)
    return thetas, costs


def _plain(law: Broken, u: Floats, curves: Floats) -> Floats:
    """Starts (B, K, P) of the law without a break."""
    return np.stack([law.starts(u, v) for v in curves])


def _with_break(law: Broken, u: Floats, curves: Floats, theta: Floats) -> Floats:
    """Starts (B, K, P) of a law from optima (B, P - 3) of the one below: the optimum itself (a change of
    slope of zero, so that a break more never fits worse), and breaks on a grid, with that optimum's limit,
    without one, and with one just below the data.
    """
    places = u.min() + np.array(PLACES) * np.ptp(u)
    breaks = [(c, d, np.log(f)) for c in CHANGES for d in places for f in WIDTHS]
    rows = np.array([(0.0, places[2], np.log(WIDTHS[-1])), *breaks])
    out = np.concatenate(
        [np.repeat(theta[:, None], len(rows), 1), np.broadcast_to(rows, (len(theta), *rows.shape))], axis=2
    )
    if law.offset:
        # the law below may have lost its limit to a late drop, so that its optimum alone is no guide
        free, close = out[:, 1:].copy(), out[:, 1:].copy()
        free[..., 0] = FLOOR
        close[..., 0] = curves.min(axis=1, keepdims=True) - BELOW
        out = np.concatenate([out, free, close], axis=1)
    k = int(law.offset)
    values = law.log_value(out.reshape(-1, out.shape[2]), u)[0].reshape(*out.shape[:2], -1)
    # the new break turns the law about the middle of the data
    out[:, 1:, k] += np.median(curves[:, None] - values, axis=2)[:, 1:]
    return out


def _fit(law: Broken, u: Floats, curves: Floats, starts: Floats, white: Floats) -> tuple[Floats, Floats]:
    """Best ends (B, P) and objectives (B,) of all curves (B, n) from starts (B, K, P)."""
    edges = [law.bounds(u, v) for v in curves]
    low, high = np.array([e[0] for e in edges]), np.array([e[1] for e in edges])
    many = max(1, ROWS // starts.shape[1])
    parts = []
    for i in range(0, len(curves), many):
        part = slice(i, i + many)
        ranked, cost = _down(law, u, curves[part], starts[part], low[part], high[part], white, RANKED)
        best = np.argsort(cost, axis=1)[:, :KEPT]
        kept = np.take_along_axis(ranked, best[..., None], axis=1)
        ends, cost = _down(law, u, curves[part], kept, low[part], high[part], white, POLISHED)
        best = cost.argmin(axis=1)
        rows = np.arange(len(best))
        parts.append((ends[rows, best], cost[rows, best]))
    return np.concatenate([t for t, _ in parts]), np.concatenate([c for _, c in parts])


def _down(
    law: Broken, u: Floats, curves: Floats, theta: Floats, low: Floats, high: Floats, white: Floats,
    steps: int,
) -> tuple[Floats, Floats]:  # fmt: skip
    """One descent of all starts (B, K, P) of all curves: ends, and objectives (B, K)."""
    b, k, _ = theta.shape
    number = np.repeat(np.arange(float(len(curves))), k)[:, None]
    rows = np.hstack([theta.reshape(b * k, -1), number])
    bounds = tuple(np.hstack([np.repeat(e, k, axis=0), number]) for e in (low, high))
    against = _Against(law.breaks, law.offset, curves, white)
    ends, cost = descend(
        against, u, np.zeros(u.shape[1]), rows, (bounds[0], bounds[1]), steps=steps,
        tolerance=1e-7,
    )  # fmt: skip
    return ends[:, :-1].reshape(b, k, -1), cost.reshape(b, k)
