"""From the document to what the template writes and the script draws."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opalesce.errors import InputError
from opalesce.report import exhibits, tables, words
from opalesce.report.heat import heat
from opalesce.report.palette import DARK, LIGHT, VERDICTS, css, lineage_colour
from opalesce.report.panels import LIMIT, panel

SCHEMA = "opalesce.report/1"
_PLACED = ("TRANSITION", "CROSSOVER", "METRIC ARTEFACT", "DATA FAULT")


@dataclass(frozen=True)
class Budget:
    """How much of everything fits on the page."""

    points: int
    rows: int
    cells: tuple[int, int]
    items: int

    @classmethod
    def of(cls, share: float) -> Budget:
        """A share of the full budget, never below what still makes a picture."""
        return cls(
            max(60, int(LIMIT * share)),
            max(12, int(200 * share)),
            (max(10, int(150 * share)), 12),
            max(20, int(400 * share)),
        )


def view(document: Mapping[str, Any], budget: Budget) -> dict[str, Any]:
    """Everything the template needs; `drawn` is what the script needs."""
    if document.get("schema") != SCHEMA:
        raise InputError(
            "not a report document",
            expected=f'"schema": "{SCHEMA}"',
            got=repr(document.get("schema")),
            fix="build it with opalesce.report.document",
        )
    axis = document.get("axis")
    if not isinstance(axis, dict) or not axis.get("name"):
        raise InputError(
            "the document has no control axis", expected='"axis": {"name", "scale", "x1"}', got=repr(axis)
        )
    unit = str(document.get("wstar_unit") or "")
    ts = [_transition(t) for t in document.get("transitions") or []]
    placed = [t for t in ts if t["id"] and t["verdict"] in _PLACED and words.has(t.get("place"))]
    ws = [_witness(w, i, axis, budget, placed) for i, w in enumerate(document.get("witnesses") or [])]
    judged, ranked = ([w for w in ws if bool(w["verdict"]) is v] for v in (True, False))
    picture = heat(document.get("heatmap"))
    events = document.get("events") or []
    health = document.get("health") or {}
    how = document.get("how") or {}
    shown = [exhibits.view(e, i) for i, e in enumerate(document.get("exhibits") or [])]
    drawn = _drawn(document, placed, events, ws, picture)
    drawn["exhibits"] = {p["key"]: p["drawn"] for e in shown for p in e["plates"]}
    return {
        "d": document,
        "axis": axis,
        "title": document.get("title") or (document.get("run") or {}).get("name") or "report",
        "subtitle": document.get("subtitle") or "",
        "status": words.status(document),
        "health": words.health(document),
        "counts": words.verdicts(document.get("counts") or {}),
        "transitions": ts,
        "placed": placed,
        "strip_text": _strip_text(placed, events, axis),
        "strip_table": tables.strip(ts, axis, unit),
        "judged": judged,
        "ranked": ranked,
        "judged_table": tables.witnesses([w["w"] for w in judged], axis, unit),
        "ranked_table": tables.witnesses([w["w"] for w in ranked], axis, unit),
        "legend": _legend(judged, placed, events),
        "predictions": document.get("predictions") or [],
        "heat": picture,
        "heat_table": tables.heatmap(document["heatmap"], axis, budget.cells) if picture else None,
        "elsewhere": tables.elsewhere(document, axis),
        "findings": health.get("findings") or [],
        "how": how,
        "how_line": _how_line(how, document),
        "files": how.get("files") or [],
        "items": budget.items,
        "wstar": _wstar(document, unit),
        "words": words,
        "light": css(LIGHT),
        "dark": css(DARK),
        "exhibits": shown,
        "frozen": document.get("frozen") or {},
        "drawn": drawn,
    }


def _transition(t: Mapping[str, Any]) -> dict[str, Any]:
    unseen = str(t.get("unseen") or "")
    if unseen and not unseen.lower().startswith("could not"):
        unseen = f"Could not have been seen here: {unseen}"
    detail = t.get("detail") or []
    return {
        **t,
        "id": t.get("id") or "",
        "kind": VERDICTS.get(str(t["verdict"]), "unknown"),
        "unseen": unseen,
        "detail": [detail] if isinstance(detail, str) else detail,
    }


def _witness(
    w: Mapping[str, Any], i: int, axis: Mapping[str, Any], budget: Budget, placed: list[dict[str, Any]]
) -> dict[str, Any]:
    verdict = w.get("verdict")
    notes = [" · ".join(str(v) for v in (w.get("lineage"), w.get("seeds")) if v)]
    if verdict in (None, "CROSSOVER") and words.has(w.get("halfway")):
        notes.append(f"half-way {words.place(w['halfway'], axis)}")
    elif words.has(w.get("place")) and verdict in _PLACED:
        notes.append(words.place(w["place"], axis))
    if not verdict or verdict == "CROSSOVER":
        if words.has(w.get("excess")):
            notes.append(f"excess over twins {words.interval(w['excess'])}")
        if w.get("q") is not None:
            notes.append(f"q = {words.number(w['q'], 2)}")
    if not w.get("twin"):
        notes.append("no null run")
    sub, unit = str(w.get("sublabel") or ""), str(w.get("unit") or "")
    sub = sub if unit in ("", "1") or unit in sub else f"{sub}, {unit}" if sub else unit
    bands = [
        t["id"] for t in placed if t["verdict"] == "TRANSITION" or w.get("name") in (t.get("witnesses") or [])
    ]
    return {
        "w": w,
        "key": f"w{i}",
        "label": w.get("label") or w.get("name"),
        "sublabel": sub,
        "verdict": verdict,
        "kind": VERDICTS.get(str(verdict), "unknown"),
        "notes": [_unbroken(n) for n in notes if n],
        "alt": words.describe(w, axis),
        "table": tables.witness(w, axis, budget.rows),
        "bands": bands,
        "panel": panel(w, axis, budget.points),
    }


def _unbroken(text: str) -> str:
    """Intervals that do not break across lines."""
    return re.sub(r"\[[^\]]*\]", lambda m: m[0].replace(" ", "\u00a0"), text)


def _strip_text(placed: list[dict[str, Any]], events: list[Any], axis: Mapping[str, Any]) -> str:
    said = [f"{t['id']}, {t['verdict'].lower()}, at {words.place(t['place'], axis)}" for t in placed]
    said += [f"{e.get('label') or e.get('kind')} at {axis['name']} {words.number(e['x'])}" for e in events]
    return (
        f"Verdicts on the {axis['name']} axis: "
        + ("; ".join(said) or "nothing was found to place on it")
        + "."
    )


def _legend(judged: list[dict[str, Any]], placed: list[dict[str, Any]], events: list[Any]) -> str:
    roles = {t["meta"]["role"] for w in judged for t in w["panel"]["traces"]}
    few = any((w["w"].get("twin") or {}).get("n", 3) < 3 for w in judged)
    kinds = {t["verdict"] for t in placed}
    lines = {
        "main": "Solid: this run.",
        "error low": "Shade around it: 95 % from its standard errors.",
        "seed": "Thin: other seeds.",
        "twin": f"Grey: null twins (nothing to learn), {'their range' if few else '95 %'}.",
        "fit": "Dotted: fit.",
    }
    out = [text for role, text in lines.items() if role in roles]
    if "TRANSITION" in kinds:
        ids = ", ".join(t["id"] for t in placed if t["verdict"] == "TRANSITION")
        level = next((t["place"].get("level") for t in placed if t["verdict"] == "TRANSITION"), None)
        out.append(f"Filled band: place of {ids}" + (f", {100 * level:g} %." if level else "."))
    if kinds - {"TRANSITION"}:
        out.append("Dashed outline: place of what is no transition, in its own witnesses.")
    if events:
        out.append("Dashed line: known event.")
    return " ".join(out)


def _how_line(how: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    parts = []
    own = (document.get("run") or {}).get("name")
    for group, one in (("twins", "null twin"), ("seeds", "other seed")):
        n = len({item["run"] for item in document.get(group) or []} - {own})
        parts.append(words.counted(n, one) if n else f"no {one}")
    if how.get("primary") is not None:
        parts.append(words.counted(int(how["primary"]), "primary witness", "primary witnesses"))
    if how.get("exploratory") is not None:
        parts.append(f"{how['exploratory']} exploratory")
    if how.get("tests") is not None:
        parts.append(words.counted(int(how["tests"]), "test"))
    parts += [str(how[k]) for k in ("correction", "simulations") if how.get(k)]
    return parts


def _wstar(document: Mapping[str, Any], unit: str) -> str:
    w = document.get("wstar")
    return "" if w is None else f"{words.number(w / 2)} {unit}".strip()


def _drawn(
    document: Mapping[str, Any], placed: list[dict[str, Any]], events: list[Any], ws: list[Any], picture: Any
) -> dict[str, Any]:
    run, axis = document.get("run") or {}, document["axis"]
    seen = [x for w in ws for t in w["panel"]["traces"] for x in t["x"] if x is not None]
    ends = [v for v in (run.get("first"), run.get("last")) if v is not None] + seen
    bands = []
    for t in placed:
        e = t["place"]
        low, high = (e["value"] if e.get(k) is None else e[k] for k in ("low", "high"))
        text = (
            words.interval(e)
            if t["verdict"] == "TRANSITION"
            else f"{t['verdict'].lower()}, {words.interval(e)}"
        )
        label = (
            f"{t['id']} · {axis['name']} {text}" if t["verdict"] == "TRANSITION" else f"{t['id']} · {text}"
        )
        bands.append(
            {"id": t["id"], "kind": t["kind"], "value": e["value"], "low": low, "high": high, "label": label}
        )
    panels = {
        w["key"]: {**w["panel"], "bands": w["bands"], "colour": lineage_colour(w["w"].get("lineage"))}
        for w in ws
    }
    drawn = {
        "axis": {k: axis.get(k) for k in ("name", "unit", "scale", "x1")},
        "first": min(ends, default=0.0),
        "last": max(ends, default=1.0),
        "bands": bands,
        "panels": {k: p for k, p in panels.items() if p["traces"]},
        "events": [{"x": e["x"], "label": str(e.get("label") or e.get("kind") or "event")} for e in events],
        "heat": picture,
    }
    return drawn
