"""Clocks in a log: time does not go back while the steps go on."""

from __future__ import annotations

from collections.abc import Sequence

from opalesce.runs.run import Fault

WALL = ("_timestamp", "timestamp", "wall_time", "wall time", "created_at", "time")
SLACK = 1.0  # seconds by which two writers of one log may disagree


def clock_faults(rows: Sequence[dict[str, float]], column: str, source: str) -> list[Fault]:
    """A fault where a wall clock falls by more than a second from a row to one of a later step.

    A clock that starts anew (a runtime, or a log appended after a resume whose steps go back) is none: only
    columns that are called a time of day count, and only rows whose step has grown.
    """
    for name in {n for row in rows[:1000] for n in row if n.strip().lower() in WALL}:
        last_step, last_time, at = float("-inf"), float("-inf"), []
        for row in rows:
            step, time = row.get(column), row.get(name)
            if step is None or time is None:
                continue
            if step > last_step and time < last_time - SLACK:
                at.append(step)
            last_step, last_time = step, time
        if at:
            return [
                Fault(
                    "clock goes backwards", source, f"{name} falls at {len(at)} steps, first at {at[0]:g}",
                    "time that grows with the steps",
                    "two logs may be woven into one, or rows be out of order: take them apart by run or time",
                    tuple(at),
                )
            ]  # fmt: skip
    return []
