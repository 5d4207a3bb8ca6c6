"""The table behind each figure: headers and rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opalesce.report import words
from opalesce.report.heat import thin


@dataclass(frozen=True)
class Table:
    """A table to be written: `caption`, `head` (n columns) and `rows` (n texts each)."""

    caption: str
    head: list[str]
    rows: list[list[str]]


def _left_out(shown: int, of: int, what: str) -> str:
    return "" if shown == of else f" ({shown} of {of:,} {what}; the rest is in report.json)"


def witness(w: Mapping[str, Any], axis: Mapping[str, Any], most: int = 200) -> Table | None:
    """Values of a witness: this run, its standard error, the twins, the other seeds."""
    runs = w.get("runs") or []
    main = next((r for r in runs if r.get("main")), runs[0] if runs else None)
    if main is None:
        return None
    head, columns = [str(axis["name"]), str(main["name"])], [_lookup(main["x"], main["y"])]
    if main.get("stderr"):
        head.append("standard error")
        columns.append(_lookup(main["x"], main["stderr"]))
    twin = w.get("twin")
    if twin and twin.get("x"):
        head += ["twins: low", "mean", "high"]
        columns += [_lookup(twin["x"], twin.get(k) or []) for k in ("low", "mean", "high")]
    for run in runs:
        if run is not main:
            head.append(str(run["name"]))
            columns.append(_lookup(run["x"], run["y"]))
    rows = [main["x"][i] for i in thin(len(main["x"]), most)]
    unit = str(w.get("unit") or "1")
    caption = str(w.get("label") or w["name"]) + ("" if unit == "1" else f", {unit}")
    caption += _left_out(len(rows), len(main["x"]), "rows")
    body = [[words.number(x, 6), *(words.number(c.get(x), 4) for c in columns)] for x in rows]
    return Table(caption, head, body)


def _lookup(x: Sequence[float], y: Sequence[float | None]) -> dict[float, float | None]:
    return dict(zip(x, y, strict=False))


def strip(transitions: Sequence[Mapping[str, Any]], axis: Mapping[str, Any], unit: str) -> Table | None:
    """Everything the strip places on the axis."""
    head = ["", "verdict", "place", "width", "p", "direction", "witnesses", "seeds that agree"]
    rows = []
    for t in transitions:
        seeds = t.get("seeds") or {}
        n, agree = seeds.get("n"), seeds.get("agree")
        rows.append(
            [
                str(t.get("id") or ""),
                str(t["verdict"]),
                words.place(t.get("place"), axis),
                words.width(t.get("width"), unit),
                words.p_value(t.get("p_value")),
                str(t.get("direction") or words.DASH),
                ", ".join(map(str, t.get("witnesses") or [])) or words.DASH,
                words.DASH if not n or agree is None else f"{agree} of {n}",
            ]
        )
    return Table("Places, with intervals", head, rows) if rows else None


def witnesses(ws: Sequence[Mapping[str, Any]], axis: Mapping[str, Any], unit: str) -> Table | None:
    """What the tests said of each witness."""
    judged = any(w.get("verdict") for w in ws)
    head = ["witness", "verdict" if judged else "false-discovery q", "place", "half-way", "width", "height"]
    head += [
        "excess over twins",
        "sharp: p",
        "after correction: p",
        "changes at all: p",
        "power",
        "smallest step seen",
    ]
    rows = []
    for w in ws:
        p = [words.p_value(w.get(k)).removeprefix("p = ") for k in ("p_sharp", "p_adjusted", "p_smooth")]
        rows.append(
            [
                str(w.get("label") or w["name"]),
                str(w["verdict"]) if judged else words.number(w.get("q")),
                words.place(w.get("place"), axis),
                words.place(w.get("halfway"), axis),
                words.width(w.get("width"), unit),
                words.interval(w.get("height")),
                words.interval(w.get("excess")),
                *p,
                words.number(w.get("power")),
                words.number(w.get("smallest")),
            ]
        )
    return Table("What the tests said of each witness", head, rows) if rows else None


def heatmap(h: Mapping[str, Any], axis: Mapping[str, Any], most: tuple[int, int] = (150, 12)) -> Table:
    """Change by module at some places on the axis."""
    rows, cols = thin(len(h["modules"]), most[0]), thin(len(h["x"]), most[1])
    caption = f"{h['observable']}: change from the first {axis['name']}"
    caption += _left_out(len(cols), len(h["x"]), f"{axis['name']}s") + _left_out(
        len(rows), len(h["modules"]), "modules"
    )
    head = ["module", *(words.number(h["x"][j], 6) for j in cols)]
    body = [
        [str(h["modules"][i]), *(words.number(h["z"][i][j] if j < len(h["z"][i]) else None) for j in cols)]
        for i in rows
    ]
    return Table(caption, head, body)


def elsewhere(document: Mapping[str, Any], axis: Mapping[str, Any]) -> Table | None:
    """The same judgement on the other seeds and on the twins: one row a run, one column a witness."""
    cells: dict[tuple[str, str], str] = {}
    kind: dict[str, str] = {}
    names: dict[str, None] = {}
    for group, what in (("seeds", "seed"), ("twins", "null twin")):
        for item in document.get(group) or []:
            run, name = str(item["run"]), str(item["witness"])
            kind[run], names[name] = what, None
            where = words.place(item.get("place"), axis) if words.has(item.get("place")) else ""
            cells[run, name] = ", ".join(t for t in (str(item["verdict"]), where) if t)
    rows = [[run, what, *(cells.get((run, n), words.DASH) for n in names)] for run, what in kind.items()]
    return Table("The same judgement on each run alone", ["run", "", *names], rows) if rows else None
