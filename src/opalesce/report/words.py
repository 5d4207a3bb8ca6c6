"""Numbers and verdicts in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opalesce.report.palette import VERDICTS

_PLURAL = {
    "TRANSITION": ("transition", "transitions"),
    "CROSSOVER": ("crossover", "crossovers"),
    "METRIC ARTEFACT": ("metric artefact", "metric artefacts"),
    "DATA FAULT": ("data fault", "data faults"),
    "NOT SUPPORTED": ("not supported", "not supported"),
    "CANNOT TELL": ("cannot tell", "cannot tell"),
}

DASH = "–"


def number(value: float | None, digits: int = 3) -> str:
    """`value` with `digits` significant digits, all whole ones below a million: 271, 0.27, 44,032, 2.1M."""
    if value is None:
        return DASH
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        return f"{value:.{digits - 1}e}"
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if size >= unit:
            return number(value / unit, digits) + letter
    if size >= 10**digits - 0.5 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def interval(e: Mapping[str, Any] | None, digits: int = 3) -> str:
    """An estimate as `271 [244, 296]`; without one, its status or a dash."""
    if not e or e.get("value") is None:
        return str((e or {}).get("status") or DASH)
    text = number(e["value"], digits)
    if e.get("low") is not None and e.get("high") is not None:
        text += f" [{number(e['low'], digits)}, {number(e['high'], digits)}]"
    return text


def has(e: Mapping[str, Any] | None) -> bool:
    """True when an estimate carries a number."""
    return bool(e) and e is not None and e.get("value") is not None


def p_value(p: float | None) -> str:
    """A p-value as `p = 0.0004`."""
    if p is None:
        return f"p {DASH}"
    return "p < 1e-6" if p < 1e-6 else f"p = {p:.1g}" if p < 1e-3 else f"p = {p:.2g}"


def place(e: Mapping[str, Any] | None, axis: Mapping[str, Any]) -> str:
    """A place as `step 271 [244, 296]`."""
    return f"{axis['name']} {interval(e)}" if has(e) else DASH


def width(e: Mapping[str, Any] | None, unit: str) -> str:
    """A width as `0.27 decade [0.2, 0.31]`."""
    if not has(e) or e is None:
        return DASH
    unit = "decade" if unit == "decades" else unit
    head, _, tail = interval(e, 2).partition(" ")
    return f"{head} {unit} {tail}".rstrip()


def axis_words(axis: Mapping[str, Any]) -> str:
    """The axis in words: its unit (or name) and its scale."""
    name, unit = str(axis.get("name") or "step"), str(axis.get("unit") or "")
    what = unit if name in unit else f"{name} ({unit})" if unit and unit != "1" else name
    return f"{what}, {'log scale' if axis.get('scale') == 'log' else 'linear scale'}"


def counted(n: int, one: str, many: str | None = None) -> str:
    """`1 checkpoint`, `61 checkpoints`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def verdicts(counts: Mapping[str, Any]) -> str:
    """`1 transition, 1 crossover, 3 not supported`; "no witness was judged" when there is none."""
    parts = [counted(int(counts[v]), *_PLURAL[v]) for v in VERDICTS if counts.get(v)]
    return ", ".join(parts) or "no witness was judged"


def status(document: Mapping[str, Any]) -> list[str]:
    """The parts of the status line before the health."""
    run = document.get("run") or {}
    parts = []
    if run.get("n_checkpoints") is not None:
        parts.append(counted(int(run["n_checkpoints"]), "checkpoint"))
    n = run.get("n_parameters")
    parts.append("number of parameters unknown" if n is None else counted(int(n), "parameter"))
    parts.append(f"axis: {axis_words(document['axis'])}")
    if document.get("alpha") is not None:
        parts.append(f"judged at α = {document['alpha']:g}")
    return parts


def health(document: Mapping[str, Any]) -> str:
    """`clean`, `2 notes` or `3 findings`."""
    state = document.get("health") or {}
    n = len(state.get("findings") or [])
    word = str(state.get("status") or "not checked")
    return word if word not in ("notes", "findings") or not n else counted(n, word.removesuffix("s"))


def describe(witness: Mapping[str, Any], axis: Mapping[str, Any]) -> str:
    """What a panel shows, for those who cannot see it."""
    runs = witness.get("runs") or []
    main = next((r for r in runs if r.get("main")), runs[0] if runs else None)
    name = witness.get("label") or witness.get("name")
    points = [(x, y) for x, y in zip(*(main["x"], main["y"]), strict=False) if y is not None] if main else []
    if not points:
        return f"{name}: no values to draw."
    (xa, ya), (xb, yb) = points[0], points[-1]
    step = axis["name"]
    text = f"{name} against {step}: from {number(ya)} at {step} {number(xa)} to {number(yb)} at {number(xb)}"
    if len(runs) > 1:
        text += f", with {counted(len(runs) - 1, 'other seed')}"
    twin = witness.get("twin")
    if twin and any(v is not None for v in twin.get("mean") or []):
        mean = [v for v in twin["mean"] if v is not None]
        text += f"; the null twins go from {number(mean[0])} to {number(mean[-1])}"
    text += f". Verdict: {witness['verdict']}" if witness.get("verdict") else ". Exploratory, not judged"
    if has(witness.get("place")) and witness.get("verdict"):
        text += f", place {place(witness['place'], axis)}"
    return text + "."
