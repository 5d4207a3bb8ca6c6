"""The module x step heat map as Plotly data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from opalesce.report.clean import plotly_text
from opalesce.report.panels import floats, short

STEPS, MODULES = 160, 120  # cells a screen can show apart


def thin(n: int, most: int) -> list[int]:
    """At most `most` of the indices 0 ... n - 1, evenly spaced, with both ends."""
    return sorted({int(i) for i in np.linspace(0, n - 1, min(n, most)).round()})


def shorten(names: Sequence[str], length: int = 30) -> list[str]:
    """Names without the dotted parts that all begin or end with, cut in the middle to `length`."""
    parts = [n.split(".") for n in names]
    shared = _shared(parts) if len(names) > 1 else 0
    ends = _shared([p[shared:][::-1] for p in parts]) if len(names) > 1 else 0
    out = []
    for part, name in zip(parts, names, strict=True):
        core = ".".join(part[shared : len(part) - ends]) or name
        out.append(core if len(core) <= length else f"{core[: length // 2]}…{core[-(length // 2 - 1) :]}")
    return out


def _shared(parts: Sequence[Sequence[str]]) -> int:
    """How many leading parts all have in common."""
    return next(
        (i for i, same in enumerate(zip(*parts, strict=False)) if len(set(same)) > 1), min(map(len, parts))
    )


def heat(heatmap: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Change of an observable, module by module along the axis; None when there is nothing to draw.

    Colours are symmetric about no change; they saturate at the 99th percentile of |z| where the
    largest value is more than three times that, and `limit` says at what.
    """
    if not heatmap or not heatmap.get("x") or not heatmap.get("modules") or not heatmap.get("z"):
        return None
    z = np.array([floats(row, len(heatmap["x"])) for row in heatmap["z"]])
    if len(z) != len(heatmap["modules"]) or not np.isfinite(z).any():
        return None
    rows, cols = thin(z.shape[0], MODULES), thin(z.shape[1], STEPS)
    size = np.abs(z[np.isfinite(z)])
    top, usual = float(size.max()), float(np.percentile(size, 99))
    limit = usual if 0 < 3 * usual < top else top
    limit = float(f"{limit or 1.0:.3g}")
    names = [str(heatmap["modules"][i]) for i in rows]
    trace = {
        "type": "heatmap", "x": [heatmap["x"][j] for j in cols], "y": list(range(len(rows))),
        "z": [short(z[i, cols], 4) for i in rows], "zmin": -limit, "zmax": limit, "hoverinfo": "none",
        "colorscale": [[0, "--low"], [0.5, "--mid"], [1, "--high"]], "showscale": True, "hoverongaps": False,
        "colorbar": {"orientation": "h", "thickness": 9, "outlinewidth": 0, "nticks": 5, "len": 0.3, "x": 1,
                     "xanchor": "right", "y": 1, "yanchor": "bottom", "ypad": 6, "xpad": 0,
                     "tickfont": {"color": "--soft", "size": 11}},
        "meta": {"role": "heat", "names": names},
    }  # fmt: skip
    return {
        "traces": [trace],
        "labels": [plotly_text(n) for n in shorten(names)],
        "limit": limit,
        "saturated": limit < top,
        "left_out": [z.shape[0] - len(rows), z.shape[1] - len(cols)],
        "modules": names,
    }
