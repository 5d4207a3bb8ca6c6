"""`trainer_state.json` of Hugging Face's Trainer: the history of a run, from one file or several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opalesce.runs.jsonl import from_rows, numbers
from opalesce.runs.run import Event
from opalesce.runs.series import Parsed

_FACTS = ("max_steps", "num_train_epochs", "train_batch_size", "logging_steps", "eval_steps", "save_steps")
# totals of the state, each along an axis of its own
_TOTALS = {"num_input_tokens_seen": "tokens", "total_flos": "flops", "epoch": "epoch"}


@dataclass(frozen=True)
class State:
    """One trainer state: its step, and the rows of its history (training and evaluation mixed)."""

    step: float
    path: Path
    rows: list[dict[str, float]]
    totals: dict[str, float]
    facts: dict[str, object]


def is_state(content: object) -> bool:
    """True for the top level of a trainer state."""
    return isinstance(content, dict) and isinstance(content.get("log_history"), list)


def read_state(content: dict[str, Any], path: Path) -> State:
    """A trainer state, from its JSON."""
    flat = numbers({k: content[k] for k in ("global_step", *_TOTALS) if k in content})
    rows = [numbers(r) for r in content["log_history"] if isinstance(r, dict)]
    steps = [r["step"] for r in rows if "step" in r and math.isfinite(r["step"])]
    facts = {k: content[k] for k in _FACTS if isinstance(content.get(k), int | float)}
    totals = {k: v for k, v in flat.items() if k in _TOTALS and v > 0 and math.isfinite(v)}
    at = flat.get("global_step", max(steps, default=0.0))
    return State(at if math.isfinite(at) else 0.0, path, rows, totals, facts)


def join(states: Sequence[State]) -> tuple[Parsed, list[Path], list[tuple[Path, str]]]:
    """One history of all states of a run: the curves, the states used, and the others with the reason.

    The last state holds the whole history, unless a resumed run began a new one: then what came before its
    first row is taken from the latest state that has it, and the join is a restart. The totals of every state
    (tokens seen, FLOPs, epoch) say how steps are counted on the other axes.

    Raises
    ------
    FormatError
        When no row has a step.
    """
    order = sorted(states, key=lambda s: (-s.step, str(s.path)))
    rows = list(order[0].rows)
    used, left, events = [order[0].path], [], []
    for state in order[1:]:
        start = min((r["step"] for r in rows if "step" in r), default=math.inf)
        before = [r for r in state.rows if r.get("step", math.inf) < start]
        if before:
            events.append(Event(start, "restart", f"a new history, after that of {state.path.parent.name}"))
            rows = before + rows
            used.append(state.path)
        else:
            extra = sum(r not in rows for r in state.rows if "step" in r)
            why = f": {extra} of its rows are not in the last one" if extra else ""
            left.append((state.path, f"an earlier trainer state{why}"))
    parsed = from_rows(rows, str(order[0].path), [], dict(order[0].facts))
    parsed.events.extend(events)
    for name, axis in _TOTALS.items():
        pairs = [(s.step, s.totals[name]) for s in reversed(order) if name in s.totals and s.step > 0]
        if pairs:
            parsed.also.setdefault(axis, []).extend(pairs)
    return parsed, used, left
