"""Fits and forecasts as Plotly figures: bands are of new observations, axes logarithmic in both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from opalesce.errors import InputError
from opalesce.report.clean import plotly_text
from opalesce.report.palette import LIGHT
from opalesce.report.words import number

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from opalesce.laws.fit import Fit
    from opalesce.laws.forecast import Forecast

POINTS = 200  # of a curve
BEYOND = 0.15  # of the range of ln x, drawn to the right of the data


def fit_figure(f: Fit) -> Figure:
    """Data, the law with its 90 % band, and below them the residuals of ln y.

    Raises
    ------
    InputError
        A law of several inputs: draw it along one of them with `predict`.
    """
    if len(f.law.inputs) != 1:
        raise InputError(
            "a law of several inputs has no single curve", expected="a law of x", got=", ".join(f.law.inputs),
            fix="f.predict({'N': ..., 'D': ...})",
        )  # fmt: skip
    u, v = f.data.u[0], f.data.v
    x = np.exp(np.linspace(u.min(), u.max() + BEYOND * np.ptp(u), POINTS))
    p = f.predict(x)
    off = v - f.log_predict(np.exp(u))[0]
    traces = [
        *_band(x, p.lower, p.upper),
        _line(x, p.median, "law"),
        _dots(np.exp(u), np.exp(v), "data"),
        {**_dots(np.exp(u), off, "residual"), "yaxis": "y2"},
        {**_line(x[[0, -1]], np.zeros(2), "zero", "dot"), "yaxis": "y2"},
    ]
    for i in range(1, getattr(f.law, "breaks", 0) + 1):
        e = f.intervals[f"d{i}"]
        traces.append(_line(np.full(2, e.value), np.exp([v.min(), v.max()]), f"break {e}", "dash"))
    notes = f"{f.law.formula}   rmse of ln y {number(f.diagnostics['rmse'])}, n = {f.diagnostics['n']}"
    layout = _layout(notes)
    layout["yaxis"]["domain"], layout["xaxis"]["anchor"] = [0.34, 1.0], "y2"
    layout["yaxis2"] = {
        "domain": [0.0, 0.24],
        "title": {"text": "residual of ln y"},
        "gridcolor": LIGHT["--edge"],
    }
    return _figure(traces, layout)


def forecast_figure(f: Forecast) -> Figure:
    """Data and the fan: median, and the interval at the forecast's level; the back-test is in the title."""
    x, y = np.exp(f.data.u[0]), np.exp(f.data.v)
    order = np.argsort(f.x)
    to = f.x[order]
    near = f.decades[order] <= 1.0  # no bare line beyond one decade, as no bare number
    traces = [
        *_band(to, f.lower[order], f.upper[order]),
        _line(to[near], f.median[order][near], "median"),
        _dots(x, y, "data"),
    ]
    told = ", ".join(f"{k:.0%}: {v:.0%}" for k, v in f.coverage.items())
    return _figure(traces, _layout(f"{f.level:.0%} interval; coverage of {f.tested} held-out points: {told}"))


def _band(x: Any, low: Any, high: Any) -> list[dict[str, Any]]:
    edge = {"type": "scatter", "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "name": "interval"}
    return [
        {**edge, "x": x.tolist(), "y": low.tolist()},
        {**edge, "x": x.tolist(), "y": high.tolist(), "fill": "tonexty", "fillcolor": LIGHT["--band"]},
    ]


def _line(x: Any, y: Any, name: str, dash: str = "solid") -> dict[str, Any]:
    style = {"color": LIGHT["--transition"], "width": 2, "dash": dash}
    return _trace(x, y, name) | {"mode": "lines", "line": style}


def _dots(x: Any, y: Any, name: str) -> dict[str, Any]:
    return _trace(x, y, name) | {"mode": "markers", "marker": {"color": LIGHT["--ink"], "size": 5}}


def _trace(x: Any, y: Any, name: str) -> dict[str, Any]:
    return {"type": "scatter", "x": x.tolist(), "y": y.tolist(), "name": plotly_text(name)}


def _layout(title: str) -> dict[str, Any]:
    axis = {"type": "log", "gridcolor": LIGHT["--edge"], "exponentformat": "power"}
    return {
        "showlegend": False,
        "paper_bgcolor": LIGHT["--card"],
        "plot_bgcolor": LIGHT["--card"],
        "font": {"color": LIGHT["--ink"]},
        "title": {"text": plotly_text(title), "font": {"size": 13}},
        "xaxis": {**axis, "title": {"text": "x"}},
        "yaxis": {**axis, "title": {"text": "y"}},
    }


def _figure(traces: list[dict[str, Any]], layout: dict[str, Any]) -> Figure:
    from plotly.graph_objects import Figure

    return Figure(data=traces, layout=layout)
