"""The single figures of `report.paper`: each takes pyplot, a part of the report, and a width in inches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from opalesce.report.palette import LIGHT, VERDICTS, lineage_colour

MOST = 36  # characters of a name that a label shows
FEW = 18  # and of a unit or a legend
MARKS = {"seen": "o", "second": "s", "third": "D", "fourth": "^"}
COLOURS = {
    "theory": "--ink", "exact": "--transition", "seen": "--evals", "second": "--weights",
    "third": "--activations", "fourth": "--transition", "null": "--soft",
}  # fmt: skip


def _colour(token: str) -> str:
    return LIGHT[token]


def _short(text: object, most: int = MOST) -> str:
    shown = " ".join(str(text).split())
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _floats(values: Sequence[float | None]) -> Any:
    return np.array([math.nan if v is None else v for v in values], float)


def _axis(ax: Any, document: Mapping[str, Any]) -> None:
    axis = document["axis"]
    ax.set_xlabel(_short(f"{axis['name']} ({axis['unit']})"))
    if axis["scale"] == "log":
        ax.set_xscale("symlog", linthresh=max(float(axis["x1"]), 1e-12), linscale=0.3)
        _decades(ax.xaxis)


def _decades(axis: Any) -> None:
    """Labels of a log axis as plain text, since mathematics in labels is switched off."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

    def label(x: float, _: int) -> str:
        if x == 0 or 1e-2 <= abs(x) <= 1e3:
            return f"{x:g}"
        power = round(math.log10(abs(x)))
        return f"{'−' if x < 0 else ''}10{str(power).translate(raised)}"

    axis.set_major_formatter(FuncFormatter(label))
    axis.set_minor_formatter(NullFormatter())


def place_of(t: Mapping[str, Any]) -> float | None:
    """Value of the place of a finding, or None."""
    place = t["place"]
    return None if place is None or place["value"] is None else float(place["value"])


def witnesses(
    plt: Any, document: Mapping[str, Any], judged: Sequence[Mapping[str, Any]], width: float
) -> Any:
    """Small multiples of the judged witnesses: run, seeds, null runs, fit, place."""
    columns = min(3, len(judged))
    rows = -(-len(judged) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, 0.33 * width * rows), squeeze=False, sharex=True
    )
    for ax in axes.ravel()[len(judged) :]:
        ax.set_visible(False)
    for i, (ax, w) in enumerate(zip(axes.ravel(), judged, strict=False)):
        colour = _colour(lineage_colour(w["lineage"]))
        if w["twin"] is not None:
            t = w["twin"]
            ax.fill_between(
                _floats(t["x"]), _floats(t["low"]), _floats(t["high"]), color=_colour("--soft"), alpha=0.25,
                linewidth=0, label=f"{t['n']} null runs",
            )  # fmt: skip
        others = "other seeds"
        for row in sorted(w["runs"], key=lambda r: bool(r["main"])):
            x, y = _floats(row["x"]), _floats(row["y"])
            if row["main"]:
                ax.plot(x, y, color=colour, label="this run")
            else:
                ax.plot(x, y, color=colour, alpha=0.35, linewidth=0.6, label=others)
                others = "_"
        if w["fit"] is not None:
            ax.plot(
                _floats(w["fit"]["x"]),
                _floats(w["fit"]["y"]),
                color=_colour("--ink"),
                linestyle=":",
                label="fit",
            )
        token = f"--{VERDICTS[w['verdict']]}"
        low, high = w["place"]["low"], w["place"]["high"]
        if low is not None and high is not None:
            ax.axvspan(low, high, color=_colour(token), alpha=0.2, linewidth=0)
        ax.set_title(f"{'abcdefghij'[i % 10]}  {_short(w['label'])}", loc="left", pad=15)
        ax.set_ylabel("" if w["unit"] == "1" else _short(w["unit"], FEW))
        ax.text(
            0, 1.02, w["verdict"], transform=ax.transAxes, va="bottom", color=_colour(token), size="small"
        )
        _axis(ax, document)
        if i + columns < len(judged):
            ax.set_xlabel("")
        ax.tick_params(labelbottom=True)
    axes[0, 0].legend(loc="best")
    return figure


def findings(plt: Any, document: Mapping[str, Any], width: float) -> Any:
    """Places with their intervals, one row a finding; the verdict stands in words."""
    placed = [t for t in document["transitions"] if place_of(t) is not None]
    figure, ax = plt.subplots(figsize=(width, 0.045 * width * (len(placed) + 4)))
    for i, t in enumerate(placed):
        colour, place = _colour(f"--{VERDICTS[t['verdict']]}"), t["place"]
        if place["low"] is not None and place["high"] is not None:
            ax.plot([place["low"], place["high"]], [i, i], color=colour, solid_capstyle="butt", linewidth=3)
        ax.plot(place["value"], i, "o", color=colour, markersize=5)
    labels = [f"{t['verdict']}: {_short(', '.join(t['witnesses']))}" for t in placed]
    ax.set_yticks(range(len(placed)), labels)
    ax.invert_yaxis()
    for e in document["events"]:
        ax.axvline(e["x"], color=_colour("--soft"), linewidth=0.8, linestyle="--")
        ax.text(
            e["x"], 1.0, _short(e["label"] or e["kind"]), transform=ax.get_xaxis_transform(),
            rotation=90, ha="right", va="top", fontsize="small", color=_colour("--soft"),
        )  # fmt: skip
    _axis(ax, document)
    ax.set_xlim(document["run"]["first"], document["run"]["last"])
    return figure


def heatmap(plt: Any, document: Mapping[str, Any], width: float) -> Any:
    """One observable, module by state."""
    from matplotlib.colors import LinearSegmentedColormap

    h = document["heatmap"]
    z = np.array([_floats(row) for row in h["z"]])
    top = float(np.nanmax(np.abs(z))) if np.isfinite(z).any() else 1.0
    tint = LinearSegmentedColormap.from_list("change", [_colour(k) for k in ("--low", "--mid", "--high")])
    names = [_short(m) for m in h["modules"]]
    figure, ax = plt.subplots(figsize=(width, min(0.03 * width * len(names) + 0.2 * width, 1.2 * width)))
    x = np.arange(z.shape[1] + 1)
    mesh = ax.pcolormesh(
        x, np.arange(len(names) + 1), z, cmap=tint, vmin=-top or -1, vmax=top or 1, rasterized=True
    )
    ticks = np.unique(np.linspace(0, z.shape[1] - 1, 6).astype(int))
    ax.set_xticks(ticks + 0.5, [f"{h['x'][k]:g}" for k in ticks])
    shown = np.unique(np.linspace(0, len(names) - 1, min(len(names), 24)).astype(int))
    ax.set_yticks(shown + 0.5, [names[k] for k in shown])
    ax.invert_yaxis()
    ax.set_xlabel(_short(f"{document['axis']['name']} (states in order)"))
    figure.colorbar(mesh, ax=ax, label=_short(f"{h['observable']}, {h['unit']}"))
    return figure


def exhibit(plt: Any, e: Mapping[str, Any], width: float) -> Any:
    """The plates of an exhibit in a row."""
    plates = [p for p in e["plates"] if p.get("series") or p.get("image") is not None]
    columns = min(3, len(plates))
    rows = -(-len(plates) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(width, 0.38 * width * rows), squeeze=False)
    for ax in axes.ravel()[len(plates) :]:
        ax.set_visible(False)
    for ax, p in zip(axes.ravel(), plates, strict=False):
        if p.get("image") is not None:
            ax.imshow(np.array(p["image"], float), cmap="Greys", interpolation="nearest")
            ax.set_axis_off()
        for s in p.get("series") or []:
            _series(ax, s)
        for m in p.get("marks") or []:
            ax.axvline(m["x"], color=_colour("--ink"), linewidth=0.8, linestyle="--")
            if m.get("low") is not None and m.get("high") is not None:
                ax.axvspan(m["low"], m["high"], color=_colour("--ink"), alpha=0.08, linewidth=0)
        ax.set(title=_short(p["title"]), xlabel=_short(p["x"]), ylabel=_short(p["y"]))
        if p.get("log_x"):
            ax.set_xscale("log")
            _decades(ax.xaxis)
        if p.get("log_y"):
            ax.set_yscale("log")
            _decades(ax.yaxis)
        if p.get("y_range"):
            ax.set_ylim(*p["y_range"])
        if len(p.get("series") or []) > 1:
            ax.legend(loc="best")
    figure.suptitle(_short(e["title"]))
    return figure


def _series(ax: Any, s: Mapping[str, Any]) -> None:
    colour, marker = _colour(COLOURS[s["role"]]), MARKS.get(s["role"])
    x, y = _floats(s["x"]), _floats(s["y"])
    line = {"theory": ":", "second": "--", "third": "-."}.get(s["role"], "-")
    ax.plot(
        x, y, color=colour, marker=marker, markersize=3, linestyle=line if s.get("joined", True) else "",
        label=_short(s["label"], FEW),
    )  # fmt: skip
    if s.get("low") is not None and s.get("high") is not None:
        low, high = _floats(s["low"]), _floats(s["high"])
        ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
