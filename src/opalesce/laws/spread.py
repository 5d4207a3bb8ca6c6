"""How far the parameters of a fit may be elsewhere: bootstrap over runs, and profile likelihood."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import chi2

from opalesce.estimate import Estimate
from opalesce.laws.data import Points
from opalesce.laws.descent import Optimum, descend
from opalesce.laws.forms import Floats, Form

STEPS = 80  # most steps of a refit that starts at an optimum
TOLERANCE = 1e-8  # gain of a last step, as a share of the objective: far below what an interval shows
GRID = 61  # values of a profiled parameter


def interval(value: float, many: Floats, n: int, level: float, method: str, status: str = "") -> Estimate:
    """An estimate with the central interval of its resampled values, which is made to hold the estimate."""
    sound = many[np.isfinite(many)]
    if not len(sound):
        none = "no resample could be fitted" if len(many) else ""
        return Estimate(value, n=n, status=status or none, method=method, level=level)
    low, high = np.quantile(sound, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, min(float(low), value), max(float(high), value), n, status, method, level)


def resample(
    law: Form,
    data: Points,
    u: Floats,
    ends: list[Optimum],
    delta: float,
    rng: np.random.Generator,
    draws: int,
) -> Floats:
    """Internal parameters (draws, P) refitted to resampled runs.

    Runs are drawn with replacement and all their points move together: points of one run are not
    independent. Every refit starts at each of the (at most three) best optima, and all run as one batch.
    """
    runs = int(data.groups.max()) + 1
    counts = rng.multinomial(runs, np.full(runs, 1 / runs), size=draws)
    weights = counts[:, data.groups].astype(float)
    bounds = law.bounds(u, data.v)
    some = ends[:3]
    start = np.repeat([e.theta for e in some], draws, axis=0)
    thetas, cost = descend(
        law, u, data.v, start, bounds, delta=delta, weights=np.tile(weights, (len(some), 1)), steps=STEPS,
        tolerance=TOLERANCE,
    )  # fmt: skip
    pick = np.argmin(cost.reshape(len(some), draws), axis=0)
    return np.asarray(thetas.reshape(len(some), draws, -1)[pick, np.arange(draws)])


def profile(law: Form, data: Points, u: Floats, ends: list[Optimum], level: float) -> dict[str, Estimate]:
    r"""Profile-likelihood intervals of offsets, exponents and breaks, for Gaussian noise in ln y.

    .. math:: \{\theta_k : n \ln(\mathrm{RSS}(\theta_k)/\mathrm{RSS}_{\min}) \le \chi^2_{1}(\mathrm{level})\}

    with all other parameters refitted at each value of theta_k. Where the curve stays below the threshold up
    to the end of the law's bounds the interval is open there: its end is infinite (or zero for a parameter
    that is positive), and the status says so. Only parameters in `law.alone` have a profile: the others, such
    as coefficients that carry the unit of x, keep the bootstrap's interval.
    """
    low, high = law.bounds(u, data.v)
    n, best = len(data.v), ends[0]
    centre = data.centre
    limit = chi2.ppf(level, 1) / n
    asked = [k for k, name in enumerate(law.names) if name in law.alone]
    some = ends[:3]
    grids = np.array([_grid(best.theta[k], low[k], high[k]) for k in asked])
    # every profiled parameter, from every optimum, at every value of its grid: one batch
    start = np.tile(np.repeat([e.theta for e in some], GRID, axis=0), (len(asked), 1))
    held = np.repeat(asked, len(some) * GRID)
    values = np.tile(grids[:, None], (1, len(some), 1)).ravel()
    lows, highs = np.tile(low, (len(start), 1)), np.tile(high, (len(start), 1))
    rows = np.arange(len(start))
    start[rows, held] = lows[rows, held] = highs[rows, held] = values
    cost = descend(law, u, data.v, start, (lows, highs), steps=STEPS, tolerance=TOLERANCE)[1]
    costs = cost.reshape(len(asked), len(some), GRID).min(axis=1)
    out = {}
    for k, grid, cost in zip(asked, grids, costs, strict=True):
        name, at = law.names[k], best.theta[k]
        rise = np.log(np.maximum(cost, 1e-300) / max(best.objective, 1e-300))
        left = _crossing(grid, rise, at, limit, -1)
        right = _crossing(grid, rise, at, limit, +1)
        three = np.tile(best.theta, (3, 1))
        three[:, k] = left, at, right
        with np.errstate(all="ignore"):  # an open end makes the other columns meaningless, and only them
            ends_of = law.natural(three, centre)[:, k].tolist()
        sides = [s for s, t in (("below", left), ("above", right)) if not math.isfinite(t)]
        status = f"the data do not bound {name} {' or '.join(sides)}: the interval is open" if sides else ""
        out[name] = Estimate(
            ends_of[1], ends_of[0], ends_of[2], n, status, "profile likelihood, Gaussian noise in ln y", level
        )
    return out


def _grid(at: float, low: float, high: float) -> Floats:
    """Values on both sides of the best, dense near it."""
    reach = np.geomspace(1e-4, 1.0, GRID // 2)
    left, right = at - (at - low) * reach[::-1], at + (high - at) * reach
    return np.concatenate([left, [at], right])


def _crossing(grid: Floats, rise: Floats, at: float, limit: float, side: int) -> float:
    """Where the profile first passes the limit going outwards from the best; infinite if it does not."""
    outwards = np.argsort(side * (grid - at))
    outwards = outwards[side * (grid[outwards] - at) >= 0]
    x, r = grid[outwards], rise[outwards]
    over = np.flatnonzero(r > limit)
    if not len(over):
        return side * math.inf
    i = int(over[0])
    if i == 0:
        return at
    share = (limit - r[i - 1]) / max(r[i] - r[i - 1], 1e-300)
    return float(x[i - 1] + min(max(share, 0.0), 1.0) * (x[i] - x[i - 1]))
