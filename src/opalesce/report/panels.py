"""What is drawn: panels, bands and the heat map as Plotly data, thinned for the eye.

Positions are given on the control axis itself; they become the drawn coordinate u = log10(1 + x / x1)
(COURT 2) last, in `plot` here and in the page's script. Colours are names from `palette`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.report.clean import plotly_text
from opalesce.report.palette import lineage_colour

Floats = NDArray[np.float64]
LIMIT = 2000  # points of a trace; more cannot be told apart on a screen
FEW = 40  # points at and below which each one is marked


def coordinate(x: ArrayLike, axis: Mapping[str, Any]) -> Floats:
    """Drawn coordinate of x: log10(1 + x / x1) on a log axis, else x."""
    a = np.asarray(x, float)
    if axis.get("scale") != "log":
        return a
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.log10(1.0 + a / float(axis.get("x1") or 1.0)), float)


def decimate(u: ArrayLike, series: Sequence[ArrayLike], limit: int = LIMIT) -> NDArray[np.intp]:
    """Indices of at most `limit` points that keep the extremes of every series.

    The drawn axis is cut into equal bins; each keeps the place of the smallest and largest value of
    each series and of its first missing value, so that neither a spike nor a gap is lost. The first
    and last points stay.

    Parameters
    ----------
    u : (n,) array
        Drawn coordinate, in ascending order.
    series : sequence of (n,) arrays
        Values; NaN where missing.
    limit : int
        Most points to keep; at least 2.
    """
    x = np.asarray(u, float)
    n = len(x)
    if n <= limit:
        return np.arange(n)
    values = [np.asarray(s, float) for s in series]
    bins = max(1, (limit - 2) // (3 * max(1, len(values))))
    span = x[-1] - x[0]
    where = (
        np.minimum((bins * (x - x[0]) / span).astype(int), bins - 1) if span > 0 else np.arange(n) * bins // n
    )
    kept = {0, n - 1}
    for start, stop in _groups(where):
        for y in values:
            part = y[start:stop]
            good = np.isfinite(part)
            if good.any():
                kept.add(start + int(np.argmin(np.where(good, part, np.inf))))
                kept.add(start + int(np.argmax(np.where(good, part, -np.inf))))
            if not good.all():
                kept.add(start + int(np.argmin(good)))
    return np.array(sorted(kept), dtype=np.intp)


def _groups(where: NDArray[np.int_]) -> Iterable[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(where)) + 1
    return zip([0, *edges.tolist()], [*edges.tolist(), len(where)], strict=True)


def floats(values: Sequence[float | None] | None, n: int) -> Floats:
    """Values with NaN for None, padded or cut to length n."""
    out = np.full(n, np.nan)
    got = np.array([np.nan if v is None else v for v in (values or [])][:n], float)
    out[: len(got)] = got
    return out


def short(values: Floats, digits: int = 5) -> list[float | None]:
    """Numbers rounded to `digits` significant digits, None for what is missing."""
    return [float(f"{v:.{digits}g}") if np.isfinite(v) else None for v in values.tolist()]


def _line(x: Floats, y: Floats, role: str, name: str, line: dict[str, Any], **more: Any) -> dict[str, Any]:
    meta = {"role": role, "name": name, **more.pop("meta", {})}
    return {
        "type": "scatter", "mode": "lines", "x": short(x, 8), "y": short(y), "line": line,
        "name": plotly_text(name), "meta": meta, "hoverinfo": "none" if role == "main" else "skip", **more,
    }  # fmt: skip


def _twin(twin: Mapping[str, Any], axis: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
    n = len(twin["x"])
    x = floats(twin["x"], n)
    low, mean, high = (floats(twin.get(k), n) for k in ("low", "mean", "high"))
    keep = decimate(coordinate(x, axis), [low, high], limit)
    bare = {"width": 0, "color": "--twin"}
    name = f"null twins ({twin.get('n', '?')})"
    fill = {"fill": "tonexty", "fillcolor": "--twin", "meta": {"low": short(low[keep])}}
    return [
        _line(x[keep], low[keep], "twin low", name, bare),
        _line(x[keep], high[keep], "twin high", name, bare, **fill),
        _line(x[keep], mean[keep], "twin", name, {"width": 3, "color": "--twin-line"},
              meta={"low": short(low[keep]), "high": short(high[keep])}),
    ]  # fmt: skip


def _curve(run: Mapping[str, Any], colour: str, axis: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
    n = len(run["x"])
    x, y = floats(run["x"], n), floats(run["y"], n)
    order = np.argsort(x, kind="stable")
    keep = order[decimate(coordinate(x[order], axis), [y[order]], limit)]
    x, y, main = x[keep], y[keep], bool(run.get("main"))
    if not main:
        return [_line(x, y, "seed", str(run["name"]), {"width": 1, "color": colour}, opacity=0.6)]
    out = []
    meta: dict[str, Any] = {}
    if run.get("stderr"):
        se = floats(run["stderr"], n)[keep]
        meta["se"] = short(se, 2)
        if np.isfinite(se).any() and 1.96 * np.nanmax(se) > 0.01 * np.ptp(y[np.isfinite(y)]):
            bare = {"width": 0, "color": colour}
            out = [
                _line(x, y - 1.96 * se, "error low", "", bare),
                _line(x, y + 1.96 * se, "error high", "", bare, fill="tonexty", fillcolor=f"{colour}/0.18"),
            ]
    mark = {"mode": "lines+markers", "marker": {"size": 4, "color": colour}} if n <= FEW else {}
    return [*out, _line(x, y, "main", str(run["name"]), {"width": 2, "color": colour}, meta=meta, **mark)]


def panel(witness: Mapping[str, Any], axis: Mapping[str, Any], limit: int = LIMIT) -> dict[str, Any]:
    """One witness as Plotly traces, back to front: twins, other seeds, fit, this run.

    Returns
    -------
    dict
        `traces`; `range`, the values between which y is drawn; empty traces when there is nothing.
    """
    colour = lineage_colour(witness.get("lineage"))
    traces: list[dict[str, Any]] = []
    twin, fit = witness.get("twin"), witness.get("fit")
    if twin and twin.get("x"):
        traces += _twin(twin, axis, limit)
    runs = [r for r in witness.get("runs") or [] if any(v is not None for v in r.get("y") or [])]
    for run in sorted(runs, key=lambda r: bool(r.get("main"))):
        traces += _curve(run, colour, axis, limit)
    if fit and fit.get("x"):
        n = len(fit["x"])
        x, y = floats(fit["x"], n), floats(fit["y"], n)
        keep = decimate(coordinate(x, axis), [y], limit)
        traces.append(_line(x[keep], y[keep], "fit", "fit", {"width": 1.5, "color": "--soft", "dash": "dot"}))
    drawn = np.array([v for t in traces for v in t["y"] if v is not None], float)
    if not drawn.size:
        return {"traces": [], "range": [0.0, 1.0]}
    pad = 0.07 * np.ptp(drawn) or 0.05 * abs(drawn[0]) or 1.0
    return {"traces": traces, "range": [float(drawn.min() - pad), float(drawn.max() + pad)]}


def ticks(low: float, high: float, axis: Mapping[str, Any], most: int = 12) -> list[float]:
    """Places of axis labels between two places: 0, 10, 20, 50, 100 ... on a log axis.

    A candidate is taken, in order of roundness, when it lies at least 1/`most` of the drawn length
    from those already taken.
    """
    if axis.get("scale") != "log":
        raw = (high - low) / most or 1.0
        size = 10 ** np.floor(np.log10(raw))
        step = float(size * min((m for m in (1, 2, 5, 10) if m * size >= raw), default=10))
        return [float(v) for v in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]
    decades = range(
        int(np.floor(np.log10(float(axis.get("x1") or 1.0)))), int(np.log10(max(high, 1e-300))) + 1
    )
    order = [low, high, *(m * 10.0**k for m in (1, 5, 2) for k in decades)]
    gap = float(np.ptp(coordinate([low, high], axis))) / most
    out: list[float] = []
    for x in order:
        if low <= x <= high and all(abs(coordinate(x, axis) - coordinate(o, axis)) >= gap for o in out):
            out.append(float(x))
    return sorted(out)
