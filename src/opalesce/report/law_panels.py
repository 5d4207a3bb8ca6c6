"""Fits, forecasts and allocations as exhibits: data, law and band, local slopes, sensitivity, back-test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from opalesce.errors import InputError
from opalesce.laws.allocate import FLOPS, Allocation, optimum
from opalesce.laws.fit import Fit
from opalesce.laws.forecast import FAR, Forecast
from opalesce.laws.forms import Broken, Floats
from opalesce.report.exhibits import Exhibit, Mark, Plate, Series

POINTS = 60  # of a curve
BEYOND = 0.15  # of the range of ln x, drawn to the right of the data
NEAR = 5  # neighbours of a local slope


def fit_exhibits(f: Fit, x: str = "x", y: str = "y") -> list[Exhibit]:
    """The law beside its data, its local slope, and what the parameters would be with other choices.

    `x` and `y` are names of the axes; a law of several inputs is drawn as seen against foretold.
    """
    level = _level(f)
    if len(f.law.inputs) == 1:
        plates = [
            _curve_plate(f, x, y, level),
            slope_plate(f, x, level),
            _residuals(f, np.exp(f.data.u[0]), x),
        ]
        what = f"Data, the law with its {level:.0%} band of new observations, its local slope, what is left."
    else:
        plates = [_seen_plate(f, y)]
        plates += [_residuals(f, np.exp(u), n) for u, n in zip(f.data.u, f.law.inputs, strict=True)]
        what = "Seen against foretold, and what is left over each input."
    return [Exhibit("law", f.law.formula, what, plates), *_sensitivity(f)]


def _level(f: Fit) -> float:
    return next(iter(f.intervals.values())).level


def _curve_plate(f: Fit, x: str, y: str, level: float) -> Plate:
    u, v = f.data.u[0], f.data.v
    at = np.exp(np.linspace(u.min(), u.max() + BEYOND * np.ptp(u), POINTS))
    p = f.predict(at, level)
    series = (
        Series("law", "exact", _list(at), _list(p.median), _list(p.lower), _list(p.upper)),
        Series("data", "seen", _list(np.exp(u)), _list(np.exp(v)), joined=False),
    )
    return Plate("law and data", x, y, series, _breaks(f), log_x=True, log_y=True)


def _breaks(f: Fit) -> list[Mark]:
    """Places of the breaks; an interval that does not close is drawn to the end of the data."""
    low, high = np.exp(f.data.u[0].min()), np.exp(f.data.u[0].max())
    out = []
    for i in range(1, getattr(f.law, "breaks", 0) + 1):
        e = f.intervals[f"d{i}"]
        ends = (max(e.low, low), min(e.high, high)) if e.low < e.high else (None, None)
        if low <= e.value <= high:
            out.append(Mark(e.value, f"break {i}", *ends))
    return out


def slope_plate(f: Fit, x: str = "x", level: float | None = None) -> Plate:
    r"""Local slope of the law with its band over resampled fits, beside slopes of the data themselves.

    Of the broken law it is :math:`d\ln(y - a)/d\ln x` (`Broken.slope`), of others :math:`d\ln y/d\ln x`.
    Data: least squares over five neighbours, with the error that the residuals of the fit give it.

    Raises
    ------
    InputError
        A law of several inputs.
    """
    if len(f.law.inputs) != 1:
        raise InputError(
            "a law of several inputs has no single slope", expected="a law of x", got=", ".join(f.law.inputs)
        )
    level = level or _level(f)
    u, v = f.data.u[0], f.data.v
    fine = np.linspace(u.min(), u.max(), POINTS)
    broken = isinstance(f.law, Broken)
    thetas = np.vstack([f.theta[None], f.draws])
    if isinstance(f.law, Broken):
        law = f.law
        values = np.array([law.slope(p, np.exp(fine)) for p in law.natural(thetas, f.data.centre)])
    else:
        values = np.gradient(f.log_predict(np.exp(fine), thetas), fine, axis=1)
    low, high = np.quantile(values[1:], [(1 - level) / 2, (1 + level) / 2], axis=0)
    low, high = np.minimum(low, values[0]), np.maximum(high, values[0])
    a = f.params.get("a", 0.0) if broken else 0.0
    at, seen, error = local_slopes(u, np.exp(v), a, f.diagnostics["rmse"])
    wide = norm.ppf((1 + level) / 2) * error
    series = [Series("law", "exact", _list(np.exp(fine)), _list(values[0]), _list(low), _list(high))]
    if len(at):
        series.append(
            Series("data", "seen", _list(np.exp(at)), _list(seen), _list(seen - wide), _list(seen + wide),
                   joined=False)
        )  # fmt: skip
    # a slope of data close to the limit a is mostly error: it may not set the scale
    ends = np.concatenate([low, high, seen])
    pad = 0.1 * np.ptp(ends) or 0.1
    title = "local slope, d ln(y - a) / d ln x" if broken else "local slope, d ln y / d ln x"
    frame = (float(ends.min() - pad), float(ends.max() + pad))
    return Plate(title, x, "slope", series, _breaks(f), log_x=True, y_range=frame)


def local_slopes(u: Floats, y: Floats, a: float, rmse: float) -> tuple[Floats, Floats, Floats]:
    """Places, slopes of ln(y - a) and their standard errors, by least squares over neighbours in u.

    `rmse` is the error of ln y; windows with a y at or below a, or without a spread of u, are left out. Of
    many points about 40 windows are taken.
    """
    step = max(1, len(u) // 40)
    out = []
    for i in range(0, len(u) - NEAR + 1, step):
        part, above = u[i : i + NEAR], y[i : i + NEAR] - a
        spread = ((part - part.mean()) ** 2).sum()
        if spread == 0 or (above <= 0.02 * y[i : i + NEAR]).any():
            continue
        w = (part - part.mean()) / spread
        own = rmse * y[i : i + NEAR] / above
        out.append((part.mean(), w @ np.log(above), np.sqrt((w**2) @ own**2)))
    table = np.array(out).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _residuals(f: Fit, x: Floats, name: str) -> Plate:
    inputs = dict(zip(f.law.inputs, np.exp(f.data.u), strict=True))
    off = f.data.v - f.log_predict(inputs if len(inputs) > 1 else np.exp(f.data.u[0]))[0]
    series = (
        Series("as the law says", "theory", [float(x.min()), float(x.max())], [0.0, 0.0]),
        Series("data", "seen", _list(x), _list(off), joined=False),
    )
    return Plate("residual of ln y", name, "ln y - ln law", series, log_x=True)


def _seen_plate(f: Fit, y: str) -> Plate:
    told = np.exp(f.log_predict(dict(zip(f.law.inputs, np.exp(f.data.u), strict=True)))[0])
    ends = [float(told.min()), float(told.max())]
    series = (
        Series("as the law says", "theory", ends, ends),
        Series("data", "seen", _list(told), _list(np.exp(f.data.v)), joined=False),
    )
    return Plate("seen against foretold", f"{y}, by the law", y, series, log_x=True, log_y=True)


def _sensitivity(f: Fit) -> list[Exhibit]:
    """Each parameter under each choice, beside its interval: a dot outside matters more than the noise."""
    rows = f.sensitivity
    if not rows:
        return []
    at = [float(i) for i in range(1, len(rows) + 1)]
    plates = []
    for name, e in f.intervals.items():
        ends = [0.5, len(rows) + 0.5]
        closed = np.isfinite(e.low) and np.isfinite(e.high)
        low, high = ([e.low] * 2, [e.high] * 2) if closed else (None, None)
        series = (
            Series("fit and its interval", "exact", ends, [e.value] * 2, low, high),
            Series("refit", "seen", at, [r["params"][name] for r in rows], joined=False),
        )
        plates.append(Plate(name, "choice", "", series))
    told = "; ".join(f"{i}: {r['change']}" for i, r in enumerate(rows, 1))
    what = (
        f"Refits with other points or another loss: outside the band, a choice outweighs the noise. {told}."
    )
    return [Exhibit("sensitivity", "What each choice does to each parameter", what, plates)]


def forecast_exhibit(f: Forecast, x: str = "x", y: str = "y", asked: Sequence[float] = ()) -> Exhibit:
    """Data with the fan beyond them, marks at the places asked for, and the coverage of the back-test."""
    order = np.argsort(f.x)
    at, low, high = f.x[order], f.lower[order], f.upper[order]
    median = np.where(f.decades[order] <= FAR, f.median[order], np.nan)  # no bare number beyond one decade
    if len(at) > 2:
        fan = Series("forecast", "exact", _list(at), _list(median), _list(low), _list(high))
    else:  # too few places for a band
        middle = np.where(np.isfinite(median), median, np.sqrt(low * high))
        fan = Series("forecast", "second", _list(at), _list(middle), _list(low), _list(high), joined=False)
    seen_at, seen = np.exp(f.data.u[0]), np.exp(f.data.v)
    series = (fan, Series("data", "seen", _list(seen_at), _list(seen), joined=False))
    marks = [Mark(float(p), "" if i else "asked for") for i, p in enumerate(sorted(asked))]
    plates = [Plate("data and forecast", x, y, series, marks, log_x=True, log_y=True)]
    held = {k: v for k, v in f.coverage.items() if np.isfinite(v)}
    if held:
        said = Series("as promised", "theory", [0.0, 1.0], [0.0, 1.0])
        back = Series("back-test", "seen", list(held), list(held.values()))
        title = f"coverage of {f.tested} held-out points"
        plates.append(Plate(title, "interval", "share inside", (said, back), y_range=(0.0, 1.05)))
    what = f"{f.level:.0%} interval of a new observation; the line stops one decade beyond the data."
    return Exhibit("forecast", "What comes next", what, plates)


def allocation_exhibit(found: Sequence[Allocation]) -> Exhibit:
    """Compute-optimal parameters and tokens over compute with bands, beside the runs that were trained.

    Raises
    ------
    InputError
        No allocation.
    """
    if not found:
        raise InputError("nothing to draw", expected="one allocation or more", got="none")
    f = found[0].fit
    level = found[0].N.level
    sizes, tokens = np.exp(f.data.u)
    spent = FLOPS * sizes * tokens
    budgets = np.array([a.compute for a in found])
    reach = spent.max() * 10**FAR
    c = np.geomspace(min(spent.min(), budgets.min()), max(spent.max(), budgets.max()), POINTS)
    many = f.law.natural(f.draws, f.data.centre)
    many = many[(many[:, 3] > 0) & (many[:, 4] > 0)]
    best = np.array([f.params[k] for k in f.law.names])
    mid = np.array([optimum(best, float(b)) for b in c])
    all_ = np.array([optimum(many, float(b)) for b in c])  # (points, 2, draws)
    low, high = np.quantile(all_, [(1 - level) / 2, (1 + level) / 2], axis=2)
    asked = sorted(found, key=lambda a: a.compute)
    plates = []
    for j, (title, runs, name) in enumerate((("parameters N*", sizes, "N"), ("tokens D*", tokens, "D"))):
        line = np.where(c <= reach, mid[:, j], np.nan)
        estimates = [getattr(a, name) for a in asked]
        values = [e.value if a.decades <= FAR else float(np.sqrt(e.low * e.high))
                  for a, e in zip(asked, estimates, strict=True)]  # fmt: skip
        series = (
            Series("optimum", "exact", _list(c), _list(line), _list(low[:, j]), _list(high[:, j])),
            Series("runs", "seen", _list(spent), _list(runs), joined=False),
            Series("budgets", "second", [a.compute for a in asked], values, [e.low for e in estimates],
                   [e.high for e in estimates], joined=False),
        )  # fmt: skip
        plates.append(Plate(title, "compute, FLOP", name, series, log_x=True, log_y=True))
    what = (
        f"Optimum under C = 6 N D with its {level:.0%} band from resampled fits. The line stops one decade "
        "beyond the largest budget of the runs; farther budgets show their interval only."
    )
    return Exhibit("allocation", "Where compute is best spent", what, plates)


def _list(values: Floats) -> list[float]:
    return [float(v) for v in np.asarray(values, float)]
