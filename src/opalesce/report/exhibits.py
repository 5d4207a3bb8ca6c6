"""Exhibits: figures beside the court's own, each with axes of its own (a staircase, a collapse, a lattice).

An exhibit is a row of plates; a plate is a pair of axes with curves, or one image. They are plain data in
the report document, and drawn by the page's script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from opalesce.report.clean import plotly_text
from opalesce.report.heat import shorten, thin
from opalesce.report.panels import floats, short
from opalesce.report.tables import Table
from opalesce.report.words import number

Role = Literal["theory", "exact", "seen", "second", "third", "fourth", "null"]
ROWS, COLUMNS = 60, 60  # cells of a grid that a plate can show apart
# role -> colour token, line, marker: told apart in lightness and shape, never by hue alone
STYLES: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "theory": ("--ink", {"width": 1.5, "dash": "dot"}, None),
    "exact": ("--transition", {"width": 2}, None),
    "seen": ("--evals", {"width": 1.5}, "circle"),
    "second": ("--weights", {"width": 1.2, "dash": "dash"}, "square"),
    "third": ("--activations", {"width": 1.2, "dash": "dashdot"}, "diamond"),
    "fourth": ("--transition", {"width": 1.2}, "triangle-up"),
    "null": ("--twin-line", {"width": 2}, None),
}


@dataclass(frozen=True)
class Series:
    """One curve of a plate; `low` and `high` make a band (lines) or error bars (markers).

    Markers that are not `joined` stand alone: a cloud of points has no order.
    """

    label: str
    role: Role
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    joined: bool = True


@dataclass(frozen=True)
class Mark:
    """A place on the x axis that was fixed beforehand, with its interval if it has one."""

    x: float
    label: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Grid:
    """Coloured cells; a click on one draws its curves in the plate to the right.

    Attributes
    ----------
    x, y : names of columns and rows
    z : rows of numbers; not finite is blank
    cells : rows of lists of curves, optional
        What a click shows.
    """

    x: Sequence[str]
    y: Sequence[str]
    z: Sequence[Sequence[float]]
    cells: Sequence[Sequence[Sequence[Series]]] = ()


@dataclass(frozen=True)
class Plate:
    """One pair of axes: curves and marks, a grid, or an image (rows of integers, 0 is background)."""

    title: str
    x: str
    y: str
    series: Sequence[Series] = ()
    marks: Sequence[Mark] = ()
    log_x: bool = False
    log_y: bool = False
    y_range: tuple[float, float] | None = None
    image: Any = None
    grid: Grid | None = None


@dataclass(frozen=True)
class Exhibit:
    """A row of plates with a title and a caption that says what to see."""

    id: str
    title: str
    caption: str
    plates: Sequence[Plate]


def view(exhibit: Mapping[str, Any], index: int) -> dict[str, Any]:
    """What the template writes (`plates` with a description and a table) and the script draws (`drawn`)."""
    plates = []
    for j, p in enumerate(exhibit.get("plates") or []):
        key = f"x{index}-{j}"
        plates.append(
            {
                "key": key,
                "title": p.get("title") or "",
                "alt": _alt(p),
                "table": _table(p),
                "drawn": _plate(p),
            }
        )
    legend = {s["label"]: s["role"] for p in exhibit.get("plates") or [] for s in p.get("series") or []}
    return {
        "id": f"exhibit-{index}",
        "title": exhibit.get("title") or "exhibit",
        "caption": exhibit.get("caption") or "",
        "plates": plates,
        "legend": [{"label": k, "role": v} for k, v in legend.items() if v in STYLES],
    }


def _plate(p: Mapping[str, Any]) -> dict[str, Any]:
    """What the script draws; every text that Plotly writes is escaped, for it reads a little HTML."""
    titles = {k: plotly_text(p.get(k) or "") for k in ("x", "y")}
    if p.get("image") is not None:
        return {"image": np.asarray(p["image"], int).tolist(), **titles}
    if p.get("grid"):
        return {"grid": _grid(p["grid"]), **titles}
    marks = [
        {"x": m["x"], "low": m.get("low"), "high": m.get("high"), "label": plotly_text(m.get("label") or "")}
        for m in p.get("marks") or []
        if m.get("x") is not None
    ]
    return {
        "traces": [t for s in p.get("series") or [] for t in _traces(s)],
        "marks": marks,
        "log_x": bool(p.get("log_x")),
        "log_y": bool(p.get("log_y")),
        "y_range": p.get("y_range"),
        **titles,
    }


def _grid(g: Mapping[str, Any]) -> dict[str, Any]:
    """Heat map and what its cells show; rows and columns beyond what a screen tells apart are thinned out."""
    z = np.array([floats(row, len(g["x"])) for row in g["z"]])
    rows, columns = thin(z.shape[0], ROWS), thin(z.shape[1], COLUMNS)
    names, at = shorten([str(g["y"][i]) for i in rows]), [str(g["x"][j]) for j in columns]
    cells = g.get("cells") or []
    return {
        "x": [plotly_text(n) for n in at],
        "y": [plotly_text(n) for n in names],
        "plain": {"x": at, "y": names},  # for the caption, which reads no HTML
        "z": [short(z[i, columns], 4) for i in rows],
        "cells": [[[t for s in cells[i][j] for t in _traces(s)] for j in columns] for i in rows]
        if cells
        else [],
    }


def _traces(s: Mapping[str, Any]) -> list[dict[str, Any]]:
    colour, line, marker = STYLES.get(str(s.get("role")), STYLES["null"])
    n = len(s["x"])
    x, y = floats(s["x"], n), floats(s["y"], n)
    base = {"type": "scatter", "x": short(x, 6), "hoverinfo": "x+y", "name": ""}
    out: list[dict[str, Any]] = []
    low, high = s.get("low"), s.get("high")
    bars: dict[str, Any] = {}
    if low is not None and high is not None:
        lo, hi = floats(low, n), floats(high, n)
        if marker is None:
            bare = {"width": 0, "color": colour}
            fill = {"fill": "tonexty", "fillcolor": "--twin" if s.get("role") == "null" else f"{colour}/0.18"}
            edge = {**base, "mode": "lines", "line": bare, "hoverinfo": "skip"}
            out += [{**edge, "y": short(lo)}, {**edge, "y": short(hi), **fill}]
        else:
            bars = {"error_y": {
                "type": "data", "symmetric": False, "array": short(hi - y), "arrayminus": short(y - lo),
                "color": colour, "thickness": 1.2, "width": 2,
            }}  # fmt: skip
    dots = {} if marker is None else {"marker": {"size": 5, "symbol": marker, "color": colour}}
    mode = "lines" if marker is None else "lines+markers" if s.get("joined", True) else "markers"
    out.append({**base, "mode": mode, "y": short(y), "line": {**line, "color": colour}, **dots, **bars})
    return out


def _alt(p: Mapping[str, Any]) -> str:
    if p.get("image") is not None:
        return f"{p.get('title')}: an image of clusters"
    if p.get("grid"):
        z = np.array([floats(row, len(p["grid"]["x"])) for row in p["grid"]["z"]])
        good = z[np.isfinite(z)]
        span = f"from {number(good.min())} to {number(good.max())}" if good.size else "nothing finite"
        return f"{p.get('title')}: {z.shape[0]} rows by {z.shape[1]} columns, {span}"
    said = []
    for s in p.get("series") or []:
        y = floats(s["y"], len(s["x"]))
        good = y[np.isfinite(y)]
        if good.size:
            said.append(f"{s['label']} goes from {number(good[0])} to {number(good[-1])}")
    said += [f"{m['label']} at {number(m['x'])}" for m in p.get("marks") or []]
    return f"{p.get('title')}, {p.get('y')} against {p.get('x')}: " + "; ".join(said)


def _table(p: Mapping[str, Any], most: int = 120) -> Table | None:
    if p.get("grid"):
        g = p["grid"]
        lines = [[str(n), *(number(v) for v in row)] for n, row in zip(g["y"], g["z"], strict=True)]
        return Table(str(p.get("title")), ["", *map(str, g["x"])], lines[:most])
    rows = []
    for s in p.get("series") or []:
        low, high = s.get("low") or [None] * len(s["x"]), s.get("high") or [None] * len(s["x"])
        for x, y, lo, hi in zip(s["x"], s["y"], low, high, strict=True):
            band = "" if lo is None or hi is None else f"[{number(lo)}, {number(hi)}]"
            rows.append([str(s["label"]), number(x), number(y), band])
    if not rows:
        return None
    more = "" if len(rows) <= most else f" ({most} of {len(rows)} rows; the JSON beside this page has all)"
    return Table(
        f"{p.get('title')}{more}", ["curve", str(p.get("x")), str(p.get("y")), "interval"], rows[:most]
    )
