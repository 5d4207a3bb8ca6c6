"""JSON-lines logs: one object a line, an optional `_meta` line first."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from opalesce.errors import FormatError
from opalesce.runs.bounded import MAX_COLUMNS, Room, lines, parse_json
from opalesce.runs.clock import clock_faults
from opalesce.runs.run import Event, Fault
from opalesce.runs.series import AXES, Parsed, axis_column, axis_name, build, is_quantity

_FAULT = 20  # a malformed line takes as much memory as so many cells


def read_jsonl(path: Path) -> Parsed:
    """Curves of a JSON-lines log; nested objects give names with slashes.

    A malformed line is reported and skipped. A step that goes back is taken for a restart: it
    becomes an event, and of the steps logged twice the later values count.

    Raises
    ------
    FormatError
        When no line holds a step, or the file is beyond the limits of `runs.bounded`.
    """
    rows: list[dict[str, float]] = []
    faults: list[Fault] = []
    config: dict[str, object] = {}
    room = Room(str(path))
    for number, line in enumerate(lines(path, "replace"), 1):
        if not line.strip():
            continue
        try:
            value = parse_json(line, "")
        except FormatError as error:
            faults.append(_bad(path, number, f"{error.what.removeprefix(': ')}: {error.got[:60]}"))
            room.take(_FAULT)
            continue
        if not isinstance(value, dict):
            faults.append(_bad(path, number, f"{type(value).__name__}, not an object"))
            room.take(_FAULT)
        elif isinstance(value.get("_meta"), dict):
            config.update(value["_meta"])
        elif value and all(k.startswith("_") for k in value) and "_step" not in value:
            continue  # a summary, not a row
        else:
            rows.append(numbers(value))
            room.take(len(rows[-1]) + 1)
    return from_rows(rows, str(path), faults, config)


def from_rows(
    rows: list[dict[str, float]],
    source: str,
    faults: list[Fault],
    config: dict[str, object] | None = None,
) -> Parsed:
    """Curves of rows of numbers; rows may hold different quantities.

    Raises
    ------
    FormatError
        When no row has a control-axis column.
    """
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    if len(names) > MAX_COLUMNS:
        most = f"at most {MAX_COLUMNS}"
        raise FormatError(f"{source}: too many quantities", expected=most, got=str(len(names)))
    column = axis_column(list(names))
    if column is None:
        raise FormatError(
            f"{source}: no column is a control axis",
            expected="a column called step, global_step, iteration, tokens, epoch or x",
            got=", ".join(list(names)[:8]) or "no numbers",
        )
    columns: dict[str, tuple[list[float], list[float]]] = {n: ([], []) for n in names if is_quantity(n)}
    others = {
        n: axis_name(n) for n in names if n.strip().lower() in AXES and axis_name(n) != axis_name(column)
    }
    also: dict[str, list[tuple[float, float]]] = {a: [] for a in others.values() if a != "x"}
    events, before, used = [], float("-inf"), 0
    for row in rows:
        at = row.get(column)
        if at is None or not math.isfinite(at):
            continue
        used += 1
        if at < before:
            events.append(Event(at, "restart", f"the log goes back from {before:g} to {at:g}"))
        before = at
        for name, value in row.items():
            if name in columns:
                columns[name][0].append(at)
                columns[name][1].append(value)
            elif others.get(name) in also:
                also[others[name]].append((at, value))
    if used < len(rows):
        faults.append(
            Fault("malformed line", source, f"{len(rows) - used} of {len(rows)} rows have no {column}")
        )
    faults = faults + clock_faults(rows, column, source)
    curves, more = build(columns, source, used)
    return Parsed(curves, axis_name(column), faults + more, config or {}, events, also)


def numbers(value: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers in an object, nested names joined by slashes; "NaN" strings count."""
    out: dict[str, float] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict) and prefix.count("/") < 4:
            out.update(numbers(item, f"{name}/"))
        elif isinstance(item, bool):
            continue
        elif isinstance(item, (int, float)):
            try:
                out[name] = float(item)
            except OverflowError:
                out[name] = float("inf")
        elif isinstance(item, str) and item.strip().lower().lstrip("+-") in ("nan", "inf", "infinity"):
            out[name] = float(item)
    return out


def _bad(path: Path, number: int, why: str) -> Fault:
    return Fault("malformed line", f"{path}:{number}", why, "one JSON object", "repair or remove this line")
