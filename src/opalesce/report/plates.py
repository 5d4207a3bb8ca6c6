"""Exhibits as one Plotly figure: what a page draws by its script, for notebooks."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from opalesce.report.clean import clean, plotly_text
from opalesce.report.exhibits import STYLES, Exhibit, Plate, view
from opalesce.report.palette import LIGHT

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

WORDS = 52  # letters of the title of one plate
HEIGHT = 300  # of a row of plates, in pixels


def plates_figure(*exhibits: Exhibit) -> Figure:
    """A row of plates for each exhibit, with one legend."""
    from plotly.subplots import make_subplots

    wide = max(len(e.plates) for e in exhibits)
    titles = []
    for e in exhibits:
        titles += [_title(e, p, len(exhibits) > 1) for p in e.plates] + [""] * (wide - len(e.plates))
    figure = make_subplots(len(exhibits), wide, subplot_titles=titles)
    figure.update_annotations(font_size=12)
    named: set[str] = set()
    for i, e in enumerate(exhibits, 1):
        shown = view(clean(asdict(e)), i)["plates"]
        for j, (plate, drawn) in enumerate(zip(e.plates, shown, strict=True), 1):
            _draw(figure, plate, drawn["drawn"], {"row": i, "col": j}, named)
    figure.update_layout(
        paper_bgcolor=LIGHT["--card"], plot_bgcolor=LIGHT["--card"], font={"color": LIGHT["--ink"]},
        height=100 + HEIGHT * len(exhibits),
    )  # fmt: skip
    if len(exhibits) == 1:
        figure.update_layout(title={"text": plotly_text(exhibits[0].title), "font": {"size": 14}})
    return figure


def _title(e: Exhibit, p: Plate, several: bool) -> str:
    text = f"{e.title} · {p.title}" if several else p.title
    return plotly_text(text if len(text) <= WORDS else text[: WORDS - 1] + "…")


def _draw(figure: Any, plate: Plate, p: dict[str, Any], at: dict[str, int], named: set[str]) -> None:
    for trace in p["traces"]:
        figure.add_trace({**painted(trace), "showlegend": False}, **at)
    for s in plate.series:
        if s.label not in named:  # its traces are band, edge and line: one entry stands for them
            named.add(s.label)
            colour, line, symbol = STYLES[s.role]
            key: dict[str, Any] = {"mode": "lines", "line": {**line, "color": LIGHT[colour]}}
            if symbol is not None:
                key = {"mode": "markers", "marker": {"color": LIGHT[colour], "symbol": symbol}}
            figure.add_trace(
                {"type": "scatter", "x": [None], "y": [None], "name": plotly_text(s.label), **key}, **at
            )
    for m in p["marks"]:
        line = {"dash": "dash", "width": 1.3, "color": LIGHT["--transition"]}
        figure.add_vline(m["x"], line=line, **at)
        if m["low"] is not None and m["high"] is not None:
            band = {"fillcolor": LIGHT["--band"], "line_width": 0, "layer": "below"}
            figure.add_vrect(m["low"], m["high"], **band, **at)
        if m["label"]:
            # Plotly places annotations of a log axis by the logarithm, and shapes by the value
            x = math.log10(m["x"]) if p["log_x"] else m["x"]
            figure.add_annotation(
                x=x, y=1, yref="y domain", yanchor="top", xanchor="left", text=m["label"], showarrow=False,
                font={"size": 10.5, "color": LIGHT["--transition"]}, **at,
            )  # fmt: skip
    axis, kind = {"gridcolor": LIGHT["--edge"], "exponentformat": "power"}, {True: "log", False: "linear"}
    figure.update_xaxes(type=kind[p["log_x"]], title_text=p["x"], **axis, **at)
    figure.update_yaxes(type=kind[p["log_y"]], title_text=p["y"], **axis, **at)
    if plate.y_range is not None:
        figure.update_yaxes(range=list(plate.y_range), **at)


def painted(value: Any) -> Any:
    """Names of colours replaced by the light palette; `--name/0.2` is that colour at opacity 0.2."""
    if isinstance(value, dict):
        return {k: v if k in ("x", "y", "z", "name", "meta") else painted(v) for k, v in value.items()}
    if isinstance(value, list):
        return [painted(v) for v in value]
    if not (isinstance(value, str) and value.startswith("--")):
        return value
    name, _, alpha = value.partition("/")
    colour = LIGHT[name]
    if not alpha:
        return colour
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
