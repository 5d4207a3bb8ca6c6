"""Known events: from an events file, or from a trainer's configuration."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opalesce.errors import FormatError
from opalesce.runs.bounded import parse_json, read_bytes
from opalesce.runs.run import Event

# trainer keys that place an event; the value is a step
_KEYS = {
    "warmup_steps": "warm-up end",
    "num_warmup_steps": "warm-up end",
    "warmup_iters": "warm-up end",
    "lr_warmup_iters": "warm-up end",
    "lr_warmup_steps": "warm-up end",
    "warmup_iterations": "warm-up end",
    "decay_start_step": "decay start",
    "decay_start": "decay start",
    "lr_decay_start": "decay start",
    "lr_decay_start_step": "decay start",
    "cooldown_start": "decay start",
    "cooldown_start_step": "decay start",
    "data_change_step": "data change",
    "data_change_steps": "data change",
    "batch_change_steps": "batch change",
    "restart_steps": "restart",
    "resume_step": "restart",
}
MAX_EVENTS = 10_000_000  # bytes
MAX_PLACES = 1000  # of one key of a configuration
_FAR = 1e300
_TOTAL = ("max_steps", "train_iters", "train-iters", "total_steps", "max_iters", "num_steps", "steps")


def load_events(path: str | os.PathLike[str]) -> tuple[Event, ...]:
    """Events of a JSON file (a list, or {"events": [...]}) or a CSV file with columns x, kind, label.

    Raises
    ------
    InputError
        When there is no such file.
    FormatError
        When an event has no number `x` or no `kind`.
    """
    path = Path(path)
    raw = read_bytes(path, MAX_EVENTS)
    try:
        items: Any = (
            list(csv.DictReader(raw.decode("utf-8-sig").splitlines()))
            if path.suffix == ".csv"
            else parse_json(raw, str(path))
        )
    except (ValueError, csv.Error) as error:
        raise FormatError(
            f"{path}: not an events file", expected="JSON or CSV", got=str(error)[:80]
        ) from error
    if isinstance(items, dict):
        items = items.get("events")
    return parse_events(items, str(path))


def parse_events(items: object, source: str) -> tuple[Event, ...]:
    """Events of a list of {"x": step, "kind": word, "label": text}, sorted.

    Raises
    ------
    FormatError
        When an item is not of that form.
    """
    if not isinstance(items, list):
        raise FormatError(
            f"{source}: no list of events", expected='[{"x": 1000, "kind": "decay start"}, ...]'
        )
    out = []
    for item in items:
        try:
            at = item.get("x", item.get("step"))
            if not math.isfinite(float(at)):
                raise ValueError("no place on the axis")
            out.append(Event(float(at), str(item["kind"]), str(item.get("label") or "")))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise FormatError(
                f"{source}: an event is malformed",
                expected='{"x": number, "kind": word, "label": text}',
                got=repr(item)[:100],
            ) from error
    return tuple(sorted(out, key=lambda e: e.x))


def config_events(config: Mapping[str, Any], source: str = "config") -> tuple[Event, ...]:
    """Events that a trainer's configuration states: its "events" key, warm-up, decay, data, restarts.

    Raises
    ------
    FormatError
        When the "events" key is malformed.
    """
    found: set[Event] = set()
    flat = _flat(config)
    for key, value in flat.items():
        kind = _KEYS.get(key.rsplit("/", 1)[-1].replace("-", "_").lower())
        if kind:
            for at in value[:MAX_PLACES] if isinstance(value, list) else [value]:
                if isinstance(at, (int, float)) and not isinstance(at, bool) and 0 < at < _FAR:
                    found.add(Event(float(at), kind, f"{key} = {at:g}"))
    ratio = next((v for k, v in flat.items() if k.rsplit("/", 1)[-1] in ("warmup_ratio", "warmup")), None)
    total = next((flat[k] for k in flat if k.rsplit("/", 1)[-1] in _TOTAL), None)
    if isinstance(ratio, float) and 0 < ratio < 1 and isinstance(total, (int, float)) and 0 < total < _FAR:
        found.add(Event(ratio * total, "warm-up end", f"warm-up over {ratio:g} of {total:g} steps"))
    if "events" in config:
        found |= set(parse_events(config["events"], source))
    return tuple(sorted(found, key=lambda e: (e.x, e.kind)))


def _flat(config: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and depth < 3:
            out.update(_flat(value, f"{prefix}{key}/", depth + 1))
        else:
            out[f"{prefix}{key}"] = value
    return out
